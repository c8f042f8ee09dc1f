"""Marks and findings in words, for people who look at a reading."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ingest.model import Flag

_FLAGS: dict[int, str] = {
    Flag.BACKFILLED: "filled in after a power loss: unknown",
    Flag.PAST_MEMORY: "zero beyond the meter's memory: unknown",
    Flag.BACKWARDS: "lower than an earlier value of its report",
    Flag.BEYOND_QMAX: "more than the meter can measure since the value before in its report",
    Flag.CLOCK_UNSURE: "the device's clock was not synchronised: unknown",
    Flag.SIMULATED: "a simulation, not a measurement",
}
_READING = {
    "high": "{step} in {step_hours} h: above the meter's capacity of {qmax_lh:g} L/h",
    "spike": "{index} stands above the readings on both sides ({before}, then {after})",
    "negative": "below zero, where nothing is",
    "backwards": "{index} is lower than {before} before it",
    "missing": "nothing known for {gap_hours:g} h before it, expected every {expected_interval_s} s",
    "wrap": "the register returned to zero: {before} before it, {index} now",
    "implausible_step": "{step} in {step_hours} h: beyond anything the meter can measure ({qmax_lh:g} L/h)",
    "power_loss_backfill": "{step} in {step_hours} h beside hours that stand still: looks filled in after a power loss",
    "past_memory_zero": "zero, from a register that was running",
}
_DAY = {
    "high": "{used} in this day, at most {highest} in any of {known_days} days before",
    "low": "{used} in this day, at least {lowest} in each of {known_days} days before",
    "zero": "no use for {still_days} days, where there was use before",
}


def flag_words(flags: int) -> list[str]:
    """What our marks on a reading say; empty without marks. A bit we do not know is told as its number."""
    known = [words for flag, words in _FLAGS.items() if flags & flag]
    unknown = flags & ~sum(_FLAGS)
    return [*known, f"mark {unknown}"] if unknown else known


def finding_words(scope: str, rule: str, detail: Mapping[str, Any]) -> str:
    """What a finding of validation says, with its rule in front; figures that are missing leave the rule alone."""
    form = (_DAY if scope == "day" else _READING).get(rule)
    volumes = {name.removesuffix("_ml"): _volume(value) for name, value in detail.items() if name.endswith("_ml")}
    try:
        return rule if form is None else f"{rule}: {form.format(**detail, **volumes)}"
    except KeyError:
        return rule


def reading_marks(at: datetime, flags: int, findings: Iterable[Mapping[str, Any]]) -> list[str]:
    """Our marks on a reading, and the findings (at, scope, rule, detail) about it and about its UTC day, in words."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    about = {"reading": at, "day": day}
    return flag_words(flags) + [
        finding_words(one["scope"], one["rule"], one["detail"]) for one in findings if one["at"] == about[one["scope"]]
    ]


def _volume(volume_ml: int) -> str:
    return f"{volume_ml / 1_000_000:,.3f} m³"
