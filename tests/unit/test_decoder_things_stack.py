"""The Things Stack v3: samples, left-out fields, simulated uplinks, and the documentation's own example."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import things_stack
from ingest.decoders.model import Asserted, Clock, Liveness, Measured, Moment, Sample, Undecodable, Understood
from ingest.decoders.things_stack_samples import uplink

_TOPIC = "v3/app1@tenant1/devices/det-7/up"
_EUI = "24e124460c000001"


def _body(**more: Any) -> dict[str, Any]:
    return uplink("det-7", _EUI.upper(), "gs101", 85, "BY4B", **more)


def _decode(body: dict[str, Any], topic: str = _TOPIC) -> Understood:
    return things_stack.decode(topic, json.dumps(body).encode())


def _alarm(understood: Understood) -> Asserted:
    found = understood.observations[0]
    assert isinstance(found, Asserted)
    return found


@pytest.mark.parametrize("sample", things_stack.SAMPLES, ids=lambda sample: sample.topic)
def test_samples(sample: Sample) -> None:
    """Each sample becomes exactly what it says, the official Watteco batch among them."""
    assert things_stack.decode(sample.topic, sample.payload) == sample.understood


def test_left_out_fields_are_zero_and_false() -> None:
    """The first uplink after a join has no f_cnt: it is number 0; without `simulated` it is real."""
    body = _body()
    del body["uplink_message"]["f_cnt"]
    found = _alarm(_decode(body))
    assert (found.seq, found.simulated) == (0, False)


def test_an_uplink_without_a_port_is_read_by_its_type() -> None:
    """The documentation's own example has no f_port: unknown, not 0."""
    body = _body()
    del body["uplink_message"]["f_port"]
    assert _alarm(_decode(body)).state == "raised"


def test_simulated_marks_every_observation_and_blocks_no_real_one() -> None:
    """Test data is marked throughout, and has no key under which a real uplink could be taken for its repeat."""
    found = _decode(_body() | {"simulated": True})
    assert all(one.simulated for one in found.observations if isinstance(one, Asserted | Measured))
    assert len(found.observations) == 2
    assert found.message_key is None


def test_keys_tell_sessions_apart() -> None:
    """The counter starts again with each session; number 1 of another session is another uplink."""
    first, again = _decode(_body()), _decode(_body())
    other = _decode(_body(session_key_id="AYqW"))
    assert first.message_key == again.message_key == f"{_EUI}:AXA50tHUGUucuzS/bCGMNw==:1"
    assert other.message_key not in (None, first.message_key)


def test_open_edition_has_no_tenant() -> None:
    """Without @tenant the application alone is the gateway."""
    assert _decode(_body(), "v3/app1/devices/det-7/up").gateway == "app1"


def test_a_device_without_an_eui_is_its_id() -> None:
    """Devices of old networks may have none: then their id in the application is their identity."""
    body = _body()
    del body["end_device_ids"]["dev_eui"]
    assert _alarm(_decode(body)).device == "det-7"


def test_nobody_speaks_for_another_device() -> None:
    """Topic and body must name the same device."""
    with pytest.raises(Undecodable, match="not the device of the topic"):
        _decode(_body(), "v3/app1@tenant1/devices/det-8/up")


def test_a_join_is_a_birth() -> None:
    """A join accept says that the device is there, in its new session."""
    body = {
        "end_device_ids": {"device_id": "det-7", "dev_eui": _EUI.upper()},
        "received_at": "2020-02-12T15:15:46.1Z",
        "join_accept": {"session_key_id": "AXBSH1Pk6Z0G166Q3WIaDw==", "received_at": "2020-02-12T15:15:45.123456789Z"},
    }
    at = Moment(Clock.GATEWAY, datetime(2020, 2, 12, 15, 15, 45, 123_456, UTC))
    found = _decode(body, "v3/app1@tenant1/devices/det-7/join")
    assert found.observations == (Liveness("app1@tenant1", _EUI, "online", "AXBSH1Pk6Z0G166Q3WIaDw==", at),)


def test_the_documented_example_asks_for_the_device_type() -> None:
    """The uplink of the documentation is of a device without a codec of ours."""
    with pytest.raises(Undecodable, match="register its type"):
        _decode(uplink("det-7", _EUI, "the-things-uno", 1, "gkHe", decoded_payload={"temperature": 1.0}))


def test_a_script_s_reading_alone_is_refused() -> None:
    """`decoded_payload` without bytes is what someone made of them."""
    with pytest.raises(Undecodable) as refused:
        _decode(_body(frm_payload="", decoded_payload={"state": "abnormal"}))
    assert refused.value.field == "uplink_message.frm_payload"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "end_device_ids"),
        ({"end_device_ids": {"device_id": "det-7"}}, "uplink_message"),
        (_body(f_cnt=-1), "uplink_message.f_cnt"),
        (_body(frm_payload="BY4"), "uplink_message.frm_payload"),
        (_body() | {"simulated": "no"}, "simulated"),
        (_body(rx_metadata=[7]), "uplink_message.rx_metadata"),
        (_body(received_at="2020-02-12"), "uplink_message.received_at"),
    ],
)
def test_complaints_name_the_field(body: dict[str, Any], field: str) -> None:
    """A missing field, or one of the wrong kind, is refused by its full name."""
    with pytest.raises(Undecodable) as refused:
        _decode(body)
    assert refused.value.field == field


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(payload: bytes) -> None:
    """Random bytes give Undecodable and nothing else."""
    with pytest.raises(Undecodable):
        things_stack.decode(_TOPIC, payload)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(_body()["uplink_message"])), _JSON)
def test_any_field_may_be_anything(key: str, value: Any) -> None:
    """A field replaced by any JSON gives an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        _decode(_body(**{key: value}))
