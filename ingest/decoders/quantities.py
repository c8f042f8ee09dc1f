"""Numbers with units -> our fields, exactly: which field a unit measures, and the factor into our unit.

Shared by the formats that carry free unit texts (SenML, Sparkplug B) and by those whose unit is fixed.
"""

import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from ingest.decoders.model import Asserted, Measured, Moment, Undecodable

_LARGEST = Decimal(2**63 - 1)
_ML_PER_M3 = 1_000_000
_LH_PER_M3H = 1000
_WHOLE = frozenset({"index_ml", "interval_ml", "pressure_pa", "battery_mv", "signal_dbm"})

# Words that name a quantity. A name that ends in one of them is a device followed by its quantity.
VOLUME_WORDS = frozenset({"volume", "vol", "index", "total", "totalizer", "register", "gas"})
BATTERY_WORDS = frozenset({"battery", "bat", "vbat"})
LEL_WORDS = frozenset({"lel"})
_OTHER_WORDS = frozenset({
    "flow", "flowrate", "pressure", "temperature", "temp", "methane", "ch4", "concentration", "voltage", "current",
    "rssi", "rsrp", "signal", "humidity", "status", "state",
    "hourly", "daily", "monthly", "interval", "consumption", "usage", "delta", "target",
})  # fmt: skip
# Event words of docs/payloads.md whose state is raised or cleared.
EVENT_WORDS = frozenset({
    "leak_alarm", "co_alarm", "tamper", "magnet", "fault", "end_of_life", "detector_cut", "low_battery", "large_flow",
    "continuous_flow", "micro_flow", "reverse_flow", "pressure_high", "pressure_low", "metering_fault", "power_loss",
    "seismic", "tilt", "flow_valve_closed", "pass_through", "valve_fault", "warming_up", "inhibited",
})  # fmt: skip
QUANTITY_WORDS = VOLUME_WORDS | BATTERY_WORDS | LEL_WORDS | _OTHER_WORDS | EVENT_WORDS | {"valve"}


@dataclass(frozen=True, slots=True)
class _Unit:
    """What a unit measures: our field, the factor into our unit, an offset added after, conversion of the volume."""

    field: str
    factor: Decimal
    offset: Decimal = Decimal(0)
    converted: bool | None = None


def _unit(field: str, factor: str | int, offset: str = "0", *, converted: bool | None = None) -> _Unit:
    return _Unit(field, Decimal(factor), Decimal(offset), converted)


# Symbols of the SenML units registry (RFC 8428 section 12.1, RFC 8798) and the spellings met in engineering units.
# Capital and small letters differ in meaning (mPa, MPa): the table is exact.
_UNITS = {
    "m3": _unit("index_ml", _ML_PER_M3),
    "m³": _unit("index_ml", _ML_PER_M3),
    "Nm3": _unit("index_ml", _ML_PER_M3, converted=True),
    "Nm³": _unit("index_ml", _ML_PER_M3, converted=True),
    "Sm3": _unit("index_ml", _ML_PER_M3, converted=True),
    "Sm³": _unit("index_ml", _ML_PER_M3, converted=True),
    "dm3": _unit("index_ml", 1000),
    "l": _unit("index_ml", 1000),
    "L": _unit("index_ml", 1000),
    "ml": _unit("index_ml", 1),
    "mL": _unit("index_ml", 1),
    "m3/s": _unit("flow_lh", 3_600_000),
    "m³/s": _unit("flow_lh", 3_600_000),
    "l/s": _unit("flow_lh", 3600),
    "m3/h": _unit("flow_lh", _LH_PER_M3H),
    "m³/h": _unit("flow_lh", _LH_PER_M3H),
    "l/h": _unit("flow_lh", 1),
    "L/h": _unit("flow_lh", 1),
    "Pa": _unit("pressure_pa", 1),
    "hPa": _unit("pressure_pa", 100),
    "kPa": _unit("pressure_pa", 1000),
    "MPa": _unit("pressure_pa", 1_000_000),
    "mbar": _unit("pressure_pa", 100),
    "bar": _unit("pressure_pa", 100_000),
    "Cel": _unit("temperature_c", 1),
    "°C": _unit("temperature_c", 1),
    "degC": _unit("temperature_c", 1),
    "K": _unit("temperature_c", 1, "-273.15"),
    "%LEL": _unit("lel_pct", 1),
    "% LEL": _unit("lel_pct", 1),
    "LEL%": _unit("lel_pct", 1),
    "%EL": _unit("battery_pct", 1),
    "dBm": _unit("signal_dbm", 1),
    "dBW": _unit("signal_dbm", 1, "30"),
}
# Units that measure one of our fields only when the quantity's name says so.
_NAMED_UNITS = {
    (word, unit): measure
    for words, units in (
        (BATTERY_WORDS, {"V": _unit("battery_mv", 1000), "mV": _unit("battery_mv", 1), "%": _unit("battery_pct", 1)}),
        (BATTERY_WORDS, {"/": _unit("battery_pct", 100), "/100": _unit("battery_pct", 1)}),
        (LEL_WORDS, {"%": _unit("lel_pct", 1), "/100": _unit("lel_pct", 1), "/": _unit("lel_pct", 100)}),
    )
    for word in words
    for unit, measure in units.items()
}


def scale(field: str, value: int | Decimal, factor: int | Decimal, offset: Decimal = Decimal(0)) -> int | float:
    """A number in our unit: whole (half to even) where the field is whole, else the nearest float.

    Raises Undecodable naming the field when the number is beyond what any meter shows (63 bits), or a cumulative
    register is negative.
    """
    number = Decimal(value) if isinstance(value, Decimal) or abs(value) < 2**127 else Decimal("Infinity")
    if not number.is_finite() or number.adjusted() > 30:
        raise Undecodable(field, "must be a finite number of at most 63 bits in our unit")
    scaled = number * factor + offset
    if abs(scaled) > _LARGEST:
        raise Undecodable(field, "must be a finite number of at most 63 bits in our unit")
    if field == "index_ml" and scaled < 0:
        raise Undecodable(field, "a cumulative register is not negative")
    return int(scaled.to_integral_value(ROUND_HALF_EVEN)) if field in _WHOLE else float(scaled)


def number_of(field: str, value: Any) -> Decimal | int:
    """A JSON number, or a number written as text as some gateways do; anything else raises Undecodable."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,20}(\.\d{1,20})?", value.strip(), re.ASCII):
        try:
            return Decimal(value.strip())
        except InvalidOperation as error:  # pragma: no cover - the pattern admits only numbers
            raise Undecodable(field, "must be a number") from error
    raise Undecodable(field, "must be a number")


def exact(value: float, *, single: bool = False) -> Decimal:
    """The decimal number a binary float was written for: the shortest that reads back as the same bits.

    `single` says that it came as 32 bits: 6842.784 and not 6842.7841796875.
    """
    if single and math.isfinite(value):
        for digits in range(6, 10):
            text = f"{value:.{digits}g}"
            try:
                if struct.pack("<f", float(text)) == struct.pack("<f", value):
                    return Decimal(text)
            except OverflowError:
                continue
    return Decimal(repr(value))


@dataclass(frozen=True, slots=True)
class Value:
    """One number read as one of our fields, in our unit."""

    field: str
    number: int | float
    converted: bool | None = None


def understand(word: str | None, unit: str | None, value: int | Decimal) -> Value | None:
    """A number with its quantity's name and unit as one of our fields; None when we cannot know what it measures.

    A volume is a cumulative register only when its name says so or it has none: an amount of some interval or the
    content of a tank is not guessed to be one. A ratio or percentage is of the LEL, or of the battery, by its name
    only: a volume fraction of methane is not converted, for that needs the gas's own limit.
    """
    if unit is None:
        return None
    key = word.lower() if word else None
    measure = _NAMED_UNITS.get((key, unit)) if key else None
    measure = measure or _UNITS.get(unit)
    if measure is None or (measure.field == "index_ml" and key is not None and key not in VOLUME_WORDS):
        return None
    return Value(measure.field, scale(measure.field, value, measure.factor, measure.offset), measure.converted)


def split_name(name: str) -> tuple[str, str | None]:
    """Device and quantity of a full name: `urn:dev:mac:0024/volume` -> (`urn:dev:mac:0024`, `volume`).

    Only a last part that is a known quantity word is split off, so that two devices are never taken for one.
    """
    head, mark, word = re.fullmatch(r"(?s)(?:(.*)([:/.]))?(.*)", name).groups()  # type: ignore[union-attr]
    if mark and head and word.lower() in QUANTITY_WORDS:
        return head, word
    return name, None


@dataclass(frozen=True, slots=True)
class Noted:
    """One value or assertion on its way into observations; `line` tells apart the lines of one device."""

    device: str
    moment: Moment
    value: Value | Asserted
    line: str | None = None
    register: str | None = None
    historical: bool = False


def gather(noted: Iterable[Noted], seq: int | None = None) -> tuple[Measured | Asserted, ...]:
    """Values of one device, line and moment in one observation, in order of first appearance.

    A second value of the same field at the same moment opens a new observation: nothing is overwritten.
    """
    found: list[Measured | Asserted] = []
    places: dict[tuple[str, Moment, str | None, bool], int] = {}
    for one in noted:
        if isinstance(one.value, Asserted):
            found.append(replace(one.value, seq=seq))
            continue
        key = (one.device, one.moment, one.line, one.historical)
        place = places.get(key)
        if place is None or getattr(found[place], one.value.field) is not None:
            places[key] = place = len(found)
            found.append(Measured(one.device, one.moment, one.line, seq, historical=one.historical))
        found[place] = _with_value(found[place], one)
    return tuple(found)


def _with_value(measured: Measured | Asserted, one: Noted) -> Measured:
    assert isinstance(measured, Measured)
    assert isinstance(one.value, Value)
    changes: dict[str, Any] = {one.value.field: one.value.number}
    if one.value.field == "index_ml":
        changes |= {"converted": one.value.converted, "register": one.register or measured.register}
    return replace(measured, **changes)
