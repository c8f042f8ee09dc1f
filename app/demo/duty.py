"""Who is told in the demonstration: its officer first, its administrator when nobody acts; each reached by a file."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from app.access import account_by_token
from app.demo.desk import Desk, until
from app.demo.district import State
from rules.notices.contacts import Contacts, list_contacts
from rules.notices.pages import ContactBody
from rules.notices.params import NoticeParams
from rules.rota.desk import NewShift, add_shift
from rules.rota.store import shifts_between
from sql.actor import Actor

CONTACT = "officer-on-duty"
_CONTACTS = {"officer": CONTACT, "administrator": "administrator-on-duty"}
_LADDER = {1: "officer", 2: "administrator", 3: "administrator"}
_ACTOR = Actor("demonstration", "administrator")
_SHIFT = timedelta(days=31)
_TOLD_TIMEOUT_S = 30.0


def reachable(params: NoticeParams) -> bool:
    """Whether a contact can be written down here and a file can be one; elsewhere nobody is put on duty."""
    return params.contact_key is not None and params.local_directory is not None


async def put_on_duty(conn: asyncpg.Connection, params: NoticeParams, state: State, at: datetime) -> None:
    """Give the demonstration's people a contact and a shift each, unless there are; harmless when repeated."""
    if not reachable(params):
        return
    people = {role: await account_by_token(conn, state.tokens[role]) for role in _CONTACTS}
    for role, person in people.items():
        if person is not None and not await list_contacts(conn, person.name):
            body = ContactBody(address=f"local://{_CONTACTS[role]}", language="en")
            await Contacts(params).add(conn, person.name, body, _ACTOR, at)
    planned = {(one.account, one.level) for one in await shifts_between(conn, at, at + timedelta(days=1))}
    for level, role in _LADDER.items():
        person = people[role]
        if person is not None and (person.name, level) not in planned:
            new = NewShift(person.name, level, None, at, at + _SHIFT, "the demonstration")
            await add_shift(conn, new, _ACTOR, at)


async def told_after_ms(desk: Desk, state: State, alerts: Iterable[Mapping[str, Any]]) -> float | None:
    """Milliseconds from the live leak to its first notice that a channel took; None when none did in time."""
    if state.live_leak is None:
        return None
    detector, at = state.live_leak
    of_leak = [one["alert_id"] for one in alerts if one["rule_id"] == "leak_alarm" and one["device"] == detector]
    moments: list[datetime] = []

    async def told() -> bool:
        for alert_id in of_leak:
            notices = (await desk.ask(f"alerts/{alert_id}/notices"))["notices"]
            moments.extend(datetime.fromisoformat(one["handed_over_at"]) for one in notices if one["handed_over_at"])
        return bool(moments)

    if not await until(told, _TOLD_TIMEOUT_S):
        return None
    return (min(moments) - at).total_seconds() * 1000
