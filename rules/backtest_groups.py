"""Backtests of rules that look at several devices of a building together; loads what they need, writes nothing."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from rules import instant_store, store
from rules.building_history import building_story
from rules.instant_judging import judge_history
from rules.instant_needs import LOOKBACK_MIN, events_of
from rules.model import Cleared, Finding, Rule


async def buildings_of_period(
    conn: asyncpg.Connection,
    rules: Sequence[Rule],
    leak_rules: Sequence[Rule],
    device_ids: Sequence[int],
    since: datetime,
    until: datetime,
) -> list[Finding | Cleared]:
    """What `building_leaks` rules say of the buildings in which some devices raised leak alarms, in `(since, until]`.

    All detectors of those buildings count, also those that were not asked for. `leak_rules` say when each was quiet.
    """
    if not rules:
        return []
    before = since - max(timedelta(minutes=rule["within_min"]) for rule in rules) - LOOKBACK_MIN
    building_ids = await instant_store.leaking_buildings(conn, device_ids, before, until)
    raised = await store.leak_alarms_in_buildings(conn, building_ids, before, until)
    detectors = sorted({one.device_id for one in raised})
    told = await instant_store.told(conn, detectors, before, before, until, events_of(leak_rules))
    tellers = await instant_store.tellers(conn, detectors)
    alarms = await instant_store.told_leak_alarms(conn, detectors, before, until)

    def judged() -> list[Finding | Cleared]:
        leaks = [
            one
            for rule in leak_rules
            for device_id, teller in sorted(tellers.items())
            for one in judge_history(rule, teller, told.get(device_id, ()), alarms.get(device_id, ()))
        ]
        by_id = {rule.rule_id: rule for rule in leak_rules}
        return [one for rule in rules for one in building_story(rule, raised, by_id, leaks)]

    return await asyncio.to_thread(judged)
