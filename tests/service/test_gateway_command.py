"""`gaswarden gateway` against a real database and real brokers, the embedded one and a foreign Mosquitto."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from app.embedded import EmbeddedServers, mosquitto, processes
from sql.migrate import migrate
from tests.ingest_city import AREA, register
from tests.servers import throwaway_servers

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def servers() -> Iterator[EmbeddedServers]:
    with throwaway_servers() as started:
        migrate(started.admin_database_url)
        register(started.admin_database_url, meters=0, gateways=[])
        yield started


@pytest.fixture
def gaswarden(servers: EmbeddedServers) -> Command:
    """Run the command line on these servers."""

    def run(*words: str, code: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "GASWARDEN_VAR": str(servers.directory), **settings}
        command = [sys.executable, "-m", "app", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done

    return run


def test_a_gateway_from_its_making_to_its_end(servers: EmbeddedServers, gaswarden: Command) -> None:
    """Added it signs in; rotated the old password is refused; revoked the new one too; each step is in the audit."""
    first = gaswarden("gateway", "add", "GW-7", "--area", AREA, "--interval-s", "3600").stdout.strip()
    assert mosquitto.may_sign_in(servers.mqtt_port, "GW-7", first)
    assert "rotate" in gaswarden("gateway", "add", "GW-7", "--area", AREA, code=1).stderr
    second = json.loads(gaswarden("gateway", "rotate", "GW-7", "--json").stdout)["password"]
    assert not mosquitto.may_sign_in(servers.mqtt_port, "GW-7", first)
    assert mosquitto.may_sign_in(servers.mqtt_port, "GW-7", second)
    assert "BEGIN CERTIFICATE" in gaswarden("gateway", "certificate", "GW-7").stdout
    gaswarden("gateway", "revoke", "GW-7")
    assert processes.wait_until(lambda: not mosquitto.may_sign_in(servers.mqtt_port, "GW-7", second), 5)
    assert "no account" in gaswarden("gateway", "revoke", "GW-7", code=1).stderr
    (row,) = json.loads(gaswarden("gateway", "list", "--json").stdout)
    assert (row["code"], row["area"], row["expected_interval_s"], row["account"]) == ("GW-7", AREA, 3600, False)
    with psycopg.connect(servers.admin_database_url) as conn:
        rows = conn.execute(
            "SELECT action FROM audit_entry WHERE subject = 'gateway:GW-7' ORDER BY audit_id"
        ).fetchall()
    assert [action for (action,) in rows] == [f"gateway.{step}" for step in ("add", "rotate", "certificate", "revoke")]


def test_what_is_refused_leaves_nothing_behind(servers: EmbeddedServers, gaswarden: Command) -> None:
    """An unknown area or a name that no account can have: no registration, no account, no audit row."""
    assert "D99" in gaswarden("gateway", "add", "GW-8", "--area", "D99", code=1).stderr
    assert "account" in gaswarden("gateway", "add", "ingest", "--area", AREA, code=1).stderr
    assert "not registered" in gaswarden("gateway", "rotate", "GW-8", code=1).stderr
    with psycopg.connect(servers.admin_database_url) as conn:
        assert conn.execute("SELECT count(*) FROM gateway WHERE code IN ('GW-8', 'ingest')").fetchone() == (0,)
        assert conn.execute("SELECT count(*) FROM audit_entry WHERE subject = 'gateway:ingest'").fetchone() == (0,)


def test_a_foreign_mosquitto_takes_the_files_over(gaswarden: Command, tmp_path: Path) -> None:
    """Password and access file of a Mosquitto that is not ours: it hears of the account by SIGHUP and lets it in."""
    port = processes.free_port()
    files = {"PASSWD": tmp_path / "accounts", "ACL": tmp_path / "access", "PID": tmp_path / "mosquitto.pid"}
    files["PASSWD"].write_text(mosquitto.account_line("ingest", "x", b"0" * 12))
    files["ACL"].write_text("user ingest\ntopic read gas/v1/#\n")
    configuration = tmp_path / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file {files['PASSWD']}\n"
        f"acl_file {files['ACL']}\npid_file {files['PID']}\n"
    )
    settings = {f"GASWARDEN_GATEWAYS__{name}_FILE": str(path) for name, path in files.items()}
    with subprocess.Popen([processes.find_program("mosquitto"), "-c", str(configuration)]) as broker:
        try:
            assert processes.wait_until(lambda: mosquitto.may_sign_in(port, "ingest", "x"), 10)
            done = gaswarden(
                "gateway", "add", "GW-9", "--area", AREA, GASWARDEN_GATEWAYS__BROKER="mosquitto", **settings
            )
            assert processes.wait_until(lambda: mosquitto.may_sign_in(port, "GW-9", done.stdout.strip()), 5)
            gaswarden("gateway", "revoke", "GW-9", GASWARDEN_GATEWAYS__BROKER="mosquitto", **settings)
            assert processes.wait_until(lambda: not mosquitto.may_sign_in(port, "GW-9", done.stdout.strip()), 5)
            assert "GW-9" not in files["ACL"].read_text()
        finally:
            broker.terminate()


def test_for_rabbitmq_the_calls_are_printed(gaswarden: Command) -> None:
    """Three calls that can be pasted into a shell, and last the password, which is in none of them."""
    out = gaswarden("gateway", "add", "GW-10", "--area", AREA, GASWARDEN_GATEWAYS__BROKER="rabbitmq").stdout
    calls = [line for line in out.splitlines() if "rabbitmqctl" in line]
    assert [line.split("rabbitmqctl ")[1].split()[0] for line in calls] == [
        "add_user",
        "set_permissions",
        "set_topic_permissions",
    ]
    assert out.splitlines()[-1] not in "".join(calls)
