"""Which visits that did not get in call for a case, told from the whole run of them at a door. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Try:
    """A visit that did not get in."""

    at: datetime
    visit_id: int
    result: str


@dataclass(frozen=True, slots=True)
class WantedCase:
    """A case that a run calls for: its kind, since when, and at which attempt in a row."""

    kind: str
    at: datetime
    attempt: int


def wanted_cases(run: Sequence[Try], attempts_max: int) -> list[WantedCase]:
    """Every visit of a door's last unentered run that calls for a case, oldest first, for any order of `run`.

    A refusal calls for one at once; nobody met from the last attempt of `attempts_max` on, counted over both results.
    """
    ordered = sorted(run, key=lambda one: (one.at, one.visit_id))
    return [
        WantedCase(one.result, one.at, attempt)
        for attempt, one in enumerate(ordered, 1)
        if one.result == "refused" or attempt >= attempts_max
    ]
