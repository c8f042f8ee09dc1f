"""Named fields of devices behind a platform: what each means is declared as data, for each product of the platform.

A profile is a table such as (TOML):

    [measures]
    battery_voltage = { gives = "battery_mv", factor = "1000" }
    [says.gas_sensor_state]
    kind = "leak_alarm"
    states = { "0" = { state = "cleared" }, "1" = { state = "raised", level = 1 } }

For a product without a declared profile the profiles of DOCUMENTED are tried: gas detectors as seen on CTWing, and
names that carry their unit. Nothing else is guessed: a message none of whose fields is declared is refused.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from ingest.decoders.fields import shown, to_decimal
from ingest.decoders.model import Asserted, Measured, Moment, Observation, Undecodable
from ingest.decoders.quantities import EVENT_WORDS, scale

_RANGES: Mapping[str, tuple[float, float]] = {
    "index_ml": (0, 10**15), "interval_ml": (0, 10**15), "flow_lh": (0, 1e9), "pressure_pa": (-100_000, 100_000_000),
    "temperature_c": (-100, 200), "lel_pct": (0, 110), "battery_mv": (1, 100_000), "battery_pct": (0, 100),
    "signal_dbm": (-200, -1),
}  # fmt: skip
_NUMBER_BEFORE = 10**15
_STRICT = ConfigDict(extra="forbid", frozen=True)


class Measure(BaseModel):
    """A field that measures: the field of ours it gives, and the factor and offset into its unit."""

    model_config = _STRICT
    gives: Literal[
        "index_ml", "interval_ml", "flow_lh", "pressure_pa", "temperature_c", "lel_pct", "battery_mv", "battery_pct",
        "signal_dbm",
    ]  # fmt: skip
    factor: Decimal = Decimal(1)
    offset: Decimal = Decimal(0)


class State(BaseModel):
    """What a value of an asserting field says."""

    model_config = _STRICT
    state: Literal["raised", "cleared", "open", "closed"]
    level: Literal[1, 2] | None = None


class Saying(BaseModel):
    """A field that asserts an event: its values as text, and what each says; `otherwise` is of every other number.

    A value that is not declared, when there is no `otherwise`, makes the message refused: an unknown state of a
    detector is neither alarm nor safe.
    """

    model_config = _STRICT
    kind: str
    states: Mapping[str, State]
    otherwise: State | None = None

    @model_validator(mode="after")
    def _words_fit(self) -> Self:
        if self.kind not in EVENT_WORDS | {"valve"}:
            raise ValueError(f"{self.kind} is no event")
        every = [*self.states.values(), *([self.otherwise] if self.otherwise else [])]
        if any((one.state in ("open", "closed")) != (self.kind == "valve") for one in every):
            raise ValueError("a valve is open or closed, anything else raised or cleared")
        return self


class Profile(BaseModel):
    """What the fields of a product mean. `needs`: undeclared products fit when all of these fields are there."""

    model_config = _STRICT
    needs: frozenset[str] = frozenset()
    measures: Mapping[str, Measure] = {}
    says: Mapping[str, Saying] = {}


ProfileOf = Callable[[str], Profile | None]
"""Product id of the platform -> its declared profile; None when it has none."""


def not_declared(product: str) -> None:
    """Declare nothing: the documented profiles are tried."""


# Fields of gas detectors seen on CTWing. The states of gas_sensor_state (normal, low and high concentration) and the
# fault meaning of error_code are as in public integrations of such detectors; battery in volts and percent.
# valve_state, fan_state, temperature and gas_value have no documented coding or unit: they stay unread.
GAS_DETECTOR = Profile.model_validate(
    {
        "needs": ["gas_sensor_state"],
        "measures": {
            "battery_voltage": {"gives": "battery_mv", "factor": 1000},
            "battery_value": {"gives": "battery_pct"},
        },
        "says": {
            "gas_sensor_state": {
                "kind": "leak_alarm",
                "states": {
                    "0": {"state": "cleared"},
                    "1": {"state": "raised", "level": 1},
                    "2": {"state": "raised", "level": 2},
                },
            },
            "error_code": {
                "kind": "fault",
                "states": {"0": {"state": "cleared"}},
                "otherwise": {"state": "raised"},
            },
        },
    }
)
UNITS_IN_NAMES = Profile.model_validate(
    {
        "needs": ["cumulative_m3"],
        "measures": {
            "cumulative_m3": {"gives": "index_ml", "factor": 1_000_000},
            "flow_m3h": {"gives": "flow_lh", "factor": 1000},
            "pressure_pa": {"gives": "pressure_pa"},
            "pressure_kpa": {"gives": "pressure_pa", "factor": 1000},
            "temperature_c": {"gives": "temperature_c"},
            "battery_v": {"gives": "battery_mv", "factor": 1000},
            "battery_mv": {"gives": "battery_mv"},
            "battery_pct": {"gives": "battery_pct"},
        },
    }
)
DOCUMENTED = (GAS_DETECTOR, UNITS_IN_NAMES)


@dataclass(frozen=True, slots=True)
class Told:
    """A field's value and its moment; `where` names it in the message."""

    where: str
    value: Any
    moment: Moment


def observe(
    product: str, device: str, fields: Mapping[str, Told], profile_of: ProfileOf
) -> tuple[tuple[Observation, ...], tuple[str, ...]]:
    """Give what the fields say and the names of those not understood; raises Undecodable when nothing is understood."""
    profile = profile_of(product) or next((one for one in DOCUMENTED if one.needs <= fields.keys()), None)
    if profile is None:
        raise Undecodable("product", f"no field of product {product} is declared: {_names(fields)}")
    measured: dict[Moment, Measured] = {}
    asserted: list[Asserted] = []
    unread: list[str] = []
    for name, told in fields.items():
        if told.value is None:
            continue
        if name in profile.says:
            asserted.append(_assert(profile.says[name], name, told, device))
            continue
        before = measured.get(told.moment, Measured(device, told.moment))
        if more := _measure(profile.measures.get(name), told, before):
            measured[told.moment] = more
        else:
            unread.append(told.where)
    if not measured and not asserted:
        raise Undecodable("product", f"no declared field of product {product} is there: {_names(fields)}")
    return (*measured.values(), *asserted), tuple(unread)


def _names(fields: Iterable[str]) -> str:
    return ", ".join(sorted(map(shown, fields)))[:120] or "it has none"


def _measure(measure: Measure | None, told: Told, before: Measured) -> Measured | None:
    """Add the value in our unit; None for no number, one that no such value can be, or a second value of the kind."""
    number = to_decimal(told.value)
    if measure is None or number is None or abs(number) >= _NUMBER_BEFORE or getattr(before, measure.gives) is not None:
        return None
    low, high = _RANGES[measure.gives]
    if not low <= number * measure.factor + measure.offset <= high:
        return None
    changes: dict[str, Any] = {measure.gives: scale(measure.gives, number, measure.factor, measure.offset)}
    return replace(before, **changes)


def _assert(saying: Saying, name: str, told: Told, device: str) -> Asserted:
    number = to_decimal(told.value)
    text = str(told.value).lower() if isinstance(told.value, bool) else str(told.value)
    if number is not None and number == number.to_integral_value():
        text = str(int(number))
    said, cause = saying.states.get(text), None
    if said is None and number is not None:
        said, cause = saying.otherwise, f"{name} {text}"
    if said is None:
        raise Undecodable(told.where, f"{shown(text)} is none of the declared values: {', '.join(saying.states)}")
    return Asserted(device, told.moment, saying.kind, said.state, level=said.level, cause=cause and cause[:64])
