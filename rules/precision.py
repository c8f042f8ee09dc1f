"""How right rules are: which alerts turned out true or false, and how sure of a rule that makes us. Pure."""

import math
from dataclasses import dataclass

from rules.lifecycle import CAUSES

OTHER_CAUSES = ("works", "test")
"""Dismissals that say nothing about a rule: gas or alarms that people made on purpose."""

FALSE_CAUSES = tuple(cause for cause in CAUSES if cause not in OTHER_CAUSES)
"""Dismissals that label an alert false, where no inspection says otherwise."""

_Z_95 = 1.959964
"""Two-sided 95 % of the normal distribution."""


@dataclass(frozen=True, slots=True)
class Precision:
    """The share of true alerts among those known to be true or false, with its 95 % Wilson interval (None: none)."""

    share: float | None
    low: float | None
    high: float | None


def precision(true_alerts: int, false_alerts: int) -> Precision:
    """Precision from counts of alerts known to be true and false. Unknown ones are not in it: unknown is not false."""
    known = true_alerts + false_alerts
    if known == 0:
        return Precision(None, None, None)
    share = true_alerts / known
    spread = 1 + _Z_95**2 / known
    middle = (share + _Z_95**2 / (2 * known)) / spread
    half = _Z_95 / spread * math.sqrt(share * (1 - share) / known + _Z_95**2 / (4 * known**2))
    return Precision(share, max(0.0, middle - half), min(1.0, middle + half))
