"""Generated days for the benchmark of rosters, and what is measured of a plan of one."""

import random
from dataclasses import replace
from datetime import date

from inspections.checker import broken_rules
from inspections.figures import load_spread
from inspections.model import Call, Day, Door, Duty, Inspector, Plan, Point, Travel, Window

_HOUR = 3600
_DAY = date(2026, 11, 23)


def district_day(seed: int, *, inspectors: int = 20, doors: int = 1000, mandatory: int = 15) -> Day:
    """A generated campaign day: compounds of 5-40 buildings, 24-120 flats, 12 % appointments, a few mandatory doors."""
    rng = random.Random(seed)
    day = _DAY
    calls: list[Call] = []
    compound_id = building_id = 0
    while len(calls) < doors:
        compound_id += 1
        centre = Point(31.8 + rng.uniform(-0.05, 0.05), 117.2 + rng.uniform(-0.06, 0.06))
        for _ in range(rng.randint(5, 40)):
            building_id += 1
            place = Point(centre.latitude + rng.gauss(0, 0.002), centre.longitude + rng.gauss(0, 0.002))
            flats = rng.randint(24, 120)
            for _ in range(min(max(1, int(flats * rng.uniform(0.02, 0.15))), doors - len(calls))):
                calls.append(_call(rng, day, len(calls) + 1, compound_id, building_id, place))
    chosen = set(rng.sample(range(doors), mandatory))
    return Day(
        day,
        tuple(_made_mandatory(call) if index in chosen else call for index, call in enumerate(calls)),
        tuple(_inspector(rng, number) for number in range(1, inspectors + 1)),
        Travel(),
    )


def city_day(seed: int, *, stations: int = 10, inspectors: int = 20, doors: int = 1000) -> Day:
    """A city of stations side by side in one area, each with its own compounds; inspectors may go anywhere."""
    calls: list[Call] = []
    staff: list[Inspector] = []
    for number in range(stations):
        one = district_day(seed * 100 + number, inspectors=inspectors, doors=doors, mandatory=max(1, doors // 70))
        north, east = 0.12 * (number // 4), 0.14 * (number % 4)
        calls.extend(_moved(call, number, north, east) for call in one.calls)
        staff.extend(_posted(inspector, number, north, east) for inspector in one.inspectors)
    numbered = [_numbered(call, position) for position, call in enumerate(calls, 1)]
    return Day(_DAY, tuple(numbered), tuple(staff), Travel())


def _moved(call: Call, station: int, north: float, east: float) -> Call:
    door = call.door
    point = Point(door.point.latitude + north, door.point.longitude + east)
    moved = replace(
        door,
        point=point,
        building_id=station * 100_000 + door.building_id,
        compound_id=station * 10_000 + door.compound_id,
    )
    return replace(call, door=moved)


def _posted(inspector: Inspector, station: int, north: float, east: float) -> Inspector:
    start = Point(inspector.start.latitude + north, inspector.start.longitude + east)
    code, number = f"S{station}-{inspector.code}", station * 1000 + inspector.inspector_id
    return replace(inspector, inspector_id=number, code=code, station=f"S{station}", start=start)


def _numbered(call: Call, number: int) -> Call:
    door = replace(call.door, premises_id=number, code=f"P{number:05d}")
    return replace(call, door=door, duties=(replace(call.duties[0], premises_id=number, duty_id=number),))


def _call(rng: random.Random, day: date, number: int, compound_id: int, building_id: int, place: Point) -> Call:
    commercial = rng.random() < 0.05
    door = Door(
        number, f"P{number:05d}", building_id, compound_id, "D01", place, "commercial" if commercial else "household"
    )
    duty = Duty(number, number, "periodic", day, mandatory=False, reason="periodic inspection")
    window = None
    if rng.random() < 0.12:
        early = rng.choice([9, 10, 13, 14, 15]) * _HOUR
        window = Window(early, early + 2 * _HOUR)
    service = rng.randint(15, 25) * 60 if commercial else 480
    skills = frozenset({"commercial" if commercial else "household"})
    priority = min(60, 5 + int(rng.expovariate(1 / 10)))
    return Call(door, (duty,), priority, ("periodic inspection",), False, skills, service, window)


def _made_mandatory(call: Call) -> Call:
    return Call(call.door, call.duties, call.priority + 100, call.reasons, True, call.skills, call.service_s, None)


def _inspector(rng: random.Random, number: int) -> Inspector:
    start = Point(31.8 + rng.uniform(-0.05, 0.05), 117.2 + rng.uniform(-0.06, 0.06))
    skills = frozenset({"household", "commercial"} if number % 3 == 0 else {"household"})
    return Inspector(
        number, f"I-{number:03d}", frozenset({"D01"}), skills, start,
        8 * _HOUR + _HOUR // 2, 16 * _HOUR + _HOUR // 2, 1800, 11 * _HOUR + 1800, 13 * _HOUR + 1800,
    )  # fmt: skip


def measure(day: Day, made: Plan, seconds: float) -> dict[str, object]:
    """The figures of one plan; broken rules are counted by the independent checker."""
    visits = made.visits()
    total = sum(call.priority for call in day.calls)
    travel = sum(roster.travel_s for roster in made.rosters)
    compounds = [len({visit.call.door.compound_id for visit in roster.visits}) for roster in made.rosters]
    return {
        "solver": made.solver,
        "seconds": round(seconds, 1),
        "priority_pct": round(100 * sum(visit.call.priority for visit in visits) / total, 1),
        "visits": len(visits),
        "mandatory": f"{sum(v.call.mandatory for v in visits)}/{sum(c.mandatory for c in day.calls)}",
        "travel_min_per_visit": round(travel / 60 / max(1, len(visits)), 2),
        "compounds_per_inspector": round(sum(compounds) / max(1, len(compounds)), 1),
        "load_spread_pct": round(100 * load_spread(day, made)),
        "broken_rules": len(broken_rules(day, made)),
    }
