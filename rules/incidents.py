"""Begins and ends incidents of silent places, and folds what is silent into them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import product

from rules import topology
from rules.absence import Outage
from rules.catalog import Catalog
from rules.gate import admit
from rules.model import Cleared, Finding, Rule
from rules.sight import Guarding, Row, Sight
from rules.topology import Count, Mute, Spot


@dataclass(slots=True)
class Cells:
    """What folding found, the incident of each folded subject, and the incidents that ended."""

    found: list[Finding | Cleared] = field(default_factory=list)
    folded: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


async def fold_all(
    sight: Sight,
    catalog: Catalog,
    mutes: Mapping[str, tuple[Finding, tuple[Spot, ...]]],
    ours: Sequence[Outage],
    now: datetime,
    guard: Guarding,
    gateways_dead: frozenset[Spot],
) -> Cells:
    """Fold what is silent into the dead places of every rule; what no incident takes stands alone."""
    cells = Cells()
    for rule in catalog.of_kind("cell_silent"):
        waiting = [
            Mute(subject, spots, finding.first_at)
            for subject, (finding, spots) in mutes.items()
            if subject not in cells.folded
        ]
        await _fold(sight, catalog, rule, waiting, ours, now, guard, cells, gateways_dead)
    return cells


async def _fold(
    sight: Sight,
    catalog: Catalog,
    rule: Rule,
    mutes: Sequence[Mute],
    ours: Sequence[Outage],
    now: datetime,
    guard: Guarding,
    cells: Cells,
    gateways_dead: frozenset[Spot],
) -> None:
    """Which places are dead now: fold what is silent in them, end the incidents of those that are not any more."""
    open_cells = await sight.open_cells([rule.rule_id])
    known = frozenset((row["level"], row["place_id"]) for row in open_cells)
    if not mutes and not known:
        return
    spots = {spot for mute in mutes for spot in mute.spots} | known
    districts = {number for level, number in spots if level == "district"}
    districts |= {row["district_id"] for row in open_cells if row["district_id"]}
    below, names = await sight.compounds_of_districts(sorted(districts))
    watched = spots | {spot for district in known & below.keys() for spot in below[district]}
    gateway_rules = [one.rule_id for one in catalog.of_kind("gateway_silent")]
    seen_now = now - _ours_lately(ours, now)
    counts = await sight.watched_places(sorted(watched), rule["overdue_intervals"], seen_now, gateway_rules)
    dead = guard.run(rule, partial(topology.dead_places, rule, counts, below, known), known) | gateways_dead
    folded = topology.fold(mutes, dead)
    begun = folded.incidents.keys() - known
    for spot in sorted(begun):
        count = _district_count(below[spot], counts, dead, names[spot]) if spot[0] == "district" else counts[spot]
        since = min(mute.since for mute in folded.incidents[spot])
        cells.found += admit(rule, [topology.incident(rule, spot, count, since, now)])
        await _take_up(sight, catalog, rule, spot, open_cells, now, cells)
    for spot, inside in folded.incidents.items():
        cells.folded |= {mute.subject: _subject(spot) for mute in inside}
        ids = [int(mute.subject.partition(":")[2]) for mute in inside]
        await sight.fold_watches(ids, _subject(spot))
    for spot in sorted(known - dead):
        cells.found.append(Cleared(rule.rule_id, _subject(spot), now))
        cells.ended.add(_subject(spot))
        await sight.unfold_watches(_subject(spot), now)


async def _take_up(
    sight: Sight,
    catalog: Catalog,
    rule: Rule,
    spot: Spot,
    open_cells: Sequence[Row],
    now: datetime,
    cells: Cells,
) -> None:
    """An incident began: end the single alerts and smaller incidents in its place, with the reason."""
    subject = _subject(spot)
    reason = {"folded_into": subject}
    device_rules = [one.rule_id for one in catalog.of_kind("device_silent")]
    singles = await sight.silences_within(device_rules, spot)
    cells.found += [Cleared(row["rule_id"], row["subject"], now, evidence=reason) for row in singles]
    await sight.fold_watches([row["device_id"] for row in singles], subject)
    for row in open_cells:
        smaller = spot[0] == "district" and row["level"] != "district" and row["district_id"] == spot[1]
        smaller = smaller or (spot[0] == "compound" and row["level"] == "building" and row["compound_id"] == spot[1])
        if smaller:
            cells.found.append(Cleared(rule.rule_id, row["subject"], now, evidence=reason))
            await sight.refold_watches(row["subject"], subject)


def _district_count(below: Sequence[Spot], counts: Mapping[Spot, Count], dead: frozenset[Spot], name: str) -> Count:
    gone = [counts[spot] for spot in below if spot in dead and spot in counts]
    return Count(len(below), len(gone), max(one.newest_at for one in gone), name)


def _ours_lately(ours: Sequence[Outage], now: datetime) -> timedelta:
    """How much of the last days we heard nobody ourselves: nobody is overdue by that."""
    since = now - timedelta(days=3)
    return sum((max(one.to_at - max(one.from_at, since), timedelta()) for one in ours), timedelta())


def _subject(spot: Spot) -> str:
    return f"{spot[0]}:{spot[1]}"


async def dead_by_gateways(
    sight: Sight, catalog: Catalog, rule: Rule, alone: Mapping[str, tuple[Finding, str]], now: datetime
) -> tuple[list[Finding | Cleared], dict[Spot, str]]:
    """Districts most of whose gateways are silent (with their codes), and what their incidents begin and take up."""
    known = {(row["level"], row["place_id"]) for row in await sight.open_cells([rule.rule_id])}
    areas = sorted({area for _, area in alone.values()})
    gateway_rules = [one.rule_id for one in catalog.of_kind("gateway_silent")]
    found: list[Finding | Cleared] = []
    dead: dict[Spot, str] = {}
    for row in await sight.gateways_of_areas(areas, gateway_rules):
        spot = ("district", row["district_id"])
        own = [one for one, area in alone.values() if area == row["area"]]
        gone = len(own) + len(row["silent_ids"])
        if not topology.most_are(rule, gone, row["gateways"], spot in known):
            continue
        dead[spot] = row["area"]
        if spot in known:
            continue
        count = Count(row["gateways"], gone, max(one.first_at for one in own), row["name"])
        found += admit(rule, [topology.incident(rule, spot, count, min(one.first_at for one in own), now, "gateways")])
        for rule_id, gateway_id in product(gateway_rules, row["silent_ids"]):
            found.append(Cleared(rule_id, f"gateway:{gateway_id}", now, evidence={"folded_into": _subject(spot)}))
    return found, dead
