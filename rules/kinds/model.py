"""What a kind of rule says about itself: its family, its parameters with units and ranges, and what it supports."""

from collections.abc import Mapping
from dataclasses import dataclass, field

FAMILIES = ("event", "window", "absence", "group", "asset", "inspection", "desk")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One number of a kind: its unit, its default, the permitted range (ends included) and what it means."""

    unit: str
    default: float
    least: float
    most: float
    explanation: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule: one pure detector with its parameters.

    `summary`: what it looks for, one sentence. `ordered`: pairs of parameters of which the first must be the smaller.
    `band`: two parameters that bound a band; rules of one kind with separate bands may share a scope. `value_unit`:
    unit of a finding's value, None when it has none: without a value there is no severity ladder. `worse`: which
    direction of the value is worse, `higher` or `lower`. `high_when`: when `severity_high` applies, None when it never
    does. `lasting`: it finds intervals, so that a least observed duration makes sense. `hysteresis`: its condition is
    a threshold that may end further back than it began. `leak`: it is about escaping gas: no schedule may limit it and
    a silence needs a second person. `open_end`: a rule of this kind may end its alerts after a time without recurrence
    (`clear_after_min`).
    """

    family: str
    summary: str
    parameters: Mapping[str, Parameter]
    ordered: tuple[tuple[str, str], ...] = field(default=())
    band: tuple[str, str] | None = None
    value_unit: str | None = None
    worse: str = "higher"
    high_when: str | None = None
    lasting: bool = False
    hysteresis: bool = False
    leak: bool = False
    open_end: bool = False
