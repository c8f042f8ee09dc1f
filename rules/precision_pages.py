"""What the precision route takes and gives: pydantic models, nothing else. Pure."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class PrecisionQuery(BaseModel):
    """Which alerts to judge rules by, and what to tell apart."""

    model_config = ConfigDict(extra="forbid")

    by: Literal["rule", "version", "model", "area", "month", "week"] = "rule"
    rule: Annotated[str | None, Field(max_length=64, description="rule id; default: all")] = None
    area: Annotated[tuple[str, ...], Field(description="district codes; those below count")] = ()
    since: Annotated[AwareDatetime | None, Field(description="raised at or after; default: 365 days ago")] = None
    until: Annotated[AwareDatetime | None, Field(description="raised before; default: now")] = None


class PrecisionRow(BaseModel):
    """How right a rule was, of one device model, district or time.

    `true_alerts`: a hazard was found. `false_alerts`: a visit found none, or it was dismissed for a harmless cause.
    `unknown_alerts` were closed without anybody saying; `other_alerts` were tests and works. Precision is of the first
    two alone, with its 95 % Wilson interval.
    """

    rule_id: str
    key: Annotated[str, Field(description="version, model, district, month or week; empty by rule")]
    alerts: int
    true_alerts: int
    false_alerts: int
    unknown_alerts: int
    open_alerts: int
    other_alerts: int
    precision: float | None
    precision_low: float | None
    precision_high: float | None
    causes: Annotated[dict[str, int], Field(description="dismissals by cause")]


class PrecisionAnswer(BaseModel):
    """Precision of rules over a time."""

    by: str
    since: datetime
    until: datetime
    items: list[PrecisionRow]
