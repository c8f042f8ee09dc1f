"""Kinds of the asset family: what a device's own life says."""

from collections.abc import Mapping

from rules.kinds.model import Kind, Parameter

_GRACE = Parameter("years", 1, 1, 30, "so long after the end of its life it is worse")

KINDS: Mapping[str, Kind] = {
    "meter_past_life": Kind(
        family="asset",
        summary="A meter is in use past the time for which it was verified.",
        parameters={
            "life_years": Parameter("years", 10, 1, 40, "validity of the verification, from the day it was made"),
            "grace_years": _GRACE,
        },
        value_unit="years",
        high_when="grace_years have passed since",
    ),
    "detector_past_life": Kind(
        family="asset",
        summary="A leak detector is in use past its life.",
        parameters={
            "life_years": Parameter("years", 5, 1, 20, "life of its sensor, from the day it was made"),
            "grace_years": _GRACE,
        },
        value_unit="years",
        high_when="grace_years have passed since",
    ),
}
