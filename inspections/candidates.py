"""Which doors are considered for a day: duties merged into calls, and a sensible cap kept compact by compound.

Tight candidates matter more than the solver: the same number of doors from few compounds gave a quarter more visits a
day than doors drawn over the whole area.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from statistics import fmean
from zoneinfo import ZoneInfo

from inspections.access_rates import HOURS, AccessRates, expected_service_s
from inspections.cycle import NoAccess
from inspections.model import Call, Day, Door, Duty, Inspector, Overbooking, UserClass, Window
from inspections.next_time import WORKING_HOURS, next_time
from inspections.priority import weigh

_URGENT_KINDS = frozenset({"alert", "recheck", "appointment", "request"})


@dataclass(frozen=True, slots=True)
class CallRules:
    """What turns duties into calls: minutes of work by user class, repeats after no access, chances to get in.

    Without `rates` everybody is believed to be home. The last `promise_margin_s` of a promised window are left free,
    for the delays of a day.
    """

    service_s: Mapping[UserClass, int]
    no_access: NoAccess
    zone: ZoneInfo
    rates: AccessRates | None = None
    overbooking: Overbooking = field(default_factory=Overbooking)
    promise_margin_s: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Calls to plan, and calls left for another day because the day cannot hold them."""

    considered: tuple[Call, ...]
    deferred: tuple[Call, ...]


def make_calls(doors: Mapping[int, Door], duties: Iterable[Duty], day: date, rules: CallRules) -> list[Call]:
    """One call per door for all its duties, weighed; ordered by premises."""
    by_door: dict[int, list[Duty]] = defaultdict(list)
    for duty in duties:
        by_door[duty.premises_id].append(duty)
    return [_call(doors[premises_id], by_door[premises_id], day, rules) for premises_id in sorted(by_door)]


def _call(door: Door, duties: Sequence[Duty], day: date, rules: CallRules) -> Call:
    ordered = tuple(sorted(duties, key=lambda duty: duty.duty_id))
    weight = weigh(door, ordered, day)
    promise = promised_window(ordered, day, rules)
    again = (
        None if promise or weight.mandatory else next_time(door, ordered, day, rules.no_access, rules.zone, rules.rates)
    )
    window = promise or (again.window if again else None)
    work_s = rules.service_s[door.user_class]
    made = Call(
        door=door,
        duties=ordered,
        priority=weight.points,
        reasons=(*weight.reasons, *_said(promise, mandatory=weight.mandatory), *((again.reason,) if again else ())),
        mandatory=weight.mandatory,
        skills=skills_needed(door, ordered),
        service_s=work_s,
        window=None if weight.mandatory else window,
        promised=promise is not None and not weight.mandatory,
        best=again.best if again else None,
    )
    return _expected(made, day, rules) if rules.rates else made


def _expected(call: Call, day: date, rules: CallRules) -> Call:
    """The call with its chances, and what must not be shortened with its full time."""
    rates = rules.rates
    assert rates is not None
    attempts = max(duty.attempts for duty in call.duties)
    chances = tuple(rates.chance(call.door.user_class, call.door.area, day, hour, attempts) for hour in HOURS)
    if call.promised:
        chances = tuple(max(chance, rates.prior.promised) for chance in chances)
    hours = _hours(call.aim)
    chance = fmean(chances[hour] for hour in hours)
    if call.must:
        return replace(call, chance=chance, chances=chances)
    planned_s = expected_service_s(call.service_s, chance, rules.overbooking)
    return replace(call, chance=chance, chances=chances, service_s=planned_s, full_service_s=call.service_s)


def _hours(window: Window | None) -> range:
    """The hours in which work could begin, within common working hours."""
    if window is None:
        return range(*WORKING_HOURS)
    first = max(WORKING_HOURS[0], window.early_s // 3600)
    last = min(WORKING_HOURS[1], -(-window.late_s // 3600))
    begin = min(23, window.early_s // 3600)
    return range(first, last) if first < last else range(begin, begin + 1)


def promised_window(duties: Iterable[Duty], day: date, rules: CallRules) -> Window | None:
    """The first window promised for this day, without its margin; None when nothing is promised for it."""
    found = []
    for duty in duties:
        if duty.promised_from is None or duty.promised_to is None:
            continue
        begin = duty.promised_from.astimezone(rules.zone)
        if begin.date() == day:
            early = begin.hour * 3600 + begin.minute * 60 + begin.second
            length = int((duty.promised_to - duty.promised_from).total_seconds())
            found.append(Window(early, early + max(length // 2, length - rules.promise_margin_s)))
    return min(found, key=lambda window: (window.early_s, window.late_s), default=None)


def _said(promise: Window | None, *, mandatory: bool) -> tuple[str, ...]:
    if promise is None:
        return ()
    return ("promised; the promised time gives way to the alarm",) if mandatory else ("promised for this time",)


_TURN_POINTS = 6


def mark_turn(call: Call, in_turn: frozenset[int]) -> Call:
    """The call with the points and the reason of its building's turn in the campaign, when it is its turn."""
    if call.door.building_id not in in_turn:
        return call
    reason = f"its building's turn in the campaign of the year ({_TURN_POINTS:+d})"
    return replace(call, priority=call.priority + _TURN_POINTS, reasons=(*call.reasons, reason))


def skills_needed(door: Door, duties: Iterable[Duty]) -> frozenset[str]:
    """The user class, and `leak` when a leak rule's alert sends the inspector (rule ids of leaks contain 'leak')."""
    leak = any(duty.alert_rule and "leak" in duty.alert_rule for duty in duties)
    return frozenset({door.user_class, "leak"} if leak else {door.user_class})


def split(day: Day) -> list[Day]:
    """The day as independent groups: two inspectors belong together when some call could be either's.

    Calls that nobody's area covers form a group without inspectors.
    """
    areas = {call.door.area for call in day.calls}
    groups: list[tuple[set[str], list[Inspector]]] = []
    for inspector in day.inspectors:
        covered = set(inspector.areas & areas)
        joined = [inspector]
        for other in [group for group in groups if group[0] & covered]:
            groups.remove(other)
            covered |= other[0]
            joined = [*other[1], *joined]
        groups.append((covered, joined))
    known = set().union(*(covered for covered, _ in groups)) if groups else set()
    groups.append((areas - known, []))
    days = [
        replace(day, calls=tuple(c for c in day.calls if c.door.area in covered), inspectors=tuple(inspectors))
        for covered, inspectors in groups
    ]
    return [group for group in days if group.calls]


def choose(
    calls: Sequence[Call],
    inspectors: Sequence[Inspector],
    *,
    capacity_factor: float,
    spread: float,
    in_turn: frozenset[int] = frozenset(),
) -> Choice:
    """Keep at most `capacity_factor` times what the day can hold.

    Mandatory calls and those that somebody waits for always stay. Then come the buildings `in_turn`, those of the
    campaign's day. A share `spread` of what is left goes to the most important doors wherever they are; the others are
    whole buildings, oldest due first, of the weightiest compounds.
    """
    limit = int(capacity_factor * _capacity(calls, inspectors))
    urgent = [c for c in calls if c.mandatory or any(duty.kind in _URGENT_KINDS for duty in c.duties)]
    if len(calls) <= max(limit, len(urgent)):
        return Choice(tuple(calls), ())
    chosen = {call.premises_id for call in urgent}
    _take(chosen, _compact([call for call in calls if call.door.building_id in in_turn]), limit)
    by_priority = sorted(calls, key=lambda c: (-c.priority, c.premises_id))
    share = len(chosen) + int(spread * max(0, limit - len(chosen)))
    _take(chosen, by_priority, share)
    _take(chosen, _compact(calls), limit)
    return Choice(
        tuple(call for call in calls if call.premises_id in chosen),
        tuple(call for call in calls if call.premises_id not in chosen),
    )


def _take(chosen: set[int], order: Iterable[Call], limit: int) -> None:
    for call in order:
        if len(chosen) >= limit:
            return
        chosen.add(call.premises_id)


def _capacity(calls: Sequence[Call], inspectors: Sequence[Inspector]) -> float:
    """Visits the day can hold: working time over the mean visit with three minutes of moving."""
    if not calls:
        return 0.0
    work_s = sum(i.shift_end_s - i.shift_start_s - i.break_s for i in inspectors)
    mean_s = sum(call.service_s for call in calls) / len(calls) + 180
    return work_s / mean_s


def _compact(calls: Sequence[Call]) -> list[Call]:
    """Compound by compound, the weightiest first; in each, building by building, oldest due first."""
    weight: dict[int, int] = defaultdict(int)
    oldest: dict[int, date] = {}
    for call in calls:
        weight[call.door.compound_id] += call.priority
        due = min(duty.due_on for duty in call.duties)
        oldest[call.door.building_id] = min(due, oldest.get(call.door.building_id, due))

    def order(call: Call) -> tuple[int, int, date, int, int]:
        door = call.door
        return (
            -weight[door.compound_id], door.compound_id, oldest[door.building_id], door.building_id, door.premises_id
        )  # fmt: skip

    return sorted(calls, key=order)
