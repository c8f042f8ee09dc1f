"""A bench-sized city that is hard on rules, with faults and look-alikes at base rates that sources tell.

Counts are for so many homes and days. Where a source has a rate it is named; the others are ours: enough of each to
measure recall, few enough that the harmless homes decide about false alerts.

* Detector alarms without a serious leak, homes: 250 alarms of 9,000 units "since October 2018", counted as one and a
  half years: 1.9 % of units a year (Con Edison). Commercial kitchens: 100 warnings a day of 10,000 sites (Wuxi).
* Serious leaks at detectors: 68 of nearly 34,000 units (Con Edison), 0.2 % of units; ten times as many are planted, or
  there would be nothing to find.
* Meters past their life: 2 %, detectors as old as they come: no source found.
* Slow leaks on meters: no source found; 1 home in 250 is planted, in every size, a sixth of them too small to be seen.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from simulator import plants_outages
from simulator.city import CityParams
from simulator.messages import Noise
from simulator.planter import Plan

KITCHEN_SHARE: Final = 0.02
DETECTOR_SHARE: Final = 0.4
HARD_NOISE: Final = Noise(sent_again=0.02, late=0.01, lost=0.001, hour_unknown=0.005)

_PER_10000: Final[Mapping[str, int]] = {
    # leaks and gas left on
    "slow_leak": 30, "heated_leak": 6, "growing_leak": 10, "leak_below_start": 8, "hose_off": 8, "left_on": 10,
    # out of habit, nobody there
    "night_use": 10, "usage_jump": 10, "long_no_use": 10, "journey": 60,
    # registers and clocks
    "stuck_register": 8, "register_leap": 8, "unrecorded_swap": 10, "runs_backwards": 8,
    "clock_slow": 10, "clock_hour_behind": 10, "clock_ahead": 4,
    # words
    "co_alarm": 6, "detector_fault": 10, "end_of_life": 10, "detector_warm_up": 20, "detector_cut": 10, "tamper": 10,
    "magnet": 6, "service_test": 20, "low_battery": 20, "metering_fault": 8, "seismic": 6, "seismic_test": 10,
    "valve_by_meter": 12, "pass_through": 6, "pressure_high": 8, "pressure_low": 8, "pressure_in_range": 30,
    "flow_total_over": 6, "flow_step_over": 6, "many_appliances": 30, "hold_test_failed": 8, "hold_test_passed": 20,
    "zone_pressure": 4,
    # the network
    "cell_outage": 4, "gateway_outage": 12, "gateway_blip": 40, "dark_building": 5,
}  # fmt: skip

_NUISANCE_SHARES: Final[Mapping[str, float]] = {
    "cooking_alarm": 0.4, "steam_alarm": 0.2, "alcohol_alarm": 0.15, "spray_alarm": 0.1, "drift_alarm": 0.15,
}  # fmt: skip
"""What sets detectors off, shares by our judgement in the order the sources list causes: no source found."""

HOMES_ALARMS_A_YEAR: Final = 0.019
KITCHEN_ALARMS_A_DAY: Final = 0.01


def hard_city(now: datetime, seed: int, homes: int, days: int) -> CityParams:
    """The make-up of a hard city: coarse and old meters, pilots never out, night work, cold spells, swaps, kitchens."""
    return CityParams(
        now, seed, homes, history_days=days, commercial_share=KITCHEN_SHARE, detector_share=DETECTOR_SHARE,
        heating_share=0.15, constant_heating_share=0.05, pilot_share=0.01, pilot_never_off_share=0.003,
        swap_share=0.002 * days / 30, coarse_share=0.15, night_shift_share=0.04, pressure_share=0.5,
        meters_past_life_share=0.02, weather_swing_c=4.0,
    )  # fmt: skip


def hard_plan(homes: int, days: int, dense: float = 1.0) -> Plan:
    """What is planted in a hard city of this size, everything scattered over the history.

    `dense` plants faults of devices more densely than the counts, for a small city; nuisances and the network keep to
    their rates.
    """
    factor = homes / 10_000
    usual = Plan(
        leak_alarm=12, building_leaks=3, flow_valve_closed=10, micro_leak=0, index_backwards=10, device_silent=20,
        gateway_silent=3, self_test=100, excursion=200, valve_closed_idle=30, power_loss=200, late_day=100, lost_day=60,
        retransmission=60, past_memory=40, register_wrap=10, holiday=200, gateway_flap=30, hard=_PER_10000,
    )  # fmt: skip
    thin, thick = usual.times(factor), usual.times(factor * dense)
    network = {name: thin.hard[name] for name in plants_outages.NAMES}
    hard = {**thick.hard, **network, **_nuisances(homes, days), "assets": 1}
    return replace(thick, gateway_silent=thin.gateway_silent, gateway_flap=thin.gateway_flap, spread=True, hard=hard)


def _nuisances(homes: int, days: int) -> dict[str, int]:
    """Alarms without a leak in homes and kitchens; a kitchen alarms at most once by each cause in our history."""
    kitchens = homes * KITCHEN_SHARE
    wanted = {
        "household": (homes * DETECTOR_SHARE * HOMES_ALARMS_A_YEAR * days / 365, homes),
        "commercial": (kitchens * KITCHEN_ALARMS_A_DAY * days, kitchens * 0.6),
    }
    return {
        f"{cause}_{where}": round(min(alarms, most) * share)
        for where, (alarms, most) in wanted.items()
        for cause, share in _NUISANCE_SHARES.items()
    }
