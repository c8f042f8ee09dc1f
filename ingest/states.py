"""The newest facts of each device in a batch, folded so that a device costs one row whatever it sent."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TypeVar

from ingest.model import EARLIEST, PRESENCE, UNKNOWN_VALUE, Bound, BoundEvent, BoundReport, Flag, Refused, Status

_HOUR = timedelta(hours=1)
_Fact = TypeVar("_Fact")
# Plain numbers, as in model.UNKNOWN_VALUE.
_SIMULATED = int(Flag.SIMULATED)
_CLOCK_UNSURE = int(Status.CLOCK_UNSURE)
_VALVE_FAULT, _VALVE_CLOSED = int(Status.VALVE_FAULT), int(Status.VALVE_CLOSED)


@dataclass(slots=True)
class DeviceWords:
    """What only some foreign formats tell of a device: its charge in percent, and whether it is there."""

    battery_at: datetime | None = None
    battery_pct: float | None = None
    presence_at: datetime | None = None
    presence: str | None = None


@dataclass(slots=True)
class DeviceFacts:
    """One row for device_state; None is nothing new of that kind.

    Field order is the parameter order of the query; `words` have a query of their own, for few devices have any.
    """

    device_id: int
    last_received_at: datetime
    heard_at: datetime
    reported_at: datetime | None = None
    seq: int | None = None
    status: int | None = None
    battery_mv: int | None = None
    rsrp_dbm: int | None = None
    lel_pct: float | None = None
    index_at: datetime | None = None
    index_ml: int | None = None
    valve_at: datetime | None = None
    valve: str | None = None
    leak_at: datetime | None = None
    leak_state: str | None = None
    leak_level: int | None = None
    words: DeviceWords | None = None


_values_of = attrgetter(*DeviceFacts.__slots__[:-1])  # dataclasses.astuple copies deeply: 30 µs a row instead of 0.5


def fact_columns(facts: Iterable[DeviceFacts]) -> list[list[object]]:
    """One list per field, in field order; empty where nobody told anything, for unnest fills up with NULL.

    Encoding a list costs processor for each element, NULL or not.
    """
    columns = zip(*map(_values_of, facts), strict=True)
    return [[] if column.count(None) == len(column) else list(column) for column in columns]


def fold_facts(bounds: Iterable[Bound], conflicted: frozenset[int] | set[int]) -> list[DeviceFacts]:
    """Newest facts by device, in order of device id.

    A conflicted message (by its number) tells that its device is alive and nothing else: the stored row won.
    """
    facts: dict[int, DeviceFacts] = {}
    for bound in bounds:
        received_at = bound.message.received_at
        believed = bound.number not in conflicted
        for report in bound.reports:
            state = _state(facts, report.device.device_id, received_at, heard_at(report, received_at))
            if believed:
                _fold_report(state, report)
        for event in bound.events:
            state = _state(facts, event.device.device_id, received_at, _told_of(event, received_at))
            if believed:
                _fold_event(state, event)
    return [facts[device_id] for device_id in sorted(facts)]


def fold_gateways(judged: Iterable[Bound | Refused]) -> dict[int, tuple[datetime, datetime]]:
    """(Last arrival, heard up to) by gateway id.

    What a gateway passes on lets us know of it up to the moments told; a refused message, up to its arrival.
    """
    heard: dict[int, tuple[datetime, datetime]] = {}
    for one in judged:
        if one.gateway is None:
            continue
        received_at = one.message.received_at
        until = _told_until(one) if isinstance(one, Bound) else received_at
        known = heard.get(one.gateway.gateway_id, (received_at, until))
        heard[one.gateway.gateway_id] = max(received_at, known[0]), max(until, known[1])
    return heard


def _told_until(bound: Bound) -> datetime:
    received_at = bound.message.received_at
    moments = [heard_at(report, received_at) for report in bound.reports]
    moments += [_told_of(event, received_at) for event in bound.events]
    if bound.status is not None:
        is_death = bound.status.scope is not None and bound.status.state == "offline"
        moments.append(EARLIEST if is_death else min(bound.status.at, received_at))
    return max(moments, default=received_at)


def _told_of(one: BoundEvent, received_at: datetime) -> datetime:
    """Up to when an event lets us know of its device: a word that it is gone is no sign of its life."""
    event = one.event
    if event.kind == PRESENCE and event.state != "online":
        return EARLIEST
    return min(event.at, received_at)


def heard_at(one: BoundReport, received_at: datetime) -> datetime:
    """Up to when a report lets us know of its device: its own moment, or the arrival when its clock is unsure.

    Never later than the arrival. So a day that was told late is no sign of life of today.
    """
    status = one.report.status
    if status is not None and status & _CLOCK_UNSURE:
        return received_at
    return min(one.report.at, received_at)


def _state(facts: dict[int, DeviceFacts], device_id: int, received_at: datetime, heard: datetime) -> DeviceFacts:
    state = facts.get(device_id)
    if state is None:
        state = facts[device_id] = DeviceFacts(device_id, received_at, heard)
        return state
    state.last_received_at = max(received_at, state.last_received_at)
    state.heard_at = max(heard, state.heard_at)
    return state


def _fold_report(state: DeviceFacts, one: BoundReport) -> None:
    report = one.report
    if report.marks & _SIMULATED:
        return
    newer = state.reported_at is None or report.at > state.reported_at
    if newer:
        state.reported_at, state.seq = report.at, report.seq
    state.status = _later(newer, state.status, report.status)
    state.battery_mv = _later(newer, state.battery_mv, report.battery_mv)
    state.rsrp_dbm = _later(newer, state.rsrp_dbm, report.rsrp_dbm)
    state.lel_pct = _later(newer, state.lel_pct, report.lel_pct)
    if report.battery_pct is not None:
        words = state.words = state.words or DeviceWords()
        if words.battery_at is None or report.at > words.battery_at:
            words.battery_at, words.battery_pct = report.at, report.battery_pct
    newest = _newest_index(one)
    if newest is not None and (state.index_at is None or newest[0] > state.index_at):
        state.index_at, state.index_ml = newest
    if one.device.has_valve and report.status is not None and not report.status & _VALVE_FAULT:
        _move_valve(state, report.at, "closed" if report.status & _VALVE_CLOSED else "open")


def _later(newer: bool, known: _Fact | None, told: _Fact | None) -> _Fact | None:
    """What to believe of a fact: the newer word on it; a report that does not speak of it leaves it as it was."""
    if told is None or (known is not None and not newer):
        return known
    return told


def _newest_index(one: BoundReport) -> tuple[datetime, int] | None:
    """The newest register value of a report that may be believed, with its moment."""
    report = one.report
    if report.index_ml is not None and not one.flags & UNKNOWN_VALUE:
        return report.at, report.index_ml
    if report.frozen_from is None:
        return None
    for position in range(len(report.frozen_ml) - 1, -1, -1):
        value = report.frozen_ml[position]
        marks = one.frozen_flags[position] if one.frozen_flags else 0
        if value is not None and not marks & UNKNOWN_VALUE:
            return report.frozen_from + (position + 1) * _HOUR, value
    return None


def _fold_event(state: DeviceFacts, one: BoundEvent) -> None:
    event = one.event
    if event.test:
        return
    if event.kind == "valve":
        _move_valve(state, event.at, event.state)
    elif event.kind == "leak_alarm" and (state.leak_at is None or event.at > state.leak_at):
        state.leak_at, state.leak_state, state.leak_level = event.at, event.state, event.level
    elif event.kind == PRESENCE:
        words = state.words = state.words or DeviceWords()
        if words.presence_at is None or event.at >= words.presence_at:
            words.presence_at, words.presence = event.at, event.state


def _move_valve(state: DeviceFacts, at: datetime, valve: str) -> None:
    if state.valve_at is None or at > state.valve_at:
        state.valve_at, state.valve = at, valve
