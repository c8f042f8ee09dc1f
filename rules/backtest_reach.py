"""What a backtest can say of each rule, and what it must assume. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from rules.model import Rule

NOT_EVALUATED: Mapping[str, str] = MappingProxyType(
    {
        "alarm_unread": "looks at messages that could not be stored; what is left of them is the newest",
        "zone_pressure_fall": "is judged at each pass over reports, by the newest of what that pass took together;"
        " which batches those were is not stored",
        "inspection": "is about what inspectors found, not about what devices sent",
        "desk": "is about this service's own channels and rota, not about what devices sent",
    }
)
"""Families and kinds that cannot be tried on stored history, and why."""

_LOOKS = "looks every five minutes, not every ten seconds"
_DAILY = "looks at the beginning of each UTC day; live does within a minute of it"
_HEARD = (
    f"{_LOOKS}; no row is kept of messages sent again, of births and wills repeated within a session, and of refused"
    " messages beyond those in quarantine; which gateway a device has, and its registered interval, are today's"
)

ASSUMES: Mapping[str, str] = MappingProxyType(
    {
        "device_silent": _HEARD,
        "gateway_silent": _HEARD,
        "cell_silent": _HEARD,
        "zone_loss": f"{_DAILY}; which meter checks which place is today's",
        "meter_past_life": f"{_DAILY}; the day of making is the registry's of today",
        "detector_past_life": f"{_DAILY}; the day of making is the registry's of today",
        "gateway_flood": f"{_LOOKS}; the messages held are counted to the flood's end",
    }
)
"""What is taken for granted of kinds whose evaluation is approximate."""


def why_not(rule: Rule) -> str | None:
    """Why a rule cannot be tried on stored history; None: it can."""
    return NOT_EVALUATED.get(rule.kind) or NOT_EVALUATED.get(rule.family)


def assumed(rule: Rule) -> str | None:
    """What a backtest of a rule takes for granted; None: nothing beyond what docs/rules.md says of all."""
    return ASSUMES.get(rule.kind)
