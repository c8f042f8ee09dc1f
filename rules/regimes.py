"""Regimes: how fast what must happen to an alert. Reads regime files, or says what is wrong. Pure."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from importlib import resources
from itertools import pairwise
from types import MappingProxyType

from rules.model import Alert, Json

DEFAULT = "china"
"""What holds until a service has put another in force: of the regimes that ship, the one with the shorter times."""

CLASSES = ("leak", "critical", "major", "minor", "info")
"""Tables of a regime; the first for every alert about gas in a room, the others by severity, worst first."""

_MINUTES_MAX = 366 * 24 * 60
_RANGES = {"levels": (1, 9), "visit_grace_min": (1, 24 * 60)}
"""Permitted ranges that are not 1 to a year of minutes. A visit that nobody reported for a day is not under way."""

_IN_ORDER = (
    ("on_site_min", "on_site_controlled_min"),
    ("on_site_controlled_min", "made_safe_min"),
    ("notify_min", "on_site_min"),
    ("acknowledge_min", "on_site_min"),
)
_FASTER_WHEN_WORSE = ("acknowledge_min", "on_site_min", "made_safe_min")


class InvalidRegime(Exception):
    """A regime breaks the format; the message names regime, table and key."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one table of a regime asks for; all times in minutes, their meaning as at the head of regimes.toml."""

    notify_min: float
    acknowledge_min: float
    dispatch_min: float
    on_site_min: float
    on_site_controlled_min: float
    made_safe_min: float
    verify_min: float
    acknowledgement_expires_min: float
    escalate_min: float
    levels: int
    remind_min: float
    telemetry_min: float
    page: bool
    visit_grace_min: float = 60

    def after(self, name: str) -> timedelta:
        """One of the times, by its name without the unit."""
        return timedelta(minutes=float(getattr(self, f"{name}_min")))


@dataclass(frozen=True, slots=True)
class Regime:
    """One regime, checked. `version` is the digest of `definition`, its tables word for word."""

    name: str
    title: str
    source: str
    limits: Mapping[str, Limits]
    definition: Json
    version: str

    def limits_of(self, alert: Alert) -> Limits:
        """What this regime asks for an alert as it stands."""
        return self.limits["leak" if alert.leak else alert.severity]


@cache
def default_regimes() -> Mapping[str, Regime]:
    """The regimes that ship with the program, by name."""
    return parse_regimes(resources.files("rules").joinpath("regimes.toml").read_text("utf-8"))


def parse_regimes(text: str) -> Mapping[str, Regime]:
    """Check the text of a regime file; raises InvalidRegime at the first mistake."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRegime(f"not TOML: {error}") from error
    if unknown := document.keys() - {"regime"}:
        raise InvalidRegime(f"unknown key {min(unknown)} (every regime stands under [regime.<name>])")
    entries = document.get("regime", {})
    if not isinstance(entries, dict) or not entries:
        raise InvalidRegime("no regime at all: every regime stands under [regime.<name>]")
    return MappingProxyType({name: regime_of(name, entry) for name, entry in entries.items()})


def regime_of(name: str, entry: object) -> Regime:
    """One regime from its tables; raises InvalidRegime."""
    if not isinstance(entry, dict):
        raise InvalidRegime(f"regime {name}: must be a table")
    if unknown := entry.keys() - {"title", "source", *CLASSES}:
        raise InvalidRegime(f"regime {name}: unknown key {min(unknown)}")
    for key in ("title", "source"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise InvalidRegime(f"regime {name}: {key} is missing or empty")
    limits = {table: _limits(f"regime {name}.{table}", entry.get(table)) for table in CLASSES}
    _check_order(name, limits)
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    version = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Regime(name, entry["title"], entry["source"], MappingProxyType(limits), entry, version)


def _limits(where: str, entry: object) -> Limits:
    if not isinstance(entry, dict):
        raise InvalidRegime(f"{where}: is missing or not a table")
    names = {one.name: one.default for one in fields(Limits)}
    if unknown := entry.keys() - names.keys():
        raise InvalidRegime(f"{where}: unknown key {min(unknown)}")
    for name in sorted(names):
        _check_value(where, name, entry.get(name, names[name]))
    limits = Limits(**entry)
    for low, high in _IN_ORDER:
        if getattr(limits, low) > getattr(limits, high):
            raise InvalidRegime(
                f"{where}: {low} = {getattr(limits, low):g} must not exceed {high} = {getattr(limits, high):g}"
            )
    return limits


def _check_value(where: str, name: str, value: object) -> None:
    if name == "page":
        if not isinstance(value, bool):
            raise InvalidRegime(f"{where}: page must be true or false")
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRegime(f"{where}: {name} is missing or not a number")
    low, high = _RANGES.get(name, (1, _MINUTES_MAX))
    if not low <= value <= high or (name == "levels" and not isinstance(value, int)):
        raise InvalidRegime(f"{where}: {name} = {value:g} is outside {low} to {high}")


def _check_order(name: str, limits: Mapping[str, Limits]) -> None:
    if not limits["leak"].page or not limits["critical"].page:
        raise InvalidRegime(f"regime {name}: leak and critical must page")
    for worse, milder in pairwise(CLASSES[1:]):
        for key in _FASTER_WHEN_WORSE:
            if getattr(limits[worse], key) > getattr(limits[milder], key):
                raise InvalidRegime(f"regime {name}: {key} of {worse} must not exceed that of {milder}")
    for key in _FASTER_WHEN_WORSE:
        if getattr(limits["leak"], key) > getattr(limits["major"], key):
            raise InvalidRegime(f"regime {name}: {key} of leak must not exceed that of major")
