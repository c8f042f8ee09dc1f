"""The parts of the embedded servers that need no server."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.embedded import EmbeddedError, mosquitto, postgres, processes, secrets
from app.embedded.servers import EmbeddedServers, server_directory

gateway_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]))


@given(st.dictionaries(gateway_names, printable, max_size=5), st.integers(0, 65535))
def test_secrets_survive_being_written_and_read(gateways: dict[str, str], port: int) -> None:
    """What was kept comes back exactly, whatever printable text the passwords hold."""
    kept = secrets.Secrets(postgres_port=port, gateways=gateways)
    assert secrets.parse(secrets.dump(kept)) == kept


@pytest.mark.parametrize("text", ["surprise = 1", "postgres_port = ", "[gateways"])
def test_damaged_secrets_are_refused_in_one_sentence(text: str) -> None:
    """A secrets file somebody edited is an error that says so, never silently new passwords."""
    with pytest.raises(EmbeddedError, match="secrets file of the embedded servers cannot be read"):
        secrets.parse(text)


def test_secrets_are_for_their_owner_only(tmp_path: Path) -> None:
    """The file has mode 0600 even where the one before it had not, and nothing else is left beside it."""
    path = tmp_path / "secrets.toml"
    path.write_text("")
    path.chmod(0o644)
    secrets.save(path, secrets.Secrets())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["ingest", "", "a/b", "a+", "#", "a:b", "a\nb", ".a", "x" * 65])
def test_a_name_that_could_widen_an_access_rule_is_no_gateway(name: str) -> None:
    """Wildcards, separators and the ingest account's own name are refused as gateway ids."""
    with pytest.raises(EmbeddedError, match="cannot be a gateway's account"):
        secrets.checked_gateway_name(name)


def test_password_line_has_the_fields_of_mosquitto_passwd() -> None:
    """Name, scheme 7 (PBKDF2 with SHA-512), 101 rounds, salt, hash; that a broker takes it is a service test's word."""
    line = mosquitto.account_line("GW1", "secret", bytes(range(12)))
    name, rest = line.rstrip("\n").split(":")
    assert name == "GW1"
    assert rest.split("$")[1:3] == ["7", "101"]
    assert rest.split("$")[3] == "AAECAwQFBgcICQoL"


def test_connect_packet_counts_its_own_length() -> None:
    """A CONNECT longer than 127 bytes has a two-byte remaining length (MQTT 3.1.1, 2.2.3)."""
    short = mosquitto.connect_packet("u", "p")
    long = mosquitto.connect_packet("u", "p" * 200)
    assert short[1] == len(short) - 2
    assert (long[1] & 0x7F) + long[2] * 128 == len(long) - 3


@pytest.mark.parametrize(
    ("durable", "expected"),
    [(True, ["fsync = 'on'", "synchronous_commit = 'on'", "full_page_writes = 'on'"]), (False, ["fsync = 'off'"])],
)
def test_only_tests_give_durability_up(durable: bool, expected: list[str]) -> None:
    """The cluster people use writes every commit to disk; either listens on loopback only, and sends no telemetry."""
    lines = postgres.configuration(1, "c", durable=durable, memory_bytes=8 << 30).splitlines()
    assert set(expected) < set(lines)
    assert {"listen_addresses = '127.0.0.1'", "timescaledb.telemetry_level = 'off'"} < set(lines)


@pytest.mark.parametrize(("memory_gib", "buffers"), [(0.5, "128MB"), (8, "1024MB"), (256, "4096MB")])
def test_buffers_follow_the_machine_within_bounds(memory_gib: float, buffers: str) -> None:
    """An eighth of memory, at least 128 MB, at most 4 GB."""
    text = postgres.configuration(1, "c", durable=True, memory_bytes=int(memory_gib * 2**30))
    assert f"shared_buffers = '{buffers}'" in text.splitlines()


def test_named_programs_win_and_none_is_an_error(tmp_path: Path) -> None:
    """GASWARDEN_PG_BIN is believed; a machine without PostgreSQL is told what to run."""
    assert postgres.find_programs({"GASWARDEN_PG_BIN": "/opt/pg/bin"}) == Path("/opt/pg/bin")
    with pytest.raises(EmbeddedError, match="run scripts/setup"):
        postgres.find_programs({}, tmp_path)


def test_a_cluster_without_its_passwords_is_never_given_new_ones(tmp_path: Path) -> None:
    """When secrets.toml is lost, opening says what is missing instead of locking everybody out of the data."""
    cluster = server_directory(tmp_path, processes.server_account()) / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n")
    try:
        with pytest.raises(EmbeddedError, match=r"secrets\.toml is missing"):
            EmbeddedServers.open(tmp_path)
    finally:
        shutil.rmtree(cluster.parent)


def test_own_processes_are_told_from_others_of_the_same_name() -> None:
    """Ours has our directory as a whole word of its command line; a longer name that starts like it is not ours."""
    command = [sys.executable, "-c", "print(flush=True); input()", "/x/var/postgres"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        name = Path(f"/proc/{child.pid}/comm").read_text().strip()
        assert processes.is_ours(child.pid, name, ["/x/var/postgres"])
        assert not processes.is_ours(child.pid, name, ["/x/var/post"])
        assert not processes.is_ours(child.pid, "postgres", ["/x/var/postgres"])
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.is_ours(child.pid, name, ["/x/var/postgres"]), "a zombie is no running server"


def test_a_taken_port_is_exchanged_for_a_free_one() -> None:
    """The remembered port is kept while it is free and given up when somebody listens there."""
    port = processes.free_port()
    assert processes.free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert processes.free_port(port) != port
