"""Registered or not, in time or not, late or not; the newest facts; what is looked up and when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.binding import bind_message
from ingest.directory import Directory
from ingest.formats import read_message
from ingest.ledger import Line, prove
from ingest.model import Bound, Device, Gateway, Message, QuarantineReason, Refused
from ingest.states import DeviceFacts, fold_facts
from tests.ingest_city import AREA, event, known_directory, reading, status, topic

_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def _message(payload: bytes, **where: str) -> Message:
    return read_message(topic(**where), payload, _NOW)


def _bind(payload: bytes, *, at: datetime | None = None, **where: Any) -> Bound | Refused:
    return bind_message(3, _message(payload, **where), known_directory(), at)


@pytest.mark.parametrize(
    ("payload", "where", "reason"),
    [
        (reading("nobody", at=_NOW), {}, QuarantineReason.UNKNOWN_DEVICE),
        (reading("M-GW-2-0", at=_NOW), {}, QuarantineReason.GATEWAY_MISMATCH),
        (reading(at=_NOW), {"gateway": "GW-7"}, QuarantineReason.UNKNOWN_GATEWAY),
        (reading(at=_NOW), {"area": "D02"}, QuarantineReason.UNKNOWN_GATEWAY),
        (reading(at=_NOW + timedelta(minutes=10, seconds=1)), {}, QuarantineReason.TIME_OUT_OF_RANGE),
        (reading(at=datetime(2014, 12, 31, 23, 59, tzinfo=UTC)), {}, QuarantineReason.TIME_OUT_OF_RANGE),
        (reading(at=_NOW, hours=[1] * 24, hours_from=_NOW), {}, QuarantineReason.TIME_OUT_OF_RANGE),
        (b"{", {}, QuarantineReason.NOT_JSON),
        (status(at=_NOW + timedelta(hours=1)), {"kind": "status"}, QuarantineReason.TIME_OUT_OF_RANGE),
    ],
)
def test_what_cannot_be_bound_has_its_reason(payload: bytes, where: dict[str, Any], reason: QuarantineReason) -> None:
    """Each rule of the registry and of time has a reason of its own."""
    refused = _bind(payload, **where)
    assert isinstance(refused, Refused)
    assert (refused.number, refused.rejected.reason) == (3, reason)


def test_ten_minutes_ahead_are_accepted() -> None:
    """Clocks are a little fast."""
    assert isinstance(_bind(reading(at=_NOW + timedelta(minutes=10))), Bound)


@pytest.mark.parametrize(("age", "late"), [(timedelta(hours=48), False), (timedelta(hours=48, seconds=1), True)])
def test_late_is_more_than_48_hours_before_arrival(age: timedelta, late: bool) -> None:
    """A reading and an event become late at the same age."""
    report = _bind(reading(at=_NOW - age))
    alarm = _bind(event(at=_NOW - age), kind="events")
    assert isinstance(report, Bound)
    assert isinstance(alarm, Bound)
    assert (report.late, alarm.late, alarm.events[0].late) == (late, late, late)


def test_a_replay_is_late_by_the_moment_of_the_replay() -> None:
    """What waited in quarantine for days is late although it had arrived in time."""
    alarm = _bind(event(at=_NOW), at=_NOW + timedelta(days=3), kind="events")
    assert isinstance(alarm, Bound)
    assert (alarm.late, alarm.events[0].late, alarm.message.received_at) == (True, True, _NOW)


def test_a_refusal_of_a_known_gateway_is_booked_on_it() -> None:
    """Broken bytes on a registered gateway's topic count for that gateway; on a stranger's for nobody."""
    known, stranger = _bind(b"{"), _bind(b"{", gateway="GW-7")
    assert isinstance(known, Refused)
    assert isinstance(stranger, Refused)
    assert known.gateway == Gateway(1, "GW-1", AREA)
    assert stranger.gateway is None


def _facts(*messages: Any, conflicted: frozenset[int] = frozenset()) -> dict[int, DeviceFacts]:
    directory = known_directory()
    bounds = [bind_message(number, message, directory) for number, message in enumerate(messages)]
    return {one.device_id: one for one in fold_facts([b for b in bounds if isinstance(b, Bound)], conflicted)}


def test_the_newest_report_gives_the_facts_whatever_the_order() -> None:
    """Two reports of one device are one row with the facts of the newer one."""
    newer = _message(reading(seq=2, at=_NOW, index_ml=90, status=1))
    older = _message(reading(seq=1, at=_NOW - timedelta(hours=1), index_ml=70, status=0))
    for messages in ((newer, older), (older, newer)):
        facts = _facts(*messages)[10]
        assert (facts.seq, facts.index_ml, facts.index_at, facts.valve) == (2, 90, _NOW, "closed")


def test_a_marked_register_is_not_the_newest_known() -> None:
    """After a power loss the frozen fill is unknown: the newest believed hour counts."""
    hours = [1000, 2000, 5000, 5000]
    message = _message(reading(at=_NOW, status=512, hours=hours, hours_from=_NOW - timedelta(hours=6)))
    facts = _facts(message)[10]
    assert (facts.index_ml, facts.index_at) == (2000, _NOW - timedelta(hours=4))


def test_a_conflicted_message_only_shows_that_its_device_lives() -> None:
    """The stored row won; of the refused one nothing is believed."""
    facts = _facts(_message(reading(at=_NOW, index_ml=5)), conflicted=frozenset({0}))[10]
    assert (facts.last_received_at, facts.reported_at, facts.index_ml) == (_NOW, None, None)


def test_a_test_alarm_changes_no_state() -> None:
    """A self-test is recorded elsewhere; the leak state stays what it was."""
    facts = _facts(_message(event(at=_NOW, test=True), kind="events"))[101]
    assert facts.leak_state is None


def test_a_faulty_valve_asserts_nothing() -> None:
    """Status bit 1 takes bit 0 its meaning."""
    assert _facts(_message(reading(at=_NOW, status=3)))[10].valve is None
    assert _facts(_message(reading(at=_NOW, status=1)))[10].valve == "closed"


def test_an_unknown_device_is_looked_up_once_in_a_while() -> None:
    """What was looked for in vain is not looked for again before its time, and is after it."""
    directory = Directory(recheck_s=5.0)
    message = _message(reading("new"))
    asked = directory.missing([message], 100.0)
    assert asked == ({"GW-1"}, {("native", "new")})
    directory.learn([Gateway(1, "GW-1", AREA)], [], asked, 100.0)
    assert directory.missing([message], 104.9) == (set(), set())
    assert directory.missing([message], 105.0) == (set(), {("native", "new")})
    directory.learn([], [(("native", "new"), Device(1, 1))], (set(), {("native", "new")}), 105.0)
    assert directory.missing([message], 200.0) == (set(), set())
    directory.forget()
    assert directory.missing([message], 200.0) == asked


def _line(**counts: int) -> Line:
    fields = {"received": 10, "stored": 5, "duplicate": 2, "late": 1, "conflict": 1, "quarantined": 1} | counts
    return Line(_NOW.date(), "0", "GW-1", **fields)


def test_a_balanced_ledger_is_proved() -> None:
    """Received is the sum of the dispositions, line by line and in all."""
    proof = prove([_line(), _line()], [])
    assert (proof.balances, proof.received, proof.by_kind["stored"]) == (True, 20, 10)


def test_an_unbalanced_line_is_named() -> None:
    """One message of which nothing is known is a fault with day, slot and gateway."""
    proof = prove([_line(received=11)], ["batch 7: rows are gone"])
    assert not proof.balances
    assert proof.faults[0] == "2026-11-20 slot 0 gateway GW-1: received 11, unaccounted for 1"
    assert proof.faults[1] == "batch 7: rows are gone"
