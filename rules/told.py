"""What one device told in the order of its own time, and the stretches in which a condition held. Pure.

Events and reports of a device are one series: a condition may begin with an event and end with a report. The series is
sorted before it is read, so the order of arrival changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from itertools import pairwise

from rules.model import Rule


class Status(IntEnum):
    """Bits of a device's status word (docs/payloads.md), plain numbers: every sample is compared with them."""

    VALVE_CLOSED = 1
    VALVE_FAULT = 2
    BATTERY_LOW = 4
    TAMPER = 8
    MAGNET = 16
    REVERSE_FLOW = 32
    METERING_FAULT = 64
    DETECTOR_CUT = 128
    WARMING_UP = 1024
    INHIBITED = 2048
    DETECTOR_FAULT = 4096
    END_OF_LIFE = 8192
    OVER_RANGE = 16384


BLIND = Status.WARMING_UP | Status.INHIBITED | Status.DETECTOR_FAULT | Status.END_OF_LIFE
"""A detector with one of these says nothing about safety."""


@dataclass(frozen=True, slots=True)
class Teller:
    """The device that told: what its words are judged by. Flow in L/h, set-points in %LEL.

    `leak_state`: its newest own word on its leak alarm. `gateway` and `installed`: whether its door is known, and if
    not, which gateway it is known by.
    """

    device_id: int
    code: str
    device_kind: str = "meter"
    meter_class: str | None = None
    user_class: str | None = None
    area: str = ""
    qmax_lh: float | None = None
    warn_lel_pct: float | None = None
    alarm_lel_pct: float | None = None
    leak_state: str | None = None
    gateway: str = ""
    installed: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """One event (`kind` and `state`) or one report (`kind` is None) at the device's moment; None is unknown.

    `pressure_pa` is as the device sent it, gauge or absolute; `reason` is the code why it sent a report.
    """

    device_id: int
    at: datetime
    kind: str | None = None
    state: str | None = None
    level: int | None = None
    cause: str | None = None
    late: bool = False
    lel_pct: float | None = None
    status: int | None = None
    reason: int | None = None
    pressure_pa: int | None = None
    flow_lh: float | None = None
    battery_mv: int | None = None

    def row(self) -> list[object]:
        """The sample as evidence keeps it: moment, words, and the figures that are known."""
        return [self.at.isoformat(), *(getattr(self, name) for name in EVIDENCE_COLUMNS[1:])]


EVIDENCE_COLUMNS = (
    "at", "kind", "state", "level", "cause", "lel_pct", "status", "reason", "pressure_pa", "flow_lh", "battery_mv",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sign:
    """What one sample says of a condition: it holds, it does not, or nothing (`holds` is None).

    `high`: the upper rung of the severity ladder. `value` is in the unit of the rule's kind. `words` go into the
    sentence.
    """

    holds: bool | None = None
    high: bool = False
    value: float | None = None
    words: str = ""


SILENT = Sign()
Reader = Callable[[Rule, Teller, Told], Sign]


@dataclass(slots=True)
class Stretch:
    """A time in which a condition held: from the first sample that said so to the last, and when it ended."""

    first_at: datetime
    last_at: datetime
    samples: list[Told]
    signs: list[Sign] = field(default_factory=list)
    ended_at: datetime | None = None

    @property
    def worst(self) -> Sign:
        """The sign on the highest rung, the newest of those with the greatest value."""
        return max(enumerate(self.signs), key=lambda one: (one[1].high, _size(one[1]), one[0]))[1]


def _size(sign: Sign) -> float:
    return float("-inf") if sign.value is None else sign.value


def in_order(told: Iterable[Told]) -> list[Told]:
    """One device's samples in the order of its own time; at the same moment, what is worse stands last.

    So whatever arrived first, a device that says both "over" and "on" of one moment counts as on. What stands in order
    already is taken as it is: every rule asks for the same samples.
    """
    samples = list(told)
    if all(one.at < other.at or _stands_before(one, other) for one, other in pairwise(samples)):
        return samples
    return sorted(set(samples), key=_order)


def _stands_before(one: Told, other: Told) -> bool:
    return one.at == other.at and _order(one) < _order(other)


def _order(one: Told) -> tuple[datetime, bool, list[str]]:
    raised = one.state in {"raised", "closed", "abnormal"}
    return one.at, raised, [str(value) for value in one.row()]


def stretches(rule: Rule, teller: Teller, told: Sequence[Told], read: Reader) -> list[Stretch]:
    """The times in which a condition held, oldest first, from samples that stand in order.

    A sample that says nothing neither begins nor ends one: the distance between a reader's "holds" and "does not" is
    the hysteresis.
    """
    found: list[Stretch] = []
    current: Stretch | None = None
    for one in told:
        sign = read(rule, teller, one)
        if sign.holds is None:
            continue
        if sign.holds:
            if current is None:
                current = Stretch(one.at, one.at, [])
                found.append(current)
            current.last_at = one.at
            current.samples.append(one)
            current.signs.append(sign)
        elif current is not None:
            current.ended_at = one.at
            current = None
    return found


def last_denied(rule: Rule, teller: Teller, told: Sequence[Told], read: Reader) -> datetime | None:
    """Since when a condition is over: the first "does not hold" after the last "holds".

    None: it holds, or nothing was said.
    """
    denied: datetime | None = None
    for one in told:
        holds = read(rule, teller, one).holds
        if holds:
            denied = None
        elif holds is False and denied is None:
            denied = one.at
    return denied
