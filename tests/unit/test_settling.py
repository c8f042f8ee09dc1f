"""Settling: observations and what is registered become native items, exactly, or a reason why not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders.model import Asserted, Clock, Liveness, Measured, Moment, Observation, Understood
from ingest.directory import Directory
from ingest.foreign import FOREIGN
from ingest.intake import read_foreign
from ingest.model import (
    Bound,
    Decoded,
    Device,
    Event,
    Foreign,
    Gateway,
    GatewayStatus,
    Item,
    Message,
    QuarantineReason,
    Refused,
    Rejected,
    Report,
)
from ingest.settling import judge_message, settle
from ingest.sources import SourceParams

_AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
_NOW = Moment(Clock.GATEWAY, _AT)
_LOCAL = Moment(Clock.METER, datetime(2025, 10, 26, 2, 30))  # noqa: DTZ001 - repeated in Amsterdam


def _directory(device: Device | None = None, family: str = "wmbus") -> Directory:
    directory = Directory(0.0)
    known = device or Device(7, 1, pulse_ml=10_000)
    directory.learn(
        [Gateway(1, "G-1", "D01"), Gateway(2, "G-2", "D01")], [((family, "M-1"), known)], (set(), set()), 0.0
    )
    return directory


def _settled(
    *observations: Observation,
    device: Device | None = None,
    form: str = "wmbusmeters",
    unread: tuple[str, ...] = (),
    **source: Any,
) -> Decoded | Rejected:
    params = SourceParams.model_validate({"format": form, "area": "D01", "gateway": "G-1"} | source)
    understood = Understood(params.form.family, params.form.name, None, observations, unread=unread)
    content = Foreign(params, params.form.name, understood)
    message = Message("wmbusmeters/1", b"", _AT, content)
    return settle(message, content, _directory(device, params.device_family()))


def _items(*observations: Observation, **more: Any) -> tuple[Item, ...]:
    found = _settled(*observations, **more)
    assert isinstance(found, Decoded), found
    return found.items


def _refusal(*observations: Observation, **more: Any) -> tuple[QuarantineReason, str]:
    found = _settled(*observations, **more)
    assert isinstance(found, Rejected), found
    assert found.gateway == "G-1"
    return found.reason, found.detail


def test_pulses_are_volume_by_the_registered_step() -> None:
    """A count times the registered volume of a pulse; without one it is refused, not guessed."""
    assert _items(Measured("M-1", _NOW, pulses=720)) == (Report("M-1", None, _AT, index_ml=7_200_000),)
    reason, detail = _refusal(Measured("M-1", _NOW, pulses=720), device=Device(7, 1))
    assert (reason, detail) == ("invalid_field", "pulses: pulse_ml of M-1 is not registered")


def test_values_of_one_moment_are_one_report() -> None:
    """Register, battery and flow of one moment are one row, so that no row contradicts another."""
    said = (Measured("M-1", _NOW, "total", index_ml=5), Measured("M-1", _NOW, battery_mv=3600, seq=9))
    assert _items(*said) == (Report("M-1", 9, _AT, index_ml=5, battery_mv=3600),)


def test_two_values_of_one_kind_at_one_moment_are_refused() -> None:
    """Two pressures at one moment: nobody can say which is the meter's."""
    reason, detail = _refusal(Measured("M-1", _NOW, pressure_pa=1), Measured("M-1", _NOW, pressure_pa=2))
    assert reason == "invalid_field"
    assert detail == "pressure_pa: two values for M-1 at one moment, 1 and 2: which is the meter's?"


def test_a_register_is_chosen_by_the_registry() -> None:
    """Of several registers the registered one counts; without one, an unfamiliar register is refused."""
    said = (Measured("M-1", _NOW, "index_1", pulses=1), Measured("M-1", _NOW, "index_2", pulses=2))
    chosen = Device(7, 1, pulse_ml=10, register_name="index_2")
    assert _items(*said, device=chosen) == (Report("M-1", None, _AT, index_ml=20),)
    reason, detail = _refusal(said[0])
    assert (reason, detail[:36]) == ("invalid_field", "register index_1: one of several, fo")
    reason, detail = _refusal(said[0], device=chosen)
    assert (reason, detail) == ("not_understood", "payload: register index_1 is not the device's index_2")


def test_billing_register_is_passed_over() -> None:
    """A wM-Bus meter's register of the last billing day is not its reading of today."""
    said = (Measured("M-1", _NOW, "total", index_ml=9), Measured("M-1", _NOW, "target", index_ml=5))
    assert _items(*said) == (Report("M-1", None, _AT, index_ml=9),)


def test_volumes_of_intervals_are_never_taken_for_registers() -> None:
    """An increment beside its register adds nothing; alone, or of a device registered so, it is refused."""
    both = Measured("M-1", _NOW, pulses=5, interval_pulses=2, interval_s=900)
    assert _items(both) == (Report("M-1", None, _AT, index_ml=50_000),)
    reason, detail = _refusal(Measured("M-1", _NOW, interval_ml=300, interval_s=900))
    assert (reason, detail) == ("invalid_field", "interval_ml: no register is there that the volume adds to")
    reason, detail = _refusal(Measured("M-1", _NOW, index_ml=300), device=Device(7, 1, volume_kind="interval"))
    assert (reason, detail[:7]) == ("invalid_field", "volume:")


def test_an_increment_before_the_register_began_is_left_out() -> None:
    """A sample whose register is below zero tells no register; the others of the message do."""
    before = Measured("M-1", Moment(Clock.GATEWAY, _AT - timedelta(hours=1)), "r", interval_pulses=2, historical=True)
    after = Measured("M-1", _NOW, "r", pulses=1, interval_pulses=1)
    chosen = Device(7, 1, pulse_ml=10, register_name="r")
    items = _items(before, after, device=chosen)
    assert [(item.at, item.index_ml) for item in items if isinstance(item, Report)][-1] == (_AT, 10)
    assert all(item.index_ml != 0 for item in items if isinstance(item, Report))


def test_local_time_gets_the_zone_of_the_site() -> None:
    """The device's zone, else the source's; the repeated hour is marked; without any zone it is refused."""
    said = Measured("M-1", _LOCAL, index_ml=5)
    first = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    amsterdam = Device(7, 1, site_zone="Europe/Amsterdam")
    assert _items(said, device=amsterdam, site_zone="Asia/Tokyo") == (Report("M-1", None, first, 5, marks=16),)
    winter = replace(said, moment=replace(_LOCAL, summer=False))
    assert _items(winter, site_zone="Europe/Amsterdam") == (Report("M-1", None, first + timedelta(hours=1), 5),)
    reason, detail = _refusal(said)
    assert (reason, detail) == (
        "invalid_field", "at: 2025-10-26T02:30:00 has no zone: set site_zone of the device or of its source",
    )  # fmt: skip


def test_arrival_is_the_clock_of_those_that_tell_none() -> None:
    """A message without a time stands at its arrival, or so many seconds before it."""
    assert _items(Measured("M-1", Moment(Clock.ARRIVAL, offset_s=-60), index_ml=5)) == (
        Report("M-1", None, _AT - timedelta(seconds=60), 5),
    )


def test_an_alarm_without_a_level_gets_the_registered_one() -> None:
    """The registry's level; when it has none, the higher: an unknown height is not taken for a low one."""
    said = Asserted("M-1", _NOW, "leak_alarm", "raised", seq=3)
    assert _items(said, device=Device(7, 1, alarm_level=1)) == (Event("M-1", 3, _AT, "leak_alarm", "raised", 1),)
    assert _items(said) == (Event("M-1", 3, _AT, "leak_alarm", "raised", 2),)
    assert _items(replace(said, level=1)) == (Event("M-1", 3, _AT, "leak_alarm", "raised", 1),)


def test_simulated_data_is_marked() -> None:
    """A simulated alarm is a test, a simulated value is marked unknown."""
    alarm = Asserted("M-1", _NOW, "leak_alarm", "raised", level=2, simulated=True)
    report, event = _items(Measured("M-1", _NOW, index_ml=5, simulated=True), alarm)
    assert isinstance(report, Report)
    assert isinstance(event, Event)
    assert (report.marks, event.test) == (32, True)


def test_numbers_are_kept_as_far_as_they_fit() -> None:
    """A frame counter of 32 bits beyond our column is unknown; back-dated samples have no number of their own."""
    old = Moment(Clock.GATEWAY, _AT - timedelta(hours=1))
    items = _items(
        Measured("M-1", _NOW, seq=2**32 - 1, index_ml=6), Measured("M-1", old, seq=4, index_ml=5, historical=True)
    )
    assert [item.seq for item in items if isinstance(item, Report)] == [None, None]
    assert _items(Measured("M-1", _NOW, seq=70_000, index_ml=6)) == (Report("M-1", 70_000, _AT, 6),)


def test_charge_in_percent_is_not_millivolts() -> None:
    """A charge keeps its own place."""
    assert _items(Measured("M-1", _NOW, battery_pct=88.5)) == (Report("M-1", None, _AT, battery_pct=88.5),)


def test_what_says_nothing_is_not_understood() -> None:
    """No observation at all: refused with the names of what was not read."""
    assert _refusal(unread=("media: water is not gas",)) == ("not_understood", "payload: media: water is not gas")


@pytest.mark.parametrize(
    ("field", "value"), [("index_ml", 10**15 + 1), ("flow_lh", -1.0), ("lel_pct", 111.0), ("battery_mv", 0)]
)
def test_bounds_are_those_of_native_messages(field: str, value: float) -> None:
    """A value outside the bounds of the specification is refused and named."""
    fields: dict[str, Any] = {field: value}
    reason, detail = _refusal(Measured("M-1", _NOW, **fields))
    assert (reason, detail.split(":")[0]) == ("invalid_field", field)


def test_births_and_deaths() -> None:
    """A node's session names come again: told apart by their moment. Its devices' presence are events."""
    birth, other = Liveness("n", None, "online", "3", _NOW), Liveness("n", "x", "online", None, _NOW)
    items = _items(birth, Liveness("n", "M-1", "stale", "3", _NOW), other)
    assert items == (
        GatewayStatus("online", f"3@{_AT.isoformat()}", _AT, "3"),
        Event("M-1", None, _AT, "presence", "stale"),
    )


def test_a_device_of_another_gateway_is_refused_by_name() -> None:
    """Unknown devices and those of other gateways are refused as native ones are."""
    params = SourceParams(format="wmbusmeters", area="D01", gateway="G-2")
    for device, reason in (("M-1", "gateway_mismatch"), ("M-2", "unknown_device")):
        understood = Understood("wmbus", "wmbusmeters-json/1", None, (Measured(device, _NOW, index_ml=5),))
        message = Message("wmbusmeters/1", b"", _AT, Foreign(params, "wmbusmeters-json/1", understood))
        judged = judge_message(0, message, _directory())
        assert isinstance(judged, Refused)
        assert judged.rejected.reason == reason
        assert device in judged.rejected.detail


_VALUES = st.none() | st.integers(-(10**16), 10**16)
_MOMENTS = st.sampled_from([_NOW, _LOCAL, Moment(Clock.ARRIVAL), Moment(Clock.METER, datetime(1, 1, 1))])  # noqa: DTZ001


@given(
    st.lists(
        st.builds(
            Measured, st.sampled_from(["M-1", "M-2"]), _MOMENTS, st.sampled_from([None, "total", "target", "x"]),
            st.none() | st.integers(0, 2**32), index_ml=_VALUES, pulses=_VALUES, interval_ml=_VALUES,
            pressure_pa=_VALUES, simulated=st.booleans(), historical=st.booleans(),
        ),
        max_size=4,
    ),
    st.sampled_from([None, "total", "x"]),
    st.sampled_from([None, "Europe/Amsterdam"]),
)  # fmt: skip
def test_any_observations_are_settled_or_refused(
    said: list[Measured], register: str | None, site_zone: str | None
) -> None:
    """Nothing raises; a register that comes out is one that went in, times the registered step for pulses."""
    device = Device(7, 1, pulse_ml=10, register_name=register, site_zone=site_zone)
    found = _settled(*said, device=device)
    if isinstance(found, Rejected):
        return
    given_ml = {one.index_ml for one in said} | {one.pulses * 10 for one in said if one.pulses is not None}
    for item in found.items:
        assert isinstance(item, Report)
        assert item.index_ml is None or item.index_ml in given_ml


@pytest.mark.parametrize("word", sorted(FOREIGN))
def test_every_sample_is_settled(word: str) -> None:
    """With all its devices registered, each sample of a format is bound or refused with a reason of the list."""
    source = SourceParams(format=word, area="D01", gateway="G-1", site_zone="Europe/Amsterdam")
    bound = 0
    for sample in source.form.samples:
        message = read_foreign(source, sample.topic, sample.payload, _AT)
        directory, facts = Directory(0.0), Device(7, 1, pulse_ml=10, alarm_level=1)
        codes = {one.device for one in sample.understood.observations if one.device is not None}
        known = [((source.device_family(), code), facts) for code in codes]
        directory.learn([Gateway(1, "G-1", "D01")], known, (set(), set()), 0.0)
        judged = judge_message(0, message, directory)
        bound += isinstance(judged, Bound)
        if isinstance(judged, Refused):
            assert judged.gateway == Gateway(1, "G-1", "D01")
            assert judged.rejected.reason in {"invalid_field", "not_understood", "time_out_of_range"}
    assert bound >= 1
