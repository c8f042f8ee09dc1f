"""A small registry, messages of its gateways, and a running ingest worker, for the tests of ingest."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import psycopg
from prometheus_client import REGISTRY

from ingest.acknowledging import Receipts
from ingest.batch import BatchParams
from ingest.broker_params import BrokerParams
from ingest.committing import Writer
from ingest.directory import Directory
from ingest.floods import RateParams
from ingest.model import Device, Gateway
from ingest.params import IngestParams
from ingest.subscriber import run
from sql.own_loop import OwnPool

AREA = "D01"
GATEWAYS = ("GW-1", "GW-2")
NOW = datetime.now(UTC).replace(microsecond=0, minute=0, second=0)


def register(admin_url: str, *, meters: int = 3, gateways: Iterable[str] = GATEWAYS) -> None:
    """District D01; each gateway has meters `M-<gateway>-<n>` (valve, Qmax 6000 L/h) and a detector `LD-<gateway>`."""
    with psycopg.connect(admin_url, autocommit=True) as conn:
        conn.execute("INSERT INTO district (code, name) VALUES (%s, 'One') ON CONFLICT DO NOTHING", (AREA,))
        for gateway in gateways:
            conn.execute("INSERT INTO gateway (code, area) VALUES (%s, %s)", (gateway, AREA))
            conn.execute(
                """INSERT INTO device (code, kind, gateway_id, qmin_lh, qmax_lh, pulse_ml, has_valve,
                                       expected_interval_s)
                SELECT 'M-' || %s || '-' || n, 'meter', gateway_id, 40, 6000, 10000, true, 86400
                FROM gateway, generate_series(0, %s - 1) AS n WHERE code = %s""",
                (gateway, meters, gateway),
            )
            conn.execute(
                """INSERT INTO device (code, kind, gateway_id, alarm_lel_pct, expected_interval_s)
                SELECT 'LD-' || %s, 'detector', gateway_id, 20, 86400 FROM gateway WHERE code = %s""",
                (gateway, gateway),
            )


def known_directory() -> Directory:
    """What `register` makes, for pure tests: ids 1 and 2 for the gateways, 10.. and 20.. for their meters."""
    directory = Directory(recheck_s=1.0)
    gateways = [Gateway(1, "GW-1", AREA), Gateway(2, "GW-2", AREA)]
    devices = [
        (
            ("native", f"M-{gateway.code}-{n}"),
            Device(10 * gateway.gateway_id + n, gateway.gateway_id, 6000.0, None, True),
        )
        for gateway in gateways
        for n in range(3)
    ]
    devices += [
        (("native", f"LD-{gateway.code}"), Device(100 + gateway.gateway_id, gateway.gateway_id)) for gateway in gateways
    ]
    directory.learn(gateways, devices, (set(), set()), 0.0)
    return directory


def topic(gateway: str = "GW-1", kind: str = "readings", area: str = AREA) -> str:
    return f"gas/v1/{area}/{gateway}/{kind}"


def reading(device: str = "M-GW-1-0", seq: int = 1, at: datetime = NOW, **fields: Any) -> bytes:
    """A single reading; with `hours=[...]` a report whose frozen day ends at the last midnight before `at`."""
    body: dict[str, Any] = {"device": device, "seq": seq, "at": _text(at)}
    hours = fields.pop("hours", None)
    if hours is not None:
        body["hourly"] = {
            "from": _text(fields.pop("hours_from", at.replace(hour=0) - timedelta(days=1))),
            "index_ml": hours,
        }
    if not fields and hours is None:
        fields = {"index_ml": 1_000_000 + 10_000 * seq}
    return json.dumps(body | fields).encode()


def event(device: str = "LD-GW-1", seq: int = 1, at: datetime = NOW, **fields: Any) -> bytes:
    body = {"device": device, "seq": seq, "at": _text(at), "event": "leak_alarm", "state": "raised", "level": 2}
    return json.dumps(body | fields).encode()


def status(state: str = "online", session: str = "s1", at: datetime = NOW) -> bytes:
    return json.dumps({"state": state, "session": session, "at": _text(at)}).encode()


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def quick_params(**fields: Any) -> IngestParams:
    batch = fields.pop("batch", {"age_max_s": 0.02})
    rate = RateParams(**fields.pop("gateway_rate", {"messages_per_s": None}))
    return IngestParams(
        batch=BatchParams(**batch), gateway_rate=rate, registry_recheck_s=0.0, retry_max_s=0.5, **fields
    )


def writer_of(pool: asyncpg.Pool, params: IngestParams) -> Writer:
    """The first writer of a slot's readings, without a broker."""
    return Writer(pool, params, params.slot, Directory(params.registry_recheck_s), Receipts(params.slot), lambda: None)


@asynccontextmanager
async def working(
    pool: asyncpg.Pool, broker_url: str, *, events_pool: OwnPool | None = None, **fields: Any
) -> AsyncIterator["asyncio.Task[None]"]:
    """An ingest worker until the end of the block; with `events_pool` as the program runs it."""
    broker = BrokerParams.from_url(broker_url, retry_max_s=0.5, **fields.pop("broker", {}))
    params = quick_params(**fields)
    task = asyncio.create_task(run(pool, params, broker, events_pool))
    try:
        await until(lambda: _is_connected(params.slot))
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=30)
        if not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]


async def _is_connected(slot: str) -> bool:
    return REGISTRY.get_sample_value("gaswarden_ingest_connected", {"slot": slot}) == 1


async def until(condition: Callable[[], Awaitable[Any]], timeout_s: float = 15.0) -> Any:
    """Wait until the condition is true and return what it said."""
    async with asyncio.timeout(timeout_s):
        while not (found := await condition()):  # noqa: ASYNC110 - it happens elsewhere
            await asyncio.sleep(0.02)
        return found


async def ledger_totals(pool: asyncpg.Pool) -> dict[str, int]:
    row = await pool.fetchrow(
        """SELECT coalesce(sum(received), 0)::int AS received, coalesce(sum(stored), 0)::int AS stored,
        coalesce(sum(duplicate), 0)::int AS duplicate, coalesce(sum(late), 0)::int AS late,
        coalesce(sum(conflict), 0)::int AS conflict, coalesce(sum(quarantined), 0)::int AS quarantined FROM ledger"""
    )
    return dict(row)
