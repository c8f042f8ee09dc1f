"""Reads which visits acknowledged alerts wait for; every function takes a connection and joins the transaction."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from rules import store
from rules.alert_rows import alert_of
from rules.awaiting import PlannedVisit, awaited
from rules.model import Alert, Transition
from rules.regime_store import regime_in_force
from rules.regimes import Regime
from sql import queries

BATCH = 1000
"""Alerts whose visits are looked at in one look; the next takes the others."""


async def look_at_visits(
    conn: asyncpg.Connection, alerts: Sequence[Alert], regime: Regime, now: datetime
) -> dict[int, Transition]:
    """What visits do to acknowledged alerts, by alert id: only where it is anything."""
    waiting = [alert for alert in alerts if alert.state == "acknowledged" and alert.alert_id is not None]
    if not waiting:
        return {}
    visits: dict[int, list[PlannedVisit]] = {}
    alert_ids = [alert.alert_id for alert in waiting]
    for row in await conn.fetch(*queries["awaited_visits"].bind(alert_ids=alert_ids, now=now)):
        values = dict(row)
        visits.setdefault(values.pop("alert_id"), []).append(PlannedVisit(**values))
    visit_ids = [alert.awaited_visit_id for alert in waiting if alert.awaited_visit_id is not None]
    rows = await conn.fetch(*queries["results_of_visits"].bind(visit_ids=visit_ids)) if visit_ids else []
    reported = {row["visit_id"]: row["result"] for row in rows}
    found: dict[int, Transition] = {}
    for alert in waiting:
        result = reported.get(alert.awaited_visit_id)
        step = awaited(alert, visits.get(alert.alert_id or 0, ()), result, regime, now)
        if step.step is not None:
            found[alert.alert_id or 0] = step
    return found


async def follow_visits(conn: asyncpg.Connection, now: datetime) -> tuple[int, ...]:
    """Have acknowledged alerts know of visits that were planned, moved, dropped or reported; return those alerts."""
    rows = await conn.fetch(*queries["alerts_whose_visit_changed"].bind(now=now, count=BATCH))
    alerts = [alert_of(row) for row in rows]
    if not alerts:
        return ()
    regime = await regime_in_force(conn)
    found = await look_at_visits(conn, alerts, regime, now)
    moved = [(alert, [found[alert.alert_id or 0]]) for alert in alerts if alert.alert_id in found]
    await store.save_transitions(conn, moved, regime, now)
    return tuple(alert.alert_id or 0 for alert, _ in moved)
