"""Plans of a day: every hard rule, nothing lost, reproducible, mandatory first."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings

from inspections.access_rates import expected_service_s
from inspections.checker import broken_rules
from inspections.figures import load_spread
from inspections.insertion import settle
from inspections.model import Day, Overbooking, Point, Window
from inspections.planner import plan, plan_greedily
from inspections.routing import make_blocks
from inspections.search import Search
from inspections.stations import parts
from inspections.timetable import Ground
from tests.unit.inspections_days import HOUR, call, day, days, duty, inspector

QUICK = Search(iterations_per_call=1, iterations_min=20)
POLISHED = Search(iterations_per_call=1, iterations_min=40, polish_share=0.5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(days())
def test_any_day_keeps_every_rule_and_loses_nobody(any_day: Day) -> None:
    """Whatever the day, the independent checker finds nothing, in the solver's plan and in the plain one."""
    for made in (plan(any_day, QUICK, 7), plan(any_day, POLISHED, 7), plan_greedily(any_day, 7)):
        assert broken_rules(any_day, made) == []
        planned = [visit.call.premises_id for visit in made.visits()]
        omitted = [omission.call.premises_id for omission in made.omissions]
        assert sorted(planned + omitted) == [c.premises_id for c in any_day.calls]
        assert all(omission.reason for omission in made.omissions)


def test_same_seed_same_plan() -> None:
    """A published roster can be made again: the same day and seed give the same plan, to the second."""
    full = day([call(n, 1 + n % 9, priority=n % 17) for n in range(1, 90)], [inspector(1), inspector(2)])
    assert plan(full, QUICK, 3) == plan(full, QUICK, 3)


def test_mandatory_door_far_away_displaces_what_weighs_more_together() -> None:
    """A mandatory door is served although the doors it displaces weigh far more than it does."""
    near = [call(n, 1, priority=60) for n in range(1, 60)]
    far = call(99, 40, priority=1, mandatory=True)
    made = plan(day([*near, far]), QUICK, 1)
    assert 99 in [visit.call.premises_id for visit in made.visits()]
    assert {omission.constraint for omission in made.omissions} == {"crowded_out"}


def test_an_emergency_comes_before_whatever_else_is_on_the_way() -> None:
    """A critical alert far out and a smell of gas are the first visits of the day, whatever lies on the way there."""
    near = [call(n, 1 + n % 5, priority=30) for n in range(1, 40)]
    alarm = call(98, 30, mandatory=True, duties=(duty(98, kind="alert", mandatory=True, alert_severity="critical"),))
    smell = call(99, 20, mandatory=True, duties=(duty(99, kind="request", mandatory=True),))
    routine = call(97, 10, mandatory=True, duties=(duty(97, kind="alert", mandatory=True, alert_severity="major"),))
    whole = day([*near, alarm, smell, routine], [inspector(1), inspector(2, shift_start_s=9 * HOUR)])
    for made in (plan(whole, QUICK, 1), plan(whole, POLISHED, 1), plan_greedily(whole, 1)):
        assert broken_rules(whole, made) == []
        assert {97, 98, 99} <= {visit.call.premises_id for visit in made.visits()}
        for roster in made.rosters:
            urgent = [visit.call.premises_id in {98, 99} for visit in roster.visits]
            assert urgent == sorted(urgent, reverse=True)


def test_nothing_worth_doing_is_left_when_there_is_time() -> None:
    """Ten doors in an eight-hour day are all served, by either plan."""
    easy = day([call(n, 1 + n % 3) for n in range(1, 11)])
    assert plan(easy, QUICK, 1).omissions == ()
    assert plan_greedily(easy, 1).omissions == ()


def test_best_hours_come_first_and_the_whole_window_after() -> None:
    """Tried from one on, best from four: so it is; of twenty best in one half hour the others are served around it."""
    afternoon = Window(13 * HOUR, 24 * HOUR)
    one = call(1, window=afternoon, best=Window(16 * HOUR, 18 * HOUR))
    for made in (plan(day([one, call(2), call(3)]), QUICK, 1), plan_greedily(day([one, call(2), call(3)]), 1)):
        assert next(v.arrive_s for v in made.visits() if v.call.premises_id == 1) >= 16 * HOUR
    best = Window(15 * HOUR, 15 * HOUR + 1800)
    crowd = plan(day([call(n, window=afternoon, best=best) for n in range(1, 21)]), QUICK, 1)
    arrivals = [visit.arrive_s for visit in crowd.visits()]
    assert (len(arrivals), min(arrivals) >= 13 * HOUR) == (20, True)
    assert sum(best.early_s <= arrive_s <= best.late_s for arrive_s in arrivals) >= 3


def test_solver_beats_the_plain_plan_on_a_full_day() -> None:
    """With more doors than time the search serves at least what nearest-next serves."""
    full = day(
        [call(n, 1 + (n * 7) % 23, priority=1 + n * n % 40) for n in range(1, 150)], [inspector(1), inspector(2)]
    )
    searched, plain = plan(full, Search(iterations_min=300, iterations_per_call=1), 1), plan_greedily(full, 1)
    assert sum(v.call.priority for v in searched.visits()) > sum(v.call.priority for v in plain.visits())


def test_door_to_door_in_one_building_takes_one_step() -> None:
    """Set-up is spent once a building, then the doors follow each other after the step between flats."""
    made = plan(day([call(n, 1) for n in range(1, 5)]), QUICK, 1)
    visits = made.rosters[0].visits
    assert [later.arrive_s - earlier.leave_s for earlier, later in pairwise(visits)] == [60] * 3


def test_break_is_taken_between_visits_within_its_window() -> None:
    """A day that crosses noon holds its whole break at the boundary of two visits."""
    made = plan(day([call(n, 1 + n // 10) for n in range(1, 60)]), QUICK, 1)
    roster = made.rosters[0]
    assert roster.break_start_s is not None
    assert roster.break_end_s == roster.break_start_s + 1800
    assert 11 * HOUR + 1800 <= roster.break_start_s <= 13 * HOUR + 1800


def test_short_day_before_noon_needs_no_break() -> None:
    """Three visits end long before the break's window, so the inspector is back without one."""
    roster = plan(day([call(n) for n in range(1, 4)]), QUICK, 1).rosters[0]
    assert roster.break_start_s is None
    assert roster.return_s < 11 * HOUR


def test_blocks_keep_windows_and_mandatory_doors_alone() -> None:
    """Seven plain doors of a building are blocks of three, three and one; the special ones stand alone."""
    special = [call(8, mandatory=True), call(9, window=Window(0, 1))]
    ground = Ground(day([*(call(n) for n in range(1, 8)), *special]))
    sizes = sorted(len(block) for block in make_blocks(ground, 3))
    assert sizes == [1, 1, 1, 3, 3]


def test_settling_drops_the_least_first_and_mandatory_last() -> None:
    """A route that is too long loses its lightest calls until it can be walked."""
    calls = [call(n, priority=n, service_s=2 * HOUR) for n in range(1, 6)]
    calls[0] = call(1, priority=1, service_s=2 * HOUR, mandatory=True)
    ground = Ground(day(calls))
    route, timed = settle(ground, 0, [0, 1, 2, 3, 4])
    assert route == [0, 3, 4]
    assert timed.return_s <= 16 * HOUR + 1800


@pytest.mark.parametrize("inspectors", [[], [inspector()]])
def test_day_without_calls(inspectors: list[object]) -> None:
    """No doors, no rosters, no omissions."""
    made = plan(day([], inspectors), QUICK, 1)  # type: ignore[arg-type]
    assert (made.rosters, made.omissions) == ((), ())


def test_promised_door_is_served_though_others_weigh_more() -> None:
    """A promise is kept within its window before prizes are weighed, and gives way to nothing but what is mandatory."""
    heavy = [call(n, 1, priority=60) for n in range(1, 60)]
    promised = call(99, 30, priority=1, promised=True, window=Window(14 * HOUR, 15 * HOUR))
    made = plan(day([*heavy, promised]), QUICK, 1)
    (visit,) = [visit for visit in made.visits() if visit.call.premises_id == 99]
    assert 14 * HOUR <= visit.arrive_s <= 15 * HOUR


def test_absence_is_overbooked_up_to_the_limit() -> None:
    """Doors that open half the time are planned with half the work: more of them fit, never beyond the limit."""
    sure = [call(n, 1 + n % 5, service_s=1200) for n in range(1, 80)]
    unsure = [
        replace(c, service_s=expected_service_s(1200, 0.5, Overbooking()), full_service_s=1200, chance=0.5)
        for c in sure
    ]
    certain, hoping = plan(day(sure), QUICK, 1), plan(day(unsure), QUICK, 1)
    assert len(hoping.visits()) > len(certain.visits())
    excess = sum(visit.call.overbooked_s for visit in hoping.visits())
    assert 0 < excess <= 0.25 * 7.5 * HOUR


def test_work_is_shared_fairly_in_a_station() -> None:
    """Two inspectors of a station with less work than time for one share it; the solver alone would send one."""
    easy = day([call(n, 1 + n % 6) for n in range(1, 25)], [inspector(1), inspector(2)])
    fair = plan(easy, replace(QUICK, load_spread_max=0.1), 1)
    alone = plan(easy, replace(QUICK, load_spread_max=1.0), 1)
    assert load_spread(easy, fair) <= 0.1 < load_spread(easy, alone)
    assert fair.omissions == ()


def test_large_day_is_cut_by_station_and_loses_nobody() -> None:
    """Sixty inspectors of three stations are planned apart; a leak that only a distant station may serve is served."""
    crew = [
        inspector(n, station=f"S{n % 3}", start=Point(31.8 + n % 3 * 0.05, 117.2), skills=frozenset({"household"}))
        for n in range(60)
    ]
    crew[0] = replace(crew[0], skills=frozenset({"household", "leak"}))
    doors = [call(n, 1 + n % 60) for n in range(1, 400)]
    leak = call(999, 58, mandatory=True, skills=frozenset({"leak"}))
    big = day([*doors, leak], crew)
    cut = parts(big)
    assert [len(part.day.inspectors) for part in cut] == [20, 20, 20]
    made = plan(big, QUICK, 1)
    assert broken_rules(big, made) == []
    assert 999 in {visit.call.premises_id for visit in made.visits()}


def test_doors_are_called_at_when_somebody_is_home() -> None:
    """Two buildings side by side, one home in the morning and one in the afternoon, are visited in that order."""
    morning = tuple(0.9 if hour < 12 else 0.1 for hour in range(24))
    evening = tuple(0.1 if hour < 12 else 0.9 for hour in range(24))
    for first, second in ((1, 9), (9, 1)):
        early = [call(n, first, chances=morning, chance=0.5, service_s=1200) for n in range(1, 9)]
        late = [call(n, second, chances=evening, chance=0.5, service_s=1200) for n in range(11, 19)]
        whole = day([*early, *late])
        made = plan(whole, QUICK, 1)
        assert broken_rules(whole, made) == []
        begins = {visit.call.premises_id: visit.arrive_s for visit in made.visits()}
        assert max(begins[n] for n in range(1, 9)) < min(begins[n] for n in range(11, 19))
        assert all(visit.chance == visit.call.chances[visit.arrive_s // HOUR] for visit in made.visits())


def test_both_phases_together_keep_the_time_of_the_whole_search() -> None:
    """Each phase has its share of the seconds, as of the iterations."""
    search = Search(seconds_max=60.0, polish_share=0.25)
    assert (search.seconds(polish=False), search.seconds(polish=True)) == (45.0, 15.0)
