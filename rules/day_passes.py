"""The pass over days: what was rolled up -> whose days changed -> judge the rules about days -> save, one transaction.

`unusual_use`, `long_no_use` and `register_frozen` compare with weeks and last year, so they read `reading_daily`. They
follow the roll-up's cursor, not the arrival of readings: a day counts once it is there, whether or not the device is
heard again.
"""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from rules import store
from rules.catalog import Catalog
from rules.detectors import DAILY
from rules.evaluation import lookback, rounds
from rules.failures import Guard
from rules.passes import Done, evaluate, reach_of, save_found
from rules.spans import REACH_MAX, plan_spans
from sql import queries

STREAM = "days"
Touched = tuple[Sequence[int], datetime, datetime]


async def rolled_up_slots(conn: asyncpg.Connection) -> list[str]:
    """Slots with batches that are rolled up and whose days are not judged."""
    return [row["slot"] for row in await conn.fetch(*queries["rolled_up_slots"].bind())]


async def days_pass(
    pool: asyncpg.Pool,
    catalog: Catalog,
    slot: str,
    now: datetime,
    batches_max: int,
    devices_max: int,
    zone: str = "UTC",
) -> Done:
    """Judge the days of the devices that a slot's next rolled-up batches touched, `devices_max` at a time."""
    async with pool.acquire() as conn, conn.transaction():
        cursor = await store.claim_cursor(conn, STREAM, slot)
        if cursor is None:
            return Done()
        query = queries["rolled_up_batches_after"].bind(slot=slot, batch_id=cursor, count=batches_max)
        batches = await conn.fetch(*query)
        if not batches:
            return Done()
        rules, guard = catalog.of_kind(*DAILY), Guard()
        touched = [(row["device_ids"], row["first_at"], row["last_at"]) for row in batches if row["first_at"]]
        written: tuple[int, ...] = ()
        if rules:
            reach = await reach_of(conn, rules, touched)
            for span in plan_spans(with_today(touched, now), lookback(rules), now, devices_max, reach):
                for part in rounds(await evaluate(conn, rules, span, zone, guard)):
                    written += await save_found(conn, catalog, part, now)
        await store.advance_cursor(conn, STREAM, slot, batches[-1]["batch_id"])
        await guard.save(conn, catalog, now)
        return Done(len(batches), written)


def with_today(touched: Sequence[Touched], now: datetime) -> list[Touched]:
    """The same, and the present of devices whose old days changed: last year's days say what is usual now."""
    old = [(device_ids, now, now) for device_ids, first_at, _ in touched if now - first_at > REACH_MAX]
    return [*touched, *old]
