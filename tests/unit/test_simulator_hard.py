"""The hard city: every plant changes what it says it changes and nothing else, and its truth fits the readings."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.city import CityParams, build_city
from simulator.faults import HARD, Fault, Plan, plan_faults, truth_json
from simulator.hard import HARD_NOISE, hard_city, hard_plan
from simulator.messages import messages
from simulator.model import City, Message
from simulator.outages import FLOOD_S, Clock
from simulator.plants_gas import starting_flow_lh
from simulator.registers import Registers, read_registers
from simulator.sayings import STATUS_BITS
from simulator.score import Raised, score, score_family
from simulator.usage import Hours, hours_until, outdoor_temperature

NOW = datetime(2026, 2, 20, 6, 30, tzinfo=UTC)
DAYS = 20
STEPS_BACK = ("index_backwards", "unrecorded_swap", "runs_backwards", "register_wrap")
ONE_OF_EACH = Plan(spread=True, micro_leak=0, leak_alarm=1, hard=dict.fromkeys(HARD, 1) | {"slow_leak": 6})


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(hard_city(NOW, 1, 700, DAYS))


@pytest.fixture(scope="module")
def faults(city: City) -> tuple[Fault, ...]:
    return plan_faults(city, NOW, 1, DAYS, ONE_OF_EACH)


@pytest.fixture(scope="module")
def hours(city: City) -> Hours:
    return hours_until(NOW, DAYS, city.utc_offset_h)


@pytest.fixture(scope="module")
def registers(city: City, faults: tuple[Fault, ...], hours: Hours) -> Registers:
    return read_registers(city, faults, hours, 1)


@pytest.fixture(scope="module")
def without(city: City, faults: tuple[Fault, ...], hours: Hours) -> Registers:
    """The same city in which only registers that are set anew differ: nothing is planted."""
    del faults
    return read_registers(city, (), hours, 1)


@pytest.fixture(scope="module")
def said(city: City, faults: tuple[Fault, ...]) -> list[Message]:
    return list(messages(city, faults, NOW, DAYS, 1, HARD_NOISE))


def named(faults: Iterable[Fault], *names: str) -> list[Fault]:
    return [fault for fault in faults if fault.name in names]


def row(registers: Registers, fault: Fault) -> int:
    return next(number for number, meter in enumerate(registers.meters) if meter.code == fault.devices[0])


def bodies(said: Iterable[Message]) -> dict[str, list[tuple[Message, dict[str, Any]]]]:
    found = defaultdict(list)
    for message in said:
        if message.device:
            found[message.device].append((message, json.loads(message.payload)))
    return found


def test_every_hard_plant_can_be_planted_and_names_a_rule(faults: tuple[Fault, ...]) -> None:
    """Each name of the list is there once, but what needs a longer history."""
    names = Counter(fault.name for fault in faults)
    kinds = {name.removesuffix("_household").removesuffix("_commercial") for name in HARD}
    assert kinds - names.keys() == {"long_no_use", "assets"}
    assert names["expired"] > 10  # assets: what the registry says


def test_the_hard_plan_counts_only_plants_that_exist_and_scales() -> None:
    """At the size of the benchmark everything that can be planted is; nuisances follow the rates of their sources."""
    plan = hard_plan(10_000, 60)
    assert plan.hard.keys() == HARD
    alarms = sum(count for name, count in plan.hard.items() if name.endswith("_household"))
    assert alarms == pytest.approx(10_000 * 0.4 * 0.019 * 60 / 365, abs=2)
    assert hard_plan(1_000, 30).hard["slow_leak"] == 3


def test_an_unknown_plant_is_refused_by_name(city: City) -> None:
    """A typing mistake plants nothing silently."""
    with pytest.raises(ValueError, match="hard: slow_leek is no plant"):
        plan_faults(city, NOW, 1, DAYS, Plan(hard={"slow_leek": 1}))


def test_the_ordinary_city_is_what_it_was() -> None:
    """Traits of a hard city are drawn apart: without them the same seed gives the same homes."""
    params = CityParams(now=NOW, homes=200)
    plain, coarse = build_city(params), build_city(replace(params, coarse_share=0.5, night_shift_share=0.3))
    assert [home.appliances for home in plain.premises] == [home.appliances for home in coarse.premises]
    assert {meter.pulse_ml for meter in coarse.devices if meter.kind == "meter"} == {1_000, 10_000, 100_000}
    assert not any(habit.night_shift for habit in plain.habits.values())


def test_registers_step_back_only_where_that_is_planted(registers: Registers, faults: tuple[Fault, ...]) -> None:
    """Whatever else is wrong with a meter, its register counts up."""
    planted = {fault.devices[0] for fault in named(faults, *STEPS_BACK)}
    shown = registers.shown(0, registers.hours.count)
    for number, meter in enumerate(registers.meters):
        inside = shown[number, registers.first[number] : registers.last[number] + 1]
        assert meter.code in planted or (np.diff(inside) >= 0).all(), meter.code
    assert all((np.diff(shown[row(registers, fault)]) < 0).any() for fault in named(faults, *STEPS_BACK))


def test_only_meters_with_a_plant_count_otherwise_than_without(
    registers: Registers, without: Registers, faults: tuple[Fault, ...]
) -> None:
    """A plant touches its own devices."""
    planted = {code for fault in faults for code in fault.devices}
    same = (np.diff(registers.true_ml) == np.diff(without.true_ml)).all(axis=1)
    for number, meter in enumerate(registers.meters):
        assert same[number] or meter.code in planted, meter.code


def test_a_leak_adds_its_flow_to_every_hour_from_its_start(
    registers: Registers, without: Registers, faults: tuple[Fault, ...]
) -> None:
    """Constant leaks add the same each hour, a growing one ever more; before the start nothing."""
    for fault in named(faults, "slow_leak", "heated_leak", "growing_leak"):
        number, begin = row(registers, fault), registers.hours.index(fault.start)
        added = (np.diff(registers.true_ml[number]) - np.diff(without.true_ml[number])) / 1000
        assert (added[:begin] == 0).all()
        if fault.name == "growing_leak":
            assert (np.diff(added[begin:]) >= 0).all()
            assert added[-1] > 1.5 * added[begin]
        else:
            assert added[begin:] == pytest.approx(fault.values["leak_lh"], abs=0.001)


def test_a_leak_below_the_starting_flow_is_true_but_undetectable(
    city: City, registers: Registers, without: Registers, faults: tuple[Fault, ...]
) -> None:
    """It moves the register only while something else does, and the truth says why nobody is asked to find it."""
    devices = {device.code: device for device in city.devices}
    for fault in named(faults, "leak_below_start"):
        assert fault.values["leak_lh"] < starting_flow_lh(devices[fault.devices[0]])
        assert fault.undetectable
        assert not fault.alert
        number = row(registers, fault)
        use, usual = np.diff(registers.true_ml[number]), np.diff(without.true_ml[number])
        assert (use[usual == 0] == 0).all()
        assert use.sum() > usual.sum()


def test_a_leak_that_heating_hides_all_the_time_is_true_but_undetectable(
    city: City, registers: Registers, without: Registers, faults: tuple[Fault, ...]
) -> None:
    """Where hardly an hour passes without a burn since it began, nobody sees it alone; elsewhere it must be found."""
    habits, fitted = city.habits, city.fitted()
    for fault in named(faults, "slow_leak", "heated_leak"):
        number, begin = row(registers, fault), registers.hours.index(fault.start)
        pauses = int((np.diff(without.true_ml[number])[begin:] == 0).sum())
        if habits[fitted[fault.devices[0]].premises].heating == "constant":
            assert (pauses < 60) == bool(fault.undetectable)
        assert fault.alert != bool(fault.undetectable)


def test_a_register_that_sticks_tells_a_flow_that_it_does_not_count(
    registers: Registers, faults: tuple[Fault, ...], said: list[Message]
) -> None:
    """Standing still alone would be a holiday."""
    for fault in named(faults, "stuck_register"):
        number, begin = row(registers, fault), registers.hours.index(fault.start)
        assert len(set(registers.true_ml[number, begin:].tolist())) == 1
        told = [body for _, body in bodies(said)[fault.devices[0]] if body.get("flow_lh")]
        assert len(told) > 3
        assert len({body["index_ml"] for body in told}) == 1


def test_nothing_leaves_a_gateway_that_is_away_and_all_of_it_comes_late_in_order(
    city: City, faults: tuple[Fault, ...], said: list[Message]
) -> None:
    """A flood within a quarter of an hour after the birth of a new session; an area's gateways are away together."""
    areas = {gateway.code: gateway.area for gateway in city.gateways}
    for fault in named(faults, "cell_outage", "gateway_outage", "gateway_blip"):
        codes = [code for kind, code in (fault.others or (fault.subject,)) if kind == "gateway"]
        if fault.name == "cell_outage":
            assert codes == [code for code, area in areas.items() if area == fault.subject[1]]
        for code in codes:
            sent = [message for message in said if message.gateway == code]
            assert not [one for one in sent if fault.start < one.sent_at < fault.end]
            held = [one for one in sent if one.device and fault.start <= one.at < fault.end <= one.sent_at]
            flood_ends = fault.end + timedelta(seconds=FLOOD_S + 60)
            prompt = [one for one in held if one.sent_at <= flood_ends]
            assert len(prompt) >= 0.9 * len(held)  # the rest is late by itself
            (birth,) = [one for one in sent if one.kind == "status" and one.sent_at == fault.end]
            assert json.loads(birth.payload)["state"] == "online"
            for heard in bodies(prompt).values():
                assert all(one.sent_at <= other.sent_at for (one, _), (other, _) in pairwise(heard))


def test_a_clock_that_is_behind_stamps_earlier_and_freezes_later(
    registers: Registers, faults: tuple[Fault, ...], said: list[Message]
) -> None:
    """What it tells for an hour is the register of an hour later, and its register still never falls."""
    (fault,) = named(faults, "clock_hour_behind")
    heard = [one for one, _ in bodies(said)[fault.devices[0]] if one.at > fault.start + timedelta(days=1)]
    prompt = [one for one in heard if one.sent_at - one.at < timedelta(hours=2)]
    assert len(prompt) > 2
    assert all(timedelta(hours=1) <= one.sent_at - one.at < timedelta(hours=1, minutes=2) for one in prompt)
    begins = registers.hours.index(fault.start)
    for _, body in bodies(prompt)[fault.devices[0]]:
        first = registers.hours.index(datetime.fromisoformat(body["hourly"]["from"])) + 1
        if first > begins:
            later = registers.told(row(registers, fault), np.arange(first + 1.0, first + 25.0)).tolist()
            told = body["hourly"]["index_ml"]
            assert all(value in (None, truth) for value, truth in zip(told, later, strict=True))
    for slow in named(faults, "clock_slow", "clock_hour_behind"):
        values: dict[datetime, int] = {}
        for message, body in bodies(said)[slow.devices[0]]:
            values[message.at] = body["index_ml"]
            start = datetime.fromisoformat(body["hourly"]["from"])
            for hour, value in enumerate(body["hourly"]["index_ml"], start=1):
                if value is not None:
                    values[start + timedelta(hours=hour)] = value
        in_order = [values[at] for at in sorted(values)]
        assert in_order == sorted(in_order)


@given(st.floats(0, 900), st.floats(0, 7200), st.integers(0, 90), st.integers(1, 90))
@settings(max_examples=60, deadline=None)
def test_a_clock_never_runs_back(slow: float, behind: float, days: int, later: int) -> None:
    """Once it is wrong, a later moment is told as a later one."""
    clock = Clock(NOW, slow, behind)
    one, other = NOW + timedelta(days=days), NOW + timedelta(days=days, minutes=later)
    assert one - clock.behind(one) < other - clock.behind(other)


def test_status_bits_stand_as_long_as_the_fault(faults: tuple[Fault, ...], said: list[Message]) -> None:
    """Reports and heartbeats carry the bit from its start to its end, and no other time."""
    spoken = bodies(said)
    for fault in faults:
        if fault.name not in STATUS_BITS:
            continue
        for message, body in spoken[fault.devices[0]]:
            if body.get("reason") in ("timed", "retry"):
                inside = fault.start <= message.at < fault.end + timedelta(seconds=1)
                assert bool(body["status"] & STATUS_BITS[fault.name]) == inside


def test_pressure_falls_at_every_meter_of_a_zone_together(faults: tuple[Fault, ...], said: list[Message]) -> None:
    """Six meters or more, from the usual 2 kPa to about half of it within ten minutes."""
    (fault,) = named(faults, "zone_pressure")
    assert len(fault.devices) >= 6
    spoken = bodies(said)
    for code in fault.devices:
        window = [
            body["pressure_pa"]
            for message, body in spoken[code]
            if "pressure_pa" in body and abs(message.at - fault.start) < timedelta(minutes=40)
        ]
        assert max(window) > 1_900
        assert min(window) < 1_250


def test_nuisance_alarms_look_like_alarms_and_are_none(faults: tuple[Fault, ...], said: list[Message]) -> None:
    """Raised, not marked as a test, cleared again; the truth calls them harmless."""
    spoken = bodies(said)
    plants = named(faults, "cooking_alarm", "steam_alarm", "alcohol_alarm", "spray_alarm", "drift_alarm")
    assert len(plants) == 10
    for fault in plants:
        events = [body for message, body in spoken[fault.devices[0]] if message.kind == "events"]
        assert not fault.alert
        assert events[0]["state"] == "raised"
        assert events[-1]["state"] == "cleared"
        assert not any(event.get("test") for event in events)


def test_cold_spells_depart_from_the_season_for_days(hours: Hours) -> None:
    """With a swing the daily mean departs by degrees, and today's departure is much like yesterday's."""
    long = Hours(hours.start, 24 * 200, 8)
    spells = outdoor_temperature(long, 3, 4.0) - outdoor_temperature(long, 3)
    daily = spells.reshape(-1, 24).mean(axis=1)
    assert 2 < daily.std() < 6
    assert np.corrcoef(daily[:-1], daily[1:])[0, 1] > 0.5


def test_what_was_raised_before_a_fault_began_did_not_find_it(city: City, faults: tuple[Fault, ...]) -> None:
    """Such an alert is false; one that came later found it, and the time to detect runs until officers saw it."""
    truth = json.loads(json.dumps(truth_json(city, faults, NOW, 1, DAYS)))
    leak = next(one for one in named(faults, "slow_leak") if one.alert)
    before, after = leak.start - timedelta(days=1), leak.start + timedelta(days=6)
    early = score(truth, [Raised("micro_leak", leak.subject, before, before)])
    assert f"micro_leak {':'.join(leak.subject)}" in early.false
    assert early.found == 0
    late = score(truth, [Raised("micro_leak", leak.subject, before, after)])
    (rule,) = [one for one in late.rules if one.rule == "micro_leak"]
    assert (rule.found, rule.false, rule.detect_s) == (1, (), (6 * 86_400.0,))


def test_an_undetectable_leak_may_be_found_but_need_not(city: City, faults: tuple[Fault, ...]) -> None:
    """Neither a miss nor a false alert."""
    truth = json.loads(json.dumps(truth_json(city, faults, NOW, 1, DAYS)))
    (leak,) = named(faults, "leak_below_start")
    silent, lucky = score(truth, []), score(truth, [Raised("micro_leak", leak.subject, leak.start, NOW)])
    assert not any(":".join(leak.subject) in one for rule in silent.rules for one in rule.missed)
    assert lucky.false == ()


def test_a_family_finds_a_leak_by_any_of_its_rules(city: City, faults: tuple[Fault, ...]) -> None:
    """A burst that the slow rule sees is found; an alert of another family is not counted."""
    truth = json.loads(json.dumps(truth_json(city, faults, NOW, 1, DAYS)))
    hose = named(faults, "hose_off")[0]
    alerts = [
        Raised("continuous_use_large", hose.subject, hose.start, NOW),
        Raised("tamper", hose.subject, hose.start, NOW),
    ]
    family = score_family(truth, alerts, ["load_exceeded", "continuous_use_large"], "leaks")
    assert family.found == 1
    assert not any(":".join(hose.subject) in one for one in family.missed)


def test_the_same_seed_says_the_same_bytes(city: City, faults: tuple[Fault, ...], said: list[Message]) -> None:
    """Determinism, plant by plant and message by message."""
    assert plan_faults(city, NOW, 1, DAYS, ONE_OF_EACH) == faults
    assert list(messages(city, faults, NOW, DAYS, 1, HARD_NOISE)) == said
