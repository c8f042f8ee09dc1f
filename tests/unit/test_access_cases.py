"""Cases about a door that did not open follow from the set of its visits, not from their order."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from inspections.access_cases import Try, WantedCase, wanted_cases

_FIRST = datetime(2026, 3, 2, tzinfo=UTC)


def run(*results: str) -> list[Try]:
    return [Try(_FIRST + timedelta(days=day), day, result) for day, result in enumerate(results)]


def test_a_refusal_counts_as_an_attempt_and_is_no_closed_door() -> None:
    """Refused, closed, closed: the third calls for no_access; closed, closed, refused: only the refusal does."""
    third = _FIRST + timedelta(days=2)
    assert wanted_cases(run("refused", "no_access", "no_access"), 3)[-1] == WantedCase("no_access", third, 3)
    assert wanted_cases(run("no_access", "no_access", "refused"), 3) == [WantedCase("refused", third, 3)]


@given(st.data(), st.lists(st.sampled_from(["no_access", "refused"]), max_size=7))
def test_any_order_calls_for_the_same_cases(data: st.DataObject, results: list[str]) -> None:
    """However the reports come in, the same visits call for the same cases."""
    tries = run(*results)
    assert wanted_cases(data.draw(st.permutations(tries)), 3) == wanted_cases(tries, 3)
