"""Kinds of the event family: what a device asserts, or an instant limit."""

from collections.abc import Mapping

from rules.kinds.model import Kind, Parameter

KINDS: Mapping[str, Kind] = {
    "leak_alarm": Kind(
        family="event",
        summary="A detector raises a leak alarm; self-tests are nobody's alarm.",
        parameters={
            "critical_lel_pct": Parameter(
                "%LEL", 20.0, 1, 100, "from this concentration on the alarm is as bad as one of the high set-point"
            ),
        },
        value_unit="%LEL",
        high_when="the alarm is of level 2 or its concentration reaches critical_lel_pct",
        leak=True,
    ),
}
