"""Kinds of the group family: what several devices of one place say together."""

from collections.abc import Mapping

from rules.kinds.model import Kind, Parameter

KINDS: Mapping[str, Kind] = {
    "building_leaks": Kind(
        family="group",
        summary="Several detectors of one building raise leak alarms within minutes.",
        parameters={
            "devices_min": Parameter("devices", 2, 2, 1000, "different detectors that must have raised an alarm"),
            "within_min": Parameter("min", 30, 1, 1440, "time within which they must have raised it"),
        },
        value_unit="devices",
        leak=True,
    ),
}
