"""Window kinds as stories of one home: what fires, when, and what must not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

import polars as pl
import pytest

from rules.detectors import beginnings_wanted, ended, lookback_s
from rules.model import Rule
from rules.windows import CLOSINGS
from tests.unit.window_rows import RULES, START, Row, found, hour, hourly, window

PILOT_DAY = [20.0] * 7 + [130, 60, 28, 60, 90, 40, 20, 20, 20, 70, 120, 80, 50, 20, 20, 20, 20]
QUIET_DAY = [0.0] * 7 + [130, 60, 8, 40, 90, 20, 0, 0, 0, 50, 120, 60, 30, 0, 0, 0, 0]


def leaky(day: Sequence[float], leak_lh: float) -> list[float]:
    return [use + leak_lh for use in day]


def with_parameters(rule_id: str, **values: float) -> Rule:
    rule = RULES[rule_id]
    return replace(rule, parameters=MappingProxyType({**rule.parameters, **values}))


# ------------------------------------------------------------------------------------------------ micro-leak, pilots


def test_a_pilot_flame_since_the_beginning_is_learnt() -> None:
    """20 L/h without a pause in the first two weeks and ever since: no leak that could be told from a pilot flame."""
    assert found("micro_leak", window(hourly(PILOT_DAY * 6, 9000), beginning=hourly(PILOT_DAY * 16))) == []


def test_a_leak_over_a_learnt_pilot_flame_is_found_by_what_it_adds() -> None:
    """20 L/h were always there; 32 L/h are 12 L/h of leak."""
    (leak,) = found("micro_leak", window(hourly(leaky(PILOT_DAY, 12) * 6, 9000), beginning=hourly(PILOT_DAY * 16)))
    assert leak.value == pytest.approx(12.0)
    assert leak.evidence["learnt_lh"] == pytest.approx(20.0)


def test_a_leak_in_a_home_that_once_paused_is_no_pilot_flame() -> None:
    """The first weeks have quiet nights: what never stops now began later."""
    (leak,) = found("micro_leak", window(hourly(PILOT_DAY * 6, 9000), beginning=hourly(QUIET_DAY * 16)))
    assert leak.value == pytest.approx(20.0)
    assert leak.evidence["learnt_lh"] == 0.0


def test_young_records_without_a_pause_are_not_judged_below_a_pilots_flow() -> None:
    """Six days old: it may be a pilot flame; 60 L/h at rest are more than one burns, and are found."""
    young = hourly(PILOT_DAY * 6)
    assert found("micro_leak", window(young, beginning=young)) == []
    large = hourly(leaky(QUIET_DAY, 60) * 6)
    assert len(found("micro_leak", window(large, beginning=large))) == 1


def test_a_registered_pilot_flame_explains_a_small_floor() -> None:
    """The register of appliances says so; 60 L/h are beyond it all the same."""
    known = ["hob", "pilot_flame"]
    assert found("micro_leak", window(hourly(PILOT_DAY * 6), appliances=known)) == []
    assert len(found("micro_leak", window(hourly(leaky(QUIET_DAY, 60) * 6), appliances=known))) == 1


def test_a_home_known_to_have_no_pilot_flame_is_judged_from_its_first_day() -> None:
    """Where the register is known and has no pilot, nothing is learnt: what never stops there is a leak."""
    known = ["hob", "water_heater"]
    for first_days in (6, 16):
        beginning = hourly(PILOT_DAY * first_days)
        (leak,) = found("micro_leak", window(hourly(PILOT_DAY * 6), beginning=beginning, appliances=known))
        assert leak.value == pytest.approx(20.0)


def test_only_homes_without_a_pause_need_their_beginning() -> None:
    """A home with quiet nights costs no look at its first weeks."""
    rules = [RULES["micro_leak"]]
    assert beginnings_wanted(rules, window(hourly(QUIET_DAY * 6))) == []
    assert beginnings_wanted(rules, window(hourly(PILOT_DAY * 6))) == [1]


def test_the_moment_a_leak_shows_is_when_the_days_are_full() -> None:
    """From hour 0 without a pause: it shows at hour 120, however much came after."""
    (leak,) = found("micro_leak", window(hourly(leaky(QUIET_DAY, 8) * 9)))
    assert (leak.first_at, leak.shown_at, leak.last_at) == (hour(0), hour(120), hour(216))


def test_a_longer_history_says_the_same() -> None:
    """A window cut to the rule's lookback ends in the same finding's end."""
    rows = hourly(leaky(QUIET_DAY, 8) * 20)
    rule = RULES["micro_leak"]
    since = rows[-1][0] - timedelta(seconds=lookback_s(rule))
    (whole,) = found("micro_leak", window(rows))
    (cut,) = found("micro_leak", window([row for row in rows if row[0] > since], since=since))
    assert (cut.last_at, cut.ongoing, cut.value) == (whole.last_at, whole.ongoing, whole.value)


# ------------------------------------------------------------------------------------------------ continuous use


def test_a_burner_left_on_is_continuous_use() -> None:
    """100 L/h for eleven hours in a home that does not heat: more than 600 min; it shows in the tenth hour."""
    seen = window(hourly([0, 0] + [100] * 11), appliances=["hob"])
    (use,) = found("continuous_use_small", seen)
    assert (use.first_at, use.last_at, use.shown_at) == (hour(2), hour(13), hour(12))
    assert (use.value, use.unit, use.ongoing) == (11.0, "h", True)


def test_a_stove_may_burn_longer_where_homes_heat() -> None:
    """500 L/h for 13 hours: too long for a home that does not heat, not for one that does, nor where nobody knows."""
    rows = hourly([0, 0] + [500] * 13 + [0])
    assert len(found("continuous_use_medium", window(rows, appliances=["hob"]))) == 1
    assert found("continuous_use_medium", window(rows, appliances=["hob", "heating_boiler"])) == []
    assert found("continuous_use_medium", window(rows)) == []


def test_changing_use_is_not_one_appliance() -> None:
    """Heating that swings between 300 and 600 L/h never keeps its flow."""
    assert found("continuous_use_medium", window(hourly([300, 600] * 40), appliances=["hob"])) == []


def test_hours_nobody_saw_are_not_counted() -> None:
    """Ten hours of which two are unknown are eight observed hours; two more make ten."""
    rows = hourly([0] + [100] * 10)
    rows[5] = (rows[5][0], rows[5][1], 1, None)
    assert found("continuous_use_small", window(rows, appliances=["hob"])) == []
    more = rows + [(at, index_ml, 0, None) for at, index_ml, _, _ in hourly([100] * 2, 2000, 11)[1:]]
    (use,) = found("continuous_use_small", window(more, appliances=["hob"]))
    assert use.value == 10.0


def test_a_long_gap_ends_continuous_use() -> None:
    """Nine hours, a night without readings, nine hours: nobody knows whether it burned through."""
    rows = hourly([0] + [100] * 9) + hourly([100] * 9, 3000, 30)
    assert found("continuous_use_small", window(rows, appliances=["hob"])) == []


def test_the_ladder_of_continuous_use_is_its_hours() -> None:
    """From 48 observed hours on it is major."""
    severities = [
        found("continuous_use_small", window(hourly([0] + [100] * hours), appliances=["hob"]))[0].severity
        for hours in (47, 48)
    ]
    assert severities == ["minor", "major"]


# ------------------------------------------------------------------------------------------------ load


def test_more_than_the_appliances_burn_is_found_with_hysteresis() -> None:
    """A hob burns 1,200 L/h at most, the limit is 1,800; it goes on at 1,700, and ends at 1,500."""
    seen = window(hourly([100, 2000, 1700, 1500, 0]), appliances=["hob"])
    (over,) = found("load_exceeded", seen)
    assert (over.first_at, over.last_at, over.value, over.ongoing) == (hour(1), hour(3), 2000.0, False)


def test_without_known_appliances_the_meters_qmax_is_the_limit() -> None:
    """3,900 L/h through a meter of 4,000 is allowed; one word we do not know makes the load unknown."""
    assert found("load_exceeded", window(hourly([0, 3900]))) == []
    assert found("load_exceeded", window(hourly([0, 3900]), appliances=["hob", "kiln"])) == []
    assert len(found("load_exceeded", window(hourly([0, 4100])))) == 1


def test_no_load_excuses_more_than_the_meter_is_made_for() -> None:
    """Hob and water heater burn 4,400 L/h, half as much again is 6,600; a G2.5 of 4,000 is overloaded from 5,000."""
    both = ["hob", "water_heater"]
    assert found("load_exceeded", window(hourly([0, 4900]), appliances=both)) == []
    assert len(found("load_exceeded", window(hourly([0, 5100]), appliances=both))) == 1


def test_a_leap_of_the_register_is_no_flow() -> None:
    """13 m3 in an hour through a G2.5 is a step for index_step, seen in a recorded home after a gap of its recorder."""
    seen = window(hourly([0, 13_173, 26]))
    assert found("load_exceeded", seen) == []
    assert len(found("index_step", seen)) == 1


def test_measured_flow_counts_as_well() -> None:
    """The mean of the hour hides ten minutes at 3,000 L/h; the meter measured them."""
    flows = [(hour(1), 0.0), (hour(1.1), 3000.0), (hour(1.2), 0.0)]
    (over,) = found("load_exceeded", window(hourly([0, 400, 0]), appliances=["hob"], flows=flows))
    assert (over.first_at, over.last_at, over.value) == (hour(1), hour(1.1), 3000.0)


def test_a_catch_up_after_a_gap_is_no_flow_of_one_hour() -> None:
    """15 days of use arrive in one step: 3,600 L over 360 h are 10 L/h."""
    rows = [*hourly([10, 20]), (hour(362), 4_630_000, 0, None)]
    assert found("load_exceeded", window(rows, appliances=["hob"])) == []
    assert found("index_step", window(rows)) == []


def test_a_step_of_the_register_is_no_flow() -> None:
    """13,000 L in an hour through a meter of 4,000 L/h: a jump, and nobody is called about a burst pipe."""
    rows = hourly([100, 13_000, 100])
    assert found("load_exceeded", window(rows)) == []
    assert len(found("index_step", window(rows))) == 1


# ------------------------------------------------------------------------------------------------ nights


def nights(usual: float, changed: float, count: int = 3, before: int = 14) -> list[Row]:
    day = [usual] * 6 + [50.0] * 18
    return hourly(day * before + ([changed] * 6 + [50.0] * 18) * count)


def test_a_night_like_no_other_is_found_when_it_comes_back() -> None:
    """Two litres a night for two weeks, then 120 L at a steady 30 L/h: it shows with the third such night."""
    (night,) = found("night_flow", window(nights(0.5, 30.0)))
    assert (night.first_at, night.shown_at, night.value) == (hour(14 * 24 + 1), hour(16 * 24 + 5), 120.0)


def test_one_night_with_guests_is_no_finding() -> None:
    """Once is a feast."""
    assert found("night_flow", window(nights(0.5, 30.0, count=1))) == []


def test_heating_that_begins_is_restless_and_no_finding() -> None:
    """The first cold nights where homes may heat: 120 L, but never the same from hour to hour."""
    cold = hourly(([0.5] * 6 + [50.0] * 18) * 14 + ([60, 10, 50, 5, 40, 15] + [50.0] * 18) * 3)
    assert found("night_flow", window(cold)) == []
    assert len(found("night_flow", window(cold, appliances=["hob"]))) == 1


def test_nights_are_local() -> None:
    """What flows from 17 to 21 h UTC is the night in Shanghai."""
    day, loud = [50.0] * 16 + [0.5] * 6 + [50.0] * 2, [50.0] * 16 + [30.0] * 6 + [50.0] * 2
    rows = hourly(day * 14 + loud * 3)
    assert found("night_flow", window(rows)) == []
    (night,) = found("night_flow", window(rows, zone="Asia/Shanghai"))
    assert night.first_at == hour(14 * 24 + 17)


def test_too_few_known_nights_judge_nothing() -> None:
    """Three loud nights after nine quiet ones: the first has not ten nights before it, so only two are judged."""
    assert found("night_flow", window(nights(0.5, 30.0, before=9))) == []
    assert len(found("night_flow", window(nights(0.5, 30.0, before=10)))) == 1


# ------------------------------------------------------------------------------------------------ days


def days_before(litres: Sequence[float], start_l: float = 0.0) -> list[tuple[datetime, int]]:
    """Registers of the days that end before the start, oldest first; `litres[i]` used on the i-th."""
    total, rows = start_l, []
    for number, used in enumerate(litres):
        total += used
        rows.append((START - timedelta(days=len(litres) - number), round(total * 1000)))
    return rows


def year(litres: Sequence[float]) -> list[tuple[datetime, int]]:
    """The same days a year ago, with registers far below."""
    return [(day - timedelta(days=364), index_ml) for day, index_ml in days_before(litres)]


def loud_days(daily_l: float, start_l: float, count: int = 3) -> list[Row]:
    return hourly([daily_l / 24] * (24 * count), start_l, 0)


def test_use_far_above_the_season_is_found() -> None:
    """600 L a day for weeks and a year ago; now 6,000 L a day: from the second whole day on."""
    recent = days_before([600.0] * 40, 100_000)
    seen = window(loud_days(6000, 124_000), days=recent + year([600.0] * 20) + later_year(600.0), since=START)
    (use,) = found("unusual_use", seen)
    assert (use.first_at, use.shown_at) == (hour(0), hour(48))
    assert use.value == pytest.approx(6000, rel=0.05)


def later_year(litres: float) -> list[tuple[datetime, int]]:
    """Three weeks after the same day a year ago."""
    return [(START - timedelta(days=364 - number), round((20_000 + number * litres) * 1000)) for number in range(1, 21)]


def test_heating_that_came_last_year_too_is_usual() -> None:
    """The heating season begins: last year these weeks used as much."""
    recent = days_before([600.0] * 40, 100_000)
    seen = window(loud_days(6000, 124_000), days=recent + year([6000.0] * 20) + later_year(6000.0), since=START)
    assert found("unusual_use", seen) == []


def test_without_last_year_only_a_home_that_cannot_heat_is_judged() -> None:
    """The first cold day looks like a burst pipe: nobody knows, nothing is said."""
    recent = days_before([600.0] * 40, 100_000)
    rows = loud_days(6000, 124_000)
    assert found("unusual_use", window(rows, days=recent, since=START)) == []
    assert found("unusual_use", window(rows, days=recent, since=START, appliances=["hob", "boiler"])) == []
    assert len(found("unusual_use", window(rows, days=recent, since=START, appliances=["hob"]))) == 1


# ------------------------------------------------------------------------------------------------ no use


def still(start_l: float) -> list[Row]:
    return hourly([0.0] * 48, start_l, 0)


def test_a_lived_in_home_without_use_for_a_month_is_found() -> None:
    """Used gas until 35 days ago, then nothing; the register has stood since."""
    days = days_before([600.0] * 10 + [0.0] * 35)
    (quiet,) = found("long_no_use", window(still(6000), days=days))
    assert (quiet.first_at, quiet.value) == (START - timedelta(days=35), 37.0)
    assert quiet.shown_at == START - timedelta(days=5)


@pytest.mark.parametrize(
    "facts",
    [{"tenure": "vacant"}, {"valves": [(hour(1), True, True)]}],
    ids=["vacant", "valve closed"],
)
def test_no_use_where_none_is_expected_is_not_found(facts: dict[str, object]) -> None:
    """An empty home and a closed valve use no gas."""
    days = days_before([600.0] * 10 + [0.0] * 35)
    assert found("long_no_use", window(still(6000), days=days, **facts)) == []  # type: ignore[arg-type]


def test_what_stood_still_and_moved_again_is_found_with_its_end() -> None:
    """35 days without use end after a day of the window: no alert of now, and the one that there was."""
    rows = hourly([0.0] * 24 + [20.0] * 24, 6000)
    (quiet,) = found("long_no_use", window(rows, days=days_before([600.0] * 10 + [0.0] * 35)))
    assert (quiet.first_at, quiet.last_at, quiet.ongoing) == (START - timedelta(days=35), hour(24), False)


def test_a_register_that_was_set_back_and_comes_by_the_same_value_did_not_stand() -> None:
    """Used every day; one litre above the day of six weeks ago that the register now shows again, after a step back."""
    days = [(START - timedelta(days=41), 0), *days_before([100.0] * 40, 1000)]
    rows = hourly([*[0.0] * 47, 20.0], 1100)
    assert found("long_no_use", window(rows, days=days)) == []


def test_who_was_told_of_a_quiet_home_is_not_told_again_the_next_day() -> None:
    """An officer closed the alert on the second day: the days count from there."""
    seen = window(hourly([0.0] * 72, 6000), days=days_before([600.0] * 10 + [0.0] * 35))
    closings = pl.DataFrame([(1, hour(30))], schema=CLOSINGS, orient="row")
    assert len(found("long_no_use", seen)) == 1
    assert found("long_no_use", seen.after(closings)) == []


def test_a_home_that_never_used_gas_is_not_found() -> None:
    """A register that never moved belongs to a home nobody moved into."""
    assert found("long_no_use", window(still(0), days=days_before([0.0] * 45))) == []


def test_a_flat_summer_is_no_stuck_register() -> None:
    """74 days without use, and flat in the same weeks a year ago: a home that heats with gas alone."""
    days = days_before([600.0] + [0.0] * 60, 50_000) + year([0.0] * 20) + [(day, 0) for day, _ in later_year(0.0)]
    assert found("register_frozen", window(still(50_600), days=days)) == []


def test_a_register_that_stands_in_a_season_of_use_is_stuck() -> None:
    """30 days without movement, while last year gas was used on every day of these weeks."""
    days = days_before([600.0] * 5 + [0.0] * 30, 50_000) + year([600.0] * 20) + later_year(600.0)
    (stuck,) = found("register_frozen", window(still(53_000), days=days))
    assert stuck.value == 32.0


def test_a_meter_that_measures_flow_and_does_not_count_is_stuck() -> None:
    """200 L/h for four hours, and the register stands: 800 L passed."""
    flows = [(hour(number), 200.0) for number in range(5)]
    (stuck,) = found("stuck_flow", window(hourly([0] * 6), flows=flows))
    assert stuck.value == pytest.approx(800.0)
    assert found("stuck_flow", window(hourly([200] * 6), flows=flows)) == []


def test_flow_below_what_a_coarse_counter_shows_is_no_fault() -> None:
    """5 L/h for four hours are 20 L: a counter of 10 L may be one step behind."""
    flows = [(hour(number), 5.0) for number in range(5)]
    assert found("stuck_flow", window(hourly([0] * 6), pulse_ml=10_000, flows=flows)) == []


# ------------------------------------------------------------------------------------------------ steps, clocks


def test_a_step_beyond_the_meter_is_found_and_a_swap_is_not() -> None:
    """20 m3 in an hour through 4 m3/h; installed anew between the two values it is another register."""
    rows = [*hourly([10]), (hour(2), 21_010_000, 0, None)]
    (step,) = found("index_step", window(rows))
    assert step.value == pytest.approx(20_000.0)
    assert step.first_at == hour(2)
    assert found("index_step", window(rows, boundaries=[hour(1.5)])) == []


def reports(*late_min: float) -> list[tuple[datetime, datetime]]:
    return [(hour(24 * day), hour(24 * day) + timedelta(minutes=late)) for day, late in enumerate(late_min)]


def test_a_band_without_an_upper_end_says_so() -> None:
    """1,500 L/h for six hours: use of 1,000 L/h or more, not up to the greatest number a rule may hold."""
    (large,) = found("continuous_use_large", window(hourly([1500] * 6), appliances=["hob"]))
    assert large.sentence.endswith("used 1,000 L/h or more for 6.0 h")


def test_a_clock_is_behind_by_what_even_its_promptest_report_was_late() -> None:
    """Five reports between 90 and 300 min late: the clock is 90 min behind."""
    (slow,) = found("clock_drift", window(hourly([0]), reports=reports(90, 300, 120, 95, 91)))
    assert (slow.value, slow.unit) == (90.0, "min")


def test_reports_that_sometimes_wait_are_no_drift() -> None:
    """One prompt report proves the clock."""
    assert found("clock_drift", window(hourly([0]), reports=reports(90, 300, 2, 95, 91))) == []


def test_reports_that_came_together_tell_nothing_of_the_clock() -> None:
    """Five daily reports that a gateway kept and delivered at once, 40 min after the newest: up to four days late."""
    assert found("clock_drift", window(hourly([0]), reports=reports(5800, 4360, 2920, 1480, 40))) == []


def test_a_clock_ahead_is_seen_at_once() -> None:
    """Reports that arrive five minutes before their own time."""
    (fast,) = found("clock_drift", window(hourly([0]), reports=reports(-5, -6, -5, -5, -5)))
    assert fast.value == 5.0
    assert found("clock_drift", window(hourly([0]), reports=reports(-5, -6, -5, -5))) == []


# ------------------------------------------------------------------------------------------------ ends


def test_what_ends_by_itself_ends_at_the_newest_known_value() -> None:
    """Use that stopped ends there; a jump of the register does not become right by waiting."""
    seen = window(hourly([0, 0] + [100] * 11 + [0, 0]), appliances=["hob"])
    assert found("continuous_use_small", seen)[0].ongoing is False
    assert ended(RULES["continuous_use_small"], seen) == {1: hour(15)}
    assert ended(RULES["index_step"], seen) == {}


def test_no_use_ends_when_the_register_moves() -> None:
    """The newest movement is the proof."""
    assert ended(RULES["long_no_use"], window(hourly([0, 0, 5, 0]))) == {1: hour(3)}
    assert ended(RULES["long_no_use"], window(hourly([0, 0]))) == {}


def test_every_kind_says_how_much_history_it_needs() -> None:
    """Half the days seen double the history that is needed."""
    assert lookback_s(with_parameters("micro_leak", observed_share_min=0.4)) > lookback_s(RULES["micro_leak"])
    assert all(lookback_s(rule) >= 86_400 for rule in RULES.values() if rule.family == "window")
