"""Reads and writes pages, notices and contacts; takes a connection, joins the caller's transaction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from rules.notices.model import Contact, Crew, Facts, Person
from rules.rota.store import on_duty_at
from sql import queries

NEWS, URGENT, USUAL = 20, 10, 0


def priority(urgency: str, purpose: str) -> int:
    """The place of a job in the queue: critical alerts and leaks first, and of these what is new before reminders."""
    if urgency != "critical":
        return USUAL
    return NEWS if purpose in {"raised", "worse"} else URGENT


@dataclass(frozen=True, slots=True)
class Asked:
    """A notice to be written: to whom, by which contact, and why; `ended` with a state that ends it at once."""

    person: Person
    contact: Contact | None
    reason: str | None = None
    ended: str | None = None
    follows: int | None = None


async def load_crew(conn: asyncpg.Connection, page: Mapping[str, Any], dead_after: int, now: datetime) -> Crew:
    """Everybody who could be told of a page's alert."""
    duty = await on_duty_at(conn, page["area"], now)
    accounts = sorted({account for level in duty.values() for account in level})
    rows = await conn.fetch(
        *queries["people_of_area"].bind(
            area=page["area"],
            dead_after=dead_after,
            owner=page["owner"],
            alert_id=page["alert_id"],
            on_duty=accounts,
        )
    )
    people = _people(rows)
    facts = {row["account"]: row for row in rows}
    return Crew(
        on_duty={level: tuple(people[one] for one in names if one in people) for level, names in duty.items()},
        owner=people.get(page["owner"] or ""),
        told_before=tuple(people[one] for one, row in facts.items() if row["told_before"]),
        officers=tuple(people[one] for one, row in facts.items() if row["role"] == "officer" and row["covers"]),
        administrators=tuple(people[one] for one, row in facts.items() if row["role"] == "administrator"),
    )


def _people(rows: Iterable[Mapping[str, Any]]) -> dict[str, Person]:
    contacts: dict[str, list[Contact]] = defaultdict(list)
    roles: dict[str, str] = {}
    for row in rows:
        roles[row["account"]] = row["role"]
        if row["contact_id"] is not None:
            names = ("contact_id", "channel", "language", "position", "severity_min", "dead")
            contacts[row["account"]].append(Contact(**{name: row[name] for name in names}))
    return {account: Person(account, role, tuple(contacts[account])) for account, role in roles.items()}


async def lock_page(conn: asyncpg.Connection, page_id: int) -> asyncpg.Record | None:
    """A page nobody has resolved, locked; None when it was."""
    return await conn.fetchrow(*queries["lock_page"].bind(page_id=page_id))


async def page_of_notice(conn: asyncpg.Connection, page_id: int) -> asyncpg.Record:
    """The page of a notice, locked."""
    return await conn.fetchrow(*queries["page_of_notice"].bind(page_id=page_id))


async def resolve_page(conn: asyncpg.Connection, page_id: int, now: datetime, recipients: str, reason: str) -> None:
    """Remember how a page's recipients were chosen."""
    await conn.execute(
        *queries["resolve_page"].bind(page_id=page_id, resolved_at=now, recipients=recipients, reason=reason)
    )


async def asked_on_page(conn: asyncpg.Connection, page_id: int) -> dict[str, set[int]]:
    """Whom a page asked already, and by which contacts."""
    asked: dict[str, set[int]] = defaultdict(set)
    for row in await conn.fetch(*queries["asked_on_page"].bind(page_id=page_id)):
        asked[row["account"]] |= {row["contact_id"]} - {None}
    return asked


async def add_notices(
    conn: asyncpg.Connection, page: Mapping[str, Any], asked: Sequence[Asked], now: datetime, deadline_at: datetime
) -> list[asyncpg.Record]:
    """Write notices, with a job for each that waits; returns those that were not there yet."""
    rows = [_notice_row(page, one, now, deadline_at) for one in asked]
    added = await conn.fetch(*queries["add_notices"].bind(rows=rows))
    waiting = [row["notice_id"] for row in added if row["state"] == "requested"]
    await conn.execute(
        *queries["queue_sends"].bind(notice_ids=waiting, priority=priority(page["urgency"], page["purpose"]))
    )
    return added  # type: ignore[no-any-return]


def _notice_row(page: Mapping[str, Any], one: Asked, now: datetime, deadline_at: datetime) -> dict[str, object]:
    return {
        "page_id": page["page_id"],
        "alert_id": page["alert_id"],
        "account": one.person.account,
        "contact_id": one.contact and one.contact.contact_id,
        "channel": one.contact and one.contact.channel,
        "purpose": page["purpose"],
        "level": page["level"],
        "state": one.ended or "requested",
        "reason": one.reason,
        "requested_at": page["requested_at"].isoformat(),
        "deadline_at": deadline_at.isoformat(),
        "failed_at": now.isoformat() if one.ended == "failed" else None,
        "not_needed_at": now.isoformat() if one.ended == "not_needed" else None,
        "follows": one.follows,
    }


async def lock_notice(conn: asyncpg.Connection, notice_id: int) -> asyncpg.Record | None:
    """A notice that has not ended, with its contact and how its alert stands, locked; None when it has."""
    return await conn.fetchrow(*queries["lock_notice"].bind(notice_id=notice_id))


async def notice_facts(conn: asyncpg.Connection, asked: Sequence[Mapping[str, Any]]) -> list[Facts]:
    """What notices tell of, in the order asked (each with alert_id, purpose, level)."""
    rows = await conn.fetch(
        *queries["notice_facts"].bind(
            alert_ids=[one["alert_id"] for one in asked],
            purposes=[one["purpose"] for one in asked],
            levels=[one["level"] for one in asked],
        )
    )
    return [Facts(**row) for row in rows]


async def recent_notices(conn: asyncpg.Connection, contact_id: int, since: datetime) -> int:
    """How many notices below critical a contact was handed since a moment."""
    found: int = await conn.fetchval(*queries["recent_notices"].bind(contact_id=contact_id, since=since))
    return found


async def waiting_for_contact(conn: asyncpg.Connection, contact_id: int, count: int) -> list[asyncpg.Record]:
    """Notices below critical that wait for a contact, locked."""
    return await conn.fetch(*queries["waiting_for_contact"].bind(contact_id=contact_id, count=count))  # type: ignore[no-any-return]


async def begin_attempt(conn: asyncpg.Connection, notice_ids: Sequence[int], now: datetime) -> None:
    """An attempt is about to be made."""
    await conn.execute(*queries["begin_attempt"].bind(notice_ids=notice_ids, at=now))


async def end_notices(
    conn: asyncpg.Connection, notice_ids: Sequence[int], state: str, now: datetime, reason: str | None = None
) -> list[asyncpg.Record]:
    """Notices end; returns those that had not ended before. The first handed over is a stage of its alert's clock."""
    query = queries["end_notices"]
    ended: list[asyncpg.Record] = await conn.fetch(
        *query.bind(notice_ids=notice_ids, state=state, at=now, reason=reason)
    )
    if state == "handed_over" and ended:
        alert_ids = sorted({row["alert_id"] for row in ended})
        await conn.execute(*queries["note_first_notices"].bind(alert_ids=alert_ids, at=now))
    return ended


async def attempt_failed(conn: asyncpg.Connection, notice_ids: Sequence[int], error: str) -> None:
    """An attempt failed, another one follows."""
    await conn.execute(*queries["attempt_failed"].bind(notice_ids=notice_ids, error=error))


async def attempt_not_made(conn: asyncpg.Connection, notice_ids: Sequence[int]) -> None:
    """An attempt was not made after all."""
    await conn.execute(*queries["attempt_not_made"].bind(notice_ids=notice_ids))


async def mark_error(conn: asyncpg.Connection, notice_ids: Sequence[int], error: str) -> None:
    """What the newest attempt said."""
    await conn.execute(*queries["mark_error"].bind(notice_ids=notice_ids, error=error))


async def fell_over(conn: asyncpg.Connection, notice_id: int) -> bool:
    """Whether a notice's failure leads to another one now: once in its life."""
    return await conn.fetchval(*queries["fell_over"].bind(notice_id=notice_id)) is not None


async def contact_worked(conn: asyncpg.Connection, contact_id: int, now: datetime) -> None:
    """A contact took a message."""
    await conn.execute(*queries["contact_worked"].bind(contact_id=contact_id, at=now))


async def contact_failed(conn: asyncpg.Connection, contact_id: int, now: datetime, error: str) -> None:
    """A contact failed once more."""
    await conn.execute(*queries["contact_failed"].bind(contact_id=contact_id, at=now, error=error))


async def overdue_notices(conn: asyncpg.Connection, now: datetime, count: int) -> list[int]:
    """Notices past their deadline that no job has ended."""
    return [row["notice_id"] for row in await conn.fetch(*queries["overdue_notices"].bind(now=now, count=count))]


async def notices_waiting(conn: asyncpg.Connection) -> asyncpg.Record:
    """How many notices wait, and since when the oldest does."""
    return await conn.fetchrow(*queries["notices_waiting"].bind())


async def alert_notices(conn: asyncpg.Connection, alert_id: int) -> list[asyncpg.Record]:
    """The notices of an alert, oldest first."""
    return await conn.fetch(*queries["alert_notices"].bind(alert_id=alert_id))  # type: ignore[no-any-return]


async def alert_pages(conn: asyncpg.Connection, alert_id: int) -> list[asyncpg.Record]:
    """The pages of an alert, oldest first."""
    return await conn.fetch(*queries["alert_pages"].bind(alert_id=alert_id))  # type: ignore[no-any-return]


async def dead_contacts(conn: asyncpg.Connection, dead_after: int) -> list[asyncpg.Record]:
    """Contacts that failed too often in a row, with their person."""
    return await conn.fetch(*queries["dead_contacts"].bind(dead_after=dead_after))  # type: ignore[no-any-return]
