"""A hazard's life: which step fits when, what it needs, what is overdue."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from inspections.hazard_life import AskedHazardStep, HazardLife, WrongHazardStep, overdue_steps, take_hazard_step
from inspections.hazards import load_hazards

FOUND = datetime(2026, 11, 20, 2, tzinfo=UTC)
GRADES = load_hazards().grades
LEAK = HazardLife(1, 1, "open", FOUND, date(2026, 11, 21))
RUST = HazardLife(2, 3, "open", FOUND, date(2026, 12, 20))
NOW = FOUND + timedelta(days=9)


def step(name: Any, hours: float = 1, **more: Any) -> AskedHazardStep:
    return AskedHazardStep(name, FOUND + timedelta(hours=hours), **more)


@pytest.mark.parametrize(
    ("hazard", "asked", "field", "words"),
    [
        (LEAK, step("notify", how="signed"), "to", "who received it"),
        (LEAK, step("notify", to="Mr Li"), "how", "signed, refused_to_sign or posted"),
        (LEAK, step("cut"), "note", "closed what by hand"),
        (LEAK, step("restore"), "step", "was not cut"),
        (replace(LEAK, cut_at=FOUND), step("restore"), "step", "before the hazard is rectified"),
        (LEAK, step("rectify", by="Mr Li"), "note", "what was done"),
        (LEAK, step("close", note="x"), "step", "a re-check that passes"),
        (RUST, step("close", note="x"), "step", "not rectified"),
        (replace(RUST, state="closed"), step("notify", to="a", how="signed"), "step", "is closed"),
        (LEAK, step("note", -1, note="x"), "at", "before the hazard was found"),
        (LEAK, step("note", 999, note="x"), "at", "ahead of our clock"),
    ],
)
def test_what_does_not_fit_is_refused(hazard: HazardLife, asked: AskedHazardStep, field: str, words: str) -> None:
    """Field and rule are named."""
    with pytest.raises(WrongHazardStep, match=words) as refused:
        take_hazard_step(hazard, asked, NOW)
    assert refused.value.field == field


def test_the_first_notice_counts() -> None:
    """Article 9 asks whether and when it was given in writing: a later one does not move it."""
    once = take_hazard_step(LEAK, step("notify", 0.5, to="Mr Li", how="signed"), NOW)
    twice = take_hazard_step(once, step("notify", 5, to="Mrs Li", how="posted"), NOW)
    assert (twice.notified_at, twice.notified_to) == (FOUND + timedelta(minutes=30), "Mr Li")


def test_gas_comes_back_after_rectification_only() -> None:
    """Cut by hand, put right, given back."""
    cut = take_hazard_step(LEAK, step("cut", note="meter valve closed and sealed"), NOW)
    mended = take_hazard_step(cut, step("rectify", 5, by="Mr Li", note="new hose, photo 7"), NOW)
    assert take_hazard_step(mended, step("restore", 6), NOW).restored_at == FOUND + timedelta(hours=6)


def test_a_cut_after_the_rectification_needs_another_one() -> None:
    """Who cuts again says that it was not put right; a cut told late, made before, does not."""
    cut = take_hazard_step(LEAK, step("cut", note="sealed"), NOW)
    mended = take_hazard_step(cut, step("rectify", 5, by="Mr Li", note="new hose"), NOW)
    assert take_hazard_step(mended, step("cut", 4, note="told late"), NOW).rectified_by == "Mr Li"
    again = take_hazard_step(mended, step("cut", 5, note="sealed again"), NOW)
    with pytest.raises(WrongHazardStep, match="before the hazard is rectified"):
        take_hazard_step(again, step("restore", 6), NOW)
    after = take_hazard_step(again, step("rectify", 7, by="a fitter", note="new tap"), NOW)
    assert take_hazard_step(after, step("restore", 8), NOW).rectified_by == "a fitter"
    assert take_hazard_step(again, step("cut", 2, note="told late"), NOW) == again


@pytest.mark.parametrize(
    ("changes", "hours", "expected"),
    [
        ({}, 0.9, ()),
        ({}, 1.1, ("notice",)),
        ({"notified_at": FOUND}, 25, ("tracking",)),
        ({"notified_at": FOUND}, 72, ("tracking", "rectification")),
        ({"notified_at": FOUND, "rectified_at": FOUND}, 72, ("tracking", "recheck")),
        ({"state": "closed"}, 999, ()),
    ],
)
def test_what_is_overdue(changes: dict[str, Any], hours: float, expected: tuple[str, ...]) -> None:
    """Grade 1: notice within an hour, looked after daily, put right by its day, re-checked then."""
    now = FOUND + timedelta(hours=hours)
    assert overdue_steps(replace(LEAK, **changes), GRADES[1], None, now.date(), now) == expected
