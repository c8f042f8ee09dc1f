"""`gaswarden run` and `check` as processes: real services on a real database and broker, exit codes, sentences."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from app.demo.stage import Servers, StageError, run_services
from rules import rule_sets
from rules.catalog import packaged_texts
from sql.actor import Actor
from tests.servers import Broker, Database

REPOSITORY = Path(__file__).parents[2]


def environment(db: Database, **more: str) -> dict[str, str]:
    """A clean environment with a test's database, no broker, and a free HTTP port."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GASWARDEN_", "MQTT_"))}
    urls = {"DATABASE_URL": db.url, "ADMIN_DATABASE_URL": db.admin_url, "MQTT_URL": "mqtt://127.0.0.1:1"}
    return kept | urls | {"GASWARDEN_HTTP__PORT": "0", "COLUMNS": "200"} | more


@asynccontextmanager
async def gaswarden(environ: Mapping[str, str], *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program with arguments; killed when a test leaves it running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *arguments,
        cwd=REPOSITORY,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Exit code, standard output, and what is left of standard error."""
    out, err = await asyncio.wait_for(process.communicate(), 40)
    return process.returncode, out.decode(), err.decode()


async def logged(process: asyncio.subprocess.Process, event: str) -> dict[str, object]:
    """The next log line of an event."""
    assert process.stderr is not None
    while line := await asyncio.wait_for(process.stderr.readline(), 30):
        if line.startswith(b"{") and (said := json.loads(line))["event"] == event:
            return dict(said)
    raise AssertionError(f"the process ended without {event}")


async def test_all_services_run_and_drain(db: Database, broker: Broker) -> None:
    """With everything there the process becomes ready, serves, and a SIGTERM ends it with 0, an open stream or not."""
    environ = environment(db, MQTT_URL=broker.url)
    async with gaswarden(environ, "account", "add", "olga", "--role", "officer") as made:
        token = (await ended(made))[1].strip()
    async with (
        gaswarden(environ, "run") as process,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
    ):
        address = (await logged(process, "listening"))["address"]
        slots = {(await logged(process, "broker_connected"))["slot"] for _lane in range(2)}
        assert slots == {"0", "0-events"}
        async with session.get(f"{address}/readyz") as response:
            checks = (await response.json())["checks"]
        assert {name: check["ok"] for name, check in checks.items()} == {
            "database": True,
            "migrations": True,
            "broker": True,
        }
        for path in ("/api/v1/alerts", "/api/v1/rules", "/api/v1/duties", "/api/v1/ledger", "/api/v1/docs", "/metrics"):
            async with session.get(f"{address}{path}") as response:
                assert response.status == 200, path
        async with session.get(f"{address}/api/v1/alerts/stream") as stream:
            assert stream.status == 200
            await stream.content.readline()
            process.terminate()
            code, _, err = await ended(process)
    assert code == 0, err
    assert '"event": "stopped"' in err


async def test_a_signal_is_obeyed_although_nobody_reads_the_log_any_more(db: Database) -> None:
    """When the reader of its log is gone, SIGTERM still drains and ends the process with 0."""
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", "run", "http", cwd=REPOSITORY, env=environment(db), stderr=writing
    )
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as log:
            while b"listening" not in await asyncio.to_thread(log.readline):
                pass
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_port_in_use_is_a_sentence(db: Database) -> None:
    """A port that is taken ends the process with code 1 and names the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        async with gaswarden(environment(db, GASWARDEN_HTTP__PORT=port), "run", "http") as process:
            code, _, err = await ended(process)
    assert code == 1
    assert f"http cannot listen on 127.0.0.1:{port}: " in err.splitlines()[-1]
    assert "Traceback" not in err


async def test_unmigrated_database_is_a_sentence(empty_db: Database) -> None:
    """A database without its schema is refused at the start, with the command that helps."""
    async with gaswarden(environment(empty_db), "run", "http") as process:
        code, _, err = await ended(process)
    assert code == 1
    assert err.strip().startswith("the database lacks 0001_initial.sql")
    assert err.strip().endswith("run `gaswarden migrate`")


async def test_database_away_is_waited_for_then_told(db: Database) -> None:
    """A database that does not answer is waited for so long as set, then told in a sentence."""
    environ = environment(
        db, DATABASE_URL="postgresql://a:secret@127.0.0.1:1/x", GASWARDEN_DATABASE__START_WAIT_S="0.3"
    )
    async with gaswarden(environ, "run", "http") as process:
        code, _, err = await ended(process)
    assert code == 1
    assert "waiting for the database" in err
    assert err.splitlines()[-1].startswith("the database does not answer: ")
    assert "secret" not in err


async def test_wrong_settings_exit_2(db: Database) -> None:
    """Wrong settings and an unknown service are code 2, each in a sentence."""
    async with gaswarden(environment(db, GASWARDEN_HTTP__PORT="web"), "run", "http") as process:
        code, _, err = await ended(process)
    assert (code, err.strip()) == (
        2,
        "settings: GASWARDEN_HTTP__PORT: must be a valid integer, unable to parse string as an integer (it is 'web')",
    )
    async with gaswarden(environment(db), "run", "htpp") as process:
        code, _, err = await ended(process)
    assert code == 2
    assert "there is no service htpp" in err


async def test_a_stranger_on_the_port_is_not_taken_for_the_services(db: Database, tmp_path: Path) -> None:
    """Who holds the port may say that it is ready: the demonstration says that its own services could not listen."""

    async def ready(_request: web.Request) -> web.Response:
        return web.json_response({"ready": True, "process": os.getpid()})

    application = web.Application()
    application.router.add_get("/readyz", ready)
    async with TestServer(application) as stranger:
        assert stranger.port is not None
        servers = Servers(db.url, db.admin_url, "mqtt://127.0.0.1:1", None)
        with pytest.raises(StageError, match=f"http cannot listen on 127.0.0.1:{stranger.port}"):
            async with run_services(servers, stranger.port, tmp_path / "services.log", ("http",)):
                pass


async def test_probes_have_their_own_port(db: Database) -> None:
    """With a probe port the probes are there and nothing else, and not on the public port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = environment(db, GASWARDEN_HTTP__PROBE_PORT=str(port))
    async with gaswarden(environ, "run", "http") as process, aiohttp.ClientSession() as session:
        addresses = [await logged(process, "listening"), await logged(process, "listening")]
        public = next(said["address"] for said in addresses if said["name"] == "http")
        for address, path, status in (
            (f"http://127.0.0.1:{port}", "/healthz", 200),
            (f"http://127.0.0.1:{port}", "/metrics", 200),
            (f"http://127.0.0.1:{port}", "/api/v1/openapi.json", 404),
            (public, "/metrics", 404),
            (public, "/api/v1/openapi.json", 200),
        ):
            async with session.get(f"{address}{path}") as response:
                assert response.status == status, (address, path)
        process.send_signal(signal.SIGINT)
        assert (await ended(process))[0] == 0


@pytest.mark.parametrize("broker_there", [True, False])
async def test_check(db: Database, broker: Broker, *, broker_there: bool) -> None:
    """`check` exits 0 when all is well, 1 when something is wrong, and names edition, version and what is wrong."""
    more = {"MQTT_URL": broker.url} if broker_there else {}
    async with gaswarden(environment(db, **more), "check", "--json") as process:
        code, out, _ = await ended(process)
    found = json.loads(out)
    checks = {check["check"]: check for check in found["checks"]}
    assert code == (0 if broker_there else 1)
    assert {name: check["ok"] for name, check in checks.items() if not check["ok"]} == (
        {} if broker_there else {"broker": False}
    )
    assert checks["timescaledb"]["fact"].endswith(" edition")
    assert "leak_alarm" in checks["rules"]["fact"]
    settings = {row["setting"]: row for row in found["settings"]}
    assert ":***@" in settings["DATABASE_URL"]["value"]


async def test_check_compares_the_rules_with_the_registry(
    db: Database, broker: Broker, conn: asyncpg.Connection
) -> None:
    """A set in force of which a rule looks at a district that nobody registered: named, and the exit code is 1."""
    text = packaged_texts()["event.toml"].replace("[rule.magnet]\n", '[rule.magnet]\nscope.areas = ["D99"]\n', 1)
    console, now = Actor("console", "administrator"), datetime.now(UTC)
    kept = await rule_sets.upload(conn, {"event.toml": text}, "strange", console, now)
    await rule_sets.activate(conn, kept.digest, "strange", console, now)
    async with gaswarden(environment(db, MQTT_URL=broker.url), "check", "--json") as process:
        code, out, _ = await ended(process)
    wrong = [one for one in json.loads(out)["checks"] if not one["ok"]]
    sentence = "rule magnet: scope.areas = D99: no district D99 is registered"
    assert (code, [one["check"] for one in wrong]) == (1, ["rules in force"])
    assert wrong[0]["fact"].startswith(f"set {kept.digest}; {sentence}")


async def test_a_bad_rules_file_stops_the_start(unchanged_db: Database, tmp_path: Path) -> None:
    """One sentence, exit code 1, from `run` and from `check`: with these rules a leak alarm would open no alert."""
    (tmp_path / "rules.toml").write_text(packaged_texts()["window.toml"], "utf-8")
    environ = environment(unchanged_db, GASWARDEN_RULES__FILE=str(tmp_path / "rules.toml"))
    async with gaswarden(environ, "run", "rules") as started, gaswarden(environ, "check", "--json") as checked:
        (started_code, _, err), (checked_code, out, _) = await asyncio.gather(ended(started), ended(checked))
    assert (started_code, checked_code) == (1, 1)
    mistake = "no enabled rule of kind leak_alarm: alarms of that kind would open no alert"
    assert err.splitlines()[-1] == f"rules: {mistake}"
    assert mistake in {one["fact"] for one in json.loads(out)["checks"] if not one["ok"]}


async def test_a_bad_catalogue_stops_the_start(unchanged_db: Database, tmp_path: Path) -> None:
    """One sentence naming file, entry, key and rule, exit code 1, from `run` and `check`; not at the first report."""
    packaged = (REPOSITORY / "inspections" / "hazards.toml").read_text("utf-8")
    (tmp_path / "hazards.toml").write_text(packaged.replace("deadline_days = 1\n", "deadline_days = 999\n", 1), "utf-8")
    environ = environment(unchanged_db, GASWARDEN_ROSTER__HAZARDS_FILE=str(tmp_path / "hazards.toml"))
    async with gaswarden(environ, "run", "inspections") as started, gaswarden(environ, "check", "--json") as checked:
        (started_code, _, err), (checked_code, out, _) = await asyncio.gather(ended(started), ended(checked))
    assert (started_code, checked_code) == (1, 1)
    mistake = (
        f"{tmp_path}/hazards.toml: hazard 1 (leak), deadline_days: Input should be less than or equal to 365, not 999"
    )
    assert err.splitlines()[-1] == f"hazards: {mistake}"
    assert mistake in {one["fact"] for one in json.loads(out)["checks"] if not one["ok"]}


async def test_check_names_pending_migrations(empty_db: Database) -> None:
    """`check` on a database without its schema names what is missing and does not fail in another way."""
    async with gaswarden(environment(empty_db), "check", "--json") as process:
        code, out, _ = await ended(process)
    checks = {check["check"]: check["fact"] for check in json.loads(out)["checks"]}
    assert code == 1
    assert checks["migrations"].startswith("not applied: 0001_initial.sql")
    async with gaswarden(environment(empty_db), "migrate") as process:
        code, out, _ = await ended(process)
    assert (code, out.splitlines()[0]) == (0, "applied 0001_initial.sql")
