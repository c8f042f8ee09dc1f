"""Scoring alerts against the truth, and the live mode's bookkeeping."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulator.city import CityParams, build_city
from simulator.faults import plan_faults, truth_json
from simulator.live import Followed, Live
from simulator.messages import messages
from simulator.score import Raised, alerts_from_json, score

START = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
CITY = build_city(CityParams(now=START, homes=200))
FAULTS = plan_faults(CITY, START, 1, 8)
TRUTH = json.loads(json.dumps(truth_json(CITY, FAULTS, START, 1, 8)))


def perfect() -> list[Raised]:
    return [Raised(fault.rule, fault.subject, fault.start) for fault in FAULTS if fault.alert]


def test_perfect_alerts_score_perfectly() -> None:
    """Everything found, nothing false, found at once."""
    result = score(TRUTH, perfect())
    assert result.found == result.planted == sum(fault.alert for fault in FAULTS)
    assert result.false == ()
    assert all(rule.recall == 1 and rule.precision == 1 and rule.median_detect_s == 0 for rule in result.rules)


def test_a_missed_fault_is_named_and_lowers_recall() -> None:
    """Two of three leaks found is a recall of 2/3."""
    leak = next(alert for alert in perfect() if alert.rule == "leak_alarm")
    planted = sum(alert.rule == "leak_alarm" for alert in perfect())
    result = score(TRUTH, [alert for alert in perfect() if alert != leak])
    (rule,) = [one for one in result.rules if one.rule == "leak_alarm"]
    assert rule.missed == (":".join(leak.subject),)
    assert rule.recall == pytest.approx((planted - 1) / planted)


def test_an_alert_for_a_harmless_plant_is_false_and_says_for_which() -> None:
    """The self-test that fooled the rule is named; the rate is per 1,000 homes and week."""
    fooled = next(fault for fault in FAULTS if fault.name == "self_test")
    result = score(TRUTH, [*perfect(), Raised("leak_alarm", fooled.subject, START)])
    assert result.false == (f"leak_alarm {':'.join(fooled.subject)} (self_test)",)
    assert result.false_per_1000_homes_week == pytest.approx(1 / 0.2 / (8 / 7))  # 200 homes, 8 days


def test_repeats_and_expected_consequences_are_not_false() -> None:
    """A second alert on the same fault counts once; gas through a closed valve may look like a micro-leak."""
    valve = next(fault for fault in FAULTS if fault.name == "flow_valve_closed")
    extra = [Raised("flow_valve_closed", valve.subject, START), Raised("micro_leak", valve.subject, START)]
    result = score(TRUTH, [*perfect(), *extra])
    assert (result.found, result.false) == (result.planted, ())


def test_rules_the_truth_does_not_know_are_only_counted() -> None:
    """A rule of another catalogue is neither found nor false."""
    result = score(TRUTH, [*perfect(), Raised("night_flow", ("device", "M-000001"), START)])
    assert result.others == {"night_flow": 1}
    assert result.false == ()


@pytest.mark.parametrize("device", ["LD-00001", {"code": "LD-00001", "kind": "detector"}])
def test_alerts_are_read_from_a_list_of_the_api(device: Any) -> None:
    """The code stands under the kind of the subject, plain or in an object."""
    item = {"rule_id": "leak_alarm", "subject": "device:7", "device": device, "first_at": START.isoformat()}
    expected = (Raised("leak_alarm", ("device", "LD-00001"), START),)
    assert alerts_from_json({"items": [item], "next": None}) == alerts_from_json([item]) == expected


def test_an_alert_without_its_subject_s_code_is_refused_by_number() -> None:
    """Scoring the wrong document says so."""
    with pytest.raises(ValueError, match="alert 0: 'building' is missing"):
        alerts_from_json([{"rule_id": "building_leaks", "subject": "building:7", "first_at": START.isoformat()}])


def live() -> tuple[Followed, Live]:
    followed = Followed(messages(CITY, FAULTS, START, 8, 1))
    assert sum(1 for _ in followed) > 2_000
    return followed, Live(CITY, FAULTS, followed.last, 1)


def test_live_readings_go_on_counting_where_the_history_stopped() -> None:
    """Sequence numbers run on, registers never fall, whole pulses stay whole."""
    followed, speaking = live()
    last = dict(followed.last)
    pulse = {device.code: device.pulse_ml for device in CITY.devices}
    for second in range(500):
        message = speaking.tick(START + timedelta(seconds=second))
        before = last[message.device]
        assert message.seq == (before.seq + 1) % 65_536
        if message.index_ml is not None:
            assert before.index_ml is not None
            assert message.index_ml >= before.index_ml
            assert message.index_ml % (pulse[message.device] or 1) == 0
        last[message.device] = before._replace(seq=message.seq, index_ml=message.index_ml, at=message.at)


def test_a_leak_on_demand_ends_in_a_high_alarm_at_the_asked_moment() -> None:
    """The last message is the level 2 alarm of now; unknown detectors are refused."""
    _, speaking = live()
    code = speaking.detectors[0].code
    fired = speaking.leak(START, code)
    assert [json.loads(message.payload).get("level") for message in fired] == [None, 1, 2]
    assert fired[-1].at == START
    assert {message.device for message in fired} == {code}
    with pytest.raises(ValueError, match="no sound detector LD-99999"):
        speaking.leak(START, "LD-99999")


def test_after_a_pause_every_device_speaks_except_the_silent_ones() -> None:
    """Whoever spoke in the history and is still in place speaks once, going on with its numbers."""
    followed, speaking = live()
    said = list(speaking.everyone(START))
    silent = {c for f in FAULTS if f.name in ("device_silent", "gateway_silent") for c in f.devices}
    removed = {fitting.device for fitting in CITY.installations if fitting.removed_at}
    assert sorted(message.device for message in said) == sorted(set(followed.last) - silent - removed)
    assert all(message.seq == (followed.last[message.device].seq + 1) % 65_536 for message in said)
