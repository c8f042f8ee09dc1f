"""Kinds of the inspection family: what inspectors found and what is not put right yet."""

from collections.abc import Mapping

from rules.kinds.model import Kind, Parameter

KINDS: Mapping[str, Kind] = {
    "hazard_open": Kind(
        family="inspection",
        summary="An inspector found a hazard of the gravest grade, and it is not closed.",
        parameters={
            "grade_max": Parameter("grade", 1, 1, 3, "hazards up to this grade; 1 is the gravest"),
        },
        high_when="gas escapes (hazard `leak`), and neither is the supply cut nor the hazard put right",
        leak=True,
    ),
}
