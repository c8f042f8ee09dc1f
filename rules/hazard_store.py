"""Reads hazards for the alerts of their doors; every function takes a connection and joins the caller's transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import asyncpg

from rules import hazards, store
from rules.alert_rows import alert_of
from rules.catalog import Catalog
from rules.failures import Guard
from rules.gate import admit
from rules.hazards import DoorHazard
from rules.model import Alert, Cleared, Finding, Rule, Transition
from rules.regime_store import regime_in_force
from sql import queries


@dataclass(frozen=True, slots=True)
class _Standing:
    """An open alert of a door, with the hazards it is about."""

    alert: Alert
    hazards: tuple[DoorHazard, ...]


async def hazards_found(
    conn: asyncpg.Connection, catalog: Catalog, now: datetime, guard: Guard
) -> list[Finding | Cleared]:
    """Findings about doors whose hazards no alert tells of, or that are unsafe again; ends of what is made safe."""
    rules = catalog.of_kind("hazard_open")
    found: list[Finding | Cleared] = []
    for rule in rules:
        query = queries["doors_with_new_hazards"].bind(rule_id=rule.rule_id, grade_max=int(rule["grade_max"]))
        doors = await _of_doors(conn, [row["premises_id"] for row in await conn.fetch(*query)])
        found += admit(rule, guard.run(rule, partial(hazards.hazard_open, rule, doors.values(), now), []))
    fresh = {(one.rule_id, one.subject) for one in found}
    by_id = {rule.rule_id: rule for rule in rules}
    for one in await _standing(conn, rules):
        if hazards.unsafe_again(one.alert, one.hazards) and (one.alert.rule_id, one.alert.subject) not in fresh:
            rule = by_id[one.alert.rule_id]
            again: list[Finding] = guard.run(rule, partial(hazards.hazard_open, rule, [one.hazards], now), [])
            found += admit(rule, again)
            continue
        cleared = hazards.made_safe(one.alert, one.hazards, now)
        if cleared is not None and (cleared.rule_id, cleared.subject) not in fresh:
            found.append(cleared)
    return found


async def follow_hazards(conn: asyncpg.Connection, catalog: Catalog, zone: str, now: datetime) -> tuple[int, ...]:
    """Move open alerts as the hazards of their doors were moved; return those alerts."""
    standing = await _standing(conn, catalog.of_kind("hazard_open"))
    wanted = {one.alert.alert_id or 0: one.hazards for one in standing if _steps(one.alert, one.hazards, zone, now)}
    if not wanted:
        return ()
    moved = [
        (alert, steps)
        for alert, _ in await store.lock_alerts(conn, sorted(wanted))
        if alert.is_open and (steps := _steps(alert, wanted[alert.alert_id or 0], zone, now))
    ]
    await store.save_transitions(conn, moved, await regime_in_force(conn), now)
    return tuple(alert.alert_id or 0 for alert, _ in moved)


async def still_open(conn: asyncpg.Connection, alert: Alert) -> str | None:
    """Why an alert about hazards cannot be verified yet, as a sentence; None when nothing stands against it."""
    kind, _, number = alert.subject.partition(":")
    if kind != "premises":
        return None
    told = _told(alert)
    found = (await _of_doors(conn, [int(number)])).get(int(number), ())
    standing = [one for one in found if one.closed_at is None and one.hazard_id in told]
    if not standing:
        return None
    words = ", ".join(f"{one.hazard_id} ({one.words})" for one in standing)
    return f"verify: hazard {words} is open: the re-check that finds it gone ends the alert"


def _steps(alert: Alert, found: Sequence[DoorHazard], zone: str, now: datetime) -> list[Transition]:
    due = [one.due_on for one in found if one.closed_at is None]
    until = datetime.combine(max(due) + timedelta(days=1), time(), ZoneInfo(zone)) if due else None
    return hazards.followed(alert, found, until, now)


async def _standing(conn: asyncpg.Connection, rules: Sequence[Rule]) -> list[_Standing]:
    """Open alerts of these rules with the hazards they were raised for, and others of the door that are open."""
    if not rules:
        return []
    rows = await conn.fetch(*queries["hazard_alerts"].bind(rule_ids=[rule.rule_id for rule in rules]))
    alerts = [alert_of(row) for row in rows]
    grades = {rule.rule_id: rule["grade_max"] for rule in rules}
    doors = await _of_doors(conn, [_premises_id(alert) for alert in alerts])
    return [_Standing(alert, _about(alert, doors.get(_premises_id(alert), ()), grades)) for alert in alerts]


def _about(alert: Alert, found: Iterable[DoorHazard], grades: dict[str, float]) -> tuple[DoorHazard, ...]:
    told, grade_max = _told(alert), grades[alert.rule_id]
    return tuple(one for one in found if one.hazard_id in told or (one.closed_at is None and one.grade <= grade_max))


def _told(alert: Alert) -> set[int]:
    """The hazards that an alert's evidence names."""
    samples = alert.evidence.get("samples", [])
    names = [str(sample[1]) for sample in samples] if isinstance(samples, list) else []
    return {int(name.removeprefix("hazard ")) for name in names}


def _premises_id(alert: Alert) -> int:
    return int(alert.subject.partition(":")[2])


async def _of_doors(conn: asyncpg.Connection, premises_ids: Sequence[int]) -> dict[int, tuple[DoorHazard, ...]]:
    if not premises_ids:
        return {}
    found: dict[int, list[DoorHazard]] = {}
    for row in await conn.fetch(*queries["door_hazards"].bind(premises_ids=list(premises_ids))):
        found.setdefault(row["premises_id"], []).append(DoorHazard(**row))
    return {premises_id: tuple(each) for premises_id, each in found.items()}
