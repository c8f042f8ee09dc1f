"""Local time without a zone: the hours that daylight saving repeats and skips, north, south and nowhere."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.local_time import to_utc, zone

_ZONES = [
    "Europe/Amsterdam",
    "Europe/Dublin",
    "Australia/Sydney",
    "Australia/Lord_Howe",
    "Asia/Shanghai",
    "America/St_Johns",
]
_MOMENTS = st.datetimes(datetime(2000, 1, 2), datetime(2090, 1, 1))  # noqa: DTZ001 - of no zone

CASES = [
    # the hour that is repeated: 02:00 to 03:00 on 26 October 2025
    ("Europe/Amsterdam", "2025-10-26T02:30", True, "2025-10-26T00:30+00:00", True),
    ("Europe/Amsterdam", "2025-10-26T02:30", False, "2025-10-26T01:30+00:00", True),
    ("Europe/Amsterdam", "2025-10-26T02:30", None, "2025-10-26T00:30+00:00", False),
    ("Europe/Amsterdam", "2025-10-26T01:59", None, "2025-10-25T23:59+00:00", True),
    ("Europe/Amsterdam", "2025-10-26T03:00", None, "2025-10-26T02:00+00:00", True),
    # the hour that is skipped: 02:00 to 03:00 on 30 March 2025
    ("Europe/Amsterdam", "2025-03-30T02:30", None, "2025-03-30T01:30+00:00", False),
    ("Europe/Amsterdam", "2025-03-30T02:30", False, "2025-03-30T01:30+00:00", False),
    ("Europe/Amsterdam", "2025-03-30T02:30", True, "2025-03-30T00:30+00:00", False),
    ("Europe/Amsterdam", "2025-03-30T03:00", None, "2025-03-30T01:00+00:00", True),
    # a sender that says summer in winter contradicts its site's zone
    ("Europe/Amsterdam", "2025-01-15T12:00", True, "2025-01-15T11:00+00:00", False),
    ("Europe/Amsterdam", "2025-07-15T12:00", False, "2025-07-15T10:00+00:00", False),
    ("Europe/Amsterdam", "2025-07-15T12:00", True, "2025-07-15T10:00+00:00", True),
    ("Europe/Dublin", "2025-07-15T12:00", True, "2025-07-15T11:00+00:00", True),
    ("Europe/Dublin", "2025-01-15T12:00", False, "2025-01-15T12:00+00:00", True),
    ("Australia/Sydney", "2025-01-15T12:00", True, "2025-01-15T01:00+00:00", True),
    ("Australia/Lord_Howe", "2025-04-06T01:45", None, "2025-04-05T14:45+00:00", False),
    ("Asia/Shanghai", "2025-07-15T12:00", None, "2025-07-15T04:00+00:00", True),
    ("Asia/Shanghai", "2025-07-15T12:00", True, "2025-07-15T04:00+00:00", False),
]


@pytest.mark.parametrize(("name", "local", "summer", "expected", "sure"), CASES)
def test_local_times(name: str, local: str, summer: bool | None, expected: str, sure: bool) -> None:
    """Each local time is the moment it must be, and said to be sure only when it is."""
    found = to_utc(datetime.fromisoformat(local), zone(name), summer)
    assert found == (datetime.fromisoformat(expected), sure)


@given(st.sampled_from(_ZONES), _MOMENTS)
def test_there_and_back(name: str, moment: datetime) -> None:
    """A moment told by a clock of the site that says what season it is comes back as that very moment, and sure."""
    site, at = zone(name), moment.replace(tzinfo=UTC)
    local = at.astimezone(site)
    winter = min(at.replace(month=month, day=1).astimezone(site).utcoffset() or timedelta(0) for month in (1, 7))
    summer = (local.utcoffset() or timedelta(0)) > winter
    assert to_utc(local.replace(tzinfo=None, fold=0), site, summer) == (at, True)


@given(st.sampled_from(_ZONES), _MOMENTS, st.none() | st.booleans())
def test_what_is_sure_reads_back(name: str, local: datetime, summer: bool | None) -> None:
    """What is said to be sure shows the given local time on the site's clock; any answer is within a day of it."""
    at, sure = to_utc(local, zone(name), summer)
    if sure:
        assert at.astimezone(zone(name)).replace(tzinfo=None, fold=0) == local
    assert abs(at.replace(tzinfo=None) - local) < timedelta(days=1)


@pytest.mark.parametrize("year", [1, 1969, 2200, 9999])
def test_years_of_no_clock(year: int) -> None:
    """A year that no clock of a meter shows is refused, and nothing overflows."""
    with pytest.raises(ValueError, match=f"{year} is no year of a clock"):
        to_utc(datetime(year, 1, 1), zone("Asia/Shanghai"), None)  # noqa: DTZ001 - of no zone
