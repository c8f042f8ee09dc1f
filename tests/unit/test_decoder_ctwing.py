"""CTWing AEP: three payload shapes, frames and fields inside, unknown states of detectors, and repeats."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import ctwing
from ingest.decoders.ctwing_samples import report
from ingest.decoders.flat_fields import Profile
from ingest.decoders.model import Asserted, Clock, Measured, Moment, Sample, Undecodable, Understood

_FRAME = bytes.fromhex("68307856341200000081161F9000563412002C000012002C0030080105242000007A16")
_AT = Moment(Clock.GATEWAY, datetime(2020, 12, 3, 7, 58, 40, 277_000, UTC))


def _decode(body: dict[str, Any]) -> Understood:
    return ctwing.decode("ctwing/push", json.dumps(body).encode())


def _app_data(data: bytes) -> dict[str, Any]:
    return report({"APPdata": base64.b64encode(data).decode()})


def _states(understood: Understood) -> list[tuple[str, str, int | None]]:
    return [(one.kind, one.state, one.level) for one in understood.observations if isinstance(one, Asserted)]


@pytest.mark.parametrize("sample", ctwing.SAMPLES, ids=lambda sample: str(len(sample.payload)))
def test_samples(sample: Sample) -> None:
    """Each sample becomes exactly what it says."""
    assert ctwing.decode(sample.topic, sample.payload) == sample.understood


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, ("leak_alarm", "cleared", None)), (1, ("leak_alarm", "raised", 1)), (2, ("leak_alarm", "raised", 2))],
)
def test_states_of_the_gas_sensor(value: int, said: tuple[str, str, int | None]) -> None:
    """0 is normal, 1 low and 2 high concentration; numbers written as text or with a fraction of 0 are the same."""
    for spelt in (value, str(value), float(value)):
        assert _states(_decode(report({"gas_sensor_state": spelt}))) == [said]


@pytest.mark.parametrize("value", [3, 7, "on", "", True, [1], {"v": 1}])
def test_an_unknown_state_of_the_gas_sensor_is_refused(value: object) -> None:
    """A state nobody declared is neither alarm nor safe."""
    with pytest.raises(Undecodable) as refused:
        _decode(report({"gas_sensor_state": value, "battery_value": 90}))
    assert refused.value.field == "payload.gas_sensor_state"


def test_a_missing_state_is_not_safe() -> None:
    """Fields of a gas detector without its state say nothing of gas, and no undeclared product is read by half."""
    with pytest.raises(Undecodable, match="no field of product 15017088 is declared"):
        _decode(report({"gas_value": 0, "battery_value": 100, "battery_voltage": 1.1}))


def test_a_product_that_is_not_declared_is_refused() -> None:
    """The profile message seen in the wild has an Alarm_Status of a meaning we do not know: quarantine, not silence."""
    service = {"serviceId": "notification", "serviceData": {"RSRP": 114, "Battery_Level": 100, "Alarm_Status": 2}}
    with pytest.raises(Undecodable, match="Alarm_Status"):
        _decode(report(service))


def test_a_declared_product_is_read_by_its_profile() -> None:
    """What the utility declares for a product counts before anything documented; the product's id is the key."""
    profile = Profile.model_validate(
        {
            "measures": {"Battery_Level": {"gives": "battery_pct"}, "RSRP": {"gives": "signal_dbm", "factor": -1}},
            "says": {"Alarm_Status": {"kind": "leak_alarm", "states": {"2": {"state": "raised", "level": 1}}}},
        }
    )
    service = {"serviceId": "n", "serviceData": {"RSRP": 114, "Battery_Level": 100, "Alarm_Status": 2, "SNR": 1}}
    payload = json.dumps(report(service, productId=15014772)).encode()
    found = ctwing.decode("ctwing/push", payload, {"15014772": profile}.get)
    device = "00000000000000000000000000000002"
    assert found.observations == (
        Measured(device, _AT, battery_pct=100.0, signal_dbm=-114),
        Asserted(device, _AT, "leak_alarm", "raised", level=1),
    )
    assert found.unread == ("payload.serviceData.SNR",)


def test_a_value_beyond_reason_does_not_hide_an_alarm() -> None:
    """255 percent of battery is a code for unknown: unread, while the alarm stands."""
    found = _decode(report({"gas_sensor_state": 1, "battery_value": 255, "battery_voltage": "low"}))
    assert _states(found) == [("leak_alarm", "raised", 1)]
    assert found.unread == ("payload.battery_value", "payload.battery_voltage")


def test_a_frame_inside() -> None:
    """A CJ/T 188 frame in APPdata, as bytes or as hexadecimal text: the meter's clock, its address as the register."""
    want = (
        Measured(
            "00000000000000000000000000000002",
            Moment(Clock.METER, datetime(2024, 5, 1, 8, 30)),  # noqa: DTZ001
            "00000012345678",
            index_ml=1_234_560_000,
        ),
    )
    for data in (_FRAME, b"\xfe\xfe" + _FRAME, _FRAME.hex().encode()):
        assert _decode(_app_data(data)).observations == want
    assert _decode(report({"data": _FRAME.hex()})).observations == want
    assert _decode(report({"data": base64.b64encode(_FRAME).decode()})).observations == want


def test_a_spoilt_frame_inside_is_refused() -> None:
    """A wrong checksum is said, and nothing is read."""
    with pytest.raises(Undecodable, match="checksum"):
        _decode(_app_data(_FRAME[:20] + b"\x01" + _FRAME[21:]))


def test_json_inside_json() -> None:
    """APPdata may hold JSON: its fields are read by the product's profile, the published example's are not declared."""
    assert _states(_decode(_app_data(b'{"gas_sensor_state": 2}'))) == [("leak_alarm", "raised", 2)]
    with pytest.raises(Undecodable, match="declared: b, c, id, tm"):
        _decode(_app_data(b'{"b":[{"id":"222","v":"1"}],"c":27,"id":1609231209767,"tm":1609231209767}'))


def test_vendor_bytes_are_refused_by_name() -> None:
    """The published binary example is neither frame nor JSON."""
    data = base64.b64decode("AQFWMS4wAAAAACMAAAAH/wAlMDAwMDAwMDAwMDAwMDAwAAEAMjUAODAAAAAAAAABAQAAAAEAAASD")
    with pytest.raises(Undecodable, match="neither a JSON object nor a frame"):
        _decode(_app_data(data))


def test_events_are_read_like_data() -> None:
    """An event report carries its fields in eventContent."""
    body = report(None, messageType="eventReport", eventContent={"gas_sensor_state": 1}, serviceId=1001)
    assert _states(_decode(body)) == [("leak_alarm", "raised", 1)]


def test_identity_is_text() -> None:
    """A device id of digits, even sent as a number, is text; IMSI `undefined` is nobody's."""
    found = _decode(report({"gas_sensor_state": 0}, deviceId=1501708501, IMSI="undefined"))
    assert [one.device for one in found.observations if isinstance(one, Asserted)] == ["1501708501"]


@pytest.mark.parametrize("timestamp", [None, 16069823202770, 1606982320, "soon", 1.5])
def test_a_timestamp_of_unknown_unit_is_no_time(timestamp: object) -> None:
    """Only 13 digits are milliseconds; anything else is named, and the moment is the arrival."""
    found = _decode(report({"gas_sensor_state": 0}, timestamp=timestamp))
    assert [one.moment for one in found.observations] == [Moment(Clock.ARRIVAL)]
    assert ("timestamp" in found.unread) == (timestamp is not None)


def test_repeats_have_one_key() -> None:
    """Counted packets are told apart by their number; -1 and empty are no numbers."""
    body = report({"gas_sensor_state": 0}, upPacketSN=4, upDataSN=1)
    assert (
        _decode(body).message_key == _decode(body).message_key == "00000000000000000000000000000002:4:1:1606982320277"
    )
    assert _decode(report({"gas_sensor_state": 0})).message_key is None
    assert _decode(report({"gas_sensor_state": 0}, upPacketSN="")).message_key is None


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"productId": None}, "productId"),
        ({"deviceId": ""}, "deviceId"),
        ({"deviceId": "a\x00b"}, "deviceId"),
        ({"messageType": "commandResponse"}, "messageType"),
        ({"messageType": "deviceOnlineOfflineReport"}, "eventType"),
        ({"payload": None}, "payload"),
        ({"payload": {"APPdata": "###"}}, "payload.APPdata"),
        ({"payload": {}}, "product"),
    ],
)
def test_complaints_name_the_field(more: dict[str, Any], field: str) -> None:
    """A missing field, or one of the wrong kind, is refused by its full name."""
    with pytest.raises(Undecodable) as refused:
        _decode(report({"gas_sensor_state": 0}) | more)
    assert refused.value.field == field


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(payload: bytes) -> None:
    """Random bytes give Undecodable and nothing else."""
    with pytest.raises(Undecodable):
        ctwing.decode("ctwing/push", payload)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_DETECTOR = {"gas_sensor_state": 1, "battery_voltage": 3.1, "battery_value": 90, "error_code": 0}


@given(st.sampled_from(sorted(report(None))), st.sampled_from(sorted(_DETECTOR)), _JSON, st.booleans())
def test_any_field_may_be_anything(outer: str, inner: str, value: Any, inside: bool) -> None:
    """A field replaced by any JSON gives an answer or Undecodable, never anything else."""
    body = report(_DETECTOR | {inner: value}) if inside else report(_DETECTOR) | {outer: value}
    with suppress(Undecodable):
        _decode(body)


@given(st.binary(max_size=80))
def test_any_app_data_is_read_or_refused(data: bytes) -> None:
    """Random bytes in APPdata give an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        _decode(_app_data(data))
