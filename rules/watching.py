"""Looks after who is not heard: devices that are due, and gateways; folds silences of one cause into one incident.

A look costs what is due, never what is registered: every device has its next moment in device_watch. The caller saves
what is found, in the same transaction. Pure: whoever answers (rules/sight.py) does the input and output.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from rules import absence, flooding, incidents
from rules.absence import Outage
from rules.catalog import Catalog
from rules.due import DUE_MAX, find_gone, judge_due, save_watches
from rules.gate import admit
from rules.model import Cleared, Finding
from rules.sight import Guarding, Sight
from rules.topology import Spot

NEW_MAX = 20_000

Saving = Callable[[Sequence[Finding | Cleared]], Awaitable[None]]
"""Turns what was found into alerts before anything else is asked."""


@dataclass(slots=True)
class Look:
    """What one look found; `more`: as many were due as one look takes, so look again at once."""

    found: list[Finding | Cleared] = field(default_factory=list)
    more: bool = False


async def heard_again(sight: Sight, catalog: Catalog, now: datetime) -> list[Finding | Cleared]:
    """The ends of silences of whom is heard again."""
    rule_ids = [rule.rule_id for rule in catalog.of_kind("device_silent", "gateway_silent", "cell_silent")]
    return [Cleared(rule_id, subject, now) for rule_id, subject in await sight.heard_again(rule_ids)]


async def floods(sight: Sight, catalog: Catalog, now: datetime, guard: Guarding) -> list[Finding | Cleared]:
    """Gateways that flood, and the ends of floods that are over."""
    rules = catalog.of_kind("gateway_flood")
    over = await sight.floods_over([rule.rule_id for rule in rules]) if rules else []
    found: list[Finding | Cleared] = [Cleared(rule_id, subject, now) for rule_id, subject in over]
    for rule in rules:
        going_on = await sight.flooding_gateways(rule.rule_id)
        found += admit(rule, guard.run(rule, partial(flooding.gateway_flood, rule, going_on, now), []))
    return found


async def find_silences(
    sight: Sight,
    catalog: Catalog,
    ours: Sequence[Outage],
    observed_from: datetime,
    now: datetime,
    guard: Guarding,
    save: Saving,
) -> bool:
    """Look after gateways, save what is found, then after devices; tells whether more devices are due at once."""
    found, dead = await look_at_gateways(sight, catalog, ours, observed_from, now, guard)
    await save(found)
    looked = await look(sight, catalog, ours, observed_from, now, guard, dead)
    await save(looked.found)
    return looked.more


async def look(
    sight: Sight,
    catalog: Catalog,
    ours: Sequence[Outage],
    observed_from: datetime,
    now: datetime,
    guard: Guarding,
    dead: frozenset[Spot] = frozenset(),
) -> Look:
    """Look after what is due: silences that stand alone, incidents that began or ended, silences that were folded.

    `dead`: districts whose gateways are (`look_at_gateways`).
    """
    rules = catalog.of_kind("device_silent")
    armed = await sight.watch_new_devices(now, NEW_MAX)
    due = await sight.due_devices(now, DUE_MAX) if rules else []
    judged = await judge_due(sight, catalog, due, ours, observed_from, now, guard)
    mutes = {one.finding.subject: (one.finding, one.spots) for one in judged if one.finding is not None}
    mutes |= await find_gone(sight, rules, ours, now, guard)
    cells = await incidents.fold_all(sight, catalog, mutes, ours, now, guard, dead)
    out = {f"device:{row['device_id']}" for row in due if row["folded_into"] in cells.ended}
    await save_watches(sight, due, judged, cells.folded, out - cells.folded.keys(), now)
    alone = [finding for subject, (finding, _) in mutes.items() if subject not in cells.folded.keys() | out]
    return Look([*alone, *cells.found], len(due) == DUE_MAX or armed == NEW_MAX or bool(cells.ended))


async def look_at_gateways(
    sight: Sight,
    catalog: Catalog,
    ours: Sequence[Outage],
    observed_from: datetime,
    now: datetime,
    guard: Guarding,
) -> tuple[list[Finding | Cleared], frozenset[Spot]]:
    """Gateways that are silent, each for itself, or their district where most are; and those districts."""
    alone: dict[str, tuple[Finding, str]] = {}
    cell_rules = catalog.of_kind("cell_silent")
    for rule in catalog.of_kind("gateway_silent"):
        cell_ids = [one.rule_id for one in cell_rules]
        quiet = await sight.silent_gateways(rule, now, observed_from, NEW_MAX, cell_ids)
        areas = {f"gateway:{one.subject_id}": one.area for one in quiet}
        for one in admit(rule, guard.run(rule, partial(absence.gateway_silent, rule, quiet, ours, now), [])):
            alone[one.subject] = (one, areas[one.subject])
    found: list[Finding | Cleared] = []
    dead: set[Spot] = set()
    for rule in cell_rules:
        begun, spots = await incidents.dead_by_gateways(sight, catalog, rule, alone, now)
        found += begun
        dead |= spots.keys()
        alone = {subject: one for subject, one in alone.items() if one[1] not in spots.values()}
    return [*(one for one, _ in alone.values()), *found], frozenset(dead)
