"""The database is away, full, cut off or crashed: nothing is acknowledged meanwhile, nothing lost, nobody restarts."""

import asyncio
import os
import subprocess
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from psycopg import sql as pg
from structlog.testing import capture_logs

from app.embedded import EmbeddedServers
from app.embedded.processes import free_port, server_account
from sql.pool import open_pool
from tests.ingest_city import NOW, ledger_totals, reading, register, topic, until
from tests.ingest_city import working as ingest_working
from tests.mid_load import Load, Worker, await_session, everything_accounted_for, more_rows, settle
from tests.network import Relay, relay
from tests.publisher import Publisher
from tests.servers import Broker, Database


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


def _messages(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [(topic(), reading(seq=n, at=NOW - timedelta(seconds=n))) for n in range(first, first + count)]


async def _publish(broker: Broker, messages: list[tuple[str, bytes]]) -> None:
    def send() -> None:
        with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
            gateway.publish(messages)

    await asyncio.to_thread(send)


async def _stored(pool: asyncpg.Pool, count: int, timeout_s: float = 15.0) -> None:
    async def there() -> bool:
        return int(await pool.fetchval("SELECT count(*) FROM reading")) >= count

    await until(there, timeout_s)


@asynccontextmanager
async def _wire(db: Database) -> AsyncIterator[tuple[Relay, str]]:
    """The network between the worker and the database, and the database's address through it."""
    parts = urlsplit(db.url)
    async with relay(parts.hostname or "", parts.port or 5432) as wire:
        yield wire, db.url.replace(f":{parts.port}/", f":{wire.port}/")


def _acknowledged(port: int) -> float:
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    lines = [line for line in text.splitlines() if line.startswith("gaswarden_ingest_acknowledged_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


@pytest.mark.slow
async def test_a_long_outage_costs_no_memory_no_message_and_no_restart(own_servers: EmbeddedServers) -> None:
    """The database is away while several times the in-flight window is published: the broker keeps the rest."""
    servers, port = settle(own_servers), free_port()
    others = {"GASWARDEN_HTTP__PROBE_PORT": str(port), "GASWARDEN_BROKER__RECEIVE_MAXIMUM": "2000"}
    worker = Worker(servers, **others, GASWARDEN_INGEST__RETRY_MAX_S="0.5")
    try:
        await asyncio.to_thread(await_session, servers)
        with Load(servers) as load:
            await more_rows(servers, 5000)
            await asyncio.to_thread(servers.postgres.kill)
            await asyncio.sleep(0.5)  # what was committed may still be acknowledged
            before, memory_mb = await asyncio.to_thread(_acknowledged, port), worker.rss_mb
            at_kill = load.acknowledged

            async def enough() -> bool:
                return load.acknowledged >= at_kill + 15_000

            await until(enough, 20)
            assert await asyncio.to_thread(_acknowledged, port) == before
            assert worker.rss_mb - memory_mb < 30
            await asyncio.to_thread(servers.postgres.start)
        await everything_accounted_for(servers, load)
        assert worker.runs
        assert worker.stop() == 0
    finally:
        if worker.runs:
            worker.kill()


async def test_an_id_that_a_crash_gave_to_another_batch_proves_nothing(city: Database, broker: Broker) -> None:
    """COMMIT was lost, the server crashed and gave the batch's id to another slot: the batch is written after all."""
    async with _wire(city) as (wire, url):
        wire.forward_what_cuts = False
        async with open_pool(url, application_name="test") as pool, ingest_working(pool, broker.url, retry_min_s=1.0):
            await _publish(broker, _messages(3))
            await _stored(pool, 3)
            wire.cut_at = lambda data: b"COMMIT;" in data
            await _publish(broker, _messages(1, 3))

            async def is_cut() -> bool:
                return wire.cuts == 1

            await until(is_cut)
            with psycopg.connect(city.admin_url, autocommit=True) as admin:
                given = admin.execute("SELECT last_value FROM pg_sequences WHERE sequencename LIKE 'batch%'").fetchone()
                assert given is not None
                admin.execute(
                    """INSERT INTO batch (batch_id, slot, first_received_at, last_received_at, received, stored,
                       duplicate, late, conflict, quarantined, reading_rows, event_rows, gateway_rows, device_ids)
                    OVERRIDING SYSTEM VALUE VALUES (%s, 'other', now(), now(), 1, 1, 0, 0, 0, 0, 1, 0, 0, '{}')""",
                    given,
                )
            await _stored(pool, 4)
            assert (await ledger_totals(pool))["stored"] == 4


async def test_a_database_that_the_network_swallows_is_given_up(city: Database, broker: Broker) -> None:
    """No reset, no answer: the statement times out, and new connections do the work."""
    async with (
        _wire(city) as (wire, url),
        open_pool(url, application_name="test", command_timeout_s=1.0) as pool,
        ingest_working(pool, broker.url),
        open_pool(city.url, application_name="eye") as eye,
    ):
        await _publish(broker, _messages(3))
        await _stored(eye, 3)
        wire.swallow()
        await _publish(broker, _messages(50, 3))
        await _stored(eye, 53)
        totals = await ledger_totals(eye)
        wire.reset()
    assert (totals["received"], totals["stored"]) == (53, 53)


async def test_a_worker_that_was_cut_off_does_not_hold_its_slot_for_ever(conn: asyncpg.Connection) -> None:
    """The server ends a transaction of a slot that says nothing for 20 seconds, so that a successor can work."""
    from ingest import store

    async with conn.transaction():
        await store.lock_slot(conn, "0")
        assert await conn.fetchval("SHOW idle_in_transaction_session_timeout") == "20s"
    assert await conn.fetchval("SHOW idle_in_transaction_session_timeout") != "20s"


@pytest.fixture
def small_disk(shared_servers: EmbeddedServers | None, tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB that PostgreSQL may write to; skips where nobody may mount one."""
    if shared_servers is None or os.geteuid() != 0:
        pytest.skip("a full disk needs the embedded PostgreSQL and the right to mount a small file system (root)")
    place = shared_servers.servers_directory / f"disk-{tmp_path.name}"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        place.rmdir()
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        account = server_account()
        assert account is not None
        (place / "space").mkdir()
        os.chown(place / "space", *account.owner)
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
        place.rmdir()


@pytest.mark.slow
async def test_a_full_disk_stops_the_acknowledgements_and_nothing_else(
    city: Database, pool: asyncpg.Pool, broker: Broker, shared_servers: EmbeddedServers, small_disk: Path
) -> None:
    """No space left: the batch waits, the loss is told once; with space again it is stored, by the same worker."""
    ballast = small_disk / "ballast"
    name = f"space_{small_disk.name[-8:].replace('-', '_')}"
    database = urlsplit(city.url).path[1:]
    with psycopg.connect(shared_servers.superuser_database_url, autocommit=True) as admin:
        admin.execute(pg.SQL("CREATE TABLESPACE {} LOCATION {}").format(pg.Identifier(name), str(small_disk / "space")))
        admin.execute(pg.SQL("GRANT CREATE ON TABLESPACE {} TO PUBLIC").format(pg.Identifier(name)))
    try:
        with psycopg.connect(city.admin_url, autocommit=True) as owner:
            owner.execute("SELECT attach_tablespace(%s, 'reading')", (name,))
        with capture_logs() as said:
            async with ingest_working(pool, broker.url):
                await _publish(broker, _messages(10))
                await _stored(pool, 10)
                ballast.write_bytes(b"\0" * (_free_bytes(small_disk) - 4096))
                await _publish(broker, _messages(30_000, 10))

                async def is_told() -> bool:
                    return any(entry["event"] == "database_lost" for entry in said)

                await until(is_told)
                held = await ledger_totals(pool)
                assert held["received"] == await pool.fetchval("SELECT count(*) FROM reading")
                assert held["received"] < 30_010
                ballast.unlink()
                await _stored(pool, 30_010)
        lost = [entry for entry in said if entry["event"] == "database_lost"]
        assert "DiskFull" in lost[0]["why"]
        assert len(lost) == 1
        totals = await ledger_totals(pool)
        assert (totals["received"], totals["stored"]) == (30_010, 30_010)
    finally:
        await pool.close()
        with psycopg.connect(shared_servers.superuser_database_url, autocommit=True) as admin:
            admin.execute(pg.SQL("DROP DATABASE {} WITH (FORCE)").format(pg.Identifier(database)))
            admin.execute(pg.SQL("DROP TABLESPACE {}").format(pg.Identifier(name)))


def _free_bytes(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


async def test_two_poisonous_rows_among_thousands_are_cut_out(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """One row breaks a constraint, another makes a trigger complain: these two wait in quarantine, 3,998 are stored."""
    with psycopg.connect(city.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE reading ADD CONSTRAINT no_devil CHECK (index_ml <> 666)")
        admin.execute(
            """CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN IF NEW.index_ml = 667 THEN RAISE EXCEPTION 'not this one'; END IF; RETURN NEW; END$$"""
        )
        admin.execute("CREATE TRIGGER complain BEFORE INSERT ON reading FOR EACH ROW EXECUTE FUNCTION complain()")
    poison = {1234: 666, 3777: 667}
    messages = [
        (topic(), reading(seq=n, at=NOW - timedelta(seconds=n), index_ml=poison.get(n, 10_000 * n)))
        for n in range(4000)
    ]
    async with ingest_working(pool, broker.url, batch={"age_max_s": 1.0}):
        await _publish(broker, messages)
        await _stored(pool, 3998)
    totals = await ledger_totals(pool)
    assert (totals["received"], totals["stored"], totals["quarantined"]) == (4000, 3998, 2)
    details = {row["detail"] for row in await pool.fetch("SELECT detail FROM quarantine WHERE reason = 'unstorable'")}
    assert any("no_devil" in detail for detail in details)
    assert any("not this one" in detail for detail in details)
