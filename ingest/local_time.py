"""Local time without a zone -> UTC: the hour that daylight saving repeats, and the one it skips."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

_YEARS = range(1971, 2200)
_NONE = timedelta(0)


def _known(name: str) -> str:
    try:
        zone(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(f"{name!r} is not a time zone of the IANA database") from None
    return name


@lru_cache(maxsize=1_000)
def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name; raises KeyError, ValueError or OSError when there is none."""
    return ZoneInfo(name)


ZoneName = Annotated[str, AfterValidator(_known)]


def to_utc(local: datetime, site: ZoneInfo, summer: bool | None) -> tuple[datetime, bool]:
    """A zone-less time at a site in UTC, and whether that is sure; raises ValueError outside any clock's years.

    `summer` is what the sender says of daylight saving. In the hour that is repeated it decides; without it the earlier
    of the two is taken, unsure. A time that the clocks skip exists on no clock that follows the zone: unsure. So is one
    whose sender says summer in winter, or winter in summer.
    """
    if local.year not in _YEARS:
        raise ValueError(f"{local.year} is no year of a clock")
    first, second = _offset(local, site, 0), _offset(local, site, 1)
    if first == second:
        sure = summer is None or summer == (first > _standard(local, site))
        return (local - first).replace(tzinfo=UTC), sure
    repeated = first > second
    later = summer is False if repeated else summer is True
    return (local - (second if later else first)).replace(tzinfo=UTC), repeated and summer is not None


def _offset(local: datetime, site: ZoneInfo, fold: int) -> timedelta:
    return local.replace(tzinfo=site, fold=fold).utcoffset() or _NONE


def _standard(local: datetime, site: ZoneInfo) -> timedelta:
    """The offset of the year's winter, north or south."""
    return min(_offset(local.replace(month=month, day=1), site, 0) for month in (1, 7))
