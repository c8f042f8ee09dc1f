"""Which pages one step of an alert asks for: who is told again beside the level that is reached."""

import pytest

from rules.callout import callout_for, pages_of
from rules.model import Alert, Reason, Transition
from rules.paging import Page
from tests.unit.alert_story import CHINA, TWO, at, raised, silence


def _pages(alert: Alert, reason: Reason, *silences: object) -> set[tuple[str, int]]:
    step = Transition(alert, reason, str(reason), alert.state)
    callout = callout_for(alert, alert, step, CHINA.limits_of(alert), list(silences), at(0))  # type: ignore[arg-type]
    pages: list[Page] = pages_of(7, alert, step, callout)
    assert {page.alert_id for page in pages} <= {7}
    assert len(set(pages)) == len(pages)
    return {(page.purpose, page.level) for page in pages}


@pytest.mark.parametrize(
    ("reason", "escalation", "owner", "told"),
    [
        (Reason.ESCALATED, 1, None, {("escalated", 2), ("reminder", 1)}),
        (Reason.ESCALATED, 2, "olga", {("escalated", 3), ("reminder", 1)}),
        (Reason.REMINDED, 0, None, {("reminder", 1)}),
        (Reason.REMINDED, 3, None, {("reminder", 4)}),
        (Reason.SILENCE_ENDED, 0, None, {("reminder", 1)}),
        (Reason.SILENCE_ENDED, 2, None, {("reminder", 1), ("escalated", 2), ("escalated", 3)}),
        (Reason.SILENCE_ENDED, 1, "olga", {("reminder", 1), ("escalated", 2)}),
        (Reason.ANOTHER_DEVICE, 1, None, {("worse", 1)}),
    ],
)
def test_who_is_told_beside_the_level_that_is_reached(
    reason: Reason, escalation: int, owner: str | None, told: set[tuple[str, int]]
) -> None:
    """An escalation reminds the first line; the end of a silence tells every level that it kept ignorant."""
    alert = raised().changed(escalation=escalation, owner=owner)
    assert _pages(alert, reason) == told


def test_a_silence_keeps_every_page_of_a_step_back() -> None:
    """None of them is asked for while it lasts."""
    assert _pages(raised().changed(escalation=2), Reason.REMINDED, silence(**TWO)) == set()
