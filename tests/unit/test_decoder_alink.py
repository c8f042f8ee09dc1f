"""Alibaba Alink: bare values and values with a time, posts and notices, names unique in their product only."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import alink
from ingest.decoders.model import Asserted, Clock, Measured, Moment, Sample, Undecodable, Understood

_POST = "/sys/pk/meter-7/thing/event/property/post"
_AT = datetime(2018, 4, 23, 1, 58, 42, tzinfo=UTC)


def _decode(params: object, topic: str = _POST) -> Understood:
    return alink.decode(
        topic, json.dumps({"id": "1", "params": params, "method": "thing.event.property.post"}).encode()
    )


@pytest.mark.parametrize("sample", alink.SAMPLES, ids=lambda sample: sample.topic)
def test_samples(sample: Sample) -> None:
    """Each sample becomes exactly what it says."""
    assert alink.decode(sample.topic, sample.payload) == sample.understood


def test_the_documented_post_is_not_declared() -> None:
    """WF and Power mean nothing to us until someone declares them."""
    with pytest.raises(Undecodable, match="Power, WF"):
        _decode({"Power": {"value": "on", "time": 1524448722000}, "WF": {"value": 23.6, "time": 1524448722000}})


def test_posts_tell_the_devices_clock_and_notices_the_platforms() -> None:
    """The two are never mixed."""
    value = {"cumulative_m3": {"value": 1.5, "time": 1524448722000}}
    assert _decode(value).observations == (Measured("pk/meter-7", Moment(Clock.METER, _AT), index_ml=1_500_000),)
    notice = alink.decode("thing/notify/pk/meter-7/property", json.dumps(value).encode())
    assert notice.observations == (Measured("pk/meter-7", Moment(Clock.GATEWAY, _AT), index_ml=1_500_000),)


def test_an_event_has_one_time() -> None:
    """An event's values stand in `value`, their time beside it."""
    params = {"value": {"gas_sensor_state": 2}, "time": 1524448722000}
    found = _decode(params, "/sys/pk/det-1/thing/event/gas_alarm/post").observations
    assert found == (Asserted("pk/det-1", Moment(Clock.METER, _AT), "leak_alarm", "raised", level=2),)


def test_a_name_is_of_its_product() -> None:
    """Two products may have a device of the same name: they are two devices."""
    one, other = (_decode({"cumulative_m3": 1}, f"/sys/{pk}/m/thing/event/property/post") for pk in ("pk1", "pk2"))
    assert [one.device for one in (*one.observations, *other.observations) if isinstance(one, Measured)] == [
        "pk1/m",
        "pk2/m",
    ]


def test_a_time_of_unknown_unit_is_no_time() -> None:
    """Ten digits may be seconds, or not: named, and the moment is the arrival."""
    found = _decode({"cumulative_m3": {"value": 1, "time": 1524448722}})
    assert [one.moment for one in found.observations] == [Moment(Clock.ARRIVAL)]
    assert found.unread == ("params.cumulative_m3.time",)


@pytest.mark.parametrize(
    "topic", ["", "/sys/pk/d/thing/event/property/post_reply", "/sys/pk/thing/event/property/post"]
)
def test_other_topics_are_refused(topic: str) -> None:
    """Replies and foreign topics are none of ours."""
    with pytest.raises(Undecodable) as refused:
        _decode({"cumulative_m3": 1}, topic)
    assert refused.value.field == "topic"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "time", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_JSON, st.sampled_from(["property", "alarm"]))
def test_anything_is_read_or_refused(value: Any, event: str) -> None:
    """Any JSON in any place gives an answer or Undecodable, never anything else."""
    topic = _POST.replace("property", event)
    with suppress(Undecodable):
        _decode(value, topic)
    with suppress(Undecodable):
        _decode({"cumulative_m3": value, "value": {"gas_sensor_state": value}}, topic)


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(payload: bytes) -> None:
    """Random bytes give Undecodable and nothing else."""
    with pytest.raises(Undecodable):
        alink.decode(_POST, payload)
