"""ChirpStack v4 and v3: samples, left-out fields, identities, and the choice of a device's codec."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import chirpstack
from ingest.decoders.chirpstack_samples import uplink
from ingest.decoders.model import Asserted, Clock, Liveness, Measured, Moment, Sample, Undecodable, Understood

_EUI = "24e124460c000001"
_TOPIC = f"application/gas/device/{_EUI}/event/up"


def _up(**more: Any) -> bytes:
    return uplink(_EUI, "GS101", 85, "BY4B", **more)


def _without(*keys: str) -> bytes:
    body = json.loads(_up())
    for key in keys:
        del body[key]
    return json.dumps(body).encode()


def _alarm(understood: Understood) -> Asserted:
    found = understood.observations[0]
    assert isinstance(found, Asserted)
    return found


@pytest.mark.parametrize("sample", chirpstack.SAMPLES, ids=lambda sample: sample.topic.rsplit("/", 1)[1])
def test_samples(sample: Sample) -> None:
    """Each sample becomes exactly what it says."""
    assert chirpstack.decode(sample.topic, sample.payload) == sample.understood


def test_the_documented_example_asks_for_the_device_type() -> None:
    """The example of the documentation, of a device we know no codec for, is refused by name, not read at a venture."""
    body = {
        "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d",
        "time": "2022-07-18T09:34:15.775023242+00:00",
        "deviceInfo": {"deviceProfileName": "Test device-profile", "devEui": "0101010101010101", "tags": {"k": "v"}},
        "devAddr": "00189440", "dr": 1, "fPort": 1, "data": "qg==",
        "rxInfo": [{"gatewayId": "0016c001f153a14c", "uplinkId": 4217106255, "rssi": -36, "snr": 10.5}],
    }  # fmt: skip
    topic = "application/17c82e96-be03-4f38-aef3-f83d48582d97/device/0101010101010101/event/up"
    with pytest.raises(Undecodable, match="register its type") as refused:
        chirpstack.decode(topic, json.dumps(body).encode())
    assert refused.value.field == "device type"


def test_a_registered_type_chooses_the_codec() -> None:
    """The registry's word counts, not the profile's; a registered type without a codec is refused."""
    payload = uplink(_EUI, "some profile", 2, "BY4B")
    seen = []

    def codec_of(device: str) -> str:
        seen.append(device)
        return "milesight-gs101"

    assert _alarm(chirpstack.decode(_TOPIC, payload, codec_of)).state == "raised"
    assert seen == [_EUI]
    with pytest.raises(Undecodable, match="no codec is called"):
        chirpstack.decode(_TOPIC, payload, lambda _: "vendor-x")


def test_an_unregistered_device_needs_both_profile_and_port() -> None:
    """A GS101 on another port is not taken for one."""
    with pytest.raises(Undecodable, match="register its type"):
        chirpstack.decode(_TOPIC, uplink(_EUI, "GS101", 84, "BY4B"))


def test_the_left_out_counter_is_zero() -> None:
    """Older v4 leaves out what is 0: the first uplink after a join has no fCnt."""
    assert _alarm(chirpstack.decode(_TOPIC, _without("fCnt"))).seq == 0


def test_floats_for_whole_numbers_are_read() -> None:
    """Some serializers write every number as a float."""
    assert _alarm(chirpstack.decode(_TOPIC, _up(fCnt=12.0, fPort=85.0))).seq == 12


def test_nanoseconds_are_cut_to_microseconds() -> None:
    """The moment is the network server's, in UTC, to the microsecond."""
    at = datetime(2022, 7, 18, 7, 34, 15, 775_023, UTC)
    assert _alarm(chirpstack.decode(_TOPIC, _up(time="2022-07-18T09:34:15.775023942+02:00"))).moment == Moment(
        Clock.GATEWAY, at
    )


def test_without_a_time_the_moment_is_the_arrival() -> None:
    """No time in the message is no time, not the time of decoding."""
    assert _alarm(chirpstack.decode(_TOPIC, _without("time"))).moment == Moment(Clock.ARRIVAL)


def test_a_script_s_reading_is_never_used() -> None:
    """`object` says normal, the bytes say alarm: the bytes count. Without bytes there is nothing to read."""
    payload = _up(object={"gas_status": "normal"})
    assert _alarm(chirpstack.decode(_TOPIC, payload)).state == "raised"
    with pytest.raises(Undecodable) as refused:
        chirpstack.decode(_TOPIC, _up(object={"gas_status": "alarm"}, data=""))
    assert refused.value.field == "data"


def test_an_uplink_without_bytes_says_that_the_device_was_heard() -> None:
    """The strongest of several receptions is kept; a gateway that sends no rssi is passed over."""
    receptions = [{"rssi": -110}, {"rssi": -71, "snr": 3}, {}, {"rssi": "?"}]
    found = chirpstack.decode(_TOPIC, _up(data="", rxInfo=receptions)).observations
    assert [(one.signal_dbm, one.lel_pct) for one in found if isinstance(one, Measured)] == [(-71, None)]


def test_nobody_speaks_for_another_device() -> None:
    """The DevEUI of the topic, which the broker guards, and of the body must be the same."""
    with pytest.raises(Undecodable, match="not the DevEUI of the topic"):
        chirpstack.decode("application/gas/device/24e124460c000002/event/up", _up())


def test_identity_is_text() -> None:
    """An EUI of digits only stays text, leading zeros and all; case does not make another device."""
    eui = "0000000000000012"
    found = chirpstack.decode(f"application/7/device/{eui}/event/up", uplink(eui, "GS101", 85, "BY4B"))
    assert _alarm(found).device == eui
    upper = chirpstack.decode(_TOPIC.replace(_EUI, _EUI.upper()), _up())
    assert _alarm(upper).device == _EUI


@pytest.mark.parametrize("eui", ["24e124460c000001", "JOEkRgwAAAE="])
@pytest.mark.parametrize("suffix", ["rx", "event/up"])
def test_version_3(eui: str, suffix: str) -> None:
    """v3: DevEUI in hexadecimal or base64, time in rxInfo, objectJSON text, topics ending in /rx, no key."""
    body = {
        "applicationID": "123", "applicationName": "gas", "deviceName": "kitchen", "devEUI": eui,
        "deviceProfileName": "GS101",
        "rxInfo": [
            {"gatewayID": "AwMDAwMDAwM=", "time": None, "rssi": -80, "loRaSNR": 10},
            {"gatewayID": "AwMDAwMDAwQ=", "time": "2016-11-25T16:24:37.295915988Z", "rssi": -57},
        ],
        "adr": False, "fCnt": 10, "fPort": 85, "data": "BY4A", "objectJSON": '{"gas_status":"alarm"}',
    }  # fmt: skip
    at = Moment(Clock.GATEWAY, datetime(2016, 11, 25, 16, 24, 37, 295_915, UTC))
    found = chirpstack.decode(f"application/123/device/{_EUI}/{suffix}", json.dumps(body).encode())
    assert found == Understood(
        "lorawan",
        chirpstack.NAME,
        "123",
        (
            Asserted(_EUI, at, "leak_alarm", "cleared", seq=10),
            Measured(_EUI, at, seq=10, signal_dbm=-57),
        ),
        f"{_EUI}:10:2016-11-25T16:24:37.295915+00:00",
    )


@pytest.mark.parametrize(
    ("level", "battery_pct"),
    [
        ({"batteryLevel": 88.3}, 88.3),
        ({}, None),
        ({"batteryLevel": 0, "externalPowerSource": True}, None),
        ({"batteryLevel": 0, "batteryLevelUnavailable": True}, None),
    ],
)
def test_battery_level(level: dict[str, Any], battery_pct: float | None) -> None:
    """A level that is left out, unavailable or of a device on mains is unknown, not 0."""
    body = {"time": "2022-07-18T09:35:06Z", "deviceInfo": {"devEui": _EUI}, "margin": 10} | level
    found = chirpstack.decode(_TOPIC.replace("/up", "/status"), json.dumps(body).encode()).observations
    assert [one.battery_pct for one in found if isinstance(one, Measured)] == [battery_pct]


def test_a_join_is_a_birth() -> None:
    """A join says that the device is there, in the session of its new address."""
    found = chirpstack.decode(_TOPIC.replace("/up", "/join"), _up()).observations
    assert [(one.device, one.state, one.session) for one in found if isinstance(one, Liveness)] == [
        (_EUI, "online", "78000003")
    ]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"data": "BY4"}, "data"),
        ({"data": 7}, "data"),
        ({"data": "BY4B" * 200}, "data"),
        ({"fCnt": -1}, "fCnt"),
        ({"fCnt": "12"}, "fCnt"),
        ({"fPort": 300}, "fPort"),
        ({"time": "yesterday"}, "time"),
        ({"time": "2022-07-18T09:34:15"}, "time"),
        ({"deviceInfo": {"devEui": 12}}, "deviceInfo.devEui"),
        ({"rxInfo": {}}, "rxInfo"),
    ],
)
def test_complaints_name_the_field(more: dict[str, Any], field: str) -> None:
    """A field of the wrong kind is refused by its name."""
    with pytest.raises(Undecodable) as refused:
        chirpstack.decode(_TOPIC, _up(**more))
    assert refused.value.field == field


@pytest.mark.parametrize("topic", ["", "application/gas/device/x/event/log", "v3/a/devices/b/up", "application/a/b/c"])
def test_other_topics_are_refused(topic: str) -> None:
    """Log, ack and txack events measure nothing; we do not subscribe to them."""
    with pytest.raises(Undecodable) as refused:
        chirpstack.decode(topic, _up())
    assert refused.value.field == "topic"


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(payload: bytes) -> None:
    """Random bytes give Undecodable and nothing else."""
    with pytest.raises(Undecodable):
        chirpstack.decode(_TOPIC, payload)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(json.loads(_up()))), _JSON, st.sampled_from(["up", "join", "status"]))
def test_any_field_may_be_anything(key: str, value: Any, event: str) -> None:
    """A field replaced by any JSON gives an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        chirpstack.decode(_TOPIC.replace("/up", f"/{event}"), _up(**{key: value}))


@given(st.integers(0, len(_up()) - 1))
def test_every_cut_message_is_refused(end: int) -> None:
    """No prefix of a message is a message."""
    with pytest.raises(Undecodable):
        chirpstack.decode(_TOPIC, _up()[:end])
