"""What may be an alarm among messages that cannot be stored, and what the rules make of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.binding import bind_message
from ingest.formats import read_message
from ingest.model import Refused
from ingest.unread import UnreadAlarm, unread_alarms
from rules.catalog import default_catalog
from rules.folding import DEVICES_TOLD_MAX, raise_or_fold
from rules.model import Alert, Reason, Transition
from rules.notices.wording import write
from rules.unread import Unread, alarm_unread
from tests.ingest_city import event, known_directory, reading, topic
from tests.unit.test_notice_wording import FACTS, SETTING

_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_LONG_AGO = datetime(1970, 1, 1, 0, 3, tzinfo=UTC)
(_RULE,) = default_catalog().of_kind("alarm_unread")


def _noted(payload: bytes, gateway: str = "GW-1", kind: str = "events") -> list[UnreadAlarm]:
    refused = bind_message(0, read_message(topic(gateway, kind), payload, _NOW), known_directory())
    assert isinstance(refused, Refused)
    return list(unread_alarms(refused))


@pytest.mark.parametrize(
    ("payload", "gateway", "event_", "device"),
    [
        (event("LD-new", at=_NOW), "GW-1", "leak_alarm", "LD-new"),
        (event("LD-GW-2", at=_NOW), "GW-1", "leak_alarm", "LD-GW-2"),
        (event("LD-GW-1", at=_NOW), "GW-9", "leak_alarm", "LD-GW-1"),
        (event("LD-GW-1", at=_LONG_AGO), "GW-1", "leak_alarm", "LD-GW-1"),
        (event("LD-GW-1", at=_NOW + timedelta(days=30), event="co_alarm"), "GW-1", "co_alarm", "LD-GW-1"),
        (b'{"device": "LD-7", "event": "leak_alarm", "state": "raised", "level": 2}', "GW-1", "leak_alarm", "LD-7"),
        (b'{"device": "LD-GW-1", "event": "leak_alarm", "state": "on"', "GW-1", "leak_alarm", "LD-GW-1"),
        (b'{"device": "LD-GW-1", "event": "gas!", "state": "raised"}', "GW-1", "unknown", "LD-GW-1"),
        (b"\x00\xff\x01", "GW-1", "unknown", None),
        (b'{"event": "leak_alarm", ' + b" " * 70_000, "GW-1", "leak_alarm", None),
    ],
)  # fmt: skip
def test_what_may_be_an_alarm_is_noted(payload: bytes, gateway: str, event_: str, device: str | None) -> None:
    """Strangers, impossible times, missing and broken fields, half messages, rubbish where events come."""
    (one,) = _noted(payload, gateway)
    assert (one.event, one.device, one.gateway, one.level) == (event_, device, gateway, 2)


@pytest.mark.parametrize(
    "payload",
    [
        event("LD-new", at=_NOW, state="cleared"),
        event("LD-new", at=_NOW, test=True),
        event("LD-new", at=_NOW, event="low_battery"),
        b'{"device": "LD-GW-1", "event": "low_battery", "state": "raised"}',
        b'{"device": "LD-GW-1", "event": "leak_alarm", "state": "cleared"}',
        b'{"device": "LD-GW-1", "event": "leak_alarm", "state": "raised", "level": 2, "test": true}',
        b"",
    ],
)
def test_what_is_no_alarm_is_not_noted(payload: bytes) -> None:
    """Clears, self-tests, other events, an empty message."""
    assert _noted(payload) == []


def test_gas_in_a_report_that_cannot_be_stored_is_noted() -> None:
    """From the lowest permitted set-point on, or when the detector says why it reports; rubbish readings are not."""
    (one,) = _noted(reading("LD-new", at=_NOW, lel_pct=31.0), kind="readings")
    assert (one.event, one.lel_pct) == ("gas_measured", 31.0)
    assert _noted(reading("LD-new", at=_NOW, lel_pct=0.4, reason="detector_alarm"), kind="readings")
    assert _noted(reading("LD-new", at=_NOW, lel_pct=4.9), kind="readings") == []


@pytest.mark.parametrize(
    ("kind", "payload", "event_", "lel_pct"),
    [
        ("events", b'{"device": "LD-GW-1", "event": "leak_alarm", "state": "raised", "level": 1, "lel_pct": 30}',
         "leak_alarm", 30.0),
        ("events", b'{"device": "LD-GW-1", "event": "leak_alarm", "state": "raised", "lel_pct": 999.5}',
         "leak_alarm", None),
        ("readings", b'{"device": "LD-GW-1", "seq": 9, "lel_pct": 12.5}', "gas_measured", 12.5),
    ],
)  # fmt: skip
def test_the_concentration_is_read_where_the_rest_is_broken(
    kind: str, payload: bytes, event_: str, lel_pct: float | None
) -> None:
    """A missing time hides no gas, in an event or in a reading; a figure that no detector shows is none."""
    (one,) = _noted(payload, kind=kind)
    assert (one.event, one.lel_pct, one.device) == (event_, lel_pct, "LD-GW-1")


def test_a_broken_reading_without_gas_is_not_noted() -> None:
    """Below the lowest permitted set-point, or without a figure."""
    assert _noted(b'{"device": "LD-GW-1", "seq": 9, "lel_pct": 4.9}', kind="readings") == []
    assert _noted(b'{"device": "LD-GW-1", "seq": 9, "flow_lh": 40}', kind="readings") == []
    assert _noted(b"rubbish", kind="readings") == []


@given(st.binary(max_size=200), st.sampled_from(["events", "readings", "status"]))
def test_no_bytes_break_it(payload: bytes, kind: str) -> None:
    """Whatever comes is noted or not; nothing that comes with readings and names no alarm is."""
    refused = bind_message(0, read_message(topic("GW-1", kind), payload, _NOW), known_directory())
    if isinstance(refused, Refused):
        found = list(unread_alarms(refused))
        assert len(found) == (1 if kind == "events" and payload else 0)


def _unread(**said: Any) -> Unread:
    fields: dict[str, Any] = {
        "subject": "gateway:1", "place": "GW-1", "kind": "gateway", "area": "D01", "event": "leak_alarm", "level": 2,
        "lel_pct": None, "claimed_gateway": "GW-1", "claimed_device": "LD-new", "reason": "unknown_device",
        "detail": "device: no native device LD-new is registered", "last_received_at": _NOW, "times": 1,
    }  # fmt: skip
    return Unread(**(fields | said))


@pytest.mark.parametrize(
    ("said", "severity"),
    [
        ({}, "critical"),
        ({"level": 1}, "major"),
        ({"level": 1, "lel_pct": 20.0}, "critical"),
        ({"event": "unknown"}, "major"),
        ({"event": "unknown", "lel_pct": 55.0}, "critical"),
        ({"event": "gas_measured", "lel_pct": 7.0}, "critical"),
    ],
)
def test_what_is_known_to_be_an_alarm_is_worse_than_what_may_be_one(said: dict[str, Any], severity: str) -> None:
    """A low set-point and what nobody can read are major; everything else known about gas is critical."""
    (finding,) = alarm_unread(_RULE, [_unread(**said)])
    assert finding.severity == severity
    assert (finding.first_at, finding.subject) == (_NOW, "gateway:1")


def test_its_sentence_says_where_to_look() -> None:
    """Of a stranger the gateway is all that is known; of a stranger's gateway the area."""
    (by_gateway,) = alarm_unread(_RULE, [_unread()])
    assert by_gateway.sentence == (
        "LD-new sent a leak alarm by gateway GW-1, which could not be stored (device: no native device LD-new is "
        "registered); LD-new is not registered: look where gateway GW-1 is"
    )
    (by_area,) = alarm_unread(_RULE, [_unread(subject="district:1", place="D01", kind="district")])
    assert by_area.sentence.endswith("all that is known is the area")


def test_a_stranger_cannot_write_lines_of_a_notice() -> None:
    """The name it gives itself is shown without line breaks and control characters, a long reason is cut."""
    said = _unread(claimed_device="LD\nCLEARED\x1b[0m", detail="device: no native device LD\nCLEARED " + "x " * 400)
    (finding,) = alarm_unread(_RULE, [said])
    assert finding.sentence.startswith("LD?CLEARED?[0m sent a leak alarm")
    assert finding.sentence.isprintable()
    assert len(finding.sentence) < 400


def _step(alert: Alert | None, minute: int, **said: Any) -> Transition:
    at = _NOW + timedelta(minutes=minute)
    (finding,) = alarm_unread(_RULE, [_unread(**({"last_received_at": at, "lel_pct": 30.0} | said))])
    return raise_or_fold(_RULE, alert, [], finding, at)


def test_a_second_unregistered_detector_behind_a_gateway_is_told() -> None:
    """The gateway has one alert; somebody on the way to one home must hear of the other. Repeats are told to nobody."""
    first = _step(None, 0).alert
    again = _step(first, 1)
    assert (again.reason, again.step) == (Reason.REPEATED, None)
    other = _step(again.alert, 2, claimed_device="LD-other")
    assert (other.reason, other.step) == (Reason.ANOTHER_DEVICE, "repeated")
    assert (other.note or "").startswith("LD-other sent a leak alarm")
    assert _step(other.alert, 3, claimed_device="LD-other").reason is Reason.REPEATED
    assert _step(other.alert, 3).reason is Reason.REPEATED
    gassier = _step(other.alert, 4, claimed_device="LD-third", lel_pct=60.0)
    assert (gassier.reason, gassier.step) == (Reason.ANOTHER_DEVICE, "worse")


def test_made_up_names_page_only_so_often() -> None:
    """A stranger that names a new device each time is told of so many times, and then no more."""
    alert = _step(None, 0).alert
    reasons = []
    for minute in range(1, 2 * DEVICES_TOLD_MAX):
        step = _step(alert, minute, claimed_device=f"LD-{minute}")
        alert = step.alert
        reasons.append(step.reason)
    assert reasons.count(Reason.ANOTHER_DEVICE) == DEVICES_TOLD_MAX - 1
    assert reasons[-1] is Reason.REPEATED


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, "LD-new 经网关 GW-1 传来燃气泄漏报警，但消息无法入库"),
        ({"event": "co_alarm", "claimed_device": None}, "未报名称的设备 经网关 GW-1 传来一氧化碳报警，"),
        ({"event": "unknown", "claimed_gateway": None}, "LD-new 经未知网关传来可能是报警的消息，"),
        ({"claimed_device": "LD\nOK"}, "LD?OK 经网关 GW-1 传来"),
    ],
)
def test_its_chinese_names_device_gateway_and_gas(said: dict[str, Any], sentence: str) -> None:
    """As the English does: by whom, through which gateway, of what; carbon monoxide is no gas leak."""
    alert = _step(None, 0, **said).alert
    assert alert is not None
    facts = replace(FACTS, rule_id="alarm_unread", gateway="GW-of-the-registry", evidence=alert.evidence)
    assert sentence in write(facts, "zh", SETTING).body
