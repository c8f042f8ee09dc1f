"""The one evaluator of window rules: rules, a window and what is known of alerts -> what happened. Pure.

Live data, late data and backtests call it; it neither reads nor writes. What it says about a moment depends on the data
and the rules alone: not on the order of arrival, nor on how much older history the window holds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

import polars as pl

from rules import detectors
from rules.detectors.samples import subject_of
from rules.kinds import KINDS
from rules.model import Cleared, Finding, Revised, Rule
from rules.standing import Standing
from rules.windows import CLOSINGS, Window

Found = Finding | Cleared | Revised
Key = tuple[str, str]
Runner = Callable[[Rule, Callable[[], list[Found]], list[Found]], list[Found]]
"""Runs a rule's work: the rule, the work, and what to say when it breaks off."""


def _at_once(_rule: Rule, work: Callable[[], list[Found]], _otherwise: list[Found]) -> list[Found]:
    return work()


def lookback(rules: Iterable[Rule]) -> timedelta:
    """How much history before a changed moment some window rules need."""
    return timedelta(seconds=max((detectors.lookback_s(rule) for rule in rules), default=0.0))


def evaluate(
    rules: Sequence[Rule],
    window: Window,
    closings: Mapping[str, pl.DataFrame],
    standing: Iterable[Standing] = (),
    run: Runner = _at_once,
) -> list[Found]:
    """What window rules say of a window: findings, what open alerts rest on now, and the ends of conditions.

    `closings` holds per rule when the newest closed alert of each device was closed (CLOSINGS): evidence starts anew
    there. Every finding of a rule that telemetry may end is followed by its end, if it has ended. `run` is how a rule's
    work is done: the service keeps one that breaks off from stopping the others.
    """
    seen = set(window.devices["device_id"])
    alerts: dict[str, list[Standing]] = {}
    for one in (alert for alert in standing if alert.device_id in seen):
        alerts.setdefault(one.rule_id, []).append(one)
    found: list[Found] = []
    for rule in rules:
        fresh = window.after(closings.get(rule.rule_id, CLOSINGS.to_frame()))
        found += run(rule, partial(_of_rule, rule, fresh, alerts.get(rule.rule_id, [])), [])
    return found


def _of_rule(rule: Rule, window: Window, standing: Sequence[Standing]) -> list[Found]:
    findings = detectors.detect(rule, window)
    found: list[Found] = []
    for one in findings:
        found.append(one)
        if rule.clears == "by_telemetry" and not one.ongoing:
            found.append(Cleared(rule.rule_id, one.subject, one.last_at))
    of_subject: dict[str, list[Finding]] = {}
    for one in findings:
        of_subject.setdefault(one.subject, []).append(one)
    if window.until is None and rule.clears == "by_person":
        found += _revised(rule, window, standing, of_subject)
    return found + _ended(rule, window, standing, of_subject)


def _revised(
    rule: Rule, window: Window, standing: Sequence[Standing], findings: Mapping[str, Sequence[Finding]]
) -> list[Found]:
    """What alerts of the window's subjects rest on now.

    Where the window was cut, findings are complete from its first known register on; of instants that register itself
    only begins the first pair, so that they are complete after it.
    """
    if not findings and not standing:
        return []
    starts: dict[str, datetime] = {}
    if window.since is not None:
        first = window.pairs.group_by("device_id").agg(pl.col("from_at").min())
        after = timedelta(0) if KINDS[rule.kind].lasting else timedelta(microseconds=1)
        starts = {subject_of(device_id): at + after for device_id, at in first.iter_rows()}
    subjects = sorted({*findings, *(alert.subject for alert in standing)})
    return [
        Revised(rule.rule_id, subject, starts.get(subject, window.since), tuple(findings.get(subject, ())))
        for subject in subjects
    ]


def _ended(
    rule: Rule, window: Window, standing: Iterable[Standing], findings: Mapping[str, Sequence[Finding]]
) -> list[Found]:
    """Ends of conditions that fire and that the window does not show any more."""
    firing = [one for one in standing if one.firing and not any(each.ongoing for each in findings.get(one.subject, ()))]
    if not firing:
        return []
    ids = pl.Series([one.device_id for one in firing], dtype=pl.Int32)
    ends = detectors.ended(rule, window.of_devices(ids))
    return [
        Cleared(rule.rule_id, one.subject, ends[one.device_id])
        for one in firing
        if one.device_id in ends and ends[one.device_id] >= one.last_at
    ]


def rounds(found: Iterable[Found]) -> list[list[Found]]:
    """The same in the same order, in rounds that hold at most one finding of each key with what follows it.

    One round can then be stepped at once although telemetry may close an alert between two findings of a key.
    """
    parts: list[list[Found]] = []
    reached: dict[Key, int] = {}
    for one in found:
        key = (one.rule_id, one.subject)
        number = reached.get(key, 0)
        if isinstance(one, Finding):
            number = reached.get(key, -1) + 1
        reached[key] = number
        while len(parts) <= number:
            parts.append([])
        parts[number].append(one)
    return parts
