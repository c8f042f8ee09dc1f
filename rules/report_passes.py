"""The pass over events and reports: claim -> whom may rules concern -> judge all they told -> save, one transaction."""

from datetime import datetime

import asyncpg

from rules import instant_store, instants, store
from rules.building_alarms import alarms_together, raised_by_reports
from rules.catalog import Catalog
from rules.failures import Guard
from rules.instant_needs import lookback
from rules.passes import Done, save_found
from rules.spans import plan_spans

STREAM = "instants"


async def reports_pass(
    pool: asyncpg.Pool, catalog: Catalog, slot: str, now: datetime, batches_max: int, devices_max: int
) -> Done:
    """Evaluate events and reports of a slot's next batches with the event and zone pressure rules.

    A stream of its own: an alarm that comes as an event never waits behind these.
    """
    guard = Guard()
    async with pool.acquire() as conn, conn.transaction():
        cursor = await store.claim_cursor(conn, STREAM, slot)
        if cursor is None:
            return Done()
        batches = await instant_store.instant_batches_after(conn, slot, cursor, batches_max)
        if not batches:
            return Done()
        touched = [(row["device_ids"], row["first_at"], row["last_at"]) for row in batches if row["first_at"]]
        batch_ids = [row["batch_id"] for row in batches]
        rules = [*catalog.of_family("event"), *catalog.of_kind("zone_pressure_fall")]
        events = [rule for rule in catalog.of_family("event") if rule.kind not in instants.AT_ONCE]
        told_in = [row["batch_id"] for row in batches if row["event_rows"]]
        found = await instants.evaluate_events(conn, events, told_in, now, guard)
        written = await save_found(conn, catalog, found, now)
        for span in plan_spans(touched, lookback(rules), now, devices_max):
            found = await instants.evaluate_reports(conn, rules, batch_ids, span, guard)
            written += await save_found(conn, catalog, found, now)
            near = await raised_by_reports(conn, catalog, found)
            written += await save_found(conn, catalog, await alarms_together(conn, catalog, near, guard), now)
        await store.advance_cursor(conn, STREAM, slot, batches[-1]["batch_id"])
        await guard.save(conn, catalog, now)
        return Done(len(batches), written)
