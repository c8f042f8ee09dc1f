"""Native messages: every example of the specification, every rule, and no bytes that make the decoder raise."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.formats import FORMATS, message_digest, read_message, topic_filters
from ingest.model import Decoded, Event, QuarantineReason, Rejected, Report
from ingest.payload import REASON_CODES, decode_native

_DOCS = (Path(__file__).parents[2] / "docs" / "payloads.md").read_text("utf-8")
_EXAMPLES = re.findall(r"```json (gas/v1/\S+)\n(.*?)```", _DOCS, re.DOTALL)
_READINGS = "gas/v1/D01/GW-1/readings"
_EVENTS = "gas/v1/D01/GW-1/events"
_STATUS = "gas/v1/D01/GW-1/status"
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _body(**fields: Any) -> bytes:
    return json.dumps({"device": "M-1", "seq": 1, "at": "2026-11-20T10:00:00Z", "index_ml": 5} | fields).encode()


def _event_body(**fields: Any) -> bytes:
    body = {
        "device": "M-1",
        "seq": 1,
        "at": "2026-11-20T10:00:00Z",
        "event": "leak_alarm",
        "state": "raised",
        "level": 1,
    }
    return json.dumps(body | fields).encode()


def _only(decoded: Decoded | Rejected) -> Any:
    assert isinstance(decoded, Decoded), decoded
    return decoded.items[0]


def test_the_specification_has_examples() -> None:
    """All eight messages that the specification shows are found."""
    assert len(_EXAMPLES) == 8


@pytest.mark.parametrize(("topic", "payload"), _EXAMPLES)
def test_every_example_of_the_specification_is_accepted(topic: str, payload: str) -> None:
    """What the specification shows decodes to the device and moment it names."""
    item = _only(decode_native(topic, payload.encode()))
    body = json.loads(payload)
    assert item.at == datetime.fromisoformat(body["at"])
    if "device" in body:
        assert (item.device, item.seq) == (body["device"], body["seq"])


def test_reason_codes_are_those_of_the_specification() -> None:
    """Every reason word and number of the specification, and no other."""
    section = _DOCS.split("### Reason codes")[1].split("###")[0]
    assert {word: int(number) for word, number in re.findall(r"`(\w+)` (\d+)", section)} == REASON_CODES


@pytest.mark.parametrize("sample", FORMATS["native"].samples, ids=lambda sample: sample.topic)
def test_samples_beside_the_decoder_give_exactly_their_items(sample: Any) -> None:
    """The registry's samples are what the decoder makes of them."""
    decoded = FORMATS["native"].decode(sample.topic, sample.payload)
    assert isinstance(decoded, Decoded)
    assert decoded.items == sample.items


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (_body(device=5), "device"),
        (_body(device=""), "device"),
        (_body(device="x" * 65), "device"),
        (_body(device="a\0b"), "device"),
        (_body(seq=-1), "seq"),
        (_body(seq=65_536), "seq"),
        (_body(seq=1.5), "seq"),
        (_body(seq=True), "seq"),
        (_body(seq="1"), "seq"),
        (_body(at="2026-11-20T10:00:00"), "at"),
        (_body(at="2026-13-20T10:00:00Z"), "at"),
        (_body(at=1_700_000_000), "at"),
        (_body(at="1700000000"), "at"),
        (_body(index_ml=-1), "index_ml"),
        (_body(index_ml=10**16), "index_ml"),
        (_body(index_ml=5.0), "index_ml"),
        (_body(flow_lh=-0.1), "flow_lh"),
        (_body(lel_pct=110.1), "lel_pct"),
        (_body(rsrp_dbm=0), "rsrp_dbm"),
        (_body(battery_mv=0), "battery_mv"),
        (_body(status=65_536), "status"),
        (_body(reason="because"), "reason"),
        (_body(indexml=5), "indexml"),
        (_body(hourly={"from": "2026-11-19T00:30:00Z", "index_ml": [1]}), "hourly.from"),
        (_body(hourly={"from": "2026-11-19T00:00:00Z", "index_ml": []}), "hourly.index_ml"),
        (_body(hourly={"from": "2026-11-19T00:00:00Z", "index_ml": [1] * 25}), "hourly.index_ml"),
        (_body(hourly={"from": "2026-11-19T00:00:00Z", "index_ml": [-1]}), "hourly.index_ml.0"),
        (b'{"device": "M-1", "seq": 1, "at": "2026-11-20T10:00:00Z"}', "index_ml"),
        (b'{"device": "M-1", "seq": 1, "at": "2026-11-20T10:00:00Z", "flow_lh": NaN}', "flow_lh"),
    ],
)
def test_a_broken_rule_names_its_field(payload: bytes, field: str) -> None:
    """A reading that breaks one rule is refused with the name of the field."""
    rejected = decode_native(_READINGS, payload)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.detail.split(":")[0]) == (QuarantineReason.INVALID_FIELD, field)


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (_event_body(level=None), "level"),
        (_event_body(level=3), "level"),
        (_event_body(state="open"), "state"),
        (_event_body(event="valve", state="raised"), "state"),
        (_event_body(event="earthquake"), "event"),
        (_event_body(event="hold_test", state="raised"), "state"),
        (_event_body(event="tilt", state="abnormal"), "state"),
        (_event_body(cause="x" * 65), "cause"),
        (_event_body(test="yes"), "test"),
    ],
)
def test_a_broken_rule_of_an_event_names_its_field(payload: bytes, field: str) -> None:
    """An event that breaks one rule is refused with the name of the field."""
    rejected = decode_native(_EVENTS, payload)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.detail.split(":")[0]) == (QuarantineReason.INVALID_FIELD, field)


@pytest.mark.parametrize("payload", [b"", b"{", b"[1]", b"7", b"\xff\xfe", b'{"a": 1} x', b'"text"', b"null"])
def test_what_is_not_one_json_object_is_not_json(payload: bytes) -> None:
    """Broken JSON, JSON of another kind and bytes that are no UTF-8 have a reason of their own."""
    rejected = decode_native(_READINGS, payload)
    assert isinstance(rejected, Rejected)
    assert rejected.reason is QuarantineReason.NOT_JSON


@pytest.mark.parametrize(
    "topic",
    ["gas/v1/D01/GW-1", "gas/v1/D01/GW-1/other", "gas/v1/D01/GW 1/readings", "gas/v1//GW/readings",
     "gas/v2/D/G/readings", "gas/v1/D01/" + "x" * 65 + "/readings", "gas/v1/D01/GW-1/readings\n", ""],
)  # fmt: skip
def test_a_topic_outside_the_scheme_is_refused(topic: str) -> None:
    """The topic is judged before the bytes."""
    rejected = decode_native(topic, b"{")
    assert isinstance(rejected, Rejected)
    assert rejected.reason is QuarantineReason.BAD_TOPIC


def test_null_and_absent_are_both_unknown() -> None:
    """A field that is null reads like one that is not there, and neither is zero."""
    report: Report = _only(decode_native(_READINGS, _body(flow_lh=None, hourly=None, status=None)))
    assert (report.flow_lh, report.status, report.frozen_ml) == (None, None, ())


def test_every_zone_becomes_utc() -> None:
    """The same moment in another zone gives the same reading."""
    here: Report = _only(decode_native(_READINGS, _body(at="2026-11-20T18:00:00+08:00")))
    assert here.at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert here.at.utcoffset() == timedelta(0)


def test_a_test_alarm_says_so() -> None:
    """The `test` mark survives, and an absent one means a real alarm."""
    real: Event = _only(decode_native(_EVENTS, _event_body()))
    test: Event = _only(decode_native(_EVENTS, _event_body(test=True)))
    assert (real.test, test.test) == (False, True)


def test_a_large_payload_is_refused_and_only_its_beginning_is_kept() -> None:
    """Above 65,536 bytes the message is refused; its digest and length are those of the whole."""
    payload = _body() + b" " * 65_536
    message = read_message(_READINGS, payload, _NOW)
    assert isinstance(message.content, Rejected)
    assert message.content.reason is QuarantineReason.TOO_LARGE
    assert (len(message.payload), message.payload_bytes) == (4_096, len(payload))
    assert message.digest == message_digest(_READINGS, payload)


def test_exactly_the_limit_is_accepted() -> None:
    """65,536 bytes are not too many."""
    payload = _body()
    message = read_message(_READINGS, payload + b" " * (65_536 - len(payload)), _NOW)
    assert isinstance(message.content, Decoded)


def test_a_slot_subscribes_to_its_areas() -> None:
    """Without areas a slot hears everything below the version, bad topics included."""
    assert topic_filters(()) == ["gas/v1/#"]
    assert topic_filters(("D01", "D02")) == ["gas/v1/D01/#", "gas/v1/D02/#"]


@given(payload=st.binary(max_size=200))
def test_no_bytes_make_the_decoder_raise(payload: bytes) -> None:
    """Random bytes are refused with a reason."""
    assert isinstance(decode_native(_READINGS, payload), Rejected)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    topic=st.sampled_from([_READINGS, _EVENTS, _STATUS]),
    body=st.dictionaries(
        st.sampled_from(["device", "seq", "at", "index_ml", "hourly", "state", "event", "session"]), _JSON
    ),
)
def test_no_json_makes_the_decoder_raise(topic: str, body: dict[str, Any]) -> None:
    """Objects with the right names and wrong values are decoded or refused, and a refusal names a field."""
    found = decode_native(topic, json.dumps(body).encode())
    if isinstance(found, Rejected):
        assert ":" in found.detail


@given(
    seq=st.integers(0, 65_535),
    index=st.none() | st.integers(0, 10**15),
    flow=st.none() | st.floats(0, 1e6),
    at=st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    hours=st.lists(st.none() | st.integers(0, 10**15), min_size=1, max_size=24),
)
def test_what_a_reading_says_is_what_is_read(
    seq: int, index: int | None, flow: float | None, at: datetime, hours: list[int | None]
) -> None:
    """Every value of a valid reading comes out unchanged."""
    start = at.replace(minute=0, second=0, microsecond=0)
    hourly = {"from": start.isoformat(), "index_ml": hours}
    payload = _body(seq=seq, index_ml=index, flow_lh=flow, at=at.isoformat(), hourly=hourly)
    report: Report = _only(decode_native(_READINGS, payload))
    assert (report.seq, report.index_ml, report.flow_lh, report.at) == (seq, index, flow, at)
    assert (report.frozen_from, report.frozen_ml) == (start, tuple(hours))
