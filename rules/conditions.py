"""Findings of the event family about one device: from what it told to the stretches a rule reports. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from rules.model import Finding, Json, Rule
from rules.placing import unplaced
from rules.signs import SIGNS
from rules.told import EVIDENCE_COLUMNS, Stretch, Teller, Told, in_order, last_denied, stretches

SAMPLES_KEPT = 50
LEAK_COLUMNS = ["at", "device", "event", "state", "level", "lel_pct"]


def subject_of(teller: Teller) -> str:
    """The alert subject of a device."""
    return f"device:{teller.device_id}"


def covered(rule: Rule, teller: Teller) -> bool:
    """Whether the device lies in the rule's scope."""
    return rule.covers(teller.device_kind, teller.meter_class, teller.user_class, teller.area, teller.code)


def find(rule: Rule, teller: Teller, told: Sequence[Told]) -> list[Finding]:
    """What a rule of the event family finds in a device's samples, in whatever order they come."""
    if not covered(rule, teller):
        return []
    ordered = in_order(told)
    if rule.kind == "flow_step":
        return _flow_steps(rule, teller, ordered)
    if rule.kind == "valve_pass_through":
        return _pass_through(rule, teller, ordered)
    found = stretches(rule, teller, ordered, SIGNS[rule.kind].read)
    return [_finding(rule, teller, one, ordered[-1].at) for one in found if _shown_enough(rule, one)]


def ended(rule: Rule, teller: Teller, told: Sequence[Told]) -> datetime | None:
    """Since when the device says that the rule's condition is over; None: it does not say so."""
    source = SIGNS.get(rule.kind)
    return last_denied(rule, teller, in_order(told), source.read) if source and covered(rule, teller) else None


def _shown_enough(rule: Rule, stretch: Stretch) -> bool:
    """Enough readings in a row, unless the device itself asserts it, or the rung is high."""
    if "readings_min" not in rule.parameters:
        return True
    asserted = any(sign.high or sign.value is None for sign in stretch.signs)
    return asserted or len(stretch.samples) >= rule["readings_min"]


def _finding(rule: Rule, teller: Teller, stretch: Stretch, newest_at: datetime) -> Finding:
    """`observed_s` runs to the end of the stretch, or to the newest word of the device while it goes on."""
    worst = stretch.worst
    until = stretch.ended_at or newest_at
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(teller),
        first_at=stretch.first_at,
        last_at=stretch.last_at,
        severity=rule.severity_high if any(sign.high for sign in stretch.signs) else rule.severity,
        sentence=f"{teller.code} {worst.words}{unplaced(teller.installed, teller.gateway)}",
        evidence=_evidence(rule, teller, stretch.samples),
        value=worst.value,
        unit=_UNITS.get(rule.kind) if worst.value is not None else None,
        ongoing=stretch.ended_at is None,
        late_event=all(one.late for one in stretch.samples),
        observed_s=(until - stretch.first_at).total_seconds(),
        shown_at=_shown_at(rule, stretch, until),
    )


def _shown_at(rule: Rule, stretch: Stretch, until: datetime) -> datetime:
    """When enough was told: so many readings, or one that the device asserts or is high; and it had lasted so long."""
    count = int(rule.parameters.get("readings_min", 1))
    told = [
        sample.at
        for number, (sample, sign) in enumerate(zip(stretch.samples, stretch.signs, strict=True), start=1)
        if number >= count or sign.high or sign.value is None
    ]
    least = stretch.first_at + timedelta(minutes=rule.minimum_observed_min)
    lasted = [at for at in (*(one.at for one in stretch.samples), until) if at >= least]
    return max(told[0], lasted[0]) if told and lasted else stretch.last_at


_UNITS = {
    "leak_alarm": "%LEL",
    "pressure_low": "Pa",
    "pressure_high": "Pa",
    "total_flow_high": "L/h",
    "flow_step": "L/h",
}


def _evidence(rule: Rule, teller: Teller, samples: Sequence[Told]) -> Json:
    kept = samples[-SAMPLES_KEPT:]
    if rule.kind == "leak_alarm":
        rows = [[one.at.isoformat(), teller.code, "reading", "raised", None, one.lel_pct] for one in kept]
        return {"columns": LEAK_COLUMNS, "samples": rows}
    return {"columns": list(EVIDENCE_COLUMNS), "samples": [one.row() for one in kept]}


# ---------------------------------------------------------------------------------------------- steps of flow


def _flow_steps(rule: Rule, teller: Teller, ordered: Sequence[Told]) -> list[Finding]:
    """A rise of flow between two readings at most `within_s` apart of more than `factor` times the meter's maximum."""
    if teller.qmax_lh is None:
        return []
    limit_lh = rule["factor"] * teller.qmax_lh
    flows = [one for one in ordered if one.kind is None and one.flow_lh is not None]
    found = []
    for before, after in pairwise(flows):
        rise_lh = (after.flow_lh or 0.0) - (before.flow_lh or 0.0)
        if after.at - before.at <= timedelta(seconds=rule["within_s"]) and rise_lh > limit_lh:
            found.append(_step_finding(rule, teller, before, after, rise_lh))
    return found


def _step_finding(rule: Rule, teller: Teller, before: Told, after: Told, rise_lh: float) -> Finding:
    seconds = (after.at - before.at).total_seconds()
    words = f"flow rose by {rise_lh:,.0f} L/h within {seconds:.0f} s, the meter's maximum is {teller.qmax_lh:,.0f}"
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(teller),
        first_at=after.at,
        last_at=after.at,
        severity=rule.severity,
        sentence=f"{teller.code}: {words}{unplaced(teller.installed, teller.gateway)}",
        evidence=_evidence(rule, teller, [before, after]),
        value=rise_lh,
        unit="L/h",
        late_event=after.late,
    )


# ---------------------------------------------------------------------------------------------- pass-through


def _pass_through(rule: Rule, teller: Teller, ordered: Sequence[Told]) -> list[Finding]:
    """The meter gave its valve up, or said `events_min` times within `within_days` that gas passed it closed."""
    own = [one for one in ordered if (one.kind == "pass_through" and one.state == "raised") or one.reason == 21]
    closed = [one for one in ordered if one.kind == "flow_valve_closed" and one.state == "raised"]
    within, count = timedelta(days=rule["within_days"]), int(rule["events_min"])
    repeats = [
        one
        for start in range(len(closed) - count + 1)
        if closed[start + count - 1].at - closed[start].at <= within
        for one in closed[start : start + count]
    ]
    samples = in_order([*own, *repeats])
    if not samples:
        return []
    said = "says that its valve does not hold" if own else f"counted gas through its closed valve {len(closed)} times"
    finding = Finding(
        rule_id=rule.rule_id,
        subject=subject_of(teller),
        first_at=samples[0].at,
        last_at=samples[-1].at,
        severity=rule.severity,
        sentence=f"{teller.code} {said}{unplaced(teller.installed, teller.gateway)}",
        evidence=_evidence(rule, teller, samples),
        late_event=all(one.late for one in samples),
    )
    return [finding]
