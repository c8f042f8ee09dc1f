"""Kinds of the window family: what a stretch of readings of one device shows."""

from collections.abc import Mapping

from rules.kinds.model import Kind, Parameter

KINDS: Mapping[str, Kind] = {
    "flow_valve_closed": Kind(
        family="window",
        summary="The register moves while the valve is proved closed.",
        parameters={
            "pulses_min": Parameter("pulses", 2, 1, 100, "movement that counts, in counted steps of the meter"),
            "volume_min_l": Parameter("L", 1.0, 0, 1000, "least movement that counts on a fine meter"),
            "transition_s": Parameter("s", 3600, 0, 86_400, "time after the closing in which movement is not held"),
            "recent_h": Parameter("h", 24, 1, 720, "the condition goes on when it was last seen within this time"),
        },
        value_unit="L",
        leak=True,
    ),
    "micro_leak": Kind(
        family="window",
        summary="Days without a pause that would prove that no leak runs, and a low, resting floor of flow.",
        parameters={
            "days": Parameter("days", 5, 1, 30, "observed time without a proof of no leak"),
            "gap_min": Parameter("min", 60, 10, 1440, "pause that proves no leak, on a meter that counts finely"),
            "flow_low_lh": Parameter(
                "L/h", 5, 0.5, 3000, "smallest leak looked for; with the pulse volume it says which pauses prove"
            ),
            "flow_high_lh": Parameter("L/h", 150, 1, 3000, "the steady floor of a leak lies below"),
            "observed_share_min": Parameter("1", 0.8, 0.1, 1, "share of the time that must be known"),
            "sample_gap_max_min": Parameter("min", 65, 1, 1440, "readings further apart than this observe nothing"),
            "steady_below_lh": Parameter(
                "L/h", 20, 1, 3000, "a floor below this is no appliance's, however the flow varies"
            ),
            "steady_share_min": Parameter("1", 0.15, 0, 1, "above it the flow must rest at its floor for this share"),
            "fluctuation_max_pct": Parameter("%", 15, 0, 1000, "how far from the floor still counts as resting"),
        },
        ordered=(("flow_low_lh", "flow_high_lh"),),
        value_unit="L/h",
        lasting=True,
        leak=True,
    ),
    "index_backwards": Kind(
        family="window",
        summary="A register steps back, which no register does.",
        parameters={
            "pulses_tolerated": Parameter("pulses", 2, 0, 100, "counted steps a counter may swing back"),
            "volume_tolerated_l": Parameter("L", 1.0, 0, 1000, "volume a fine meter may swing back"),
        },
        value_unit="L",
    ),
}
