"""Several leak alarms in one building: looks around where one was raised, by an event or by a reading."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial

import asyncpg

from rules import assertions, store
from rules.catalog import Catalog
from rules.failures import Guard
from rules.model import Cleared, Finding

Near = tuple[int, datetime]
"""A building, and a moment at which a leak alarm was raised in it."""


async def alarms_together(
    conn: asyncpg.Connection, catalog: Catalog, near: Iterable[Near], guard: Guard
) -> list[Finding]:
    """What the rules say of the buildings and moments at which leak alarms were raised; writes nothing."""
    raised = list(near)
    rules = catalog.of_kind("building_leaks")
    if not raised or not rules:
        return []
    within = timedelta(minutes=max(rule["within_min"] for rule in rules))
    ats = [at for _, at in raised]
    buildings = sorted({building_id for building_id, _ in raised})
    around = await store.leak_alarms_in_buildings(conn, buildings, min(ats) - within, max(ats) + within)
    found: list[Finding] = []
    for rule in rules:
        found += guard.run(rule, partial(assertions.building_leaks, rule, around), [])
    return found


async def raised_by_reports(
    conn: asyncpg.Connection, catalog: Catalog, found: Iterable[Finding | Cleared]
) -> list[Near]:
    """Where and when detectors began to measure gas, or meters to report it, by what was found in their reports."""
    leak_rules = {rule.rule_id for rule in catalog.of_kind("leak_alarm")}
    began: Mapping[int, datetime] = {
        int(one.subject.removeprefix("device:")): one.first_at
        for one in found
        if isinstance(one, Finding) and one.rule_id in leak_rules and one.subject.startswith("device:")
    }
    if not began:
        return []
    places = await store.device_places(conn, began)
    return [
        (place.building_id, began[int(subject.removeprefix("device:"))])
        for subject, place in places.items()
        if place.building_id is not None
    ]
