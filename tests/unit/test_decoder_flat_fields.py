"""Profiles are data: read from a table, checked when they are read."""

import tomllib
from decimal import Decimal

import pytest
from pydantic import ValidationError

from ingest.decoders import flat_fields
from ingest.decoders.fields import epoch_ms, shown
from ingest.decoders.flat_fields import Profile, Told
from ingest.decoders.model import Asserted, Clock, Measured, Moment, Undecodable

_TABLE = """
[measures]
vol = { gives = "index_ml", factor = "10000" }
[says.valve]
kind = "valve"
states = { "0" = { state = "closed" }, "1" = { state = "open" } }
"""
_NOW = Moment(Clock.ARRIVAL)


def test_a_profile_is_read_from_toml() -> None:
    """A register in hundredths of a cubic metre, and a valve."""
    profile = Profile.model_validate(tomllib.loads(_TABLE))
    fields = {"vol": Told("p.vol", "123456", _NOW), "valve": Told("p.valve", 0, _NOW), "x": Told("p.x", 1, _NOW)}
    found, unread = flat_fields.observe("any", "d", fields, lambda _: profile)
    assert found == (Measured("d", _NOW, index_ml=1_234_560_000), Asserted("d", _NOW, "valve", "closed"))
    assert unread == ("p.x",)


def test_a_second_value_of_a_kind_is_not_chosen_between() -> None:
    """Volts and millivolts of one battery at one moment: the first stands, the second is named."""
    fields = {
        "cumulative_m3": Told("p.cumulative_m3", 1, _NOW),
        "battery_v": Told("p.battery_v", 3.5, _NOW),
        "battery_mv": Told("p.battery_mv", 3400, _NOW),
    }
    fields["battery_v"] = Told("p.battery_v", "3.5", _NOW)
    found, unread = flat_fields.observe("any", "d", fields, flat_fields.not_declared)
    assert found == (Measured("d", _NOW, index_ml=1_000_000, battery_mv=3500),)
    assert unread == ("p.battery_mv",)


@pytest.mark.parametrize(
    "table",
    [
        {"measures": {"a": {"gives": "gas"}}},
        {"measures": {"a": {"gives": "index_ml", "unit": "m3"}}},
        {"says": {"a": {"kind": "boredom", "states": {}}}},
        {"says": {"a": {"kind": "valve", "states": {"0": {"state": "raised"}}}}},
        {"says": {"a": {"kind": "fault", "states": {"0": {"state": "open"}}}}},
        {"says": {"a": {"kind": "leak_alarm", "states": {"1": {"state": "raised", "level": 3}}}}},
        {"mesures": {}},
    ],
)
def test_a_wrong_profile_is_refused_when_it_is_read(table: dict[str, object]) -> None:
    """Unknown fields, events, states and misspelt tables are errors."""
    with pytest.raises(ValidationError):
        Profile.model_validate(table)


def test_a_sender_s_words_are_shown_storable() -> None:
    """Names and values that no database takes as text are escaped where they are named."""
    fields = {"cumulative_m3": Told("p.cumulative_m3", 1, _NOW)}
    assert shown("a\x00b\ud800") == "'a\\x00b\\ud800'"
    assert len(shown("x" * 500)) == 64
    with pytest.raises(Undecodable) as refused:
        flat_fields.observe("any", "d", {"\x00": Told("p", "\x00", _NOW)}, flat_fields.not_declared)
    assert str(refused.value).isprintable()
    assert flat_fields.observe("any", "d", fields, flat_fields.not_declared)[1] == ()


@pytest.mark.parametrize("value", [10**35, "1e39", "1e999999", 10**13, 10**12 - 1, Decimal("1e12") + Decimal("0.5")])
def test_epochs_of_other_sizes_are_no_time(value: object) -> None:
    """Milliseconds have 13 digits; no size of a number breaks the reading of it."""
    assert epoch_ms(value) is None
