"""Judges the devices that are due: learns their interval, finds who is silent, and says when to look next. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from rules import absence, rhythm
from rules.absence import Outage, Quiet
from rules.catalog import Catalog
from rules.gate import admit
from rules.model import Finding, Rule
from rules.rhythm import Learned
from rules.sight import Guarding, Row, Sight, Watch, spots_of
from rules.topology import Spot

DUE_MAX = 1_000
"""Devices looked at in one transaction; more are due at once only after a start or the end of a large incident."""

LEARN_FROM = timedelta(days=14)
LEARN_EVERY_DAYS = 7
GATEWAY_SAMPLE = 20_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A due device: its places, the silence it is allowed, what is known of its interval, and its silence if any."""

    quiet: Quiet
    rule: Rule
    allowed_s: float
    learned: Learned | None
    spots: tuple[Spot, ...]
    finding: Finding | None = None

    @property
    def device_id(self) -> int:
        """The device."""
        return self.quiet.subject_id

    def seems_silent(self, now: datetime) -> bool:
        """Whether it was not heard for as long as it is allowed; whose fault that is remains to be seen."""
        return (now - self.quiet.heard_at).total_seconds() > self.allowed_s


async def judge_due(
    sight: Sight,
    catalog: Catalog,
    due: Sequence[Row],
    ours: Sequence[Outage],
    observed_from: datetime,
    now: datetime,
    guard: Guarding,
) -> list[Judged]:
    """What is known of the due devices that a rule covers; gateways are asked only about those that seem silent."""
    rules = catalog.of_kind("device_silent")
    covered = [(row, rule) for row in due if row["placed"] and (rule := _covering(rules, row)) is not None]
    wanted = [row["device_id"] for row, _ in covered if _learns_today(row, now)]
    arrivals = await sight.device_arrivals(wanted, now - LEARN_FROM) if wanted else {}
    judged = [_judged(rule, row, arrivals, observed_from, now) for row, rule in covered]
    suspects = {one.device_id: one for one in judged if one.seems_silent(now)}
    findings = await _silences(sight, catalog, suspects.values(), ours, now, guard) if suspects else {}
    return [replace(one, finding=findings[one.device_id]) if one.device_id in findings else one for one in judged]


def _learns_today(row: Row, now: datetime) -> bool:
    """An interval is learned as soon as it can be, and anew once a week; devices take turns by their id."""
    return row["interval_s"] is None or (row["device_id"] + now.toordinal()) % LEARN_EVERY_DAYS == 0


async def _silences(
    sight: Sight,
    catalog: Catalog,
    suspects: Iterable[Judged],
    ours: Sequence[Outage],
    now: datetime,
    guard: Guarding,
) -> dict[int, Finding]:
    """The findings about devices that seem silent, by device: only while we listened and their gateway spoke."""
    suspects = list(suspects)
    gateway_ids = sorted({one.quiet.gateway_id for one in suspects if one.quiet.gateway_id is not None})
    passed_on = await sight.gateways_passed_on(gateway_ids, GATEWAY_SAMPLE)
    rule_ids = [one.rule_id for one in catalog.of_kind("gateway_silent", "cell_silent")]
    since = min(one.quiet.heard_at for one in suspects)
    away = await sight.gateway_outages(gateway_ids, since, rule_ids, now)
    found: dict[int, Finding] = {}
    for one in suspects:
        known = [one.quiet.gateway_heard_at, passed_on.get(one.quiet.gateway_id or 0), one.quiet.heard_at]
        quiet = replace(one.quiet, gateway_heard_at=max(at for at in known if at is not None))
        findings: list[Finding] = guard.run(
            one.rule, partial(absence.device_silent, one.rule, [quiet], ours, away, now), []
        )
        for finding in admit(one.rule, findings):
            found[one.device_id] = finding
    return found


def _covering(rules: Iterable[Rule], row: Row) -> Rule | None:
    """The rule that covers a device; scopes of one kind never overlap."""
    words = tuple(row[name] for name in ("device_kind", "meter_class", "user_class", "area", "code"))
    return next((rule for rule in rules if rule.covers(*words)), None)


def _judged(
    rule: Rule,
    row: Row,
    arrivals: Mapping[int, Iterable[datetime]],
    observed_from: datetime,
    now: datetime,
) -> Judged:
    learned = _learned(rule, row, arrivals)
    interval_s = learned.interval_s if learned else float(row["expected_interval_s"])
    allowed_s = rule["intervals_missed"] * interval_s
    known = (row["heard_at"] or observed_from, row["installed_at"])
    heard_at = max(at for at in known if at is not None)
    online_at = row["gateway_state_at"] if row["gateway_state"] == "online" else None
    online_long = online_at is not None and (now - online_at).total_seconds() > allowed_s
    quiet = Quiet(
        subject_id=row["device_id"],
        code=row["code"],
        heard_at=heard_at,
        expected_interval_s=interval_s,
        device_kind=row["device_kind"],
        meter_class=row["meter_class"],
        user_class=row["user_class"],
        area=row["area"],
        gateway_id=row["gateway_id"],
        gateway_heard_at=now if online_long else None,  # a session this long has passed on all that waited
        alone_since=row["silent_since"],
        learned_gaps=learned.gaps if learned else None,
    )
    return Judged(quiet, rule, allowed_s, learned, spots_of(row))


def _learned(rule: Rule, row: Row, arrivals: Mapping[int, Iterable[datetime]]) -> Learned | None:
    """What is learned today, else what was learned before."""
    if row["device_id"] in arrivals:
        limits = rule["learned_share_min"], rule["learned_factor_max"]
        return rhythm.learned_interval(arrivals[row["device_id"]], row["expected_interval_s"], *limits)
    return None if row["interval_s"] is None else Learned(row["interval_s"], row["gaps"] or 0)


async def find_gone(
    sight: Sight, rules: Sequence[Rule], ours: Sequence[Outage], now: datetime, guard: Guarding
) -> dict[str, tuple[Finding, tuple[Spot, ...]]]:
    """Devices that their platform calls gone: finding and places, by subject."""
    found: dict[str, tuple[Finding, tuple[Spot, ...]]] = {}
    for rule in rules:
        until = now - timedelta(seconds=rule["offline_min_s"])
        rows = await sight.gone_devices(rule.rule_id, until, DUE_MAX)
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


async def save_watches(
    sight: Sight,
    due: Sequence[Row],
    judged: Sequence[Judged],
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
        await sight.save_watches(watches)
