"""Decides who is told, whether a notice is still needed, and what follows an attempt that failed."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from rules.model import SEVERITIES
from rules.notices.model import Chosen, Contact, Crew, Person, Standing

_STOPS_BY_STEP = ("raised", "worse", "reminder", "escalated", "ack_expired")
"""Purposes that are settled when a person takes any step on the alert after the page was requested."""

_SHORTEST_S = 0.2


def choose(purpose: str, level: int, crew: Crew, area: str, *, for_administrators: bool) -> Chosen:
    """Who a page goes to: those on duty at the level, or whom the purpose names; nobody on duty: every officer.

    `for_administrators`: the alert is about the desk's own working (a dead channel, a gap in the rota).
    """
    if for_administrators:
        people = _once((*crew.administrators, *crew.on_duty.get(1, ())))
        return Chosen(people, "administrators", "about the desk itself") if people else _everybody(crew, area, level)
    if purpose == "closed" and crew.told_before:
        return Chosen(crew.told_before, "told_before", "were told of the alert before")
    if purpose == "handed_over" and crew.owner:
        return Chosen((crew.owner,), "owner", "owns the alert now")
    if purpose == "reminder" and crew.owner:
        return Chosen((crew.owner,), "owner", "owns the alert")
    owner = (crew.owner,) if crew.owner and purpose in {"worse", "ack_expired"} else ()
    first = crew.on_duty.get(1, ()) if purpose == "reminder" and level > 1 else ()
    return _with_duty(crew, owner, first, area, level)


def _with_duty(crew: Crew, owner: tuple[Person, ...], first: tuple[Person, ...], area: str, level: int) -> Chosen:
    """Owner, those on duty at the level, and the first line where it is told as well."""
    if duty := crew.on_duty.get(level, ()):
        also = f", and {owner[0].account} owns the alert" if owner else " and 1" if first else ""
        return Chosen(_once((*owner, *first, *duty)), "on_duty", f"on duty for {area} at level {level}{also}")
    found = _everybody(crew, area, level)
    return Chosen(_once((*owner, *found.people)), found.how, found.reason)


def _everybody(crew: Crew, area: str, level: int) -> Chosen:
    nobody = f"nobody is on duty for {area} at level {level}"
    others = _once(person for one in sorted(crew.on_duty) for person in crew.on_duty[one])
    if officers := [person for person in crew.officers if person.contacts]:
        return Chosen(_once((*others, *officers)), "everybody", f"{nobody}: every officer of {area} is told")
    if administrators := [person for person in crew.administrators if person.contacts]:
        reason = f"{nobody} and no officer of {area} has a contact: the administrators are told"
        return Chosen(_once((*others, *administrators)), "everybody", reason)
    if others:
        return Chosen(others, "everybody", f"{nobody}: those on duty at other levels are told")
    return Chosen((), "nobody", f"{nobody}, and nobody at all has a contact")


def _once(people: Iterable[Person]) -> tuple[Person, ...]:
    return tuple({person.account: person for person in people}.values())


def contacts_for(person: Person, severity: str) -> list[Contact]:
    """A person's contacts that take notices of this severity, in the order to be tried: dead ones last."""
    rank = SEVERITIES.index(severity)
    wanted = [one for one in person.contacts if SEVERITIES.index(one.severity_min) <= rank]
    return sorted(wanted, key=lambda one: (one.dead, one.position, one.contact_id))


def next_contact(person: Person, severity: str, tried: Iterable[int]) -> Contact | None:
    """The contact to try after those that failed; None when the person has no other."""
    used = set(tried)
    return next((one for one in contacts_for(person, severity) if one.contact_id not in used), None)


def next_people(crew: Crew, level: int, asked: Iterable[str]) -> Chosen:
    """Who is told when nothing reaches those who should be: the next level with somebody new, then every officer."""
    known = set(asked)
    for higher in sorted(one for one in crew.on_duty if one > level):
        if fresh := tuple(person for person in crew.on_duty[higher] if person.account not in known):
            return Chosen(fresh, "on_duty", f"level {level} could not be reached: level {higher} is told")
    rest = _once((*(one for level in crew.on_duty.values() for one in level), *crew.officers, *crew.administrators))
    fresh = tuple(person for person in rest if person.account not in known and person.contacts)
    return Chosen(fresh, "everybody", f"level {level} could not be reached: everybody else is told")


def not_needed(purpose: str, standing: Standing) -> str | None:
    """Why a notice need not leave any more, in words; None: it must."""
    if purpose != "closed" and not standing.is_open:
        return f"the alert is {standing.state}"
    if purpose in _STOPS_BY_STEP and standing.moved_by is not None:
        return f"{standing.moved_by} took the step {standing.moved_step} meanwhile"
    if standing.silenced is not None:
        return standing.silenced
    return None


def next_attempt_at(
    attempts: int, now: datetime, deadline_at: datetime, back_off_s: float, back_off_max_s: float, jitter: float
) -> datetime | None:
    """When to try again after `attempts` failures, None when that would be past the deadline.

    The wait doubles with each failure up to a bound; `jitter` in 0..1 moves it by up to a quarter either way, so that
    what failed together does not come back together.
    """
    wait_s = min(back_off_s * 2 ** min(attempts - 1, 30), back_off_max_s) * (0.75 + 0.5 * jitter)
    at = now + timedelta(seconds=max(wait_s, _SHORTEST_S))
    return at if at <= deadline_at else None
