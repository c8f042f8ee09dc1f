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
    "zone_pressure_fall": Kind(
        family="group",
        summary="Pressure falls at most meters of a gateway, compound or district: the main, not a home.",
        parameters={
            "trigger_pa": Parameter(
                "Pa", 1800, 100, 400_000, "a zone is looked at when a meter in it shows less (gauge)"
            ),
            "fall_min_pa": Parameter("Pa", 200, 10, 100_000, "fall of a meter's pressure that counts"),
            "within_min": Parameter("min", 30, 1, 1440, "time within which it must have fallen"),
            "base_h": Parameter("h", 24, 1, 168, "time before that whose median is what it fell from"),
            "devices_min": Parameter("devices", 5, 3, 100_000, "meters that must be known before and after"),
            "share_min": Parameter("1", 0.6, 0.2, 1, "share of them that must have fallen"),
        },
        value_unit="Pa",
        open_end=True,
    ),
    "zone_loss": Kind(
        family="group",
        summary="More gas went through a zone's check meters than through its homes' meters, beyond every error.",
        parameters={
            "days": Parameter("days", 7, 1, 31, "whole UTC days of one balance"),
            "loss_min_pct": Parameter("%", 5, 0.5, 90, "loss that counts, of what went in"),
            "check_error_pct": Parameter("%", 2, 0, 20, "error of the check meters that must be allowed for"),
            "home_error_pct": Parameter("%", 3, 0, 20, "error of the homes' meters that must be allowed for"),
            "gas_state_pct": Parameter("%", 4, 0, 20, "temperature and pressure that home meters do not correct for"),
            "unread_share_max": Parameter("1", 0.1, 0, 0.9, "with more homes unread nothing is said"),
        },
        value_unit="%",
    ),
}
