"""What an event rule says of one device, now and over its stored history: one judgement for live and backtest. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from rules import assertions, conditions
from rules.assertions import Event
from rules.gate import admit
from rules.model import Cleared, Finding, Rule
from rules.told import Teller, Told

_T = TypeVar("_T")


def judge_device(
    rule: Rule, teller: Teller, samples: Sequence[Told], firing_last_at: datetime | None, bounded: bool
) -> list[Finding | Cleared]:
    """Findings of a rule in what a device told, and the end of the last condition where the device says that it ended.

    `firing_last_at`: newest event time of an open alert that still fires: it ends although nothing is found any more.
    `bounded`: newer samples exist and were left out, so nothing is said of now.
    """
    found = admit(rule, conditions.find(rule, teller, samples))
    end = None if bounded else conditions.ended(rule, teller, samples)
    if end is None:
        return list(found)
    if found:  # held up to its last sample; the clear says that it is over, and closes it where telemetry may
        found[-1] = replace(found[-1], ongoing=True)
    elif firing_last_at is None or end < firing_last_at:
        return []
    return [*found, Cleared(rule.rule_id, conditions.subject_of(teller), end)]


def judge_history(
    rule: Rule, teller: Teller, samples: Sequence[Told], alarms: Sequence[Event] = ()
) -> list[Finding | Cleared]:
    """The same over months: every condition that ended is followed by its end, as the live service met them in turn.

    `alarms`: the leak alarms that the device raised and cleared; rules of that kind read them besides its reports.
    """
    if rule.kind == "leak_alarm":
        return _leak_story(rule, teller, samples, alarms)
    return _conditions(rule, teller, samples)


def _conditions(rule: Rule, teller: Teller, samples: Sequence[Told]) -> list[Finding | Cleared]:
    found = judge_device(rule, teller, samples, None, False)
    story: list[Finding | Cleared] = []
    for one in found:
        if isinstance(one, Finding) and not one.ongoing and one.observed_s is not None:
            ended_at = one.first_at + timedelta(seconds=one.observed_s)
            story += [replace(one, ongoing=True), Cleared(rule.rule_id, one.subject, ended_at)]
        else:
            story.append(one)
    return story


def _leak_story(
    rule: Rule, teller: Teller, samples: Sequence[Told], alarms: Sequence[Event]
) -> list[Finding | Cleared]:
    """Alarms and readings of gas in the order of time; while an alarm is on, low readings do not end it.

    The device's state is taken as it was at each moment, never as it is today.
    """
    words = sorted((one.at, one.status) for one in samples if one.status is not None)
    events = [replace(one, status=_newest(words, one.at)) for one in alarms]
    asserted = assertions.leak_alarm(rule, events)
    measured = _conditions(rule, replace(teller, leak_state=None), samples)
    states = sorted((one.at, one.state == "raised") for one in alarms)
    kept = [one for one in measured if isinstance(one, Finding) or not _newest(states, one.at)]
    return sorted([*asserted, *kept], key=_shown)


def _newest(words: Sequence[tuple[datetime, _T]], at: datetime) -> _T | None:
    place = bisect_right(words, at, key=lambda one: one[0])
    return words[place - 1][1] if place else None


def _shown(one: Finding | Cleared) -> tuple[datetime, bool]:
    return (one.at, False) if isinstance(one, Cleared) else (one.known_at, True)
