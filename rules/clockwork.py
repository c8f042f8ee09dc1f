"""The clock service: has every alert's clock looked at when it is time, and writes what the passing of time did.

Everything it goes by is stored, so it may be killed and started anywhere, in any number: what is due is done once.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

import asyncpg
import structlog
from prometheus_client import Counter, Gauge

from rules import clocks, lifecycle, proof_store, store
from rules.alert_rows import alert_of
from rules.awaiting_store import look_at_visits
from rules.clocks import Fired
from rules.model import Alert, Reason, Transition
from rules.regime_store import put_in_force, regime_in_force
from rules.regimes import Regime
from sql import queries

log = structlog.get_logger()

BATCH = 500
"""Alerts looked at in one transaction."""

STEPS = Counter("gaswarden_alert_clock_steps_total", "Steps that the passing of time made", ["reason"])
BEHIND = Gauge("gaswarden_alert_clock_behind_seconds", "How long the longest waiting alert has waited for its look")


async def tick(pool: asyncpg.Pool, now: datetime, count: int = BATCH) -> int:
    """Look at alerts whose time has come, in one transaction; return how many were looked at."""
    async with pool.acquire() as conn, conn.transaction():
        regime = await regime_in_force(conn)
        shut_off = await _take_shut_offs(conn, regime, now, count)
        rows = await conn.fetch(*queries["alerts_to_wake"].bind(now=now, count=count))
        BEHIND.set((now - rows[0]["wake_at"]).total_seconds() if rows else 0.0)
        alerts = [alert_of(row) for row in rows]
        told = await _told(conn, alerts)
        seen = await look_at_visits(conn, alerts, regime, now)
        moved = [_looked_at(alert, seen.get(alert.alert_id or 0), regime, told, now) for alert in alerts]
        await store.save_transitions(
            conn, [(before, _ending(steps, after)) for before, after, steps in moved], regime, now
        )
        for _, _, steps in moved:
            for step in steps:
                STEPS.labels(step.reason.value).inc()
    return len(rows) + shut_off


def _looked_at(
    alert: Alert, visit: Transition | None, regime: Regime, told: Mapping[int, Collection[Fired]], now: datetime
) -> tuple[Alert, Alert, list[Transition]]:
    """An alert, what it becomes by the visit at its door and then by the passing of time, and its steps."""
    current = alert if visit is None or visit.alert is None else visit.alert
    after, steps = clocks.elapsed(current, regime, told.get(alert.alert_id or 0, ()), now)
    return alert, after, steps if visit is None else [visit, *steps]


def _ending(steps: list[Transition], after: Alert) -> list[Transition]:
    """The steps, the last of which leaves the alert as the clock does; a look without a step is a step unwritten."""
    if not steps:
        return [Transition(after, Reason.NOTHING_NEW)]
    last = steps[-1]
    ended = Transition(after, last.reason, last.step, last.from_state, last.actor, last.note, last.evidence)
    return [*steps[:-1], ended]


async def _told(conn: asyncpg.Connection, alerts: list[Alert]) -> dict[int, set[Fired]]:
    found: dict[int, set[Fired]] = {}
    alert_ids = [alert.alert_id for alert in alerts]
    for row in await conn.fetch(*queries["escalations_told"].bind(alert_ids=alert_ids)):
        found.setdefault(row["alert_id"], set()).add((row["stage"], row["due_at"], row["level"]))
    return found


async def _take_shut_offs(conn: asyncpg.Connection, regime: Regime, now: datetime, count: int) -> int:
    """A valve that is proved closed because of an alert controls it, as a person's word does."""
    rows = await conn.fetch(*queries["alerts_shut_off"].bind(count=count))
    moved = []
    for row in rows:
        alert = alert_of(row)
        evidence = {"command_id": row["command_id"], "at": row["proved_at"].isoformat()}
        after = alert.changed(controlled_at=row["proved_at"])
        note = "the valve is proved closed"
        moved.append(
            (alert, [Transition(after, Reason.CONTROLLED, "controlled", alert.state, note=note, evidence=evidence)])
        )
    await store.save_transitions(conn, moved, regime, now)
    return len(moved)


async def prove(pool: asyncpg.Pool, now: datetime, count: int = BATCH) -> int:
    """Close what was made safe where stored readings since then prove it; return how many were closed.

    Never a leak: a quiet detector is no proof that there is no gas.
    """
    closed = 0
    async with pool.acquire() as conn, conn.transaction():
        regime = await regime_in_force(conn)
        for row in await conn.fetch(*queries["alerts_to_prove"].bind(count=count)):
            alert = alert_of(row)
            found = await proof_store.telemetry(conn, alert, row["device_id"], regime.limits_of(alert).telemetry_min)
            if found["normal"]:
                await store.save_transition(conn, alert, lifecycle.proved(alert, found, now), now)
                closed += 1
    return closed


async def start(pool: asyncpg.Pool, regime: Regime, now: datetime) -> None:
    """Put the configured regime in force, if another one is."""
    async with pool.acquire() as conn, conn.transaction():
        if await put_in_force(conn, regime, now):
            log.info("regime in force", regime=regime.name, version=regime.version)


async def look(pool: asyncpg.Pool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> int:
    """Look at every alert whose time has come, batch after batch; return how many."""
    looked = 0
    while True:
        done = await tick(pool, clock())
        looked += done
        if done < BATCH:
            return looked
        await asyncio.sleep(0)
