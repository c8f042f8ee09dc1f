"""What people do to alerts: takes one step or many in a transaction, with timeline, notices and audit."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from rules import hazard_store, lifecycle, proof_store, store
from rules.catalog import Catalog
from rules.model import Alert, OfficerStep, Transition, WrongStep
from rules.regime_store import regime_in_force
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound


async def take_step(
    conn: asyncpg.Connection, catalog: Catalog, alert_id: int, asked: OfficerStep, actor: Actor, now: datetime
) -> Alert:
    """Take one step on an alert within the caller's areas, and return it.

    What a proof claims is looked up first. Raises NotFound, or Conflict with what is allowed.
    """
    alert, row = await store.lock_alert(conn, alert_id)
    if not actor.covers(row["area"]):
        raise NotFound(f"no alert {alert_id}")
    if asked.evidence:
        telemetry_min = (await regime_in_force(conn)).limits_of(alert).telemetry_min
        proofs = await proof_store.looked_up(conn, alert, row, asked.evidence, telemetry_min)
        asked = OfficerStep(asked.step, asked.actor, asked.note, asked.cause, proofs, asked.confirmed)
    co = asked.step == "verify" and await _is_about_co(conn, alert)
    transition = _step(catalog, alert, asked, now, co=co)
    if asked.step == "verify" and (why := await hazard_store.still_open(conn, alert)):
        raise Conflict(why)
    saved = await store.save_transition(conn, alert, transition, now)
    details = {"from": alert.state, **_details(asked)}
    await audit.record(conn, actor, f"alert.{asked.step}", f"alert:{alert_id}", details, now)
    return saved


async def _is_about_co(conn: asyncpg.Connection, alert: Alert) -> bool:
    """By the rule as it stood when it raised the alert, whatever is in force now."""
    kind = await conn.fetchval(*queries["kind_that_fired"].bind(rule_id=alert.rule_id, version=alert.rule_version))
    return bool(kind == "co_alarm")


def _step(catalog: Catalog, alert: Alert, asked: OfficerStep, now: datetime, *, co: bool = False) -> Transition:
    rule = catalog.rules.get(alert.rule_id)
    try:
        return lifecycle.officer_step(rule.clears if rule else "by_person", alert, asked, now, co=co)
    except WrongStep as error:
        raise Conflict(str(error)) from error


def _details(asked: OfficerStep) -> dict[str, object]:
    given: dict[str, object] = {
        "note": asked.note,
        "cause": asked.cause,
        "evidence": [dict(one) for one in asked.evidence] or None,
        "confirmed": asked.confirmed,
    }
    return {name: value for name, value in given.items() if value is not None}


async def acknowledge_many(
    conn: asyncpg.Connection, catalog: Catalog, alert_ids: Sequence[int], note: str | None, actor: Actor, now: datetime
) -> tuple[list[int], dict[int, str]]:
    """Acknowledge alerts, each as by itself; return those that were, and why the others were not, by id."""
    found = {alert.alert_id: (alert, area) for alert, area in await store.lock_alerts(conn, alert_ids)}
    refused: dict[int, str] = {}
    moved: list[tuple[Alert, list[Transition]]] = []
    for alert_id in dict.fromkeys(alert_ids):
        if alert_id not in found or not actor.covers(found[alert_id][1]):
            refused[alert_id] = f"no alert {alert_id}"
            continue
        alert = found[alert_id][0]
        try:
            moved.append((alert, [_step(catalog, alert, OfficerStep("acknowledge", actor.name, note), now)]))
        except Conflict as error:
            refused[alert_id] = str(error)
    if not moved:
        return [], refused
    saved = await store.save_transitions(conn, moved, await regime_in_force(conn), now)
    done = [alert.alert_id or 0 for alert in saved]
    await audit.record(conn, actor, "alert.acknowledge", "alerts", {"alert_ids": done, "note": note}, now)
    return done, refused


async def hand_over(
    conn: asyncpg.Connection, alert_id: int, owner: str, note: str | None, actor: Actor, now: datetime
) -> Alert:
    """Give an open alert to another account, and page it; raises NotFound or Conflict."""
    alert, row = await store.lock_alert(conn, alert_id)
    if not actor.covers(row["area"]):
        raise NotFound(f"no alert {alert_id}")
    if not await conn.fetchval(*queries["may_own_alerts"].bind(name=owner, area=row["area"])):
        raise Conflict(f"owner: {owner} is no officer or administrator of {row['area']}")
    try:
        transition = lifecycle.assigned(alert, owner, actor.name, note, now)
    except WrongStep as error:
        raise Conflict(str(error)) from error
    saved = await store.save_transition(conn, alert, transition, now)
    details = {"owner": owner, "previous_owner": alert.owner, "note": note}
    await audit.record(conn, actor, "alert.hand_over", f"alert:{alert_id}", details, now)
    return saved
