"""The simulated city and its registry files."""

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.city import QMIN_QMAX_LH, CityParams, build_city
from simulator.model import City
from simulator.registry import FILES, write_registry

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
PARAMS = CityParams(now=NOW)


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(PARAMS)


def test_the_same_parameters_give_the_same_city_and_another_seed_another(city: City) -> None:
    """A seed is a city."""
    assert build_city(PARAMS) == city
    assert build_city(replace(PARAMS, seed=2)).premises != city.premises


@settings(max_examples=25, deadline=None)
@given(homes=st.integers(12, 90), gateways=st.integers(1, 8), seed=st.integers(0, 50))
def test_every_reference_of_any_city_resolves(homes: int, gateways: int, seed: int) -> None:
    """Districts, compounds, buildings, premises, gateways, devices and installations hang together."""
    city = build_city(CityParams(now=NOW, seed=seed, homes=homes, gateways=gateways))
    districts = {district.code for district in city.districts}
    assert {d.parent for d in city.districts} - {None} <= districts
    assert {c.district for c in city.compounds} | {g.area for g in city.gateways} <= districts
    assert {i.area for i in city.inspectors} <= districts
    assert {b.compound for b in city.buildings} <= {c.code for c in city.compounds}
    assert {p.building for p in city.premises} <= {b.code for b in city.buildings}
    assert {d.gateway for d in city.devices} == {g.code for g in city.gateways}
    assert {i.premises for i in city.installations} <= {p.code for p in city.premises}
    assert [i.device for i in city.installations] == [d.code for d in city.devices]
    assert len({p.code for p in city.premises}) == homes == len(city.premises)


def test_devices_share_the_area_of_the_compound_they_stand_in(city: City) -> None:
    """A gateway speaks for the homes around it, so its area is theirs."""
    area = {gateway.code: gateway.area for gateway in city.gateways}
    compound = {building.code: building.compound for building in city.buildings}
    district = {one.code: one.district for one in city.compounds}
    places, fitted = city.places(), city.fitted()
    for device in city.devices:
        assert area[device.gateway] == district[compound[places[fitted[device.code].premises].building]]


def test_meters_and_detectors_are_what_their_kind_must_be(city: City) -> None:
    """Qmin and Qmax by class, whole pulses, set-points within what the standards allow."""
    for device in city.devices:
        if device.kind == "meter":
            assert device.meter_class is not None
            assert (device.qmin_lh, device.qmax_lh) == QMIN_QMAX_LH[device.meter_class]
            assert device.pulse_ml in (1_000, 10_000)
        else:
            assert device.warn_lel_pct is not None
            assert device.alarm_lel_pct is not None
            assert 5 <= device.warn_lel_pct < device.alarm_lel_pct <= 50


def test_the_city_has_what_makes_rules_err(city: City) -> None:
    """Heating for days, pilot flames, vacant homes, both kinds of meters, a recorded home, a swapped meter."""
    assert {habit.heating for habit in city.habits.values()} == {"none", "setback", "constant"}
    assert any(habit.pilot_lh for habit in city.habits.values())
    assert sum(habit.recorded for habit in city.habits.values()) == 1
    assert any(place.tenure == "vacant" for place in city.premises)
    assert {device.pulse_ml for device in city.devices if device.kind == "meter"} == {1_000, 10_000}
    assert any(fitting.removed_at for fitting in city.installations)


def test_a_swapped_meter_keeps_its_history(city: City) -> None:
    """The old meter leaves at the moment the new one comes, at the same door."""
    for old in (fitting for fitting in city.installations if fitting.removed_at):
        (new,) = [f for f in city.installations if f.premises == old.premises and f.installed_at == old.removed_at]
        assert new.removed_at is None
        assert old.index_removed_ml is not None
        assert new.index_installed_ml == 0


def test_no_contact_could_be_a_real_person(city: City) -> None:
    """Names and telephone numbers say that they are made up."""
    for place in city.premises:
        assert place.contact_name.startswith("Test ")
        assert place.contact_phone.startswith("000-")


def test_registry_files_have_the_contracted_columns_and_every_record(city: City, tmp_path: Path) -> None:
    """One CSV file a kind; columns are the fields in order, unknown is an empty cell."""
    paths = write_registry(city, tmp_path)
    assert [path.stem for path in paths] == list(FILES)
    premises = list(csv.DictReader((tmp_path / "premises.csv").read_text().splitlines()))
    assert len(premises) == len(city.premises)
    for row, place in zip(premises, city.premises, strict=True):
        assert row["tenure"] == (place.tenure or "")
        assert row["appliances"].split(";") == list(place.appliances)
        assert row["elderly"] in ("", "true", "false")
    device = next(csv.DictReader((tmp_path / "devices.csv").read_text().splitlines()))
    assert device["qmax_lh"] in ("2500", "4000", "6000")
    inspector = next(csv.DictReader((tmp_path / "inspectors.csv").read_text().splitlines()))
    assert inspector["shift_start"] == "08:30"


@pytest.mark.parametrize(
    ("change", "word"),
    [({"homes": 3}, "homes"), ({"gateways": 0}, "gateways"), ({"now": NOW.replace(tzinfo=None)}, "now")],
)
def test_a_city_that_cannot_be_is_refused_by_the_parameter_s_name(change: dict[str, object], word: str) -> None:
    """The sentence names what to change."""
    with pytest.raises(ValueError, match=f"^{word}:"):
        replace(PARAMS, **change)  # type: ignore[arg-type]
