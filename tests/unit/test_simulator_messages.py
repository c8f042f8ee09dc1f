"""What the gateways publish: valid, in order, repeatable, and true to the gas that flowed."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from ingest.formats import read_message
from ingest.model import Rejected
from simulator.city import CityParams, build_city
from simulator.faults import Fault, Plan, plan_faults
from simulator.messages import BACKFILLED, Noise, messages
from simulator.model import City, Message
from simulator.occurrences import VALVE_CLOSED

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
DAYS = 12
SILENT = Noise(sent_again=0, late=0, lost=0, hour_unknown=0)


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(CityParams(now=NOW))


@pytest.fixture(scope="module")
def faults(city: City) -> tuple[Fault, ...]:
    return plan_faults(city, NOW, 1, DAYS)


@pytest.fixture(scope="module")
def said(city: City, faults: tuple[Fault, ...]) -> list[Message]:
    return list(messages(city, faults, NOW, DAYS, 1))


def by_device(said: list[Message]) -> dict[str, list[tuple[Message, dict[str, Any]]]]:
    found = defaultdict(list)
    for message in said:
        if message.device:
            found[message.device].append((message, json.loads(message.payload)))
    return found


@pytest.fixture(scope="module")
def spoken(said: list[Message]) -> dict[str, list[tuple[Message, dict[str, Any]]]]:
    return by_device(said)


def named(faults: tuple[Fault, ...], name: str) -> list[Fault]:
    return [fault for fault in faults if fault.name == name]


def test_every_payload_is_what_the_specification_allows(said: list[Message]) -> None:
    """The product's own decoder takes each one, on its topic."""
    for message in said:
        if message.kind != "lost":
            content = read_message(message.topic, message.payload, NOW).content
            assert not isinstance(content, Rejected), (message, content)


def test_the_play_is_as_long_as_a_demonstration_may_be(said: list[Message]) -> None:
    """Six to seven thousand messages for 400 homes and twelve days."""
    assert 6_000 < len(said) < 7_500


def test_the_same_seed_says_the_same_bytes(city: City, faults: tuple[Fault, ...], said: list[Message]) -> None:
    """Determinism, message by message."""
    assert list(messages(city, faults, NOW, DAYS, 1)) == said


def test_messages_come_in_order_of_sending_and_none_from_the_future(said: list[Message]) -> None:
    """Nothing is sent before it is made, nothing after now."""
    assert all(one.sent_at <= other.sent_at for one, other in pairwise(said))
    assert all(message.at <= message.sent_at <= NOW for message in said if message.device)


def test_every_gateway_is_born_before_it_speaks(city: City, said: list[Message]) -> None:
    """The first message of each is its birth, and sessions differ."""
    first: dict[str, Message] = {}
    for message in said:
        first.setdefault(message.gateway, message)
    assert set(first) == {gateway.code for gateway in city.gateways}
    assert all(message.kind == "status" for message in first.values())
    assert len({json.loads(message.payload)["session"] for message in first.values()}) == len(first)


def test_a_device_counts_its_messages_without_a_gap_except_for_lost_ones(
    city: City, spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """Without losses, sequence numbers run on modulo 65,536; repeats carry the number they had."""
    calm = by_device(list(messages(city, (), NOW, DAYS, 1, SILENT)))
    for heard in calm.values():
        for (one, _), (other, _) in pairwise(heard):
            assert other.seq == (one.seq + 1) % 65_536
    for heard in spoken.values():
        assert len({message.payload for message, _ in heard}) == len({message.seq for message, _ in heard})


def test_frozen_hours_of_following_days_join_without_losing_gas(city: City) -> None:
    """Undisturbed: the last hour of a day, the first of the next, and the index at the report rise together."""
    calm = by_device(list(messages(city, (), NOW, DAYS, 1, SILENT)))
    for heard in calm.values():
        reports = [body for message, body in heard if "hourly" in body]
        for body in reports:
            known = [value for value in body["hourly"]["index_ml"] if value is not None]
            assert known == sorted(known)
            assert body["index_ml"] >= known[-1]
        for one, other in pairwise(reports):
            ends = datetime.fromisoformat(one["hourly"]["from"]) + timedelta(days=1)
            assert ends == datetime.fromisoformat(other["hourly"]["from"])
            assert one["hourly"]["index_ml"][-1] <= one["index_ml"] <= other["hourly"]["index_ml"][-1]


def test_pulse_meters_tell_whole_pulses(city: City, spoken: dict[str, list[tuple[Message, dict[str, Any]]]]) -> None:
    """Every told register of a 10 L meter is a multiple of 10 L."""
    for device in city.devices:
        if device.pulse_ml == 10_000:
            for _, body in spoken[device.code]:
                told = [body.get("index_ml"), *body.get("hourly", {}).get("index_ml", [])]
                assert all(value % 10_000 == 0 for value in told if value is not None)


def test_one_moment_is_one_reading(spoken: dict[str, list[tuple[Message, dict[str, Any]]]]) -> None:
    """A device never tells two values for one moment: no report lies on a full hour, repeats are the same bytes."""
    for heard in spoken.values():
        at_moment = defaultdict(set)
        for message, _ in heard:
            if message.kind == "readings":
                at_moment[message.at].add(message.payload)
                assert message.at.minute or message.at.second or "hourly" not in message.payload.decode()
        assert all(len(payloads) == 1 for payloads in at_moment.values())


def test_a_retransmission_is_the_same_bytes_within_three_minutes(
    faults: tuple[Fault, ...], spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """Same number, same content, again."""
    for fault in named(faults, "retransmission"):
        sent = defaultdict(list)
        for message, _ in spoken[fault.devices[0]]:
            sent[message.payload].append(message.sent_at)
        assert [times[1] - times[0] for times in sent.values() if len(times) == 2]
        assert all(times[-1] - times[0] < timedelta(minutes=3) for times in sent.values())


def test_a_late_day_arrives_days_later_and_says_so(
    faults: tuple[Fault, ...], spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """Its moment is the day it was made, its reason is retry, its frozen day is the planted one."""
    for fault in named(faults, "late_day"):
        retried = [(message, body) for message, body in spoken[fault.devices[0]] if body.get("reason") == "retry"]
        days = {datetime.fromisoformat(body["hourly"]["from"]): message for message, body in retried}
        (message,) = [days[day] for day in days if day <= fault.start < day + timedelta(days=1)]
        assert message.at - fault.start < timedelta(days=1.2)
        assert timedelta(days=1) <= message.sent_at - message.at <= timedelta(days=4)


def test_power_loss_fills_hours_with_the_register_at_power_up(
    faults: tuple[Fault, ...], spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """Status bit 9, and the planted hours all tell what the hour after them tells."""
    for fault in named(faults, "power_loss"):
        filled = [body for _, body in spoken[fault.devices[0]] if body.get("status", 0) & BACKFILLED]
        values = filled[0]["hourly"]["index_ml"]
        first, length = int(fault.values["hour"]), int(fault.values["hours"])
        assert len({tuple(body["hourly"]["index_ml"]) for body in filled}) == 1
        assert set(values[first : first + length]) == {values[first + length]}


def test_silence_is_silent(
    faults: tuple[Fault, ...], spoken: dict[str, list[tuple[Message, dict[str, Any]]]], said: list[Message]
) -> None:
    """Nothing is made during a silence, and nothing of a silent gateway is even sent."""
    for fault in (*named(faults, "device_silent"), *named(faults, "gateway_silent")):
        for code in fault.devices:
            assert spoken[code]
            assert all(message.at < fault.start for message, _ in spoken[code])
    (gone,) = named(faults, "gateway_silent")
    assert [message.kind for message in said if message.gateway == gone.subject[1]][-1] == "lost"


def test_a_closed_valve_is_told_and_gas_flows_only_where_it_is_planted(
    faults: tuple[Fault, ...], spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """After the hour of closing: 20 L or more an hour through a faulty valve, not a drop through a good one."""
    for fault in (*named(faults, "flow_valve_closed"), *named(faults, "valve_closed_idle")):
        heard = spoken[fault.devices[0]]
        assert [body["state"] for message, body in heard if message.kind == "events"] == ["closed"]
        after = [body for message, body in heard if message.at > fault.start and "hourly" in body]
        assert all(body["status"] & VALVE_CLOSED for body in after)
        passed_ml = after[-1]["index_ml"] - after[0]["index_ml"]
        hours = (
            datetime.fromisoformat(after[-1]["at"]) - datetime.fromisoformat(after[0]["at"])
        ).total_seconds() / 3600
        if fault.alert:
            assert passed_ml / hours > 20_000
        else:
            assert passed_ml == 0


def test_a_fall_of_the_register_can_be_seen(
    faults: tuple[Fault, ...], spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """The planted drop, less what was used in that hour."""
    for fault in named(faults, "index_backwards"):
        told: list[int] = []
        for _, body in spoken[fault.devices[0]]:
            told += [value for value in body["hourly"]["index_ml"] if value is not None]
        assert min(other - one for one, other in pairwise(told)) < -0.5 * fault.values["drop_ml"]


def test_leaks_rise_through_the_low_to_the_high_alarm_and_are_not_cleared(
    city: City, faults: tuple[Fault, ...], spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """Levels in order, concentrations past the set-points, none of them a test, and still raised at now."""
    devices = {device.code: device for device in city.devices}
    for fault in named(faults, "leak_alarm"):
        events = [body for message, body in spoken[fault.devices[0]] if message.kind == "events"]
        assert [event["level"] for event in events] == ([1, 2] if fault.values["level"] == 2 else [1])
        assert all(event["state"] == "raised" and "test" not in event for event in events)
        assert events[0]["lel_pct"] >= (devices[fault.devices[0]].warn_lel_pct or 0)
        for meter in fault.devices[1:]:
            (valve,) = [body for message, body in spoken[meter] if message.kind == "events"]
            assert (valve["state"], valve["cause"]) == ("closed", "detector_alarm")


def test_harmless_detector_news_stays_harmless(
    city: City, faults: tuple[Fault, ...], spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """A self-test says that it is one; cooking and steam stay below the low set-point and raise no event."""
    devices = {device.code: device for device in city.devices}
    for fault in named(faults, "self_test"):
        events = [body for message, body in spoken[fault.devices[0]] if message.kind == "events"]
        assert [event["state"] for event in events] == ["raised", "cleared"]
        assert all(event["test"] for event in events)
    for fault in named(faults, "excursion"):
        heard = spoken[fault.devices[0]]
        assert all(message.kind == "readings" for message, _ in heard)
        assert 3 < max(body["lel_pct"] for _, body in heard) < (devices[fault.devices[0]].warn_lel_pct or 0)


def test_swapped_meters_speak_one_after_the_other(
    city: City, spoken: dict[str, list[tuple[Message, dict[str, Any]]]]
) -> None:
    """The old one until its removal, the new one from zero after it, unknown before."""
    for old in (fitting for fitting in city.installations if fitting.removed_at):
        (new,) = [f for f in city.installations if f.premises == old.premises and f.installed_at == old.removed_at]
        assert old.removed_at is not None
        assert max(message.at for message, _ in spoken[old.device]) < old.removed_at
        message, body = spoken[new.device][0]
        assert message.at > old.removed_at
        assert body["hourly"]["index_ml"][0] is None
        assert body["index_ml"] < 5_000_000


def test_a_spread_plan_clears_leaks_and_opens_valves_again(city: City) -> None:
    """In a long history a leak ends: cleared, and the valve that it closed is open again hours later."""
    plan = Plan(leak_alarm=12, spread=True)
    faults = plan_faults(city, NOW, 3, DAYS, plan)
    heard = by_device(list(messages(city, faults, NOW, DAYS, 3)))
    for fault in named(faults, "leak_alarm"):
        events = [body for message, body in heard[fault.devices[0]] if message.kind == "events"]
        assert events[-1]["state"] == "cleared"
        for meter in fault.devices[1:]:
            states = [body["state"] for message, body in heard[meter] if message.kind == "events"]
            assert states == ["closed", "open"]
