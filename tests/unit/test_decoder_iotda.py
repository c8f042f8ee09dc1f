"""Huawei IoTDA: the body inside or outside, basic ISO times, several services, states, and the older form."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import iotda
from ingest.decoders.model import Clock, Liveness, Measured, Moment, Sample, Undecodable, Understood

_HEADER = {"device_id": "d-1", "product_id": "P1", "gateway_id": "d-1", "node_id": "N1"}
_METER = {"service_id": "GasMeter", "properties": {"cumulative_m3": 1.5}, "event_time": "20151212T121212Z"}


def _decode(body: object, inside: bool = True, **more: Any) -> Understood:
    notified: dict[str, Any] = {"header": _HEADER}
    message = {"resource": "device.property", "event": "report", "event_time": "20151212T121213Z", "request_id": "r-1"}
    whole: dict[str, Any] = message | {"notify_data": notified}
    (notified if inside else whole)["body"] = body
    return iotda.decode("iotda/push", json.dumps(whole | more).encode())


@pytest.mark.parametrize("sample", iotda.SAMPLES, ids=lambda sample: str(len(sample.payload)))
def test_samples(sample: Sample) -> None:
    """Each sample becomes exactly what it says."""
    assert iotda.decode(sample.topic, sample.payload) == sample.understood


@pytest.mark.parametrize("inside", [True, False])
def test_the_body_may_stand_inside_or_outside(inside: bool) -> None:
    """The tables put it into notify_data, the examples beside it."""
    at = Moment(Clock.GATEWAY, datetime(2015, 12, 12, 12, 12, 12, tzinfo=UTC))
    assert _decode({"services": [_METER]}, inside).observations == (Measured("d-1", at, index_ml=1_500_000),)


def test_a_service_without_a_time_has_the_messages() -> None:
    """Each service has its own moment, or that of the notification."""
    services = [_METER, {"service_id": "Again", "properties": {"cumulative_m3": 2}}]
    found = _decode({"services": services}).observations
    assert [one.moment.at and one.moment.at.second for one in found] == [12, 13]


def test_a_service_that_is_not_declared_is_named() -> None:
    """It does not hide the others; alone it makes the message refused."""
    other = {"service_id": "Signal", "properties": {"SNR": 3}}
    found = _decode({"services": [other, _METER]})
    assert (len(found.observations), found.unread) == (1, ("notify_data.body.services[0].properties",))
    with pytest.raises(Undecodable, match="SNR"):
        _decode({"services": [other]})


def test_an_unknown_state_of_a_detector_refuses_the_message() -> None:
    """A meter beside it does not make it pass."""
    detector = {"service_id": "Gas", "properties": {"gas_sensor_state": 9}}
    with pytest.raises(Undecodable) as refused:
        _decode({"services": [_METER, detector]})
    assert refused.value.field == "notify_data.body.services[1].properties.gas_sensor_state"


def test_a_gateway_of_its_own_is_the_gateway() -> None:
    """gateway_id is the device itself when it is connected directly: then the product stands for it."""
    assert _decode({"services": [_METER]}).gateway == "P1"
    notified = {"header": _HEADER | {"gateway_id": "G-9"}, "body": {"services": [_METER]}}
    assert _decode(None, notify_data=notified).gateway == "G-9"


@pytest.mark.parametrize(
    ("status", "state", "cause"),
    [("ONLINE", "online", None), ("OFFLINE", "offline", None), ("ABNORMAL", "offline", "abnormal")],
)
def test_states(status: str, state: str, cause: str | None) -> None:
    """A device is there or gone."""
    (found,) = _decode({"status": status}, resource="device.status").observations
    assert isinstance(found, Liveness)
    assert (found.device, found.state, found.cause) == ("d-1", state, cause)


def test_a_frozen_account_says_nothing_of_the_device() -> None:
    """FROZEN and INACTIVE are states of the registration."""
    with pytest.raises(Undecodable, match="FROZEN"):
        _decode({"status": "FROZEN"}, resource="device.status")


def test_the_older_form() -> None:
    """deviceDataChanged carries one service, deviceDatasChanged several; times are basic ISO as well."""
    service = {
        "serviceId": "GasMeter",
        "serviceType": "GasMeter",
        "data": {"cumulative_m3": 1.5},
        "eventTime": "20151212T121212Z",
    }
    older = {
        "notifyType": "deviceDataChanged",
        "deviceId": "d-1",
        "gatewayId": "G-9",
        "requestId": "r-2",
        "service": service,
    }
    at = Moment(Clock.GATEWAY, datetime(2015, 12, 12, 12, 12, 12, tzinfo=UTC))
    want = Understood("iotda", iotda.NAME, "G-9", (Measured("d-1", at, index_ml=1_500_000),), "r-2")
    assert iotda.decode("iotda/push", json.dumps(older).encode()) == want
    several: dict[str, object] = {key: value for key, value in older.items() if key != "service"}
    several |= {"notifyType": "deviceDatasChanged", "services": [service]}
    assert iotda.decode("iotda/push", json.dumps(several).encode()) == want


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"notify_data": None}, "notify_data"),
        ({"notify_data": {"header": {"product_id": "P"}, "body": {}}}, "notify_data.header.device_id"),
        ({"notify_data": {"header": _HEADER}}, "body"),
        ({"resource": "device.message"}, "resource"),
        ({"event_time": "20151312T121212Z"}, "event_time"),
        ({"event_time": "20151212T121212"}, "event_time"),
        ({"notifyType": "deviceAdded"}, "notifyType"),
        ({"notify_data": {"header": _HEADER, "body": {"services": []}}}, "notify_data.body.services"),
    ],
)
def test_complaints_name_the_field(more: dict[str, Any], field: str) -> None:
    """A missing field, or one of the wrong kind, is refused by its full name."""
    with pytest.raises(Undecodable) as refused:
        _decode({"services": [_METER]}, **more)
    assert refused.value.field == field


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON, st.sampled_from(["resource", "event_time", "event_time_ms", "request_id", "notify_data", "notifyType"]))
def test_any_field_may_be_anything(value: Any, key: str) -> None:
    """A field replaced by any JSON gives an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        _decode({"services": [_METER]}, **{key: value})
    with suppress(Undecodable):
        _decode({"services": [_METER | {"properties": value}]})
    with suppress(Undecodable):
        _decode(value, resource="device.status")


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(payload: bytes) -> None:
    """Random bytes give Undecodable and nothing else."""
    with pytest.raises(Undecodable):
        iotda.decode("iotda/push", payload)
