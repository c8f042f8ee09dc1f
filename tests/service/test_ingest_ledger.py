"""The proof against real rows, missing sequence numbers, quarantine that heals, registry files, HTTP answers."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg
import pytest

from ingest.formats import read_message
from ingest.ledger import missing_messages, prove_days
from ingest.model import Disposition, Message, Tally
from ingest.params import IngestParams
from ingest.proof_routes import ProofRoutes, QuarantineQuery
from ingest.quarantine import preview, replay
from ingest.registry import DeviceRow, GatewayRow, InstallationRow, save_devices, save_gateways, save_installations
from ingest.routes import IngestRoutes, LedgerQuery, ReadingQuery
from sql.actor import Actor
from sql.errors import NotFound
from tests.ingest_city import NOW, event, reading, register, topic, writer_of
from tests.servers import Database

_OFFICER = Actor("chen", "officer")
_ELSEWHERE = Actor("wu", "officer", frozenset({"D99"}))


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


async def _write(pool: asyncpg.Pool, *messages: tuple[str, bytes], received_at: datetime | None = None) -> Tally:
    """What the worker does with one batch, without a broker."""
    params = IngestParams(registry_recheck_s=0)
    writer = writer_of(pool, params)
    arrived = received_at or datetime.now(UTC)
    batch: list[Message] = [read_message(where, payload, arrived) for where, payload in messages]
    return await writer.commit(batch)


async def _today(pool: asyncpg.Pool) -> tuple[str, ...]:
    day = datetime.now(UTC).date()
    async with pool.acquire() as conn:
        return (await prove_days(conn, day, day, _OFFICER)).faults


async def test_a_removed_row_breaks_the_proof(city: Database, pool: asyncpg.Pool) -> None:
    """Rows are counted again: one that disappeared is a fault of its batch."""
    await _write(pool, (topic(), reading(seq=1)), (topic(), reading(seq=2, at=NOW - timedelta(hours=1))))
    assert await _today(pool) == ()
    with psycopg.connect(city.admin_url, autocommit=True) as admin:
        admin.execute("DELETE FROM reading WHERE seq = 2")
    faults = await _today(pool)
    assert len(faults) == 1
    assert "wrote 2 readings and 0 events, 1 and 0 are there" in faults[0]


async def test_a_forged_ledger_breaks_the_proof(city: Database, pool: asyncpg.Pool) -> None:
    """Ledger and batches are two books; who changes one is found by the other."""
    await _write(pool, (topic(), reading(seq=1)))
    with psycopg.connect(city.admin_url, autocommit=True) as admin:
        admin.execute("UPDATE ledger SET received = received + 1, stored = stored + 1")
    assert await _today(pool) == ("slot 0: ledger has 2 received, batches have 1",)


@pytest.mark.parametrize(
    ("seqs", "missing"),
    [
        ([1, 2, 3], 0),
        ([1, 2, 5, 6], 2),
        ([65_534, 65_535, 0, 1], 0),
        ([65_534, 2], 3),  # 65535, 0, 1
        ([7, 7 + 1000], 999),
        ([7, 7 + 1001], 0),  # a restarted counter
        ([40_000, 0, 1, 3], 1),
    ],
)
async def test_missing_numbers_are_counted(city: Database, pool: asyncpg.Pool, seqs: list[int], missing: int) -> None:
    """Gaps between stored numbers are lost messages; the wrap is none, and a long jump is a restart."""
    messages = [
        (topic(), reading("M-GW-1-0", seq=seq, at=NOW - timedelta(minutes=len(seqs) - place)))
        for place, seq in enumerate(seqs)
    ]
    await _write(pool, *messages)
    async with pool.acquire() as conn:
        found = await missing_messages(conn, NOW - timedelta(days=1), NOW + timedelta(days=1), _OFFICER)
        assert await missing_messages(conn, NOW - timedelta(days=1), NOW + timedelta(days=1), _ELSEWHERE) == []
    assert sum(one.missing for one in found) == missing


async def test_readings_and_events_share_their_numbers(city: Database, pool: asyncpg.Pool) -> None:
    """A number used by an event is not missing among the readings, nor is that of a refused conflict."""
    await _write(
        pool,
        (topic(), reading("LD-GW-1", seq=1, at=NOW - timedelta(minutes=3), lel_pct=0.0)),
        (topic(kind="events"), event(seq=2, at=NOW - timedelta(minutes=2))),
        (topic(kind="events"), event(seq=3, at=NOW - timedelta(minutes=2), lel_pct=30.0)),
        (topic(), reading("LD-GW-1", seq=5, at=NOW - timedelta(minutes=1), lel_pct=0.0)),
    )
    async with pool.acquire() as conn:
        found = await missing_messages(conn, NOW - timedelta(days=1), NOW + timedelta(days=1), _OFFICER)
    assert [(one.gateway, one.device, one.missing, one.gaps) for one in found] == [("GW-1", "LD-GW-1", 1, 1)]


async def test_quarantine_heals_after_the_device_is_registered(city: Database, pool: asyncpg.Pool) -> None:
    """A preview changes nothing; the replay stores with the first time of arrival, once, and says who did it."""
    arrived = NOW - timedelta(days=3)
    where = topic("GW-9"), reading("M-GW-9-0", at=arrived)
    assert (await _write(pool, where, received_at=arrived)).dispositions == (Disposition.QUARANTINED,)
    async with pool.acquire() as conn:
        assert [one.reason for one in await preview(conn, NOW)] == ["unknown_gateway"]
    register(city.admin_url, gateways=("GW-9",))
    async with pool.acquire() as conn:
        assert [one.reason for one in await preview(conn, NOW)] == [None]
    assert await pool.fetchval("SELECT count(*) FROM reading") == 0
    assert await replay(pool, _OFFICER, NOW) == {"late": 1, "still waiting": 0}
    assert await replay(pool, _OFFICER, NOW) == {}
    batch = await pool.fetchrow("SELECT * FROM batch WHERE slot = 'replay'")
    assert (batch["late"], batch["last_received_at"]) == (1, arrived)
    row = await pool.fetchrow("SELECT replayed_at, replay_batch_id FROM quarantine")
    assert tuple(row) == (NOW, batch["batch_id"])
    assert await pool.fetchval("SELECT actor FROM audit_entry WHERE action = 'quarantine.replay'") == "chen"


async def test_a_replay_leaves_waiting_what_is_still_wrong(city: Database, pool: asyncpg.Pool) -> None:
    """Broken bytes stay in quarantine however often they are replayed."""
    await _write(pool, (topic(), b"{"))
    assert await replay(pool, _OFFICER, NOW) == {"still waiting": 1}
    assert await pool.fetchval("SELECT count(*) FROM quarantine WHERE replayed_at IS NULL") == 1


async def test_the_same_broken_bytes_are_one_row_that_counts(city: Database, pool: asyncpg.Pool) -> None:
    """Twice in one batch and once in the next are three times on one row."""
    await _write(pool, (topic(), b"{"), (topic(), b"{"))
    await _write(pool, (topic(), b"{"))
    assert [tuple(row) for row in await pool.fetch("SELECT times FROM quarantine")] == [(3,)]


async def test_registry_files_are_saved_once_and_references_are_checked(
    city: Database, conn: asyncpg.Connection
) -> None:
    """Added, then the same, then changed; unknown areas, gateways and devices are refused by column and value."""
    gateways = [(2, GatewayRow(code="G-1", area="D01")), (3, GatewayRow(code="G-2", area="D77"))]
    first = await save_gateways(conn, gateways)
    assert (first.added, first.refused) == (1, ((3, "area: 'D77' is not a known district"),))
    meter = {"code": "X", "kind": "meter", "gateway": "G-1", "qmin_lh": 25, "qmax_lh": 4000, "pulse_ml": 10_000}
    row = DeviceRow.model_validate(meter | {"expected_interval_s": "86400", "model": ""})
    stranger = DeviceRow.model_validate(meter | {"code": "Y", "gateway": "G-2", "expected_interval_s": 1})
    saved = await save_devices(conn, [(2, row), (3, stranger), (4, row)])
    assert saved.refused == ((3, "gateway: 'G-2' is not a known gateway"), (4, "code: is in line 2 already"))
    again = await save_devices(conn, [(2, row)])
    changed = await save_devices(conn, [(2, row.model_copy(update={"qmax_lh": 6000.0}))])
    assert (saved.added, again.same, changed.changed) == (1, 1, 1)
    nowhere = InstallationRow.model_validate({"device": "X", "premises": "P-0", "installed_at": "2026-01-01T00:00:00Z"})
    assert (await save_installations(conn, [(2, nowhere)])).refused == ((2, "premises: 'P-0' is not known"),)


async def test_a_meter_swap_keeps_both_and_a_device_is_in_one_place(city: Database, conn: asyncpg.Connection) -> None:
    """One row closes, another opens; overlapping stays are refused; saving twice changes nothing."""
    with psycopg.connect(city.admin_url, autocommit=True) as admin:
        admin.execute(
            """WITH c AS (INSERT INTO compound (code, name, district_id, latitude, longitude)
                   SELECT 'C', 'C', district_id, 0, 0 FROM district RETURNING compound_id),
               b AS (INSERT INTO building (code, name, compound_id, latitude, longitude)
                   SELECT 'B', 'B', compound_id, 0, 0 FROM c RETURNING building_id)
               INSERT INTO premises (code, building_id, unit, address, user_class)
                   SELECT 'P-' || n, building_id, n, 'x', 'household' FROM b, generate_series(1, 2) AS n"""
        )

    def stay(premises: str, since: str, until: str = "", device: str = "M-GW-1-0") -> InstallationRow:
        fields = {"device": device, "premises": premises, "installed_at": since, "removed_at": until}
        return InstallationRow.model_validate(fields)

    history = [
        (2, stay("P-2", "2026-05-01T00:00:00Z")),
        (3, stay("P-1", "2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z")),
        (4, stay("P-1", "2026-05-01T00:00:00Z", device="M-GW-1-1")),
    ]
    assert (await save_installations(conn, history)).added == 3
    assert (await save_installations(conn, history)).same == 3
    double = await save_installations(conn, [(2, stay("P-1", "2026-06-01T00:00:00Z"))])
    assert double.refused[0][1].startswith("installed_at: 'M-GW-1-0' is elsewhere from 2026-05-01")


async def test_a_device_is_shown_with_its_state_within_the_callers_areas(city: Database, pool: asyncpg.Pool) -> None:
    """Found by id and by code; outside the areas it does not exist."""
    await _write(pool, (topic(), reading("M-GW-1-0", seq=3, index_ml=77, status=0)))
    routes = IngestRoutes(pool)
    found = await routes.device_by_code("native", "M-GW-1-0", _OFFICER)
    assert (found.gateway, found.index_ml, found.valve, found.premises) == ("GW-1", 77, "open", None)
    with pytest.raises(NotFound):
        await routes.device(found.device_id, _ELSEWHERE)
    with pytest.raises(NotFound):
        await routes.device_by_code("native", "nobody", _OFFICER)


async def test_readings_come_in_pages_newest_first(city: Database, pool: asyncpg.Pool) -> None:
    """Pages follow one another without gap or repetition."""
    await _write(pool, *[(topic(), reading(seq=n, at=NOW - timedelta(minutes=n))) for n in range(5)])
    routes = IngestRoutes(pool)
    device_id = (await routes.device_by_code("native", "M-GW-1-0", _OFFICER)).device_id
    seen: list[int | None] = []
    after = None
    while True:
        page = await routes.readings(device_id, ReadingQuery(limit=2, after=after), _OFFICER)
        seen += [one.seq for one in page.items]
        if (after := page.next) is None:
            break
    assert seen == [0, 1, 2, 3, 4]


async def test_ledger_and_quarantine_are_shown(city: Database, pool: asyncpg.Pool) -> None:
    """The ledger balances in the answer; quarantine shows reason and bytes, and only what lies in the areas."""
    await _write(pool, (topic(), reading(seq=1)), (topic(), b'{"caf\xe9'))
    routes = IngestRoutes(pool)
    ledger = await routes.ledger(LedgerQuery(), _OFFICER)
    assert (ledger.balances, ledger.received, ledger.by_disposition["quarantined"]) == (True, 2, 1)
    proof = ProofRoutes(pool)
    page = await proof.quarantine(QuarantineQuery(), _OFFICER)
    assert [(one.reason, one.payload) for one in page.items] == [("not_json", '{"caf\\xe9')]
    assert (await proof.quarantine(QuarantineQuery(), _ELSEWHERE)).items == []
    assert (await routes.ledger(LedgerQuery(), _ELSEWHERE)).items == []


async def test_two_replays_at_once_store_a_message_once(city: Database, pool: asyncpg.Pool) -> None:
    """The second waits for the first and then finds nothing to do."""
    await _write(pool, (topic(), reading("M-new", seq=1)))
    async with pool.acquire() as conn:
        await conn.execute(
            """INSERT INTO device (code, kind, gateway_id, qmin_lh, qmax_lh, pulse_ml, expected_interval_s)
            SELECT 'M-new', 'meter', gateway_id, 40, 6000, 10000, 86400 FROM gateway WHERE code = 'GW-1'"""
        )
    outcomes = await asyncio.gather(*(replay(pool, _OFFICER, datetime.now(UTC)) for _ in range(2)))
    assert sum((outcome["stored"] for outcome in outcomes), 0) == 1
    assert sum((outcome["duplicate"] for outcome in outcomes), 0) == 0
    assert await _today(pool) == ()
