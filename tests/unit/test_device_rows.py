"""devices.csv: the columns that only formats other than native need."""

from typing import Any

import pytest
from pydantic import ValidationError

from ingest.registry import DeviceRow

_METER = {"code": "M", "kind": "meter", "gateway": "G", "qmin_lh": "40", "qmax_lh": "6000", "pulse_ml": "10000",
          "expected_interval_s": "86400"}  # fmt: skip


def test_empty_columns_are_unknown() -> None:
    """A file without these columns, or with empty ones, says nothing of them; volumes are cumulative."""
    empty = dict.fromkeys(("codec", "site_zone", "register_name", "alarm_level", "volume_kind"), "")
    for row in (DeviceRow.model_validate(_METER), DeviceRow.model_validate(_METER | empty)):
        assert (row.codec, row.site_zone, row.register_name, row.alarm_level) == (None, None, None, None)
        assert row.volume_kind == "cumulative"


def test_columns_are_read() -> None:
    """Text of a CSV file becomes what is meant."""
    said = {"codec": "fludia-fm432g", "site_zone": "Europe/Paris", "register_name": "index_tenths", "alarm_level": "1"}
    row = DeviceRow.model_validate(_METER | said)
    assert (row.codec, row.site_zone, row.register_name, row.alarm_level) == (
        "fludia-fm432g", "Europe/Paris", "index_tenths", 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"codec": "x"}, "'x' is no codec; there are milesight-gs101, watteco-pulse-atex, fludia-fm432g"),
        ({"site_zone": "Mars/Base"}, "'Mars/Base' is not a time zone of the IANA database"),
        ({"alarm_level": "3"}, "Input should be 1 or 2"),
        ({"volume_kind": "weekly"}, "Input should be 'cumulative' or 'interval'"),
    ],
)
def test_wrong_columns_are_refused(said: dict[str, Any], sentence: str) -> None:
    """A codec, zone, level or kind that does not exist is refused by name."""
    with pytest.raises(ValidationError) as caught:
        DeviceRow.model_validate(_METER | said)
    assert sentence in str(caught.value)
