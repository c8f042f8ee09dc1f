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
        lasting=True,
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
            "learn_days": Parameter(
                "days", 14, 2, 60, "beginning of a meter's records in which a floor that never goes out is learnt"
            ),
            "pilot_max_lh": Parameter("L/h", 40, 0, 500, "a learnt floor above this is no pilot flame's"),
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
    "index_step": Kind(
        family="window",
        summary="A register rises further than its meter can pass in that time; a catch-up after a gap is none.",
        parameters={
            "qmax_factor": Parameter("1", 2.0, 1, 100, "times the meter's Qmax that is held possible"),
            "pulses_tolerated": Parameter("pulses", 2, 0, 100, "counted steps beyond it"),
            "volume_tolerated_l": Parameter("L", 10, 0, 100_000, "volume beyond it"),
        },
        value_unit="L",
    ),
    "stuck_flow": Kind(
        family="window",
        summary="A meter measures flow and its register stands still.",
        parameters={
            "pulses_min": Parameter("pulses", 2, 1, 1000, "counted steps that the measured flow must sum up to"),
            "volume_min_l": Parameter("L", 20, 0, 10_000, "volume that it must sum up to"),
            "sample_gap_max_min": Parameter("min", 65, 1, 1440, "a measured flow is held no longer than this"),
        },
        value_unit="L",
        lasting=True,
    ),
    "continuous_use": Kind(
        family="window",
        summary="Flow that stays within a band, and nearly the same, for hours on end.",
        parameters={
            "flow_low_lh": Parameter("L/h", 200, 1, 100_000, "lower end of the band"),
            "flow_high_lh": Parameter("L/h", 1000, 2, 1_000_000, "upper end of the band"),
            "duration_min": Parameter("min", 720, 10, 65_535, "observed time on end"),
            "heated_factor": Parameter(
                "1", 3, 1, 20, "times that duration where the home heats with gas, or nobody knows whether it does"
            ),
            "fluctuation_max_pct": Parameter("%", 15, 0, 1000, "how far the flow may change between readings"),
            "gap_max_min": Parameter("min", 120, 0, 1440, "a longer gap ends it; a shorter one is not counted"),
            "sample_gap_max_min": Parameter("min", 65, 1, 1440, "readings further apart than this observe nothing"),
        },
        ordered=(("flow_low_lh", "flow_high_lh"),),
        band=("flow_low_lh", "flow_high_lh"),
        value_unit="h",
        lasting=True,
        hysteresis=True,
    ),
    "load_exceeded": Kind(
        family="window",
        summary="More flow than all appliances of the home burn together, or than its meter is made for.",
        parameters={
            "load_factor": Parameter("1", 1.5, 1, 10, "times the appliances' load, when it is known"),
            "qmax_factor": Parameter("1", 1.0, 0.1, 10, "times the meter's Qmax, when the load is not known"),
            "overload_factor": Parameter("1", 1.25, 1, 10, "times Qmax that no load excuses: the meter is overloaded"),
            "duration_min": Parameter("min", 0, 0, 1440, "observed time on end"),
            "gap_max_min": Parameter("min", 120, 0, 1440, "a longer gap ends it; a shorter one is not counted"),
            "sample_min_s": Parameter("s", 600, 1, 86_400, "registers closer together than this give no mean flow"),
            "load_hob_lh": Parameter("L/h", 1200, 100, 100_000, "what a hob burns at most"),
            "load_range_lh": Parameter("L/h", 5000, 100, 100_000, "what a commercial range burns at most"),
            "load_water_heater_lh": Parameter("L/h", 3200, 100, 100_000, "what an instantaneous water heater burns"),
            "load_heating_boiler_lh": Parameter("L/h", 3500, 100, 100_000, "what a heating boiler burns at most"),
            "load_heater_lh": Parameter("L/h", 1000, 50, 100_000, "what a room heater burns at most"),
        },
        value_unit="L/h",
        lasting=True,
        hysteresis=True,
        leak=True,
    ),
    "night_flow": Kind(
        family="window",
        summary="Nights in succession with far more use than the nights before.",
        parameters={
            "from_h": Parameter("h", 1, 0, 12, "hour of local time at which the night begins"),
            "until_h": Parameter("h", 5, 1, 13, "hour of local time at which it ends"),
            "nights_min": Parameter("nights", 2, 1, 14, "unusual nights in succession"),
            "nights_known": Parameter("nights", 10, 5, 60, "known nights before that say what is usual"),
            "ratio_min": Parameter("1", 3, 1, 100, "times the usual use"),
            "spread_factor": Parameter("1", 4, 0, 100, "spreads above the usual use"),
            "volume_min_l": Parameter("L", 40, 0, 100_000, "least use of an unusual night"),
            "fluctuation_max_pct": Parameter(
                "%",
                25,
                0,
                100,
                "how far below its highest hour a steady night may fall; only steady nights count "
                "where the home heats with gas, or nobody knows",
            ),
            "observed_share_min": Parameter("1", 0.75, 0.1, 1, "share of the night that must be known"),
        },
        ordered=(("from_h", "until_h"),),
        value_unit="L",
        lasting=True,
        leak=True,
    ),
    "unusual_use": Kind(
        family="window",
        summary="Days in succession with far more use than this home has in this season.",
        parameters={
            "days_min": Parameter("days", 2, 1, 30, "unusual days in succession"),
            "days_known": Parameter("days", 28, 7, 60, "days before that say what is usual"),
            "season_days": Parameter("days", 14, 3, 14, "days around the same day a year ago that count as its season"),
            "ratio_min": Parameter("1", 3, 1, 100, "times the usual use"),
            "spread_factor": Parameter("1", 5, 0, 100, "spreads above the usual use"),
            "volume_min_l": Parameter("L", 2000, 0, 1_000_000, "least use of an unusual day"),
            "observed_share_min": Parameter("1", 0.7, 0.1, 1, "share of the days before that must be known"),
        },
        value_unit="L",
        lasting=True,
    ),
    "long_no_use": Kind(
        family="window",
        summary="No gas used for weeks where the home is lived in and used gas before.",
        parameters={
            "days": Parameter("days", 30, 1, 60, "time in which the register must not have moved"),
        },
        value_unit="days",
        lasting=True,
    ),
    "register_frozen": Kind(
        family="window",
        summary="A register stands still though last year it moved on nearly every day of this season.",
        parameters={
            "days": Parameter("days", 21, 7, 60, "time in which the register must not have moved"),
            "season_days": Parameter("days", 14, 3, 14, "days around the same day a year ago that are looked at"),
            "share_min": Parameter("1", 0.9, 0.1, 1, "share of those days on which it must have moved"),
        },
        value_unit="days",
        lasting=True,
    ),
    "clock_drift": Kind(
        family="window",
        summary="A device's clock is further from ours than its reports can have been on their way.",
        parameters={
            "reports_min": Parameter("reports", 5, 2, 30, "newest reports that must all show it"),
            "drift_max_min": Parameter("min", 30, 1, 100_000, "how late even the promptest report may be"),
            "ahead_max_min": Parameter("min", 2, 0, 10, "how early reports may arrive: ingest refuses more than 10"),
        },
        value_unit="min",
        lasting=True,
    ),
}
