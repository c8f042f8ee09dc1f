"""Sparkplug B 3.0 as a host application: a test for each normative statement that binds what we do, by tck id."""

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders.model import Asserted, Clock, Liveness, Measured, Moment, Sample, Undecodable, Understood
from ingest.decoders.sparkplug import SAMPLES, TOPIC_FILTERS, Host, HostState, decode

_AT = datetime(2026, 11, 20, tzinfo=UTC)
_AT_MS = 1_795_132_800_000
_SENT = Moment(Clock.GATEWAY, _AT)
_ARRIVED = Moment(Clock.ARRIVAL)
_NODE = "PRS/edge-1"
_METER = "PRS/edge-1/M-7"
_INT32, _INT64, _UINT64, _FLOAT, _DOUBLE, _BOOLEAN, _STRING = 3, 4, 8, 9, 10, 11, 12


# --- an edge node, written by the book and not with the code under test -------------------------------------------


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def _tag(number: int, value: Any) -> bytes:
    """A protocol buffers field: varint, length-delimited, or fixed as the type of the value says."""
    if isinstance(value, float):
        return _varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(value)


def _f32(value: float) -> bytes:
    return _varint(12 << 3 | 5) + struct.pack("<f", value)


def _metric(
    name: str | None = None,
    value: bytes = b"",
    *,
    alias: int | None = None,
    datatype: int | None = None,
    at_ms: int | None = _AT_MS,
    properties: Mapping[str, int | str] | None = None,
    historical: bool = False,
    null: bool = False,
) -> bytes:
    out = _tag(1, name.encode()) if name is not None else b""
    out += _tag(2, alias) if alias is not None else b""
    out += _tag(3, at_ms) if at_ms is not None else b""
    out += _tag(4, datatype) if datatype is not None else b""
    out += _tag(5, 1) if historical else b""
    out += _tag(7, 1) if null else b""
    if properties:
        keys = b"".join(_tag(1, key.encode()) for key in properties)
        values = [_tag(3, one) if isinstance(one, int) else _tag(8, one.encode()) for one in properties.values()]
        out += _tag(9, keys + b"".join(_tag(2, one) for one in values))
    return _tag(2, out + value)


def _long(value: int) -> bytes:
    return _tag(11, value)


def _double(value: float) -> bytes:
    return _tag(13, float(value))


def _payload(*metrics: bytes, seq: int | None, at_ms: int | None = _AT_MS) -> bytes:
    out = _tag(1, at_ms) if at_ms is not None else b""
    return out + b"".join(metrics) + (_tag(3, seq) if seq is not None else b"")


def _bdseq(number: int) -> bytes:
    return _metric("bdSeq", _long(number), datatype=_INT64)


_REBIRTH_METRIC = _metric("Node Control/Rebirth", _tag(14, 0), datatype=_BOOLEAN)
_VOLUME = _metric("Volume", _double(100.5), alias=1, datatype=_DOUBLE, properties={"engUnit": "m3"})
_PRESSURE = _metric("Pressure", _tag(10, 2010), alias=2, datatype=7, properties={"engUnit": "Pa"})
_LEAK = _metric("Leak alarm", _tag(14, 0), alias=3, datatype=_BOOLEAN)


class _Edge:
    """An edge node and a host that hears it, message by message, with a clock that only we move."""

    def __init__(self, **parameters: Any) -> None:
        self.host, self.state, self.now = Host(**parameters), HostState(), _AT

    def hears(self, verb: str, payload: bytes, device: str | None = None, after_s: float = 0.0) -> Understood:
        self.now += timedelta(seconds=after_s)
        topic = f"spBv1.0/PRS/{verb}/edge-1" + (f"/{device}" if device else "")
        self.state, said = self.host.step(self.state, topic, payload, self.now)
        return said

    def born(self, seq: int = 0, bdseq: int = 0) -> "_Edge":
        self.hears("NBIRTH", _payload(_bdseq(bdseq), _REBIRTH_METRIC, seq=seq))
        self.hears("DBIRTH", _payload(_VOLUME, _PRESSURE, _LEAK, seq=(seq + 1) % 256), "M-7")
        return self

    def volume(self, m3: float, seq: int, after_s: float = 0.0, **more: Any) -> Understood:
        return self.hears("DDATA", _payload(_metric(None, _double(m3), alias=1, **more), seq=seq), "M-7", after_s)

    @property
    def node(self) -> Any:
        return self.state.nodes[_NODE]


def _volumes(said: Understood) -> list[int | None]:
    return [one.index_ml for one in said.observations if isinstance(one, Measured)]


def _lives(said: Understood) -> list[tuple[str | None, str]]:
    return [(one.device, one.state) for one in said.observations if isinstance(one, Liveness)]


def _asked(said: Understood) -> list[str]:
    return [request.topic for request in said.requests]


_NCMD = ["spBv1.0/PRS/NCMD/edge-1"]


# --- samples and topics --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.topic)
def test_samples_give_exactly_what_they_say(sample: Sample) -> None:
    """Each sample becomes the observations beside it, for a host that has heard nothing before."""
    assert decode(sample.topic, sample.payload) == sample.understood


@pytest.mark.parametrize(
    "topic",
    ["spBv1.0/PRS/NBIRTH", "spBv1.0/PRS/NDATA/e/d", "spBv1.0/PRS/DDATA/e", "spBv1.0/PRS/XDATA/e", "spAv1.0/PRS/NDATA/e",
     "spBv1.0//NDATA/e", "spBv1.0/STATE", "STATE/a/b", "spBv1.0/STATE/", ""],
)  # fmt: skip
def test_a_topic_of_another_form_is_refused(topic: str) -> None:
    """Namespace/group/verb/node[/device].

    tck-id-topics-nbirth-topic, -ndata-topic, -ddata-topic, -dbirth-topic, -ddeath-topic.
    """
    with pytest.raises(Undecodable) as raised:
        decode(topic, _payload(_bdseq(0), seq=0))
    assert raised.value.field == "topic"


def test_ids_that_differ_in_case_are_different() -> None:
    """It should not happen, and when it does nobody is taken for another.

    tck-id-case-sensitivity-sparkplug-ids.
    """
    said = [decode(f"spBv1.0/{group}/NBIRTH/e", _payload(_bdseq(0), seq=0)).gateway for group in ("Gas", "gas")]
    assert said == ["Gas/e", "gas/e"]


def test_commands_on_their_way_to_nodes_say_nothing() -> None:
    """tck-id-topics-ncmd-topic, -dcmd-topic: what hosts write is heard with the rest and is no reading."""
    assert decode("spBv1.0/PRS/NCMD/edge-1", b"anything").observations == ()
    assert decode("spBv1.0/PRS/DCMD/edge-1/M-7", b"anything").observations == ()


# --- births --------------------------------------------------------------------------------------------------------


def test_a_birth_says_who_is_there_and_its_current_values() -> None:
    """tck-id-topics-nbirth-metrics, -dbirth-metrics: name, type and value; a birth's values are readings."""
    edge = _Edge()
    said = edge.hears("NBIRTH", _payload(_bdseq(4), _REBIRTH_METRIC, seq=0))
    assert said.observations == (Liveness(_NODE, None, "online", "4", _SENT),)
    said = edge.hears("DBIRTH", _payload(_VOLUME, _PRESSURE, _LEAK, seq=1), "M-7")
    assert said.observations == (
        Liveness(_NODE, _METER, "online", "4", _SENT),
        Measured(_METER, _SENT, "Volume", index_ml=100_500_000, pressure_pa=2010),
        Asserted(_METER, _SENT, "leak_alarm", "cleared"),
    )
    assert said.requests == ()


@pytest.mark.parametrize("seq", [0, 7, 255])
def test_a_birth_may_start_at_any_sequence_number(seq: int) -> None:
    """Between 0 and 255, whatever 2.2 said; then one more, 255 wraps.

    tck-id-payloads-nbirth-seq, -sequence-num-req-nbirth.
    """
    assert _volumes(_Edge().born(seq).volume(101, (seq + 2) % 256)) == [101_000_000]


@pytest.mark.parametrize("verb", ["NBIRTH", "NDATA"])
@pytest.mark.parametrize("seq", [None, 256, 2**40])
def test_a_message_without_a_sequence_number_is_refused(verb: str, seq: int | None) -> None:
    """tck-id-payloads-sequence-num-always-included: every message but NDEATH, from 0 to 255."""
    edge = _Edge().born()
    before = edge.state
    with pytest.raises(Undecodable, match="seq"):
        edge.hears(verb, _payload(_bdseq(0), seq=seq))
    assert edge.state is before


def test_a_device_birth_before_the_node_birth_asks_for_a_rebirth() -> None:
    """tck-id-message-flow-device-birth-publish-nbirth-wait: NBIRTH comes first in a session."""
    said = _Edge().hears("DBIRTH", _payload(_VOLUME, seq=1), "M-7")
    assert (said.observations, _asked(said)) == ((), _NCMD)


def test_a_rebirth_replaces_what_was_known() -> None:
    """A birth has all metrics there will be; the old ones are gone.

    tck-id-operational-behavior-data-publish-nbirth.
    """
    edge = _Edge().born(bdseq=1)
    said = edge.hears("NBIRTH", _payload(_bdseq(1), seq=9))
    assert _lives(said) == [(_METER, "stale"), (None, "online")]
    assert _asked(edge.volume(101, 10)) == _NCMD


def test_a_new_session_ends_the_devices_of_the_old_one() -> None:
    """Another bdSeq is another connection, though its NDEATH never came.

    tck-id-topics-nbirth-bdseq-increment.
    """
    said = _Edge().born(bdseq=1).hears("NBIRTH", _payload(_bdseq(2), seq=0))
    assert _lives(said) == [(_METER, "offline"), (None, "online")]


# --- data ----------------------------------------------------------------------------------------------------------


def test_data_without_datatype_are_read_with_the_births() -> None:
    """Types should not be in data; a signed 32-bit -5 is 4294967291 on the wire.

    tck-id-payloads-metric-datatype-not-req.
    """
    edge = _Edge()
    edge.hears("NBIRTH", _payload(_bdseq(0), seq=0))
    born = _metric("Temperature", _tag(10, 20), alias=9, datatype=_INT32, properties={"engUnit": "°C"})
    edge.hears("DBIRTH", _payload(born, seq=1), "M-7")
    said = edge.hears("DDATA", _payload(_metric(None, _tag(10, 2**32 - 5), alias=9), seq=2), "M-7")
    assert [one.temperature_c for one in said.observations if isinstance(one, Measured)] == [-5.0]


def test_data_carry_only_the_alias() -> None:
    """tck-id-payloads-alias-data-cmd-requirement: name and unit are the birth's."""
    assert _Edge().born().volume(6842.784, 2).observations == (
        Measured(_METER, _SENT, "Volume", index_ml=6_842_784_000),
    )


def test_data_may_carry_the_name_where_no_alias_is_used() -> None:
    """tck-id-payloads-name-requirement: the name is there unless aliases are used."""
    said = _Edge().born().hears("DDATA", _payload(_metric("Volume", _double(7.0)), seq=2), "M-7")
    assert _volumes(said) == [7_000_000]


def test_an_alias_given_to_two_metrics_is_nobodys() -> None:
    """tck-id-payloads-alias-uniqueness: a value whose metric is in doubt is not stored as either."""
    edge = _Edge()
    edge.hears("NBIRTH", _payload(_bdseq(0), seq=0))
    twice = [
        _metric(name, _double(1.0), alias=1, datatype=_DOUBLE, properties={"engUnit": "m3"})
        for name in ("Volume", "Index")
    ]
    edge.hears("DBIRTH", _payload(*twice, seq=1), "M-7")
    said = edge.volume(5, 2)
    assert (said.observations, said.unread, _asked(said)) == ((), ("alias 1: not in the birth",), _NCMD)


def test_a_metric_that_is_not_in_the_birth_asks_for_a_rebirth() -> None:
    """tck-id-topics-dbirth-metric-reqs: the birth has every metric ever reported; so we missed one."""
    said = _Edge().born().hears("DDATA", _payload(_metric(None, _double(5.0), alias=77), seq=2), "M-7")
    assert (said.observations, _asked(said)) == ((), _NCMD)


def test_a_single_precision_value_is_the_number_it_was_written_for() -> None:
    """A Float of 6842.784 m3 is 6,842,784,000 ml, not the 6,842,784,180 of its nearest binary number."""
    edge = _Edge()
    edge.hears("NBIRTH", _payload(_bdseq(0), seq=0))
    born = _metric("Volume", _f32(6842.784), datatype=_FLOAT, properties={"engUnit": "m³"})
    assert _volumes(edge.hears("DBIRTH", _payload(born, seq=1), "M-7")) == [6_842_784_000]


@pytest.mark.parametrize(
    ("value", "datatype"),
    [
        (_tag(14, 1), _DOUBLE),
        (_double(float("nan")), _DOUBLE),
        (_tag(15, b"12"), _DOUBLE),
        (_tag(10, 300), 5),
        (_tag(16, b"x"), 17),
        (_long(2**63), None),
        (_tag(10, 0x1FF), 1),
    ],
)
def test_a_value_that_is_not_of_its_type_is_named_and_not_read(value: bytes, datatype: int | None) -> None:
    """tck-id-payloads-metric-datatype-value: a boolean, NaN, text or an oversized integer is no volume."""
    edge = _Edge()
    edge.hears("NBIRTH", _payload(_bdseq(0), seq=0))
    metric = _metric("Volume", value, datatype=datatype, properties={"engUnit": "m3"})
    said = edge.hears("DBIRTH", _payload(metric, seq=1), "M-7")
    assert (_volumes(said), said.unread) in (([], ("Volume: the value is not of its type",)), ([], ("Volume",)))


def test_a_null_metric_is_unknown_and_not_zero() -> None:
    """tck-id-operational-behavior-data-publish-dbirth-values: is_null, and no value."""
    edge = _Edge().born()
    said = edge.hears(
        "DDATA", _payload(_metric(None, alias=1, null=True), _metric(None, _tag(10, 2000), alias=2), seq=2), "M-7"
    )
    assert said.observations == (Measured(_METER, _SENT, None, pressure_pa=2000),)
    both = edge.hears("DDATA", _payload(_metric(None, _double(0), alias=1, null=True), seq=3), "M-7")
    assert both.observations == ()
    empty = edge.hears("DDATA", _payload(_metric(None, alias=1), seq=4), "M-7")
    assert (empty.observations, empty.unread) == ((), ("Volume: no value",))


def test_historical_metrics_are_marked_and_keep_their_own_times() -> None:
    """Stored while offline, out of chronological order.

    tck-id-operational-behavior-data-publish-dbirth-order.
    """
    edge = _Edge().born()
    old = _metric(None, _double(99.0), alias=1, at_ms=_AT_MS - 3_600_000, historical=True)
    said = edge.hears("DDATA", _payload(_metric(None, _double(101.0), alias=1), old, seq=2), "M-7")
    assert said.observations == (
        Measured(_METER, _SENT, "Volume", index_ml=101_000_000),
        Measured(
            _METER, Moment(Clock.GATEWAY, _AT - timedelta(hours=1)), "Volume", index_ml=99_000_000, historical=True
        ),
    )


def test_times_are_utc_of_the_metric_else_of_the_payload_else_arrival() -> None:
    """And where they are missing nothing is made up.

    tck-id-payloads-name-birth-data-requirement, -metric-timestamp-in-UTC.
    """
    edge = _Edge().born()
    metric = _metric(None, _double(1.0), alias=1, at_ms=None)
    moments = [
        edge.hears("DDATA", _payload(metric, seq=seq, at_ms=at_ms), "M-7").observations[0].moment
        for seq, at_ms in ((2, _AT_MS), (3, None))
    ]
    assert moments == [_SENT, _ARRIVED]


@pytest.mark.parametrize("quality", [0, 500])
def test_a_value_of_bad_or_stale_quality_is_not_read(quality: int) -> None:
    """tck-id-payloads-propertyset-quality-value-value: 192 is good, 0 bad, 500 stale."""
    edge = _Edge().born()
    assert edge.volume(1, 2, properties={"Quality": quality}).unread == (f"Volume: quality {quality}",)
    assert _volumes(edge.volume(2, 3, properties={"Quality": 192})) == [2_000_000]


def test_a_property_set_that_does_not_pair_off_says_nothing() -> None:
    """tck-id-payloads-propertyset-keys-array-size: one key, no value: no unit, so no reading."""
    edge = _Edge()
    edge.hears("NBIRTH", _payload(_bdseq(0), seq=0))
    broken = _tag(2, _tag(1, b"Volume") + _tag(4, _DOUBLE) + _tag(9, _tag(1, b"engUnit")) + _double(1.0))
    assert edge.hears("DBIRTH", _payload(broken, seq=1), "M-7").unread == ("Volume (no unit)",)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Line 1/Gas Volume", True),
        ("index_m3", True),
        ("Daily Volume", False),
        ("Tank", False),
        ("hourly_volume_m3", False),
    ],
)
def test_a_volume_is_a_register_only_when_its_name_says_so(name: str, expected: bool) -> None:
    """An amount of a day, or the content of a tank, is never a cumulative register."""
    edge = _Edge()
    edge.hears("NBIRTH", _payload(_bdseq(0), seq=0))
    unit = {} if name.endswith("m3") else {"engUnit": "m3"}
    said = edge.hears("DBIRTH", _payload(_metric(name, _double(1.0), datatype=_DOUBLE, properties=unit), seq=1), "M-7")
    assert (_volumes(said) == [1_000_000]) is expected


def test_an_alarm_is_asserted_and_what_only_sounds_like_one_is_not() -> None:
    """Leak alarm true raises; `No leak alarm`, `Leak alarm test` and a text are named."""
    edge = _Edge().born()
    said = edge.hears("DDATA", _payload(_metric(None, _tag(14, 1), alias=3), seq=2), "M-7")
    assert said.observations == (Asserted(_METER, _SENT, "leak_alarm", "raised"),)
    others = [
        _metric(name, _tag(14, 1), datatype=_BOOLEAN) for name in ("No leak alarm", "Leak alarm test", "Inputs/A")
    ]
    assert edge.hears("DBIRTH", _payload(*others, seq=3), "D").unread == (
        "No leak alarm",
        "Leak alarm test",
        "Inputs/A",
    )


# --- sequence, reordering, rebirth ---------------------------------------------------------------------------------


def test_the_sequence_wraps_from_255_to_0() -> None:
    """tck-id-payloads-sequence-num-incrementing: 300 messages in a row, and not one gap."""
    edge = _Edge().born()
    for number in range(2, 302):
        said = edge.volume(number, number % 256)
        assert (_volumes(said), said.requests) == ([number * 1_000_000], ())


def test_the_sequence_is_shared_by_the_node_and_all_its_devices() -> None:
    """One more than the *edge node's* message before.

    tck-id-payloads-ndata-seq-inc, -ddata-seq-inc, -ddeath-seq-inc.
    """
    edge = _Edge().born()
    edge.hears("NDATA", _payload(seq=2))
    edge.hears("DDEATH", _payload(seq=3), "other")
    assert _volumes(edge.volume(5, 4)) == [5_000_000]


def test_a_message_that_is_ahead_starts_the_reorder_window() -> None:
    """tck-id-operational-behavior-host-reordering-start: it waits; nothing is asked for yet."""
    edge = _Edge(reorder_timeout_s=2.0).born()
    said = edge.volume(103, 3)
    assert (said.observations, said.requests) == ((), ())
    assert edge.host.wake_at(edge.state) == _AT + timedelta(seconds=2)


def test_the_missing_message_ends_the_window_and_order_is_restored() -> None:
    """tck-id-operational-behavior-host-reordering-success: the timer is over and nothing is asked for."""
    edge = _Edge(reorder_timeout_s=2.0).born()
    edge.volume(104, 4)
    edge.volume(103, 3, after_s=1)
    assert _volumes(edge.volume(102, 2, after_s=0.5)) == [102_000_000, 103_000_000, 104_000_000]
    assert edge.host.wake_at(edge.state) is None
    assert edge.host.tick(edge.state, edge.now + timedelta(hours=1))[1] == ()


def test_a_second_gap_keeps_its_own_window() -> None:
    """Until another out of order message arrives, which has its own time.

    tck-id-operational-behavior-host-reordering-success.
    """
    edge = _Edge(reorder_timeout_s=2.0).born()
    edge.volume(103, 3)
    edge.volume(105, 5, after_s=1)
    assert _volumes(edge.volume(102, 2)) == [102_000_000, 103_000_000]
    assert edge.host.wake_at(edge.state) == _AT + timedelta(seconds=3)


def test_a_window_that_ends_asks_for_a_rebirth_and_loses_nothing_that_came() -> None:
    """tck-id-operational-behavior-host-reordering-rebirth: by the clock, without any further message."""
    edge = _Edge(reorder_timeout_s=2.0).born()
    edge.volume(104, 4)
    assert edge.host.tick(edge.state, edge.now + timedelta(seconds=1.9))[1] == ()
    edge.state, (said,) = edge.host.tick(edge.state, edge.now + timedelta(seconds=2))
    assert (_volumes(said), _asked(said)) == ([104_000_000], _NCMD)
    assert _volumes(edge.volume(105, 5)) == [105_000_000]


def test_a_window_that_ended_is_noticed_by_the_next_message_too() -> None:
    """The message that comes too late is still read, once.

    tck-id-operational-behavior-host-reordering-rebirth.
    """
    edge = _Edge(reorder_timeout_s=2.0).born()
    edge.volume(103, 3)
    said = edge.volume(102, 2, after_s=2)
    assert (_volumes(said), _asked(said)) == ([103_000_000, 102_000_000], _NCMD)


def test_further_messages_ahead_do_not_prolong_the_window() -> None:
    """tck-id-operational-behavior-host-reordering-start: the window runs from the first message out of order."""
    edge = _Edge(reorder_timeout_s=2.0).born()
    edge.volume(103, 3)
    edge.volume(104, 4, after_s=1.5)
    assert edge.host.wake_at(edge.state) == _AT + timedelta(seconds=2)


def test_the_reorder_time_is_a_parameter() -> None:
    """tck-id-operational-behavior-host-reordering-param."""
    edge = _Edge(reorder_timeout_s=60.0).born()
    edge.volume(103, 3)
    assert edge.host.tick(edge.state, edge.now + timedelta(seconds=59))[1] == ()


def test_what_waits_is_bounded() -> None:
    """More messages ahead than may wait: the gap is given up before its time, and all of them are read."""
    edge = _Edge(held_max=3).born()
    said = [edge.volume(100 + seq, seq) for seq in (3, 4, 5, 6)]
    assert [_volumes(one) for one in said] == [[], [], [], [103_000_000, 104_000_000, 105_000_000, 106_000_000]]
    assert _asked(said[-1]) == _NCMD


def test_data_of_an_unknown_node_ask_for_a_rebirth_once_in_a_while() -> None:
    """After our restart every node is unknown; none is flooded.

    tck-id-operational-behavior-data-commands-ncmd-rebirth-verb.
    """
    edge = _Edge(rebirth_interval_s=30.0)
    asked = [_asked(edge.volume(1, seq, after_s=after_s)) for seq, after_s in ((5, 0), (6, 1), (7, 30))]
    assert asked == [_NCMD, [], _NCMD]
    assert edge.host.tick(edge.state, edge.now + timedelta(hours=1))[0].nodes == {}


def test_a_rebirth_request_is_the_command_of_the_specification() -> None:
    """Node Control/Rebirth true, a time, no sequence number, QoS 0, not retained.

    tck-id-operational-behavior-data-commands-ncmd-rebirth-name, -ncmd-rebirth-value,
    tck-id-payloads-ncmd-seq, -ncmd-timestamp, -ncmd-qos, -ncmd-retain.
    """
    (request,) = _Edge().volume(1, 5).requests
    rebirth = _metric("Node Control/Rebirth", _tag(14, 1), datatype=_BOOLEAN)
    assert request.payload == _payload(rebirth, seq=None)
    assert (request.qos, request.retain) == (0, False)


def test_a_birth_answers_the_request() -> None:
    """The same bdSeq again, and data are read again.

    tck-id-operational-behavior-data-commands-rebirth-action-3.
    """
    edge = _Edge()
    edge.volume(1, 5)
    edge.born(seq=6)
    assert _volumes(edge.volume(2, 8)) == [2_000_000]
    assert edge.node.asked_at is None


# --- deaths --------------------------------------------------------------------------------------------------------


def test_a_node_death_takes_the_node_and_all_its_devices_offline_by_our_clock() -> None:
    """At arrival.

    tck-id-operational-behavior-edge-node-termination-host-action-ndeath-node-offline, -ndeath-devices-offline.
    """
    said = _Edge().born(bdseq=5).hears("NDEATH", _payload(_bdseq(5), seq=None, at_ms=_AT_MS - 99_000))
    assert [(one.device, one.state, one.moment) for one in said.observations if isinstance(one, Liveness)] == [
        (None, "offline", _ARRIVED),
        (_METER, "offline", _ARRIVED),
    ]


def test_a_node_death_makes_every_metric_stale() -> None:
    """All that the births named is stale, the node's own and the devices'.

    tck-id-operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale,
    -ndeath-devices-tags-stale.
    """
    edge = _Edge().born(bdseq=5)
    assert edge.node.stale == {}
    said = edge.hears("NDEATH", _payload(_bdseq(5), seq=None))
    stale = {one.device: one.stale for one in said.observations if isinstance(one, Liveness)}
    assert stale == {None: ("bdSeq", "Node Control/Rebirth"), _METER: ("Volume", "Pressure", "Leak alarm")}
    assert edge.node.stale == {"": ("bdSeq", "Node Control/Rebirth"), "M-7": ("Volume", "Pressure", "Leak alarm")}


def test_a_late_death_of_an_older_session_kills_nobody() -> None:
    """tck-id-payloads-ndeath-bdseq, -topics-ndeath-payload: bdSeq pairs a death with its birth."""
    edge = _Edge().born(bdseq=0)
    said = edge.hears("NDEATH", _payload(_bdseq(255), seq=None))
    assert (said.observations, said.requests) == ((), ())
    assert said.unread == ("bdSeq 255: not of the session 0",)
    assert _volumes(edge.volume(5, 2)) == [5_000_000]


def test_a_death_of_a_session_we_never_saw_born_asks_who_is_there() -> None:
    """Its NBIRTH was lost; only a rebirth can tell whether anyone lives.

    tck-id-topics-nbirth-bdseq-increment.
    """
    said = _Edge().born(bdseq=255).hears("NDEATH", _payload(_bdseq(0), seq=None))
    assert (said.observations, _asked(said)) == ((), _NCMD)


def test_a_death_has_no_sequence_number_and_takes_none() -> None:
    """tck-id-topics-ndeath-seq, -payloads-ndeath-seq: one that is not ours leaves the order as it was."""
    edge = _Edge().born(bdseq=2)
    edge.hears("NDEATH", _payload(_bdseq(1), seq=None))
    assert _volumes(edge.volume(5, 2)) == [5_000_000]


def test_a_death_without_bdseq_is_refused() -> None:
    """tck-id-topics-ndeath-payload: nobody knows which session it ends."""
    with pytest.raises(Undecodable, match="bdSeq"):
        _Edge().born().hears("NDEATH", _payload(seq=None))


def test_after_its_death_a_node_must_be_born_again() -> None:
    """tck-id-payloads-ndata-order, -ddata-order: no data before the births of a session."""
    edge = _Edge().born(bdseq=5)
    edge.hears("NDEATH", _payload(_bdseq(5), seq=None))
    said = edge.volume(6, 2)
    assert (said.observations, _asked(said)) == ((), _NCMD)
    assert _volumes(edge.born(bdseq=6).volume(7, 2)) == [7_000_000]


def test_what_waited_when_the_node_died_is_still_read() -> None:
    """Readings that came are readings, whatever became of their node."""
    edge = _Edge().born(bdseq=5)
    edge.volume(104, 4)
    said = edge.hears("NDEATH", _payload(_bdseq(5), seq=None))
    assert (_volumes(said), said.requests, edge.host.wake_at(edge.state)) == ([104_000_000], (), None)


def test_a_device_death_is_at_the_time_it_tells() -> None:
    """The device is offline and its metrics stale from the timestamp of the DDEATH.

    tck-id-operational-behavior-edge-node-termination-host-action-ddeath-devices-offline,
    -ddeath-devices-tags-stale.
    """
    edge = _Edge().born()
    said = edge.hears("DDEATH", _payload(seq=2, at_ms=_AT_MS - 5000), "M-7")
    died = Moment(Clock.GATEWAY, _AT - timedelta(seconds=5))
    assert said.observations == (
        Liveness(_NODE, _METER, "offline", "0", died, stale=("Volume", "Pressure", "Leak alarm")),
    )
    assert _asked(edge.volume(6, 3)) == _NCMD


def test_a_device_that_is_born_again_is_read_again() -> None:
    """tck-id-operational-behavior-device-ddeath: a DBIRTH in the same session brings it back."""
    edge = _Edge().born()
    edge.hears("DDEATH", _payload(seq=2), "M-7")
    edge.hears("DBIRTH", _payload(_VOLUME, seq=3), "M-7")
    assert _volumes(edge.volume(6, 4)) == [6_000_000]
    assert edge.node.stale == {}


# --- host states ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["spBv1.0/STATE/scada-1", "STATE/scada-1"])
@pytest.mark.parametrize("online", [True, False])
def test_host_states_are_read_in_both_forms(topic: str, online: bool) -> None:
    """tck-id-host-topic-phid-birth-payload, -death-payload: JSON since 3.0; a word on STATE/ before."""
    state = "online" if online else "offline"
    body = json.dumps({"online": online, "timestamp": _AT_MS}).encode()
    assert decode(topic, body).observations == (Liveness("scada-1", None, state, None, _SENT),)
    assert decode(topic, state.upper().encode()).observations == (Liveness("scada-1", None, state, None, _ARRIVED),)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"online",
        b"{}",
        b'{"online":"true"}',
        b'{"online":true,"timestamp":"now"}',
        b'{"online":true,"timestamp":1e30}',
        b'{"online":true,"timestamp":99999999999999999999}',
    ],
)
def test_a_host_state_of_another_form_is_refused(payload: bytes) -> None:
    """tck-id-host-topic-phid-birth-payload: a boolean and a number."""
    with pytest.raises(Undecodable):
        decode("spBv1.0/STATE/scada-1", payload)


def test_will_and_birth_of_our_connection_have_one_timestamp() -> None:
    """Both are retained, QoS 1, on our own STATE topic.

    tck-id-host-topic-phid-birth-payload-timestamp,
    -birth-qos, -birth-retain, -death-topic, -death-qos, -death-retain.
    """
    _, will, birth = Host(host_id="desk").connect(HostState(), _AT)
    assert [json.loads(one.payload) for one in (will, birth)] == [
        {"online": False, "timestamp": _AT_MS},
        {"online": True, "timestamp": _AT_MS},
    ]
    assert {(one.topic, one.qos, one.retain) for one in (will, birth)} == {("spBv1.0/STATE/desk", 1, True)}


def test_our_own_state_said_to_be_offline_is_put_right_at_once() -> None:
    """Online again, with the timestamp of our CONNECT.

    tck-id-message-flow-hid-sparkplug-state-message-delivered.
    """
    host = Host(host_id="desk")
    state, _, birth = host.connect(HostState(), _AT)
    offline = json.dumps({"online": False, "timestamp": _AT_MS - 1}).encode()
    _, said = host.step(state, "spBv1.0/STATE/desk", offline, _AT)
    assert [(one.topic, one.payload, one.qos, one.retain) for one in said.requests] == [
        ("spBv1.0/STATE/desk", birth.payload, 1, True)
    ]
    assert host.step(state, "spBv1.0/STATE/other", offline, _AT)[1].requests == ()


def test_the_default_subscription_covers_states_old_and_new() -> None:
    """tck-id-host-topic-phid-birth-sub-required: our own STATE and the namespace."""
    assert TOPIC_FILTERS == ("spBv1.0/#", "STATE/+")


# --- whatever comes ------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_truncated_birth_is_refused(data: st.DataObject) -> None:
    """seq comes last on the wire, so a birth cut anywhere has none, or is no protocol buffer."""
    whole = _payload(_bdseq(3), _VOLUME, _PRESSURE, _LEAK, seq=9)
    with pytest.raises(Undecodable):
        decode("spBv1.0/PRS/NBIRTH/e", whole[: data.draw(st.integers(0, len(whole) - 1))])


_VERBS = st.sampled_from(
    [("NBIRTH", None), ("NDATA", None), ("NDEATH", None), ("DBIRTH", "M-7"), ("DDATA", "M-7"), ("DDEATH", "M-7")]
)
_SANE = _payload(_bdseq(0), _VOLUME, _PRESSURE, _LEAK, seq=2)


@given(
    st.lists(
        st.tuples(_VERBS, st.lists(st.tuples(st.integers(0, len(_SANE) - 1), st.integers(0, 255)), max_size=3)),
        max_size=6,
    )
)
def test_mutated_messages_raise_nothing_but_undecodable(story: list[Any]) -> None:
    """Any order of verbs with any bytes changed: the state stays usable and a birth brings all back."""
    edge = _Edge().born()
    for (verb, device), changes in story:
        payload = bytearray(_SANE)
        for place, byte in changes:
            payload[place] = byte
        _hear_or_not(edge, verb, bytes(payload), device)
    assert _volumes(edge.born(bdseq=1).volume(5, 2)) == [5_000_000]


@given(_VERBS, st.binary(max_size=60))
def test_random_bytes_raise_nothing_but_undecodable(verb: tuple[str, str | None], payload: bytes) -> None:
    """Noise on any topic of a living node."""
    _hear_or_not(_Edge().born(), verb[0], payload, verb[1])


@given(st.permutations(range(2, 12)), st.sets(st.integers(2, 11), max_size=3))
def test_any_order_with_any_loss_gives_every_message_that_came_exactly_once(order: list[int], lost: set[int]) -> None:
    """However messages are shuffled and lost, each that came is read once, and a loss is always noticed."""
    edge = _Edge(reorder_timeout_s=1.0).born()
    said = [edge.volume(seq, seq) for seq in order if seq not in lost]
    edge.state, late = edge.host.tick(edge.state, edge.now + timedelta(seconds=1))
    read = sorted(ml or 0 for one in (*said, *late) for ml in _volumes(one))
    assert read == [seq * 1_000_000 for seq in range(2, 12) if seq not in lost]
    gap = bool(lost) and min(lost) < max((seq for seq in order if seq not in lost), default=0)
    assert any(one.requests for one in late) is gap


def _hear_or_not(edge: _Edge, verb: str, payload: bytes, device: str | None) -> None:
    try:
        assert isinstance(edge.hears(verb, payload, device), Understood)
    except Undecodable as error:
        assert error.field  # noqa: PT017 - either way is right, but a refusal says what it refuses
