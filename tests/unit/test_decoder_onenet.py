"""OneNET: bodies of every kind, and timestamps whose digits do not fit their unit."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import onenet
from ingest.decoders.model import Clock, Measured, Moment, Sample, Undecodable, Understood

_FRAME = "68307856341200000081161F9000563412002C000012002C0030080105242000007A16"


def _decode(body: object, datastream: str = "data", /, **more: Any) -> Understood:
    message = {
        "sysProperty": {"messageType": "deviceDatapoint", "productId": "90273"},
        "appProperty": {"deviceId": "102839", "dataTimestamp": 1598094742900, "datastream": datastream},
        "body": body,
    } | more
    return onenet.decode("onenet/push", json.dumps(message).encode())


@pytest.mark.parametrize("sample", onenet.SAMPLES, ids=lambda sample: str(len(sample.payload)))
def test_samples(sample: Sample) -> None:
    """Each sample becomes exactly what it says; the documented 14-digit timestamp tells no time."""
    assert onenet.decode(sample.topic, sample.payload) == sample.understood


@pytest.mark.parametrize(
    ("body", "datastream"),
    [({"temperature": 30, "humidity": "47%"}, "weather"), (10, "heat"), ("sunny", "weather")],
)
def test_the_documented_bodies_are_not_declared(body: object, datastream: str) -> None:
    """Object, number and text are read alike: these fields mean nothing to us until someone declares them."""
    with pytest.raises(Undecodable, match="declared"):
        _decode(body, datastream)


def test_a_text_may_be_a_frame() -> None:
    """A meter's frame as a text body is known by its checksum."""
    (found,) = _decode(_FRAME, "3200_0_5505").observations
    assert isinstance(found, Measured)
    assert (found.register, found.index_ml, found.moment.clock) == ("00000012345678", 1_234_560_000, Clock.METER)


def test_volumes_are_exact() -> None:
    """A decimal on the wire is that decimal: no float comes between."""
    (found,) = _decode(99999999.999999, "cumulative_m3").observations
    assert isinstance(found, Measured)
    assert found.index_ml == 99_999_999_999_999


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"sysProperty": {"messageType": "deviceLifeCycle", "productId": "1"}}, "sysProperty.messageType"),
        ({"sysProperty": {"messageType": "deviceDatapoint"}}, "sysProperty.productId"),
        ({"appProperty": {"datastream": "x"}}, "appProperty.deviceId"),
        ({"appProperty": {"deviceId": "1"}}, "appProperty.datastream"),
        ({"body": None}, "body"),
    ],
)
def test_complaints_name_the_field(more: dict[str, Any], field: str) -> None:
    """A missing field is refused by its full name."""
    with pytest.raises(Undecodable) as refused:
        _decode(1.5, "cumulative_m3", **more)
    assert refused.value.field == field


def test_a_message_without_time_is_dated_by_its_arrival() -> None:
    """No dataTimestamp, no time."""
    (found,) = _decode(1.5, "cumulative_m3", appProperty={"deviceId": "1", "datastream": "cumulative_m3"}).observations
    assert found.moment == Moment(Clock.ARRIVAL)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    _JSON,
    st.sampled_from(["cumulative_m3", "gas_sensor_state"]),
    st.sampled_from(["body", "appProperty", "sysProperty"]),
)
def test_anything_is_read_or_refused(value: Any, datastream: str, key: str) -> None:
    """Any JSON in any place gives an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        _decode(1, datastream, **{key: value})


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(payload: bytes) -> None:
    """Random bytes give Undecodable and nothing else."""
    with pytest.raises(Undecodable):
        onenet.decode("onenet/push", payload)
