"""Metrics of a Sparkplug birth or data message -> observations, by name, engineering unit and quality."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingest.decoders.model import Asserted, Clock, Measured, Moment
from ingest.decoders.quantities import EVENT_WORDS, QUANTITY_WORDS, Noted, Value, gather, understand
from ingest.decoders.sparkplug_wire import WireMetric, WirePayload, value_of

GOOD_QUALITY = 192
UNREAD_MAX = 100
# Units at the end of a metric's name, for edge nodes that send no engUnit property.
_SUFFIX_UNITS = {
    "m3": "m3", "ml": "ml", "m3h": "m3/h", "lh": "l/h", "pa": "Pa", "kpa": "kPa", "mbar": "mbar", "bar": "bar",
    "c": "Cel", "mv": "mV", "pct": "%", "dbm": "dBm",
}  # fmt: skip
_NOT_CUMULATIVE = frozenset({"hourly", "daily", "monthly", "interval", "consumption", "usage", "delta", "target"})
# A name with one of these says something about an event, not that it is there: `No fault`, `Leak alarm reset`.
_NOT_THE_EVENT = frozenset({
    "no", "not", "ack", "acknowledged", "reset", "test", "enable", "enabled", "disable", "disabled", "inhibit",
    "inhibited", "count", "limit", "setpoint",
})  # fmt: skip
_CONTROL = ("Node Control/", "Device Control/")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a birth says of one metric: its type, and its unit where it has one."""

    name: str
    datatype: int | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class Birth:
    """The metrics of a node or device by name, and the names of their aliases. Not online: all of them are stale."""

    definitions: Mapping[str, Definition]
    names: Mapping[int, str]
    online: bool = True

    @property
    def stale(self) -> tuple[str, ...]:
        """Names of the metrics whose last value is not to be relied on."""
        return () if self.online else tuple(self.definitions)


def read_birth(payload: WirePayload) -> Birth:
    """The definitions of a birth; an alias given to two names is given to none."""
    named = [one for one in payload.metrics if one.name is not None]
    definitions = {str(one.name): Definition(str(one.name), one.datatype, _unit(one.properties)) for one in named}
    names: dict[int, str] = {}
    doubtful: set[int] = set()
    for one in named:
        if one.alias is not None and names.setdefault(one.alias, str(one.name)) != one.name:
            doubtful.add(one.alias)
    return Birth(definitions, {alias: name for alias, name in names.items() if alias not in doubtful})


def _unit(properties: Mapping[str, Any]) -> str | None:
    unit = next((value for key, value in properties.items() if key.lower() == "engunit"), None)
    return unit if isinstance(unit, str) and unit else None


def observe(
    birth: Birth, identity: str, payload: WirePayload, arrival: Moment
) -> tuple[tuple[Measured | Asserted, ...], tuple[str, ...]]:
    """What the metrics say, and the names of those we have no field for. Null values are unknown, and say nothing."""
    noted: list[Noted] = []
    unread: list[str] = []
    for metric in payload.metrics:
        definition = _definition(birth, metric)
        if definition is None:
            unread.append(f"alias {metric.alias}: not in the birth" if metric.name is None else metric.name[:100])
            continue
        if metric.null or definition.name == "bdSeq" or definition.name.startswith(_CONTROL):
            continue
        moment = _moment(metric, payload, arrival)
        value = _value(definition, metric, identity, moment)
        if isinstance(value, str):
            unread.append(value[:100])
        else:
            prefix = definition.name.rpartition("/")[0] or None
            noted.append(Noted(identity, moment, value, prefix, definition.name, metric.historical))
    return gather(noted), tuple(unread[:UNREAD_MAX])


def _definition(birth: Birth, metric: WireMetric) -> Definition | None:
    """The birth's definition of a metric, by name, else by alias."""
    name = metric.name
    if name is None and metric.alias is not None:
        name = birth.names.get(metric.alias)
    return birth.definitions.get(name) if name is not None else None


def _moment(metric: WireMetric, payload: WirePayload, arrival: Moment) -> Moment:
    at = metric.at or payload.at
    return arrival if at is None else Moment(Clock.GATEWAY, at)


def _value(definition: Definition, metric: WireMetric, identity: str, moment: Moment) -> Value | Asserted | str:
    """The value as one of ours, or what to tell people of it."""
    name = definition.name
    quality = next((value for key, value in metric.properties.items() if key.lower() == "quality"), GOOD_QUALITY)
    if quality != GOOD_QUALITY:
        return f"{name}: quality {quality}"
    if metric.kind is None:
        return f"{name}: no value"
    value = value_of(metric.datatype or definition.datatype, metric.kind, metric.raw)
    if value is None:
        return f"{name}: the value is not of its type"
    word, suffix = _word(name.rpartition("/")[2])
    if isinstance(value, bool):
        state = "raised" if value else "cleared"
        return Asserted(identity, moment, word, state) if word in EVENT_WORDS else name
    if isinstance(value, str):
        known = word == "valve" and value.lower() in {"open", "closed"}
        return Asserted(identity, moment, "valve", value.lower()) if known else name
    unit = _unit(metric.properties) or definition.unit or suffix
    return understand(word, unit, value) or f"{name} ({unit or 'no unit'})"


def _word(text: str) -> tuple[str, str | None]:
    """The quantity a metric's last name part names, and the unit at its end: `Gas Volume`, `flow_m3h`, `Leak alarm`."""
    name = re.sub(r"[\s-]+", "_", text.strip().lower())
    if name in QUANTITY_WORDS:
        return name, None
    head, _, tail = name.rpartition("_")
    suffix = _SUFFIX_UNITS.get(tail) if head else None
    parts = (head if suffix else name).split("_")
    if (_NOT_CUMULATIVE | _NOT_THE_EVENT) & set(parts):
        return name, suffix
    for event in ("_".join(parts[-2:]), parts[-1]):
        if event in EVENT_WORDS:
            return event, suffix
    return "battery" if "battery" in parts else "lel" if "lel" in parts else parts[-1], suffix
