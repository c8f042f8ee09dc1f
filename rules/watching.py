"""Looks after devices that are due: learns their interval, finds silences, folds those of one cause into one incident.

A look costs what is due, never what is registered: every device has its next moment in device_watch. The caller saves
what is found, in the same transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import product

import asyncpg

from rules import absence, rhythm, store, topology, watch_store
from rules.absence import Outage, Quiet
from rules.catalog import Catalog
from rules.failures import Guard
from rules.gate import admit
from rules.model import Cleared, Finding, Rule
from rules.topology import Count, Mute, Spot
from rules.watch_store import Watch, spots_of

NEW_MAX = 20_000
DUE_MAX = 3_000
"""Devices looked at in one transaction; more are due at once only after a start or the end of a large incident."""

LEARN_FROM = timedelta(days=14)
GATEWAY_SAMPLE = 20_000


@dataclass(slots=True)
class Look:
    """What one look found; `more`: as many were due as one look takes, so look again at once."""

    found: list[Finding | Cleared] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Judged:
    """A due device with the rule that covers it, what was learned of it, and its silence if any."""

    row: Mapping[str, object]
    quiet: Quiet
    allowed_s: float
    learned: rhythm.Learned | None
    finding: Finding | None = None

    @property
    def device_id(self) -> int:
        return self.quiet.subject_id


async def look(
    conn: asyncpg.Connection,
    catalog: Catalog,
    ours: Sequence[Outage],
    observed_from: datetime,
    now: datetime,
    guard: Guard,
    dead: frozenset[Spot] = frozenset(),
) -> Look:
    """Look after what is due: silences that stand alone, incidents that began or ended, silences that were folded.

    `dead`: districts whose gateways are (`look_at_gateways`).
    """
    rules = catalog.of_kind("device_silent")
    armed = await watch_store.watch_new_devices(conn, now, NEW_MAX)
    due = await watch_store.due_devices(conn, now, DUE_MAX) if rules else []
    judged = await _judge_due(conn, catalog, due, ours, observed_from, now, guard)
    mutes = {one.finding.subject: (one.finding, spots_of(one.row)) for one in judged if one.finding is not None}
    mutes |= await _gone(conn, rules, ours, now, guard)
    cells = await _fold_all(conn, catalog, mutes, ours, now, guard, dead)
    out = {f"device:{row['device_id']}" for row in due if row["folded_into"] in cells.ended}
    await _save(conn, due, judged, cells.folded, out - cells.folded.keys(), now)
    alone = [finding for subject, (finding, _) in mutes.items() if subject not in cells.folded.keys() | out]
    return Look([*alone, *cells.found], len(due) == DUE_MAX or armed == NEW_MAX or bool(cells.ended))


# ---------------------------------------------------------------------------------------------- devices that are due


async def _judge_due(
    conn: asyncpg.Connection,
    catalog: Catalog,
    due: Sequence[asyncpg.Record],
    ours: Sequence[Outage],
    observed_from: datetime,
    now: datetime,
    guard: Guard,
) -> list[_Judged]:
    placed = [row for row in due if row["placed"]]
    if not placed:
        return []
    arrivals = await watch_store.device_arrivals(conn, [row["device_id"] for row in placed], now - LEARN_FROM)
    gateway_ids = sorted({row["gateway_id"] for row in placed})
    passed_on = await watch_store.gateways_passed_on(conn, gateway_ids, GATEWAY_SAMPLE)
    rule_ids = [one.rule_id for one in catalog.of_kind("gateway_silent", "cell_silent")]
    since = min((row["heard_at"] or observed_from for row in placed), default=now)
    away = await store.gateway_outages(conn, gateway_ids, since, rule_ids, now)
    judged = []
    for row in placed:
        rule = _covering(catalog.of_kind("device_silent"), row)
        if rule is None:
            continue
        one = _judged(rule, row, arrivals.get(row["device_id"], ()), passed_on, observed_from, now)
        detect = partial(absence.device_silent, rule, [one.quiet], ours, away, now)
        findings = admit(rule, guard.run(rule, detect, []))
        judged.append(_Judged(row, one.quiet, one.allowed_s, one.learned, findings[0] if findings else None))
    return judged


def _covering(rules: Iterable[Rule], row: Mapping[str, object]) -> Rule | None:
    """The rule that covers a device; scopes of one kind never overlap."""
    words = tuple(row[name] for name in ("device_kind", "meter_class", "user_class", "area", "code"))
    return next((rule for rule in rules if rule.covers(*words)), None)  # type: ignore[arg-type]


def _judged(
    rule: Rule,
    row: Mapping[str, object],
    arrivals: Iterable[datetime],
    passed_on: Mapping[int, datetime],
    observed_from: datetime,
    now: datetime,
) -> _Judged:
    expected_s, gateway_id = float(row["expected_interval_s"]), int(row["gateway_id"])  # type: ignore[call-overload, arg-type]
    learned = rhythm.learned_interval(arrivals, expected_s, rule["learned_share_min"], rule["learned_factor_max"])
    interval_s = learned.interval_s if learned else expected_s
    allowed_s = rule["intervals_missed"] * interval_s
    known = [row["heard_at"] or observed_from, row["installed_at"]]
    gateway_known = [passed_on.get(gateway_id)]
    online_at = row["gateway_state_at"] if row["gateway_state"] == "online" else None
    if isinstance(online_at, datetime) and (now - online_at).total_seconds() > allowed_s:
        gateway_known.append(now)  # a session this long has passed on all that waited
    heard_at = max(one for one in known if isinstance(one, datetime))
    silent_since = row["silent_since"]
    quiet = Quiet(
        subject_id=int(row["device_id"]),  # type: ignore[call-overload]
        code=str(row["code"]),
        heard_at=heard_at,
        expected_interval_s=interval_s,
        device_kind=str(row["device_kind"]),
        meter_class=row["meter_class"],  # type: ignore[arg-type]
        user_class=row["user_class"],  # type: ignore[arg-type]
        area=str(row["area"]),
        gateway_id=gateway_id,
        gateway_heard_at=max((one for one in gateway_known if one is not None), default=heard_at),
        alone_since=silent_since if isinstance(silent_since, datetime) and silent_since > heard_at else None,
        learned_gaps=learned.gaps if learned else None,
    )
    return _Judged(row, quiet, allowed_s, learned)


async def _gone(
    conn: asyncpg.Connection, rules: Sequence[Rule], ours: Sequence[Outage], now: datetime, guard: Guard
) -> dict[str, tuple[Finding, tuple[Spot, ...]]]:
    """Devices that their platform calls gone: finding and places, by subject."""
    found: dict[str, tuple[Finding, tuple[Spot, ...]]] = {}
    for rule in rules:
        until = now - timedelta(seconds=rule["offline_min_s"])
        rows = await watch_store.gone_devices(conn, rule.rule_id, until, DUE_MAX)
        quiet = [
            Quiet(
                subject_id=row["device_id"],
                code=row["code"],
                heard_at=row["heard_at"],
                expected_interval_s=row["expected_interval_s"],
                device_kind=row["device_kind"],
                meter_class=row["meter_class"],
                user_class=row["user_class"],
                area=row["area"],
                offline_at=row["presence_at"],
                presence=row["presence"],
                alone_since=row["silent_since"],
            )
            for row in rows
        ]
        spots = {f"device:{row['device_id']}": spots_of(row) for row in rows}
        for one in admit(rule, guard.run(rule, partial(absence.device_gone, rule, quiet, ours, now), [])):
            found[one.subject] = (one, spots[one.subject])
    return found


async def _save(
    conn: asyncpg.Connection,
    due: Sequence[asyncpg.Record],
    judged: Sequence[_Judged],
    folded: Mapping[str, str],
    out: AbstractSet[str],
    now: datetime,
) -> None:
    """Write the watches of all that was due; those that are in use nowhere are looked at again in a day.

    `out`: came out of an incident in this look, and are looked at anew in the next.
    """
    seen = {one.device_id for one in judged}
    watches = [
        Watch(
            one.device_id,
            one.learned.interval_s if one.learned else None,
            one.learned.gaps if one.learned else None,
            rhythm.next_look(one.quiet.heard_at, one.allowed_s, now),
            max(one.quiet.heard_at, one.quiet.alone_since or one.quiet.heard_at) if one.finding else None,
            folded.get(f"device:{one.device_id}"),
        )
        for one in judged
    ]
    watches = [
        replace(one, due_at=now, silent_since=now) if f"device:{one.device_id}" in out else one for one in watches
    ]
    idle = [row["device_id"] for row in due if row["device_id"] not in seen]
    watches += [Watch(device_id, None, None, now + rhythm.LOOK_AT_LEAST) for device_id in idle]
    if watches:
        await watch_store.save_watches(conn, watches)


# ---------------------------------------------------------------------------------------------- gateways


async def look_at_gateways(
    conn: asyncpg.Connection,
    catalog: Catalog,
    ours: Sequence[Outage],
    observed_from: datetime,
    now: datetime,
    guard: Guard,
) -> tuple[list[Finding | Cleared], frozenset[Spot]]:
    """Gateways that are silent, each for itself, or their district where most are; and those districts."""
    alone: dict[str, tuple[Finding, str]] = {}
    cell_rules = catalog.of_kind("cell_silent")
    for rule in catalog.of_kind("gateway_silent"):
        cell_ids = [one.rule_id for one in cell_rules]
        quiet = await store.silent_gateways(conn, rule, now, observed_from, NEW_MAX, cell_ids)
        areas = {f"gateway:{one.subject_id}": one.area for one in quiet}
        for one in admit(rule, guard.run(rule, partial(absence.gateway_silent, rule, quiet, ours, now), [])):
            alone[one.subject] = (one, areas[one.subject])
    found: list[Finding | Cleared] = []
    dead: set[Spot] = set()
    for rule in cell_rules:
        begun, spots = await _dead_by_gateways(conn, catalog, rule, alone, now)
        found += begun
        dead |= spots.keys()
        alone = {subject: one for subject, one in alone.items() if one[1] not in spots.values()}
    return [*(one for one, _ in alone.values()), *found], frozenset(dead)


async def _dead_by_gateways(
    conn: asyncpg.Connection, catalog: Catalog, rule: Rule, alone: Mapping[str, tuple[Finding, str]], now: datetime
) -> tuple[list[Finding | Cleared], dict[Spot, str]]:
    """Districts most of whose gateways are silent (with their codes), and what their incidents begin and take up."""
    known = {(row["level"], row["place_id"]) for row in await watch_store.open_cells(conn, [rule.rule_id])}
    areas = sorted({area for _, area in alone.values()})
    gateway_rules = [one.rule_id for one in catalog.of_kind("gateway_silent")]
    found: list[Finding | Cleared] = []
    dead: dict[Spot, str] = {}
    for row in await watch_store.gateways_of_areas(conn, areas, gateway_rules):
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


# ---------------------------------------------------------------------------------------------- incidents


@dataclass(slots=True)
class _Cells:
    """What folding found, the incident of each folded subject, and the incidents that ended."""

    found: list[Finding | Cleared] = field(default_factory=list)
    folded: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


async def _fold_all(
    conn: asyncpg.Connection,
    catalog: Catalog,
    mutes: Mapping[str, tuple[Finding, tuple[Spot, ...]]],
    ours: Sequence[Outage],
    now: datetime,
    guard: Guard,
    gateways_dead: frozenset[Spot],
) -> _Cells:
    cells = _Cells()
    for rule in catalog.of_kind("cell_silent"):
        waiting = [
            Mute(subject, spots, finding.first_at)
            for subject, (finding, spots) in mutes.items()
            if subject not in cells.folded
        ]
        await _fold(conn, catalog, rule, waiting, ours, now, guard, cells, gateways_dead)
    return cells


async def _fold(
    conn: asyncpg.Connection,
    catalog: Catalog,
    rule: Rule,
    mutes: Sequence[Mute],
    ours: Sequence[Outage],
    now: datetime,
    guard: Guard,
    cells: _Cells,
    gateways_dead: frozenset[Spot],
) -> None:
    """Which places are dead now: fold what is silent in them, end the incidents of those that are not any more."""
    open_cells = await watch_store.open_cells(conn, [rule.rule_id])
    known = frozenset((row["level"], row["place_id"]) for row in open_cells)
    if not mutes and not known:
        return
    spots = {spot for mute in mutes for spot in mute.spots} | known
    districts = {number for level, number in spots if level == "district"}
    districts |= {row["district_id"] for row in open_cells if row["district_id"]}
    below, names = await watch_store.compounds_of_districts(conn, sorted(districts))
    watched = spots | {spot for district in known & below.keys() for spot in below[district]}
    gateway_rules = [one.rule_id for one in catalog.of_kind("gateway_silent")]
    seen_now = now - _ours_lately(ours, now)
    counts = await watch_store.watched_places(conn, sorted(watched), rule["overdue_intervals"], seen_now, gateway_rules)
    dead = guard.run(rule, partial(topology.dead_places, rule, counts, below, known), known) | gateways_dead
    folded = topology.fold(mutes, dead)
    begun = folded.incidents.keys() - known
    for spot in sorted(begun):
        count = _district_count(below[spot], counts, dead, names[spot]) if spot[0] == "district" else counts[spot]
        since = min(mute.since for mute in folded.incidents[spot])
        cells.found += admit(rule, [topology.incident(rule, spot, count, since, now)])
        await _take_up(conn, catalog, rule, spot, open_cells, now, cells)
    for spot, inside in folded.incidents.items():
        cells.folded |= {mute.subject: _subject(spot) for mute in inside}
        ids = [int(mute.subject.partition(":")[2]) for mute in inside]
        await watch_store.fold_watches(conn, ids, _subject(spot))
    for spot in sorted(known - dead):
        cells.found.append(Cleared(rule.rule_id, _subject(spot), now))
        cells.ended.add(_subject(spot))
        await watch_store.unfold_watches(conn, _subject(spot), now)


async def _take_up(
    conn: asyncpg.Connection,
    catalog: Catalog,
    rule: Rule,
    spot: Spot,
    open_cells: Sequence[asyncpg.Record],
    now: datetime,
    cells: _Cells,
) -> None:
    """An incident began: end the single alerts and smaller incidents in its place, with the reason."""
    subject = _subject(spot)
    reason = {"folded_into": subject}
    device_rules = [one.rule_id for one in catalog.of_kind("device_silent")]
    singles = await watch_store.silences_within(conn, device_rules, spot)
    cells.found += [Cleared(row["rule_id"], row["subject"], now, evidence=reason) for row in singles]
    await watch_store.fold_watches(conn, [row["device_id"] for row in singles], subject)
    for row in open_cells:
        smaller = spot[0] == "district" and row["level"] != "district" and row["district_id"] == spot[1]
        smaller = smaller or (spot[0] == "compound" and row["level"] == "building" and row["compound_id"] == spot[1])
        if smaller:
            cells.found.append(Cleared(rule.rule_id, row["subject"], now, evidence=reason))
            await watch_store.refold_watches(conn, row["subject"], subject)


def _district_count(below: Sequence[Spot], counts: Mapping[Spot, Count], dead: frozenset[Spot], name: str) -> Count:
    gone = [counts[spot] for spot in below if spot in dead and spot in counts]
    return Count(len(below), len(gone), max(one.newest_at for one in gone), name)


def _ours_lately(ours: Sequence[Outage], now: datetime) -> timedelta:
    """How much of the last days we heard nobody ourselves: nobody is overdue by that."""
    since = now - timedelta(days=3)
    return sum((max(one.to_at - max(one.from_at, since), timedelta()) for one in ours), timedelta())


def _subject(spot: Spot) -> str:
    return f"{spot[0]}:{spot[1]}"
