"""The pass over reports: claim -> whom may a rule concern -> judge all they told -> save, in one transaction."""

from datetime import datetime

import asyncpg

from rules import instants, store
from rules.catalog import Catalog
from rules.failures import Guard
from rules.instant_needs import lookback
from rules.passes import Done, save_found
from rules.spans import plan_spans

STREAM = "instants"


async def reports_pass(
    pool: asyncpg.Pool, catalog: Catalog, slot: str, now: datetime, batches_max: int, devices_max: int
) -> Done:
    """Evaluate the reports of a slot's next batches with the event and zone pressure rules.

    A stream of its own: an alarm that comes as an event never waits behind reports.
    """
    guard = Guard()
    async with pool.acquire() as conn, conn.transaction():
        cursor = await store.claim_cursor(conn, STREAM, slot)
        if cursor is None:
            return Done()
        batches = await store.reading_batches_after(conn, slot, cursor, batches_max)
        if not batches:
            return Done()
        touched = [(row["device_ids"], row["first_at"], row["last_at"]) for row in batches if row["first_at"]]
        batch_ids = [row["batch_id"] for row in batches]
        rules = [*catalog.of_family("event"), *catalog.of_kind("zone_pressure_fall")]
        written: tuple[int, ...] = ()
        for span in plan_spans(touched, lookback(rules), now, devices_max):
            found = await instants.evaluate_reports(conn, rules, batch_ids, span, guard)
            written += await save_found(conn, catalog, found, now)
        await store.advance_cursor(conn, STREAM, slot, batches[-1]["batch_id"])
        await guard.save(conn, catalog, now)
        return Done(len(batches), written)
