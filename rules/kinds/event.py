"""Kinds of the event family: what a device asserts, or an instant limit."""

from collections.abc import Mapping

from rules.kinds.model import Kind, Parameter

_ABSOLUTE = Parameter(
    "Pa", 60_000, 20_000, 90_000, "from here on a reading is taken as absolute: no household has so much gauge pressure"
)
_READINGS = Parameter(
    "readings", 2, 1, 100, "readings in a row that must show it; a device's own word and the high limit need one"
)

KINDS: Mapping[str, Kind] = {
    "leak_alarm": Kind(
        family="event",
        summary="A detector raises a leak alarm or measures gas above its set-point; self-tests are nobody's alarm.",
        parameters={
            "critical_lel_pct": Parameter(
                "%LEL", 20.0, 1, 100, "from this concentration on the alarm is as bad as one of the high set-point"
            ),
            "set_point_lel_pct": Parameter(
                "%LEL", 5.0, 1, 25, "set-point of a detector whose own is not registered; own set-points come first"
            ),
        },
        value_unit="%LEL",
        high_when="the alarm is of level 2, its high set-point or critical_lel_pct is reached, or it is over its range",
        hysteresis=True,
        leak=True,
    ),
    "co_alarm": Kind(
        family="event",
        summary="A device raises a carbon monoxide alarm.",
        parameters={},
        high_when="the alarm is of level 2, or of a level that the device does not tell",
        leak=True,
    ),
    "detector_fault": Kind(family="event", summary="A detector says that it is faulty.", parameters={}, lasting=True),
    "detector_disconnected": Kind(
        family="event", summary="A meter says that its detector is cut off.", parameters={}, lasting=True
    ),
    "detector_end_of_life": Kind(
        family="event", summary="A detector says that its sensor is past its life.", parameters={}, lasting=True
    ),
    "detector_not_watching": Kind(
        family="event",
        summary="A detector warms up or is inhibited for so long that it is not just switching on or being tested.",
        parameters={},
        lasting=True,
    ),
    "valve_self_closed": Kind(
        family="event",
        summary="A meter closed its own valve, for a reason it tells; closings that somebody asked for are none.",
        parameters={},
        high_when="the reason is an alarm, a large or never-ending flow, gas past the closed valve, a failed hold "
        "test, an earthquake or tampering",
        lasting=True,
    ),
    "valve_pass_through": Kind(
        family="event",
        summary="A meter says that its valve does not hold, or counted gas through it closed more than once.",
        parameters={
            "events_min": Parameter("events", 2, 2, 100, "closed-valve events that together count as pass-through"),
            "within_days": Parameter("days", 30, 1, 60, "time within which they must lie"),
        },
        leak=True,
    ),
    "pressure_low": Kind(
        family="event",
        summary="Supply pressure at a meter is below its limit, gauge or absolute, or the meter says so.",
        parameters={
            "low_pa": Parameter("Pa", 1500, 100, 400_000, "lowest gauge pressure that is in order"),
            "shut_pa": Parameter("Pa", 1000, 0, 400_000, "below it a self-closing valve shuts: the high rung"),
            "low_absolute_pa": Parameter(
                "Pa", 95_000, 60_000, 600_000, "the limit of a meter that sends absolute pressure"
            ),
            "absolute_from_pa": _ABSOLUTE,
            "readings_min": _READINGS,
        },
        ordered=(("shut_pa", "low_pa"), ("low_pa", "absolute_from_pa"), ("absolute_from_pa", "low_absolute_pa")),
        value_unit="Pa",
        high_when="gauge pressure is below shut_pa",
        lasting=True,
        hysteresis=True,
    ),
    "pressure_high": Kind(
        family="event",
        summary="Supply pressure at a meter is above its limit, gauge or absolute, or the meter says so.",
        parameters={
            "high_pa": Parameter("Pa", 3000, 100, 400_000, "highest gauge pressure that is in order"),
            "shut_pa": Parameter("Pa", 6000, 100, 400_000, "above it a self-closing valve shuts: the high rung"),
            "high_absolute_pa": Parameter(
                "Pa", 130_000, 60_000, 800_000, "the limit of a meter that sends absolute pressure"
            ),
            "absolute_from_pa": _ABSOLUTE,
            "readings_min": _READINGS,
        },
        ordered=(("high_pa", "shut_pa"), ("shut_pa", "absolute_from_pa"), ("absolute_from_pa", "high_absolute_pa")),
        value_unit="Pa",
        high_when="gauge pressure is above shut_pa",
        lasting=True,
        hysteresis=True,
    ),
    "tamper": Kind(family="event", summary="Cover, pipe or tilt contact of a meter was disturbed.", parameters={}),
    "magnet": Kind(family="event", summary="A magnet disturbs a meter.", parameters={}),
    "reverse_flow": Kind(family="event", summary="A meter says that gas flows backwards through it.", parameters={}),
    "low_battery": Kind(
        family="event",
        summary="A device's battery is low, or about to stop.",
        parameters={
            "low_mv": Parameter("mV", 0, 0, 100_000, "voltage that counts as low; depends on the cells; 0: not used"),
            "lost_mv": Parameter("mV", 0, 0, 100_000, "voltage at which it is about to stop; 0: not used"),
        },
        high_when="the device says that it is about to stop, or its voltage is below lost_mv",
        lasting=True,
    ),
    "total_flow_high": Kind(
        family="event",
        summary="Flow is above a multiple of the meter's maximum, or the meter says that it is too large.",
        parameters={"factor": Parameter("1", 1.8, 1, 10, "multiple of the meter's maximum flow")},
        value_unit="L/h",
        lasting=True,
        hysteresis=True,
        leak=True,
    ),
    "flow_step": Kind(
        family="event",
        summary="Flow rises in one step by more than any single appliance takes.",
        parameters={
            "factor": Parameter("1", 1.4, 0.1, 10, "multiple of the meter's maximum flow"),
            "within_s": Parameter("s", 120, 1, 3600, "two readings further apart than this are not one step"),
        },
        value_unit="L/h",
        leak=True,
        open_end=True,
    ),
    "meter_micro_flow": Kind(
        family="event",
        summary="A meter itself suspects a leak: a small flow that never stops. Where it also closes, that is "
        "valve_self_closed.",
        parameters={},
        lasting=True,
        leak=True,
    ),
    "meter_continuous_flow": Kind(
        family="event",
        summary="A meter itself says that gas flows for longer than it is set to. Where it also closes, that is "
        "valve_self_closed.",
        parameters={},
        lasting=True,
    ),
    "meter_flow_valve_closed": Kind(
        family="event",
        summary="A meter counted gas although its valve is closed; more than once is valve_pass_through.",
        parameters={},
        lasting=True,
        leak=True,
    ),
    "seismic": Kind(family="event", summary="A device felt an earthquake.", parameters={}, open_end=True),
    "hold_test_failed": Kind(
        family="event",
        summary="The pressure-hold test of a home's pipes was abnormal, or was interrupted and says nothing.",
        parameters={},
        high_when="the test was abnormal",
        leak=True,
    ),
    "meter_fault": Kind(
        family="event", summary="A meter says that it, or its valve, is faulty.", parameters={}, lasting=True
    ),
}
