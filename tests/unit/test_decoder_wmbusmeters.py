"""wmbusmeters JSON: the five gas drivers' outputs, meter times without a zone, status words, dirty ids, alarms."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders.model import Asserted, Clock, Liveness, Measured, Moment, Sample, Undecodable, Understood
from ingest.decoders.wmbusmeters import SAMPLES, decode

_TELEGRAM = {
    "_": "telegram",
    "media": "gas",
    "meter": "aerius",
    "name": "kitchen",
    "id": "99100001",
    "total_m3": 6842.784,
    "timestamp": "2026-11-20T00:12:31Z",
}
_HEARD = Moment(Clock.GATEWAY, datetime(2026, 11, 20, 0, 12, 31, tzinfo=UTC))


def _decode(**changes: Any) -> Understood:
    body = {key: value for key, value in (_TELEGRAM | changes).items() if value is not ...}
    return decode("wmbusmeters/x", json.dumps(body).encode())


def _measured(**changes: Any) -> Measured:
    (one,) = (seen for seen in _decode(**changes).observations if isinstance(seen, Measured))
    return one


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.topic)
def test_samples_give_exactly_what_they_say(sample: Sample) -> None:
    """Each driver's output becomes the observations beside it."""
    assert decode(sample.topic, sample.payload) == sample.understood


def test_the_order_of_keys_and_whole_numbers_change_nothing() -> None:
    """wmbusmeters orders keys as its internals fall, and prints 917 for 917.000."""
    turned = json.dumps(dict(reversed(list((_TELEGRAM | {"total_m3": 917}).items())))).encode()
    assert decode("wmbusmeters/x", turned) == _decode(total_m3=917.0)
    assert _measured(total_m3=917).index_ml == 917_000_000


def test_identity_is_text_as_it_came() -> None:
    """Leading zeros, letters that look like an exponent: all of it is the id."""
    assert [_measured(id=text).device for text in ("00043004", "004444dd", "1e5", "0x10")] == [
        "00043004",
        "004444dd",
        "1e5",
        "0x10",
    ]


@pytest.mark.parametrize("dirty", [43004, 1.5, None, "", True, [], "12\u000034", ...])
def test_an_id_that_is_not_text_is_refused(dirty: Any) -> None:
    """A bridge that turned the id into a number has lost zeros: nobody can tell which meter it was."""
    with pytest.raises(Undecodable) as raised:
        _decode(id=dirty)
    assert raised.value.field == "id"


def test_a_meter_time_stays_without_zone_and_the_receivers_is_utc() -> None:
    """unismart sends the time of its total; the receiver's own clock is then not used for it."""
    said = _measured(total_datetime="2026-10-25 02:30", meter_datetime="2026-10-25 02:31")
    assert said.moment == Moment(Clock.METER, datetime(2026, 10, 25, 2, 30))  # noqa: DTZ001 - zone-less on purpose
    assert _measured(total_datetime=None).moment == _HEARD


def test_a_receiver_that_gives_an_offset_is_brought_to_utc() -> None:
    """Any zone is understood; none is refused, for then nobody knows which."""
    assert _measured(timestamp="2026-11-20T01:12:31+01:00").moment == _HEARD
    with pytest.raises(Undecodable, match="timestamp"):
        _decode(timestamp="2026-11-20T00:12:31")


def test_no_time_at_all_is_arrival() -> None:
    """Without any time the value stands on its arrival; its age still counts."""
    assert _measured(timestamp=...).moment == Moment(Clock.ARRIVAL)
    assert _measured(timestamp=..., actuality_duration_s=90).moment == Moment(Clock.ARRIVAL, offset_s=-90.0)


@pytest.mark.parametrize("unset", ["1999-11-30", "1999-11-30 00:00", None, ...])
def test_a_billing_date_that_was_never_set_gives_no_billing_register(unset: Any) -> None:
    """1999-11-30 is an M-Bus date of all zeros; its 0 m3 is no reading."""
    key = "target_datetime" if unset == "1999-11-30 00:00" else "target_date"
    said = _decode(target_m3=0, **{key: unset})
    assert len(said.observations) == 1
    assert said.unread == ()


def test_a_billing_date_without_an_hour_is_named_and_no_hour_made_up() -> None:
    """A date is not a moment."""
    said = _decode(target_m3=911.32, target_date="2026-08-31")
    assert len(said.observations) == 1
    assert said.unread == ("target_m3: target_date has no hour",)


def test_absent_and_null_are_unknown_never_zero() -> None:
    """Nothing is made of what is not there."""
    said = _decode(total_m3=None, flow_m3h=..., temperature_c=None, status=None)
    assert said.observations == ()
    flow_only = _measured(total_m3=None, flow_m3h=0.125)
    assert (flow_only.index_ml, flow_only.flow_lh, flow_only.register) == (None, 125.0, None)


def test_status_words_of_the_standard_are_assertions() -> None:
    """Power low and permanent error have a word of ours, alarm and temporary error are faults."""
    said = _decode(status="POWER_LOW PERMANENT_ERROR ALARM TEMPORARY_ERROR BUSY").observations[1:]
    assert said == (
        Asserted("99100001", _HEARD, "low_battery", "raised", cause="POWER_LOW"),
        Asserted("99100001", _HEARD, "metering_fault", "raised", cause="PERMANENT_ERROR"),
        Asserted("99100001", _HEARD, "fault", "raised", cause="ALARM"),
        Asserted("99100001", _HEARD, "fault", "raised", cause="TEMPORARY_ERROR"),
    )


def test_a_status_of_ok_clears_nothing_and_sets_no_status_word() -> None:
    """OK says that no flag of this driver is set; it does not say that the valve is open or the battery full."""
    said = _decode(status="OK")
    assert [type(one) for one in said.observations] == [Measured]
    assert _measured(status="OK").status is None


def test_vendor_flags_of_no_known_meaning_are_named() -> None:
    """STATUS_FLAGS_CF0 is kept for people, not guessed to be a fault."""
    assert _decode(status="STATUS_FLAGS_CF0").unread == ("status: STATUS_FLAGS_CF0",)


def test_a_telegram_that_was_not_wholly_decoded_is_refused() -> None:
    """What stands beside DECODING_ERROR may be rubbish: the whole message goes to quarantine."""
    with pytest.raises(Undecodable, match="status"):
        _decode(status="DECODING_ERROR_payload")


@pytest.mark.parametrize(
    ("media", "driver", "is_gas"),
    [
        ("gas", "aerius", True),
        ("gas", "apator08", True),
        ("unknown", "elster", True),
        (..., "gwfgas", True),
        ("unknown", "apator08", False),
        ("water", "aerius", False),
        ("heat", "kamheat", False),
        (["gas"], "aerius", False),
    ],
)
def test_another_medium_is_never_read_as_gas(media: Any, driver: str, is_gas: bool) -> None:
    """M-Bus ids repeat between media: a water meter's total must not become a gas register."""
    said = _decode(media=media, meter=driver)
    assert bool(said.observations) is is_gas
    assert bool(said.unread) is not is_gas


def test_the_programs_own_test_telegrams_are_marked() -> None:
    """1111-11-11 is what wmbusmeters stamps in its test modes: it can never be taken for a live reading."""
    said = _measured(timestamp="1111-11-11T11:11:11Z")
    assert said.simulated
    assert not _measured().simulated


def test_signal_strength_of_a_receiver_that_cannot_tell_is_unknown() -> None:
    """0 dBm at the antenna is no signal strength."""
    assert (_measured(rssi_dbm=-97).signal_dbm, _measured(rssi_dbm=0).signal_dbm) == (-97, None)


@pytest.mark.parametrize(
    "kind", ["DeviceFailure", "RegularResetFailure", "SpecifiedDeviceNotFound", "DeviceInactivity"]
)
def test_alarms_are_plain_text_about_the_receiver(kind: str) -> None:
    """An alarm names no meter; its words are kept as the cause."""
    state = "stale" if kind == "DeviceInactivity" else "offline"
    assert decode("site7/wmbusmeters_alarm", f"{kind} dongle\tgone\n".encode()).observations == (
        Liveness("site7/wmbusmeters_alarm", None, state, None, Moment(Clock.ARRIVAL), cause=f"{kind}: dongle gone"),
    )


@pytest.mark.parametrize("payload", [b"", b"Something happened", b"\xff\xfe", b'{"id":"1"}'])
def test_an_alarm_of_no_known_type_is_refused(payload: bytes) -> None:
    """What is on the alarm topic and is no alarm goes to quarantine."""
    with pytest.raises(Undecodable, match="payload"):
        decode("wmbusmeters_alarm", payload)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"_": "meter"}, "_"),
        ({"meter": 7}, "meter"),
        ({"total_m3": "n/a"}, "total_m3"),
        ({"total_m3": True}, "total_m3"),
        ({"total_m3": -1}, "index_ml"),
        ({"total_m3": 1e300}, "index_ml"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 1795133551}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"timestamp": "0001-01-02T00:00:00Z", "actuality_duration_s": 2e9}, "actuality_duration_s"),
        ({"actuality_duration_s": -1}, "actuality_duration_s"),
        ({"total_datetime": "2026-02-30 00:00"}, "total_datetime"),
        ({"total_datetime": "2026-02-28T00:00:00Z"}, "total_datetime"),
        ({"status": 0}, "status"),
    ],
)
def test_what_breaks_a_rule_is_named(changes: dict[str, Any], field: str) -> None:
    """Undecodable says which field."""
    with pytest.raises(Undecodable) as raised:
        _decode(**changes)
    assert raised.value.field == field


def test_numbers_as_text_are_numbers() -> None:
    """Operators who wrap the JSON in templates quote the numbers."""
    assert _measured(total_m3="6842.784").index_ml == 6_842_784_000


@given(st.sampled_from(SAMPLES[:-1]), st.data())
def test_no_truncated_telegram_is_believed(sample: Sample, data: st.DataObject) -> None:
    """A JSON object cut anywhere is Undecodable."""
    with pytest.raises(Undecodable):
        decode(sample.topic, sample.payload[: data.draw(st.integers(0, len(sample.payload) - 1))])


@given(st.sampled_from(SAMPLES), st.data())
def test_mutated_bytes_raise_nothing_but_undecodable(sample: Sample, data: st.DataObject) -> None:
    """Whatever a line does to a telegram, the answer is an Understood or an Undecodable."""
    payload = bytearray(sample.payload)
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    _understood_or_not(sample.topic, bytes(payload))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_FIELDS = ("media", "meter", "id", "status", "timestamp", "total_m3", "target_m3", "target_date", "target_datetime",
           "total_datetime", "rssi_dbm", "device", "actuality_duration_s", "flow_m3h")  # fmt: skip


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=4))
def test_any_type_in_any_field_raises_nothing_but_undecodable(changes: dict[str, Any]) -> None:
    """Fields of the wrong type are refused or named, never stumbled over."""
    _understood_or_not("wmbusmeters/x", json.dumps(_TELEGRAM | changes).encode())


def _understood_or_not(topic: str, payload: bytes) -> None:
    try:
        assert isinstance(decode(topic, payload), Understood)
    except Undecodable as error:
        assert error.field  # noqa: PT017 - either way is right, but a refusal says what it refuses
