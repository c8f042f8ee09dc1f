"""Planted faults and the truth that is written about them."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from simulator.city import CityParams, build_city
from simulator.faults import RULES, Fault, Plan, plan_faults, truth_json
from simulator.model import City

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
DAYS = 12


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(CityParams(now=NOW))


@pytest.fixture(scope="module")
def faults(city: City) -> tuple[Fault, ...]:
    return plan_faults(city, NOW, 1, DAYS)


def test_the_plan_is_planted_whole_and_again_the_same(city: City, faults: tuple[Fault, ...]) -> None:
    """Every count of the plan, and the same faults for the same seed."""
    names = Counter(fault.name for fault in faults)
    plan = Plan()
    for name in ("flow_valve_closed", "micro_leak", "index_backwards", "device_silent", "gateway_silent", "self_test"):
        assert names[name] == getattr(plan, name)
    assert names["leak_alarm"] >= plan.leak_alarm + 2 * plan.building_leaks
    assert plan_faults(city, NOW, 1, DAYS) == faults
    assert plan_faults(city, NOW, 2, DAYS) != faults


def test_every_rule_has_a_fault_to_find_and_most_a_harmless_twin(faults: tuple[Fault, ...]) -> None:
    """What must alert covers the seven rules; what must not tempts five of them."""
    assert {fault.rule for fault in faults if fault.alert} == set(RULES)
    tempted = {fault.rule for fault in faults if not fault.alert}
    assert tempted == set(RULES) - {"building_leaks"}


def test_no_device_carries_two_plants(faults: tuple[Fault, ...]) -> None:
    """Except that a building's leaks are leaks of its detectors, and that city traits are nobody's choice."""
    own = [fault for fault in faults if fault.name not in ("building_leaks", "pilot_flame", "meter_swap")]
    carried = Counter(code for fault in own for code in fault.devices)
    assert max(carried.values()) == 1


def test_the_detectors_of_a_building_leak_are_in_that_building_within_minutes(
    city: City, faults: tuple[Fault, ...]
) -> None:
    """Two or three detectors, all of them leak alarms of their own, the first and the last within five minutes."""
    places, fitted = city.places(), city.fitted()
    leaks = {fault.devices[0]: fault for fault in faults if fault.name == "leak_alarm"}
    for fault in (fault for fault in faults if fault.name == "building_leaks"):
        assert 2 <= len(fault.devices) <= 3
        assert {places[fitted[code].premises].building for code in fault.devices} == {fault.subject[1]}
        starts = sorted(leaks[code].start for code in fault.devices)
        assert starts[-1] - starts[0] < timedelta(minutes=5)
        assert fault.start == starts[1]


def test_leaks_happen_in_the_last_minutes_and_silence_is_long_enough(faults: tuple[Fault, ...]) -> None:
    """At `now` leaks are fresh, silent devices have missed four reports and a silent gateway three days."""
    for fault in faults:
        age = NOW - fault.start
        if fault.name == "leak_alarm":
            assert timedelta(0) < age <= timedelta(minutes=6)
        elif fault.name == "device_silent":
            assert age > timedelta(days=4)
        elif fault.name == "gateway_silent":
            assert age > timedelta(days=3)
            assert len(fault.devices) > 20
        elif fault.name == "micro_leak":
            assert age > timedelta(days=DAYS)


def test_micro_leaks_are_small_and_on_both_kinds_of_meters(city: City, faults: tuple[Fault, ...]) -> None:
    """6 to 20 L/h, half on 10 L pulse meters, half on fine ones."""
    pulse = {device.code: device.pulse_ml for device in city.devices}
    leaks = [fault for fault in faults if fault.name == "micro_leak"]
    assert Counter(pulse[fault.devices[0]] for fault in leaks) == {1_000: 2, 10_000: 2}
    assert all(6 <= fault.values["leak_lh"] <= 20 for fault in leaks)


def test_a_plan_scales_with_the_city_and_can_be_spread(city: City) -> None:
    """Ten times the homes, ten times the faults; spread, they lie anywhere in the history."""
    assert Plan().times(10).micro_leak == 40
    assert Plan().times(0.1).micro_leak == 1
    assert Plan(micro_leak=0).times(10).micro_leak == 0
    spread = plan_faults(city, NOW, 1, DAYS, replace(Plan(), leak_alarm=20, spread=True))
    ages = [NOW - fault.start for fault in spread if fault.name == "leak_alarm"]
    assert max(ages) > timedelta(days=5)
    assert all(fault.start <= fault.end for fault in spread)


def test_a_city_too_small_or_a_history_too_short_is_said(city: City) -> None:
    """The sentence says what to raise."""
    with pytest.raises(ValueError, match=r"micro_leak: .* raise homes"):
        plan_faults(city, NOW, 1, DAYS, Plan(micro_leak=1_000))
    with pytest.raises(ValueError, match=r"^days: .* at least 8"):
        plan_faults(city, NOW, 1, 3)


def test_the_truth_is_plain_json_that_names_real_subjects(city: City, faults: tuple[Fault, ...]) -> None:
    """Every subject is a code of the city, every moment has a zone, device plants say where the device is."""
    truth = json.loads(json.dumps(truth_json(city, faults, NOW, 1, DAYS)))
    codes = {
        "device": {device.code for device in city.devices},
        "gateway": {gateway.code for gateway in city.gateways},
        "building": {building.code for building in city.buildings},
    }
    assert len(truth["faults"]) == len(faults)
    for fault in truth["faults"]:
        assert fault["subject"]["code"] in codes[fault["subject"]["kind"]]
        assert fault["rule"] in truth["rules"]
        start, end = datetime.fromisoformat(fault["start"]), datetime.fromisoformat(fault["end"])
        assert start.tzinfo is not None
        assert start <= end
        if fault["subject"]["kind"] == "device":
            assert city.places()[fault["premises"]].building == fault["building"]


@pytest.mark.parametrize("seed", range(8))
def test_single_leaks_are_never_neighbours(city: City, seed: int) -> None:
    """Two leaks in one building are a building leak: only the planted ones may be."""
    places, fitted = city.places(), city.fitted()
    faults = plan_faults(city, NOW, seed, DAYS, Plan(leak_alarm=10))
    grouped = {code for fault in faults if fault.name == "building_leaks" for code in fault.devices}
    buildings = [
        places[fitted[fault.devices[0]].premises].building
        for fault in faults
        if fault.name == "leak_alarm" and fault.devices[0] not in grouped
    ]
    assert len(set(buildings)) == len(buildings)
    assert not set(buildings) & {fault.subject[1] for fault in faults if fault.name == "building_leaks"}
