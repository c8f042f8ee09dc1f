"""A seeded city: districts, homes, meters, detectors, gateways, inspectors. Everything in it is fictional.

Meter sizes and their Qmin/Qmax are those of G1.6 to G4 diaphragm meters (EN 1359: Qmax:Qmin at least 150:1); most homes
have G2.5, homes with gas heating G4. A pulse meter counts 10 L at a time, an ultrasonic meter reports whole litres.
Household detector set-points lie in 5-25 % of the lower explosive limit (GB 15322.2-2019), commercial ones at 25/50 %.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count

import numpy as np

from simulator.model import (
    Building,
    City,
    Compound,
    Device,
    District,
    Gateway,
    Habits,
    Inspector,
    Installation,
    Premises,
)

DAY_S = 86_400
CENTRE = (30.214, 120.087)  # latitude, longitude of a town hall that does not exist
QMIN_QMAX_LH = {"G1.6": (16.0, 2_500.0), "G2.5": (25.0, 4_000.0), "G4": (40.0, 6_000.0)}
PULSE_ML = 10_000
COARSE_ML = 100_000
LITRE_ML = 1_000
REGISTER_WRAP_ML = 100_000_000_000  # five figures of cubic metres


@dataclass(frozen=True, slots=True)
class CityParams:
    """Size and make-up of a city; the same parameters give the same city.

    `now` dates the registry; `history_days` is how far back meter swaps may lie and still be seen in the telemetry.
    Shares are fractions of all homes.
    """

    now: datetime
    seed: int = 1
    homes: int = 400
    gateways: int | None = None
    inspectors: int = 5
    history_days: int = 12
    utc_offset_h: int = 8
    detector_share: float = 0.4
    commercial_share: float = 0.02
    ultrasonic_share: float = 0.35
    valve_share: float = 0.6
    heating_share: float = 0.15
    constant_heating_share: float = 0.04
    pilot_share: float = 0.015
    pilot_never_off_share: float = 0.0
    vacant_share: float = 0.04
    swap_share: float = 0.005
    coarse_share: float = 0.0  # of diaphragm meters: 100 L a pulse
    night_shift_share: float = 0.0
    pressure_share: float = 0.0  # of ultrasonic meters: with a pressure sensor
    meters_past_life_share: float = 0.0
    weather_swing_c: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a city that cannot be: too small, or dated without a zone."""
        if self.now.tzinfo is None:
            raise ValueError("now: a moment with a zone is needed")
        if self.homes < 12:
            raise ValueError(f"homes: at least 12 are needed for a city with buildings, not {self.homes}")
        if not 1 <= self.gateway_count <= self.homes:
            raise ValueError(f"gateways: 1 to {self.homes}, not {self.gateway_count}")

    @property
    def gateway_count(self) -> int:
        """The gateways asked for, or one for every 40 homes (about 56 devices)."""
        return self.gateways if self.gateways is not None else max(1, round(self.homes / 40))

    @property
    def today(self) -> date:
        """The local date at `now`."""
        return (self.now + timedelta(hours=self.utc_offset_h)).astimezone(UTC).date()


@dataclass
class _Site:
    """What grows while the city is built."""

    compounds: list[Compound] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    premises: list[Premises] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    installations: list[Installation] = field(default_factory=list)
    habits: dict[str, Habits] = field(default_factory=dict)
    meters: Iterator[int] = field(default_factory=lambda: count(1))
    detectors: Iterator[int] = field(default_factory=lambda: count(1))


def build_city(params: CityParams) -> City:
    """A city by its parameters; raises ValueError (from the parameters) when they cannot be met."""
    rng = np.random.default_rng([params.seed, 1])
    districts, areas = _districts(params.gateway_count)
    gateways = tuple(
        Gateway(f"GW-{number + 1:04d}", areas[number % len(areas)], DAY_S) for number in range(params.gateway_count)
    )
    site = _Site()
    for gateway, homes in zip(gateways, _shares(params.homes, len(gateways)), strict=True):
        _settle(site, params, rng, gateway, homes)
    _give_recorded_home(site)
    _harden(site, params)
    return City(
        districts,
        tuple(site.compounds),
        tuple(site.buildings),
        tuple(site.premises),
        gateways,
        tuple(site.devices),
        tuple(site.installations),
        _inspectors(params, rng, districts, areas),
        site.habits,
        params.utc_offset_h,
        params.weather_swing_c,
    )


def _districts(gateways: int) -> tuple[tuple[District, ...], list[str]]:
    """A tree of city, districts and areas; one area for about two gateways, three areas in a district."""
    names = ("Riverside", "Old Town", "Orchard", "Harbour", "Hillside", "Lakeview", "Foundry", "Meadow")
    area_count = max(1, (gateways + 1) // 2)
    nodes = [District("YQ", "Yunqiao City (fictional)", None)]
    areas: list[str] = []
    for number in range(area_count):
        district, letter = divmod(number, 3)
        name = names[district % len(names)]
        if letter == 0:
            nodes.append(District(f"D{district + 1:02d}", f"{name} District", "YQ"))
        areas.append(f"D{district + 1:02d}{'ABC'[letter]}")
        nodes.append(District(areas[-1], f"{name} {('North', 'Centre', 'South')[letter]}", f"D{district + 1:02d}"))
    return tuple(nodes), areas


def _shares(total: int, parts: int) -> list[int]:
    return [total // parts + (number < total % parts) for number in range(parts)]


def _settle(site: _Site, params: CityParams, rng: np.random.Generator, gateway: Gateway, homes: int) -> None:
    """One compound per gateway, with buildings of about 14 doors."""
    latitude, longitude = (round(centre + float(rng.normal(0, 0.03)), 6) for centre in CENTRE)
    number = len(site.compounds) + 1
    compound = Compound(
        f"C{number:04d}", f"{_COMPOUNDS[number % len(_COMPOUNDS)]} {number}", gateway.area, latitude, longitude
    )
    site.compounds.append(compound)
    built_year = int(rng.integers(1985, 2021))
    for doors in _shares(homes, max(1, round(homes / 14))):
        known = rng.random() > 0.1
        building = Building(
            f"B{len(site.buildings) + 1:05d}",
            f"{compound.name}, block {len(site.buildings) + 1}",
            compound.code,
            round(latitude + float(rng.normal(0, 0.0012)), 6),
            round(longitude + float(rng.normal(0, 0.0012)), 6),
            built_year if known else None,
            (doors + 1) // 2,
        )
        site.buildings.append(building)
        for door in range(doors):
            _move_in(site, params, rng, gateway, building, door, built_year)


_COMPOUNDS = ("Plum Court", "Willow Garden", "Crane Terrace", "Jade Spring", "Maple Yard", "Lotus Corner", "Pine Gate")


def _move_in(
    site: _Site,
    params: CityParams,
    rng: np.random.Generator,
    gateway: Gateway,
    building: Building,
    door: int,
    built_year: int,
) -> None:
    """One premises with its habits, its meter and perhaps a detector."""
    code = f"P{len(site.premises) + 1:06d}"
    commercial = door == 0 and rng.random() < params.commercial_share * 14
    premises, habits = _household(params, rng, code, building, door, built_year, commercial=commercial)
    site.premises.append(premises)
    site.habits[code] = habits
    _fit_meter(site, params, rng, gateway, premises, habits)
    if commercial or rng.random() < params.detector_share:
        _fit_detector(site, params, rng, gateway, premises)


def _household(
    params: CityParams,
    rng: np.random.Generator,
    code: str,
    building: Building,
    door: int,
    built_year: int,
    *,
    commercial: bool,
) -> tuple[Premises, Habits]:
    draw = [float(value) for value in rng.random(12)]
    heating = "none"
    if not commercial and draw[0] < params.heating_share + params.constant_heating_share:
        heating = "constant" if draw[0] < params.constant_heating_share else "setback"
    pilot = not commercial and heating == "none" and draw[1] < params.pilot_share + params.pilot_never_off_share
    habits = Habits(
        persons=int(rng.integers(1, 6)),
        heating=heating,
        heat_lh_per_k=float(rng.uniform(15, 35)) if heating != "none" else 0.0,
        pilot_lh=float(rng.uniform(8, 15)) if pilot else 0.0,
        pilot_never_off=bool(pilot and draw[1] < params.pilot_never_off_share),
    )
    vacant = not commercial and not pilot and heating == "none" and draw[2] < params.vacant_share
    tenure = "vacant" if vacant else (None if draw[3] < 0.1 else "owner" if draw[3] < 0.72 else "rented")
    appliances = ["hob"] + (["range"] if commercial else ["water_heater"] if draw[4] < 0.85 else [])
    appliances += ["heating_boiler"] * (heating != "none") + ["pilot_flame"] * pilot
    floor = door // 2 + 1
    number = int(code[1:])
    premises = Premises(
        code,
        building.code,
        f"{floor}{door % 2 + 1:02d}",
        floor,
        f"{building.name}, {floor}{door % 2 + 1:02d}",
        "commercial" if commercial else "household",
        tenure,
        None if draw[5] < 0.1 else bool(draw[5] > 0.88),
        None if draw[6] < 0.2 else bool(draw[6] > 0.95),
        tuple(appliances),
        None if draw[7] < 0.2 else params.today - timedelta(days=int(draw[8] * 10 * 365)),
        date(built_year, 1, 1) + timedelta(days=int(draw[9] * 360)),
        None if draw[10] < 0.06 else params.today - timedelta(days=30 + int(draw[11] * 900)),
        f"{'Test Shop' if commercial else 'Test Resident'} {number:06d}",
        f"000-{number // 10_000:04d}-{number % 10_000:04d}",
    )
    return premises, habits


def _fit_meter(
    site: _Site, params: CityParams, rng: np.random.Generator, gateway: Gateway, premises: Premises, habits: Habits
) -> None:
    """The meter of a premises; now and then its predecessor too, taken out during the history."""
    small = "G1.6" if rng.random() < 0.3 else "G2.5"
    meter_class = "G4" if premises.user_class == "commercial" or habits.heating != "none" else small
    ultrasonic, valve = bool(rng.random() < params.ultrasonic_share), bool(rng.random() < params.valve_share)
    age_days = params.history_days + int(rng.integers(100, 9 * 365))
    installed = _at_local(params, params.today - timedelta(days=age_days), 10)
    if rng.random() < params.swap_share and params.history_days >= 6:
        swapped = _at_local(params, params.today - timedelta(days=int(rng.integers(2, params.history_days - 2))), 10)
        old = _meter(next(site.meters), gateway, meter_class, False, valve, installed.date())
        site.devices.append(old)
        removed_ml = PULSE_ML * int(rng.integers(20_000, 300_000))
        site.installations.append(Installation(old.code, old.family, premises.code, installed, swapped, 0, removed_ml))
        installed = swapped
    meter = _meter(next(site.meters), gateway, meter_class, ultrasonic, valve, installed.date())
    site.devices.append(meter)
    site.installations.append(Installation(meter.code, meter.family, premises.code, installed, None, 0, None))


def _meter(number: int, gateway: Gateway, meter_class: str, ultrasonic: bool, valve: bool, made_on: date) -> Device:
    qmin_lh, qmax_lh = QMIN_QMAX_LH[meter_class]
    return Device(
        f"M-{number:06d}",
        "native",
        "meter",
        gateway.code,
        "sim ultrasonic" if ultrasonic else "sim diaphragm 10 L",
        meter_class,
        qmin_lh,
        qmax_lh,
        LITRE_ML if ultrasonic else PULSE_ML,
        REGISTER_WRAP_ML,
        valve,
        DAY_S,
        None,
        None,
        made_on - timedelta(days=60),
    )


def _fit_detector(
    site: _Site, params: CityParams, rng: np.random.Generator, gateway: Gateway, premises: Premises
) -> None:
    warn, alarm = (25.0, 50.0) if premises.user_class == "commercial" else (8.0, 20.0)
    made_on = params.today - timedelta(days=params.history_days + int(rng.integers(60, 6 * 365)))
    detector = Device(
        f"LD-{next(site.detectors):05d}", "native", "detector", gateway.code, "sim detector two-level",
        None, None, None, None, None, False, DAY_S, warn, alarm, made_on,
    )  # fmt: skip
    site.devices.append(detector)
    installed = _at_local(params, made_on + timedelta(days=40), 14)
    site.installations.append(Installation(detector.code, detector.family, premises.code, installed, None, None, None))


def _at_local(params: CityParams, day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), UTC) - timedelta(hours=params.utc_offset_h)


def _give_recorded_home(site: _Site) -> None:
    """The first lived-in home with an ultrasonic meter, never swapped, plays the recorded real home on a G4."""
    fittings: dict[str, list[str]] = {}
    for fitting in site.installations:
        if fitting.device.startswith("M-"):
            fittings.setdefault(fitting.premises, []).append(fitting.device)
    position = {device.code: index for index, device in enumerate(site.devices)}
    for place in site.premises:
        meters = fittings[place.code]
        device = site.devices[position[meters[0]]]
        plain = site.habits[place.code].heating == "none" and site.habits[place.code].pilot_lh == 0
        if place.user_class == "household" and place.tenure != "vacant" and plain and len(meters) == 1:
            if device.pulse_ml != LITRE_ML:
                continue
            made_on = device.made_on or date(2020, 1, 1)
            g4 = _meter(int(device.code[2:]), Gateway(device.gateway, "", DAY_S), "G4", True, device.has_valve, made_on)
            site.devices[position[device.code]] = g4
            site.habits[place.code] = Habits(persons=3, recorded=True)
            return


def _harden(site: _Site, params: CityParams) -> None:
    """What only a hard city has, drawn apart so that it changes nothing else: coarse meters, night work, old meters."""
    rng = np.random.default_rng([params.seed, 2])
    draws = rng.random((len(site.premises), 4))
    premises_of = {fitting.device: fitting.premises for fitting in site.installations}
    row_of = {place.code: row for row, place in enumerate(site.premises)}
    for row, place in enumerate(site.premises):
        habits = site.habits[place.code]
        if not habits.recorded and draws[row, 0] < params.night_shift_share:
            site.habits[place.code] = replace(habits, night_shift=True)
    for number, device in enumerate(site.devices):
        if device.kind != "meter":
            continue
        door = premises_of[device.code]
        draw = draws[row_of[door]]
        ultrasonic = device.pulse_ml == LITRE_ML
        if ultrasonic and draw[1] < params.pressure_share:
            site.habits[door] = replace(site.habits[door], tells_pressure=True)
        if not ultrasonic and draw[1] < params.coarse_share:
            site.devices[number] = replace(device, pulse_ml=COARSE_ML, model="sim diaphragm 100 L")
        if draw[2] < params.meters_past_life_share and device.made_on is not None:
            made_on = params.today - timedelta(days=round(3_653 + 365 * 2 * draw[3]))
            site.devices[number] = replace(site.devices[number], made_on=made_on)


def _inspectors(
    params: CityParams, rng: np.random.Generator, districts: tuple[District, ...], areas: list[str]
) -> tuple[Inspector, ...]:
    """Inspectors start at their district's station; the first two have every skill and cover the whole city."""
    parents = sorted({district.parent for district in districts if district.code in areas and district.parent})
    stations = {parent: [centre + float(rng.normal(0, 0.02)) for centre in CENTRE] for parent in [*parents, "YQ"]}
    people = []
    for number in range(params.inspectors):
        area = "YQ" if number < 2 else parents[number % len(parents)]
        skills = ("household", "commercial", "leak") if number < 2 else ("household", "leak")[: 1 + number % 2]
        start, end = (time(8, 0), time(16, 30)) if number % 2 else (time(8, 30), time(17, 30))
        latitude, longitude = stations[area]
        people.append(
            Inspector(
                f"I-{number + 1:03d}",
                f"Test Inspector {number + 1:03d}",
                area,
                skills,
                round(latitude, 6),
                round(longitude, 6),
                start,
                end,
                30,
                time(11, 30),
                time(13, 30),
            )
        )
    return tuple(people)
