"""The embedded servers, really started, killed and started again."""

import os
import subprocess
from pathlib import Path

import psycopg
import pytest

from app.demo.stage import Servers
from app.embedded import EmbeddedError, EmbeddedServers, mosquitto
from app.embedded.processes import can_enter, server_account
from tests.servers import Broker


def _one(url: str, statement: str) -> object:
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(statement.encode()).fetchone()
    return None if row is None else row[0]


def test_what_was_committed_survives_a_kill_and_a_second_start(own_servers: EmbeddedServers) -> None:
    """kill -9 of PostgreSQL, then a clean stop and start: same address, same passwords, same rows."""
    url = own_servers.admin_database_url
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    own_servers.postgres.kill()
    assert own_servers.postgres.postmaster_pid() is None
    own_servers.postgres.start()
    assert _one(url, "SELECT answer FROM kept") == 42
    own_servers.stop()
    again = EmbeddedServers.open(own_servers.directory, durable=False)
    with again:
        assert again.admin_database_url == url
        assert _one(url, "SELECT answer FROM kept") == 42


def test_roles_are_as_small_as_promised(own_servers: EmbeddedServers) -> None:
    """The owner may add TimescaleDB without being superuser; the application may not even create a table."""
    assert _one(own_servers.database_url, "SELECT current_setting('is_superuser')") == "off"
    assert _one(own_servers.admin_database_url, "SELECT current_setting('is_superuser')") == "off"
    with psycopg.connect(own_servers.admin_database_url, autocommit=True) as conn:
        conn.execute("CREATE EXTENSION timescaledb")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _one(own_servers.database_url, "CREATE TABLE intruder (id int)")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(own_servers.admin_database_url.replace(":", ":x", 2).replace(":x//", "://"))


def test_servers_that_outlive_their_program_are_taken_over(own_servers: EmbeddedServers) -> None:
    """The next start finds running servers of its directory, keeps their processes and ports, and can stop them."""
    pids = own_servers.postgres.postmaster_pid(), own_servers.mosquitto.pid()
    own_servers._release_lock()  # what the kernel does when a program dies
    with EmbeddedServers.open(own_servers.directory, durable=False) as heir:
        assert (heir.postgres.postmaster_pid(), heir.mosquitto.pid()) == pids
        assert heir.mqtt_url == own_servers.mqtt_url
    # our handles are still the parent's of the processes: collect them before asking
    own_servers.postgres._reap()
    own_servers.mosquitto._reap()
    assert (heir.postgres.postmaster_pid(), heir.mosquitto.pid()) == (None, None)


def test_a_second_program_is_refused(own_servers: EmbeddedServers) -> None:
    """Two programs never run the same servers; the second is told which process does."""
    with pytest.raises(EmbeddedError, match=f"already run by process {os.getpid()}"):
        EmbeddedServers.open(own_servers.directory, durable=False).start()
    assert own_servers.mosquitto.pid() is not None


def test_a_recycled_process_id_is_not_taken_for_the_server(own_servers: EmbeddedServers) -> None:
    """After a reboot the number in postmaster.pid may be anybody's: it is neither trusted nor signalled."""
    own_servers.postgres.kill()
    pid_file = own_servers.postgres.data / "postmaster.pid"
    with subprocess.Popen(["sleep", "60"]) as bystander:
        lines = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(bystander.pid), *lines[1:]]))
        assert own_servers.postgres.postmaster_pid() is None
        own_servers.postgres.start()
        assert own_servers.postgres.postmaster_pid() not in (None, bystander.pid)
        assert bystander.poll() is None
        bystander.kill()


def test_a_server_that_cannot_start_shows_its_log(own_servers: EmbeddedServers) -> None:
    """A broken configuration ends in one error with the server's own words, within seconds."""
    own_servers.postgres.stop()
    (own_servers.postgres.data / "postgresql.auto.conf").write_text("work_mem = 'plenty'\n")
    with pytest.raises(EmbeddedError, match=r"did not start(.|\n)*plenty"):
        own_servers.postgres.start()


def test_servers_do_not_run_as_root(own_servers: EmbeddedServers) -> None:
    """Whoever starts them, both servers run as an unprivileged account."""
    for pid in (own_servers.postgres.postmaster_pid(), own_servers.mosquitto.pid()):
        assert Path(f"/proc/{pid}").stat().st_uid != 0


def test_a_closed_directory_moves_the_servers_files(tmp_path: Path) -> None:
    """Where the unprivileged account cannot go (a private folder), the servers' files are elsewhere, and it says so."""
    account = server_account()
    if account is None:
        pytest.skip("only root runs servers as somebody else")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not can_enter(account, closed / "var")
    servers = EmbeddedServers.open(closed / "var", durable=False, postgres=False)
    said: list[str] = []
    try:
        servers.start(said.append)
        assert servers.moved
        assert str(servers.servers_directory) in said[0]
        assert servers.mosquitto.pid() is not None
    finally:
        servers.destroy()
    assert not servers.servers_directory.exists()


def test_gateways_get_accounts_while_the_broker_runs(broker: Broker, shared_servers: EmbeddedServers | None) -> None:
    """A new gateway may sign in at once, an old password stops working, nobody gets in without one."""
    if shared_servers is None:
        pytest.skip("accounts at somebody else's broker are theirs to give")
    shared_servers.add_gateways([f"GW-{number}" for number in range(200)])
    user, first = shared_servers.credentials("GW-7")
    assert mosquitto.may_sign_in(broker.port, user, first)
    second = shared_servers.add_gateway("GW-7")
    assert mosquitto.may_sign_in(broker.port, user, second)
    assert not mosquitto.may_sign_in(broker.port, user, first)
    assert not mosquitto.may_sign_in(broker.port, "GW-unknown", second)
    assert shared_servers.add_gateways(["GW-7"]) == {"GW-7": second}


def test_a_gateway_publishes_under_its_own_name_only(broker: Broker, shared_servers: EmbeddedServers | None) -> None:
    """What GW-1 sends as itself arrives, as GW-2 or beside the topics it does not; and no gateway listens."""
    if shared_servers is None:
        pytest.skip("access rules at somebody else's broker are theirs to set")
    for topic in ("gas/v1/A1/GW-2/readings", "gas/v1/A1/GW-1/other", "gas/v1/GW-1", "gas/v1/A1/GW-1/readings"):
        _publish(broker, "GW-1", topic, retain=True)
    assert _heard(broker, broker.ingest, "gas/#", 1) == ["gas/v1/A1/GW-1/readings"]
    assert _heard(broker, broker.gateway("GW-2"), "gas/#", 1) == []


def test_a_clean_stop_of_the_broker_keeps_what_waits(own_servers: EmbeddedServers) -> None:
    """What waits for an absent worker survives a restart of the broker, more than its default queue of 1000."""
    broker = Broker.of(own_servers)
    user, password = broker.ingest
    session = ["-i", "worker", "-c", "-q", "1", "-t", "gas/v1/#", "-u", user, "-P", password, "-p", str(broker.port)]
    subprocess.run(["mosquitto_sub", *session, "-E"], check=True)
    _publish(broker, "GW-1", "gas/v1/A1/GW-1/readings", lines=1500)
    own_servers.mosquitto.stop()
    own_servers.mosquitto.start()
    session[session.index("-p") + 1] = str(own_servers.mqtt_port)
    done = subprocess.run(
        ["mosquitto_sub", *session, "-C", "1500", "-W", "20"], check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [str(number) for number in range(1500)]


def _publish(broker: Broker, gateway: str, topic: str, *, retain: bool = False, lines: int = 1) -> None:
    user, password = broker.gateway(gateway)
    command = ["mosquitto_pub", "-p", str(broker.port), "-u", user, "-P", password, "-q", "1", "-t", topic, "-l"]
    text = "".join(f"{number}\n" for number in range(lines))
    subprocess.run([*command, *(["-r"] if retain else [])], input=text, text=True, check=True)


def _heard(broker: Broker, account: tuple[str, str], topic: str, count: int) -> list[str]:
    user, password = account
    command = ["mosquitto_sub", "-p", str(broker.port), "-u", user, "-P", password, "-t", topic, "-F", "%t"]
    # one more than expected would also be heard: retained messages come at once, then the wait ends
    done = subprocess.run([*command, "-C", str(count + 1), "-W", "1"], check=False, capture_output=True, text=True)
    return done.stdout.splitlines()


def test_the_demonstrations_dispatcher_signs_in_as_itself(
    own_servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account of ingest may say nothing to gateways: with it every command was refused."""
    monkeypatch.delenv("MQTT_URL", raising=False)
    servers = Servers("postgresql://x", "postgresql://x", own_servers.mqtt_url, own_servers)
    assert servers.environment()["GASWARDEN_COMMANDS__BROKER_URL"] == own_servers.commands_mqtt_url
    monkeypatch.setenv("MQTT_URL", "mqtt://broker.example")
    assert "GASWARDEN_COMMANDS__BROKER_URL" not in servers.environment()
