"""What proves that an alert may be closed: measurements, photos, telemetry, inspections; and what does not. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.model import Json

SAFE_LEL_PCT = 1.0
"""A concentration at or above this proves no safety. No source found; a fifth of the lowest set-point that household
detectors may have (5 to 25 %LEL, general knowledge), so that a detector put there would stay quiet with a margin."""

_LEL_PCT_PER_UNIT = {"%LEL": 1.0, "ppm": 1 / 500, "%vol": 20.0}
"""Methane: 100 %LEL is 5 % by volume, 50,000 ppm."""

SAFE_CO_PPM = 9.0
"""Carbon monoxide at or above this proves no safety. The World Health Organization wants the mean of eight hours no
higher (as the Health Council of the Netherlands quotes it, 2019); one reading of a moment is held to the same."""

UNITS = (*_LEL_PCT_PER_UNIT, "Pa", "L/h")
KINDS = ("instrument", "photo", "telemetry", "inspection")
_NEEDED = "an instrument reading with its unit, a photo's id, minutes of normal telemetry, or an inspection's outcome"
_NEEDED_LEAK = "a gas concentration from an instrument (%LEL, ppm or %vol), or an inspection that passed"
_NEEDED_CO = "a carbon monoxide concentration from an instrument (gas: co, in ppm), or an inspection that passed"


@dataclass(frozen=True, slots=True)
class Sample:
    """A stored reading, as far as it proves anything; None is unknown.

    `doubtful`: it carries a mark, or its device says that it is faulty, inhibited, warming up or past its life.
    """

    at: datetime
    index_ml: int | None
    lel_pct: float | None
    doubtful: bool


def refusal(items: Sequence[Json], rule_clears: str, *, leak: bool, co: bool = False) -> str | None:
    """Why these items do not close an alert, as a sentence; None when they do.

    An alert that telemetry may end needs none. A leak needs a measured concentration or a passed inspection: a photo or
    a quiet detector may stand beside it, and alone prove nothing. Carbon monoxide (`co`) kills far below what an
    instrument for methane shows, so only its own concentration counts.
    """
    for item in items:
        if why := _fault(item):
            return why
    if rule_clears != "by_person":
        return None
    if not items:
        return f"verify needs evidence: {_NEEDED_CO if co else _NEEDED_LEAK if leak else _NEEDED}"
    if co and not any(_proves_no_co(item) for item in items):
        return f"verify of carbon monoxide needs {_NEEDED_CO}; an instrument for methane does not see it"
    if leak and not co and not any(_proves_no_gas(item) for item in items):
        return f"verify of a leak needs {_NEEDED_LEAK}; a photo or telemetry alone does not prove that there is no gas"
    return None


def _fault(item: Json) -> str | None:
    if item.get("kind") == "instrument":
        lel_pct = lel_of(item)
        if lel_pct is not None and lel_pct >= SAFE_LEL_PCT:
            return f"{item['value']:g} {item['unit']} is gas: below {SAFE_LEL_PCT:g} %LEL is safe"
        co_ppm = co_ppm_of(item)
        if co_ppm is not None and co_ppm >= SAFE_CO_PPM:
            return f"{co_ppm:g} ppm of carbon monoxide is harmful: below {SAFE_CO_PPM:g} ppm is safe"
    if item.get("kind") == "telemetry" and not item.get("normal"):
        return f"telemetry does not prove it: {item.get('why')}"
    if item.get("kind") == "inspection" and item.get("why"):
        return f"the inspection does not prove it: {item['why']}"
    return None


def lel_of(item: Json) -> float | None:
    """The concentration of an instrument reading in %LEL of methane; None when it is of something else."""
    if _is_co(item):
        return None
    factor = _LEL_PCT_PER_UNIT.get(str(item.get("unit")))
    value = item.get("value")
    return float(value) * factor if factor is not None and isinstance(value, int | float) else None


def co_ppm_of(item: Json) -> float | None:
    """The concentration of carbon monoxide in ppm of an instrument reading; None when it is of something else."""
    value = item.get("value")
    return float(value) if _is_co(item) and item.get("unit") == "ppm" and isinstance(value, int | float) else None


def _is_co(item: Json) -> bool:
    return item.get("gas") == "co"


def _proves_no_co(item: Json) -> bool:
    return item.get("kind") == "inspection" or (item.get("kind") == "instrument" and co_ppm_of(item) is not None)


def _proves_no_gas(item: Json) -> bool:
    return item.get("kind") == "inspection" or (item.get("kind") == "instrument" and lel_of(item) is not None)


# ---------------------------------------------------------------------------------------------- telemetry


def telemetry(samples: Sequence[Sample], since: datetime, minutes: float, warn_lel_pct: float | None) -> Json:
    """Judge whether the newest readings after `since` are normal for at least so many minutes of observed time.

    A detector is normal below its lower set-point (`warn_lel_pct`, None for a meter), with no gap of more than an hour;
    a meter while its register stands still. A doubtful or unknown reading ends the stretch: unknown is not normal.
    """
    known = sorted((one for one in samples if one.at > since), key=lambda one: one.at)
    stretch: list[Sample] = []
    why = "no reading since"
    for one in reversed(known):
        why = _abnormal(one, stretch[-1] if stretch else None, warn_lel_pct) or ""
        if why:
            break
        stretch.append(one)
    observed = stretch[0].at - stretch[-1].at if stretch else timedelta(0)
    normal = len(stretch) > 1 and observed >= timedelta(minutes=minutes)
    found: dict[str, object] = {
        "kind": "telemetry",
        "minutes": minutes,
        "observed_min": round(observed.total_seconds() / 60, 1),
        "samples": len(stretch),
        "normal": normal,
    }
    if stretch:
        found |= {"since": stretch[-1].at.isoformat(), "until": stretch[0].at.isoformat()}
    if not normal:
        observed_min = observed.total_seconds() / 60
        reason = f"; before that: {why}" if stretch and why else f"; {why}" if why else ""
        found["why"] = f"{observed_min:.0f} of {minutes:.0f} minutes are normal{reason}"
    return found


_GAP_MAX = timedelta(minutes=65)


def _abnormal(one: Sample, later: Sample | None, warn_lel_pct: float | None) -> str | None:
    if one.doubtful:
        return f"the reading of {one.at:%Y-%m-%d %H:%M}Z is doubtful"
    if warn_lel_pct is None:
        if one.index_ml is None:
            return f"the register is unknown at {one.at:%Y-%m-%d %H:%M}Z"
        if later is not None and one.index_ml != later.index_ml:
            return f"the register moved after {one.at:%Y-%m-%d %H:%M}Z"
        return None
    if one.lel_pct is None:
        return f"the concentration is unknown at {one.at:%Y-%m-%d %H:%M}Z"
    if one.lel_pct >= warn_lel_pct:
        return f"{one.lel_pct:g} %LEL at {one.at:%Y-%m-%d %H:%M}Z"
    if later is not None and later.at - one.at > _GAP_MAX:
        return f"nothing is known between {one.at:%Y-%m-%d %H:%M}Z and {later.at:%Y-%m-%d %H:%M}Z"
    return None
