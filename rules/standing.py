"""What the evaluator of windows is told of alerts that are open: apart from it, for it needs a frame library. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """An open alert of a window rule, as far as the evaluator needs it."""

    rule_id: str
    subject: str
    device_id: int
    first_at: datetime
    last_at: datetime
    firing: bool
