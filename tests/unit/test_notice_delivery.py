"""Who is told, when a notice is not needed any more, and what follows a failed attempt."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.notices.delivery import choose, contacts_for, next_attempt_at, next_people, not_needed
from rules.notices.model import Contact, Crew, Person, Standing
from rules.notices.store import priority

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def person(name: str, *contacts: Contact, role: str = "officer") -> Person:
    return Person(name, role, contacts or (contact(len(name)),))


def contact(number: int, *, position: int = 1, least: str = "minor", dead: bool = False) -> Contact:
    return Contact(number, "jsons", "en", position, least, dead)


ANN, BOB, CAT = person("ann"), person("bob"), person("cat")
CHIEF = person("chief", role="administrator")


def crew(**levels: tuple[Person, ...]) -> Crew:
    on_duty = {int(name[1:]): people for name, people in levels.items()}
    return Crew(on_duty, None, (CAT,), (ANN, BOB, CAT), (CHIEF,))


def test_those_on_duty_are_told() -> None:
    """A page goes to those on duty at its level, and no further."""
    chosen = choose("raised", 1, crew(l1=(ANN,), l2=(BOB,)), "D01", for_administrators=False)
    assert (chosen.people, chosen.how) == ((ANN,), "on_duty")


def test_a_reminder_that_nobody_owns_goes_to_the_first_line_too() -> None:
    """The levels above hear of it, and the first line does not cease to, each once; an escalation is the level's."""
    levels = crew(l1=(ANN,), l2=(ANN, BOB))
    told = choose("reminder", 2, levels, "D01", for_administrators=False)
    assert (told.people, told.reason) == ((ANN, BOB), "on duty for D01 at level 2 and 1")
    assert choose("escalated", 2, crew(l1=(ANN,), l2=(BOB,)), "D01", for_administrators=False).people == (BOB,)


def test_nobody_on_duty_tells_every_officer_and_says_so() -> None:
    """Without anybody at the level, those of other levels and every officer are told, each once."""
    chosen = choose("escalated", 3, crew(l1=(ANN,)), "D01", for_administrators=False)
    assert {one.account for one in chosen.people} == {"ann", "bob", "cat"}
    assert chosen.how == "everybody"
    assert "nobody is on duty for D01 at level 3" in chosen.reason


def test_no_officer_with_a_contact_leaves_the_administrators() -> None:
    """Where no officer could be told the administrators are; with nobody at all the page says `nobody`."""
    without = Crew({}, None, (), (Person("ann", "officer"),), (CHIEF,))
    assert choose("raised", 1, without, "D01", for_administrators=False).people == (CHIEF,)
    nobody = choose("raised", 1, Crew({}, None, (), (), ()), "D01", for_administrators=False)
    assert (nobody.people, nobody.how) == ((), "nobody")


@pytest.mark.parametrize(
    ("purpose", "names"),
    [
        ("raised", {"ann"}),
        ("worse", {"ann", "bob"}),
        ("ack_expired", {"ann", "bob"}),
        ("reminder", {"bob"}),
        ("handed_over", {"bob"}),
        ("closed", {"cat"}),
    ],
)
def test_a_purpose_names_its_people(purpose: str, names: set[str]) -> None:
    """What is owned tells its owner; the end is told to those who heard of the beginning."""
    everybody = Crew({1: (ANN,)}, BOB, (CAT,), (ANN, BOB, CAT), (CHIEF,))
    chosen = choose(purpose, 1, everybody, "D01", for_administrators=False)
    assert {one.account for one in chosen.people} == names


def test_the_desks_own_troubles_go_to_administrators() -> None:
    """A dead channel is told to the administrators and level 1."""
    chosen = choose("raised", 1, crew(l1=(ANN,), l2=(BOB,)), "D01", for_administrators=True)
    assert {one.account for one in chosen.people} == {"chief", "ann"}


def test_contacts_in_order_dead_ones_last() -> None:
    """The first working contact is first; a contact below its least severity is left out."""
    one = person("ann", contact(1, dead=True), contact(2, position=2), contact(3, position=3, least="critical"))
    assert [each.contact_id for each in contacts_for(one, "major")] == [2, 1]
    assert [each.contact_id for each in contacts_for(one, "critical")] == [2, 3, 1]


def test_who_follows_is_new() -> None:
    """When nobody of level 1 can be reached the next level is told; with none left, everybody who was not asked."""
    known = crew(l1=(ANN,), l2=(BOB,))
    assert next_people(known, 1, {"ann"}).people == (BOB,)
    assert {one.account for one in next_people(known, 1, {"ann", "bob"}).people} == {"cat", "chief"}
    assert next_people(known, 1, {"ann", "bob", "cat", "chief"}).people == ()


@pytest.mark.parametrize(
    ("purpose", "standing", "reason"),
    [
        ("raised", Standing(True, "open", None), None),
        ("raised", Standing(False, "verified", None), "the alert is verified"),
        ("closed", Standing(False, "verified", None), None),
        (
            "escalated",
            Standing(True, "acknowledged", "bob", "acknowledge", "bob"),
            "bob took the step acknowledge meanwhile",
        ),
        ("handed_over", Standing(True, "acknowledged", "bob", "acknowledge", "bob"), None),
        ("reminder", Standing(True, "open", None, silenced="silenced until 12:00"), "silenced until 12:00"),
    ],
)
def test_state_is_looked_at_again(purpose: str, standing: Standing, reason: str | None) -> None:
    """What has settled itself is not told any more, with the reason."""
    assert not_needed(purpose, standing) == reason


@given(attempts=st.integers(1, 200), jitter=st.floats(0, 1), left_s=st.integers(0, 3600))
def test_back_off_grows_is_bounded_and_ends(attempts: int, jitter: float, left_s: int) -> None:
    """The wait is within its bounds for any count of failures, and never leads past the deadline."""
    deadline = NOW + timedelta(seconds=left_s)
    at = next_attempt_at(attempts, NOW, deadline, 2, 60, jitter)
    if at is None:
        assert left_s < 75
    else:
        assert NOW + timedelta(seconds=1.5) <= at <= min(deadline, NOW + timedelta(seconds=75))


def test_back_off_doubles() -> None:
    """Each failure doubles the wait up to the longest."""
    far = NOW + timedelta(days=1)
    waits = [next_attempt_at(n, NOW, far, 2, 60, 0.5) for n in (1, 2, 3, 10)]
    assert [(at - NOW).total_seconds() for at in waits if at] == [2, 4, 8, 60]


def test_a_new_leak_is_told_before_reminders_of_others() -> None:
    """After a restart sixty reminders may wait; the leak that began meanwhile does not stand behind them."""
    places = [priority(*one) for one in (("critical", "raised"), ("critical", "reminder"), ("normal", "raised"))]
    assert places == sorted(set(places), reverse=True)
