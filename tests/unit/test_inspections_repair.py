"""A running day repaired: every hard rule holds for the rest of it, nothing frozen is touched, nobody is lost."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inspections.checker import broken_freezes, broken_joints, broken_rules
from inspections.model import Call, Day, Plan, Window
from inspections.planner import plan
from inspections.repair import Wanted, repair
from inspections.search import Search
from inspections.standing import Placed, RunningRoster, Standing, stand
from tests.unit.inspections_days import HOUR, call, day, days, inspector

QUICK = Search(iterations_per_call=1, iterations_min=20)
AFTER = Search(iterations_per_call=0, iterations_min=30, polish_share=1.0)


def running(made: Plan, done: int = 0) -> list[RunningRoster]:
    """The rosters of a plan as they run, the first `done` visits of each reported."""
    return [
        RunningRoster(
            roster.inspector,
            roster,
            tuple(
                Placed(v.call.premises_id, v.call.premises_id, v.call.door.building_id, v.call, v, done=n < done)
                for n, v in enumerate(roster.visits)
            ),
        )
        for roster in made.rosters
    ]


def wanted(whole: Day, made: Plan, standings: list[Standing], urgent: tuple[int, ...] = ()) -> Wanted:
    """The rest of a day, with all that was left out waiting."""
    ahead = {s.inspector.inspector_id: tuple(p.premises_id for p in s.ahead) for s in standings if s.rest}
    frozen = {p.premises_id for s in standings for p in s.frozen}
    calls = tuple(_struck(c) if c.premises_id in urgent else c for c in whole.calls if c.premises_id not in frozen)
    rest = tuple(s.rest for s in standings if s.rest)
    return Wanted(replace(whole, calls=calls, inspectors=rest), ahead, urgent)


def _struck(struck: Call) -> Call:
    """The call with an alarm: mandatory, without a window, with its full work."""
    work_s = struck.full_service_s or struck.service_s
    return replace(
        struck, mandatory=True, promised=False, window=None, best=None, service_s=work_s, full_service_s=None
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(days(), st.integers(6, 20), st.integers(0, 3), st.integers(0, 5), st.booleans())
def test_any_change_of_any_day_keeps_every_rule(any_day: Day, hour: int, done: int, ill: int, search: bool) -> None:
    """Whatever the day, the hour, who falls ill and where the alarm is: no rule is broken, nobody is lost."""
    outside = replace(any_day, inspectors=tuple(replace(i, inside_building_id=None) for i in any_day.inspectors))
    made = plan(outside, QUICK, 7)
    rosters = running(made, done)
    standings = [
        stand(r, hour * HOUR, outside.travel, present=None if n == ill else r.inspector, until_s={})
        for n, r in enumerate(rosters)
    ]
    alarm = tuple(omission.call.premises_id for omission in made.omissions[:1])
    asked = wanted(outside, made, standings, alarm)
    repaired = repair(asked, AFTER if search else replace(AFTER, iterations_min=0), 7)
    assert broken_rules(repaired.day, repaired.plan) == []
    told = [v.call.premises_id for v in repaired.plan.visits()] + [o.call.premises_id for o in repaired.plan.omissions]
    assert sorted(told) == sorted(c.premises_id for c in asked.day.calls)
    kept = {
        p.visit_id: (s.inspector.inspector_id, position, p.visit.arrive_s)
        for s in standings
        for position, p in enumerate(s.frozen, 1)
    }
    away = {s.inspector.inspector_id for s in standings if s.rest is None}
    assert broken_freezes(rosters, kept, hour * HOUR, away) == []
    ahead = {roster.inspector.inspector_id: roster.visits for roster in repaired.plan.rosters}
    for standing in standings:
        frozen = [placed.visit for placed in standing.frozen]
        rest = ahead.get(standing.inspector.inspector_id, ())
        assert broken_joints([*frozen, *rest], len(frozen), standing.inspector) == []


def test_an_alarm_is_reached_before_the_break_and_keeps_promises() -> None:
    """Shortly before noon the alarm comes before the break; a promised visit of the afternoon stays in its window."""
    promised = call(50, 8, promised=True, window=Window(14 * HOUR, 15 * HOUR))
    whole = day([*(call(n, 1 + n % 6, service_s=900) for n in range(1, 40)), promised, call(99, 12)])
    struck = plan(day([c for c in whole.calls if c.premises_id != 99]), QUICK, 1)
    now_s = 11 * HOUR + 1200
    standings = [stand(r, now_s, whole.travel, present=r.inspector, until_s={}) for r in running(struck)]
    repaired = repair(wanted(whole, struck, standings, (99,)), AFTER, 1)
    begins = {visit.call.premises_id: visit.arrive_s for visit in repaired.plan.visits()}
    assert begins[99] - now_s < 45 * 60
    rest = repaired.plan.rosters[0].break_start_s
    assert rest is not None
    assert begins[99] < rest
    assert 14 * HOUR <= begins[50] <= 15 * HOUR


def test_a_promise_that_cannot_hold_gets_another_window() -> None:
    """When the only inspector is held up beyond the window, the call is promised anew later that day."""
    whole = day([call(1), call(2, 5, promised=True, window=Window(9 * HOUR, 10 * HOUR))], [inspector()])
    late = replace(inspector(), shift_start_s=11 * HOUR)
    asked = Wanted(replace(whole, inspectors=(late,)), {1: (1, 2)})
    repaired = repair(asked, AFTER, 1)
    assert set(repaired.repromised) == {2}
    window = repaired.repromised[2]
    (visit,) = [visit for visit in repaired.plan.visits() if visit.call.premises_id == 2]
    assert window.early_s <= visit.arrive_s <= window.late_s
    assert window.late_s - window.early_s >= HOUR
    assert broken_rules(repaired.day, repaired.plan) == []


def test_what_is_travelled_to_is_frozen() -> None:
    """A visit is frozen from the moment its inspector sets out; the rest of the day begins when it ends."""
    made = plan(day([call(n, 1 + n % 5) for n in range(1, 20)]), QUICK, 1)
    (roster,) = running(made)
    second = roster.visits[1].visit
    standing = stand(roster, second.arrive_s - 1, day([]).travel, present=roster.inspector, until_s={})
    assert [p.visit_id for p in standing.frozen] == [p.visit_id for p in roster.visits[:2]]
    assert standing.rest is not None
    assert standing.rest.shift_start_s == second.leave_s
    longer = stand(
        roster, second.arrive_s, day([]).travel, present=roster.inspector,
        until_s={roster.visits[1].visit_id: second.leave_s + 1800},
    )  # fmt: skip
    assert longer.rest is not None
    assert longer.rest.shift_start_s == second.leave_s + 1800


def test_the_checks_of_a_change_can_fail() -> None:
    """A visit under way that moved, and a rest of the day that begins too early, are seen."""
    made = plan(day([call(n, 1 + n % 5) for n in range(1, 20)]), QUICK, 1)
    (roster,) = running(made)
    first, second = (placed.visit for placed in roster.visits[:2])
    moved = {roster.visits[0].visit_id: (1, 1, first.arrive_s + 60)}
    assert broken_freezes([roster], moved, first.arrive_s, set())
    assert not broken_freezes([roster], moved, first.arrive_s, {1})
    assert broken_joints([first, replace(second, arrive_s=first.leave_s)], 1, roster.inspector)
    held_up = stand(
        roster, second.arrive_s, day([]).travel, present=roster.inspector,
        until_s={roster.visits[0].visit_id: second.arrive_s + 900},
    )  # fmt: skip
    assert len(held_up.frozen) == 1  # still at the first door, whatever the plan said of the second


def test_a_visit_done_far_ahead_of_its_plan_freezes_no_other() -> None:
    """Whoever did the last door of the day in the morning is free now; what was planned before it stays movable."""
    made = plan(day([call(n, 1 + n % 5) for n in range(1, 20)]), QUICK, 1)
    (roster,) = running(made)
    second, last = roster.visits[1].visit, roster.visits[-1]
    done_s = second.arrive_s + 60
    now_s = done_s + 120
    told = replace(last, done=True, done_s=done_s)
    rosters = replace(roster, visits=(*roster.visits[:-1], told))
    standing = stand(rosters, now_s, day([]).travel, present=roster.inspector, until_s={})
    assert [p.visit_id for p in standing.frozen] == [*(p.visit_id for p in roster.visits[:2]), last.visit_id]
    assert [p.visit_id for p in standing.ahead] == [p.visit_id for p in roster.visits[2:-1]]
    assert (standing.frozen[2].visit.arrive_s, standing.frozen[2].visit.leave_s) == (done_s, now_s)
    assert standing.rest is not None
    assert standing.rest.shift_start_s == now_s
    kept = {p.visit_id: (1, n, p.visit.arrive_s) for n, p in enumerate(standing.frozen, 1)}
    assert broken_freezes([rosters], kept, now_s, set()) == []
    late = kept | {last.visit_id: (1, 3, last.visit.arrive_s + 1)}
    assert broken_freezes([rosters], late, now_s, set())
    assert broken_freezes([rosters], kept | {last.visit_id: (2, 3, done_s)}, now_s, set())
    assert broken_freezes([rosters], {**kept, roster.visits[5].visit_id: (1, 0, 0)}, now_s, set())
