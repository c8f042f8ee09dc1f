"""The intake of foreign messages: repeats are the same message, and nothing is given on before its turn."""

import json
from datetime import UTC, datetime, timedelta

from ingest.decoders.model import Measured
from ingest.decoders.sparkplug import Host
from ingest.decoders.sparkplug_wire import write_command
from ingest.foreign import FOREIGN
from ingest.formats import message_digest
from ingest.intake import Intake
from ingest.model import Elsewhere, Foreign, Message, Rejected
from ingest.sources import SourceParams

_AT = datetime(2026, 11, 20, tzinfo=UTC)
_LATER = _AT + timedelta(minutes=5)
_BIRTH = FOREIGN["sparkplug"].samples[2]  # of PRS/station-7, sequence number 9


def _intake(word: str) -> Intake:
    return Intake([SourceParams(format=word, area="D01", gateway="G")], Host())


def _one(messages: list[Message | Elsewhere]) -> Message:
    (message,) = messages
    assert isinstance(message, Message)
    return message


def _words(message: Message) -> tuple[object, ...]:
    assert isinstance(message.content, Foreign)
    assert message.content.understood is not None
    return message.content.understood.observations


def _data(seq: int, pascal: int) -> bytes:
    """DATA by alias: pressure of station-7 (alias 6, a 32-bit number), written by hand."""
    metric = bytes([0x10, 6, 0x50]) + bytes([pascal & 0x7F | 0x80, pascal >> 7])
    return bytes([0x12, len(metric)]) + metric + bytes([0x18, seq])


def test_a_repeat_of_what_has_no_time_is_the_same_moment() -> None:
    """A value stamped with its arrival, delivered again unacknowledged, keeps its first arrival; a new one does not."""
    intake = _intake("dsmr")
    topic = "dsmr/consumption/gas/delivered"
    first = _one(intake.read(topic, b"956.739", _AT, ("a", 1), again=False))
    again = _one(intake.read(topic, b"956.739", _LATER, ("b", 1), again=True))
    fresh = _one(intake.read(topic, b"956.739", _LATER, ("b", 2), again=False))
    assert (first.received_at, again.received_at, fresh.received_at) == (_AT, _AT, _LATER)
    assert again.receipt == ("b", 1)
    assert again.content == first.content


def test_the_senders_key_tells_repeats_in_other_words() -> None:
    """The same uplink passed on twice by the network server, with another reception: the same moment of arrival."""
    intake = _intake("chirpstack")
    topic = "application/1/device/24e124460c000001/event/up"
    body = {
        "deduplicationId": "k-1", "deviceInfo": {"devEui": "24e124460c000001", "deviceProfileName": "GS101"},
        "fPort": 85, "data": "BY4B",
    }  # fmt: skip
    first = intake.read(topic, json.dumps(body).encode(), _AT, None, again=False)
    second = intake.read(topic, json.dumps(body | {"rxInfo": [{"rssi": -90}]}).encode(), _LATER, None, again=False)
    other = intake.read(topic, json.dumps(body | {"deduplicationId": "k-2"}).encode(), _LATER, None, again=False)
    assert [_one(one).received_at for one in (first, second, other)] == [_AT, _AT, _LATER]


def test_a_message_ahead_of_its_turn_waits_unacknowledged() -> None:
    """It is given on by the message it waited for, each with its own words; a repeat keeps its place."""
    intake = _intake("sparkplug")
    assert len(intake.read(_BIRTH.topic, _BIRTH.payload, _AT, None, again=False)) == 1
    topic = "spBv1.0/PRS/NDATA/station-7"
    assert intake.read(topic, _data(11, 2200), _AT, ("a", 2), again=False) == []
    assert intake.read(topic, _data(11, 2200), _LATER, ("b", 2), again=True) == []
    ready = intake.read(topic, _data(10, 2100), _AT, ("b", 3), again=False)
    assert [one.receipt for one in ready] == [("b", 2), ("b", 3)]
    pressures = {one.receipt: one.content.understood.observations for one in ready}  # type: ignore[union-attr]
    assert [one.pressure_pa for words in pressures.values() for one in words if isinstance(one, Measured)] == [
        2200,
        2100,
    ]
    assert intake.wake_at() is None


def test_patience_ends_and_a_birth_is_asked_for() -> None:
    """When the message before does not come, what waited is given on after a while, and a birth asked for."""
    intake = _intake("sparkplug")
    intake.read(_BIRTH.topic, _BIRTH.payload, _AT, None, again=False)
    assert intake.read("spBv1.0/PRS/NDATA/station-7", _data(12, 2200), _AT, ("a", 2), again=False) == []
    assert intake.wake_at() == _AT + timedelta(seconds=0.5)
    assert intake.tick(_AT + timedelta(seconds=0.4)) == []
    late = _one(intake.tick(_AT + timedelta(seconds=0.6)))
    assert late.receipt == ("a", 2)
    assert [one.pressure_pa for one in _words(late) if isinstance(one, Measured)] == [2200]
    (request,) = intake.take_requests()
    assert request.topic == "spBv1.0/PRS/NCMD/station-7"
    assert request.payload == write_command("Node Control/Rebirth", value=True, at=_AT + timedelta(seconds=0.6))
    assert intake.take_requests() == []


def test_words_between_hosts_are_acknowledged_and_not_counted() -> None:
    """A STATE of another host is no message of a gateway; told that we are gone, we say that we are not."""
    intake = _intake("sparkplug")
    will = intake.connecting(_AT)
    assert will is not None
    assert will.topic == "spBv1.0/STATE/gaswarden"
    assert [one.reason for one in intake.take_requests()] == ["birth of this host application"]
    assert intake.read("spBv1.0/STATE/scada", b'{"online":true,"timestamp":1}', _AT, ("a", 1), again=False) == [
        Elsewhere(("a", 1))
    ]
    intake.read(will.topic, will.payload, _AT, ("a", 2), again=False)
    assert [one.topic for one in intake.take_requests()] == [will.topic]


def test_other_formats_have_no_will() -> None:
    """Without a Sparkplug source we are no host, and say nothing."""
    intake = _intake("dsmr")
    assert intake.connecting(_AT) is None
    assert intake.take_requests() == []


def test_what_no_source_reads_is_refused_by_name() -> None:
    """A topic of no source, and a payload above the limit, are kept with their reasons."""
    intake = _intake("dsmr")
    lost = _one(intake.read("elsewhere", b"1", _AT, None, again=False))
    large = _one(intake.read("dsmr/raw", b"x" * 70_000, _AT, None, again=False))
    assert isinstance(lost.content, Rejected)
    assert isinstance(large.content, Rejected)
    assert (lost.content.reason, large.content.reason) == ("bad_topic", "too_large")
    assert (len(large.payload), large.payload_bytes) == (4_096, 70_000)


def test_a_new_process_goes_on_with_what_was_kept() -> None:
    """Births come back without being said again, the next message tells where its numbers are, a gap is a gap again."""
    intake = _intake("sparkplug")
    intake.resume([(_BIRTH.topic, _BIRTH.payload)], {})
    topic = "spBv1.0/PRS/NDATA/station-7"
    (read,) = intake.read(topic, _data(77, 2100), _AT, ("a", 1), again=False)
    assert [one.pressure_pa for one in _words(_one([read])) if isinstance(one, Measured)] == [2100]
    assert intake.take_requests() == []
    assert intake.read(topic, _data(79, 2200), _AT, ("a", 2), again=False) == []
    assert len(intake.read(topic, _data(78, 2150), _AT, ("a", 3), again=False)) == 2


def test_a_death_is_remembered_with_the_session_it_ended() -> None:
    """Data of a node that had gone before the restart ask for a birth; a death of another session ended nothing."""
    for session, is_gone in ((3, True), (4, False)):
        intake = _intake("sparkplug")
        intake.resume([(_BIRTH.topic, _BIRTH.payload), ("spBv1.0/PRS/NDEATH/station-7", _death(session))], {})
        intake.read("spBv1.0/PRS/NDATA/station-7", _data(10, 2100), _AT, None, again=False)
        assert bool(intake.take_requests()) is is_gone


def _death(session: int) -> bytes:
    """NDEATH with its bdSeq (Int64), written by hand."""
    metric = b"\x0a\x05bdSeq\x20\x04\x58" + bytes([session])
    return b"\x12" + bytes([len(metric)]) + metric


def test_first_arrivals_outlive_the_process() -> None:
    """A delivery that comes again after a restart has its first arrival, and so has a repeat by its sender's key."""
    intake = _intake("dsmr")
    topic = "dsmr/consumption/gas/delivered"
    intake.resume([], {message_digest(topic, b"956.739"): _AT})
    assert _one(intake.read(topic, b"956.739", _LATER, None, again=True)).received_at == _AT
    assert _one(intake.read(topic, b"956.740", _LATER, None, again=True)).received_at == _LATER
