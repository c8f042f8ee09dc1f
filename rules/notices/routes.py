"""HTTP of notices and contacts: who was told of an alert; how a person is reached."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg

from rules.notices import store
from rules.notices.contacts import Contacts, list_contacts
from rules.notices.pages import (
    AlertNotices,
    ContactBody,
    ContactChange,
    ContactRow,
    ContactTested,
    NoticeRow,
    PageRow,
)
from rules.notices.params import NoticeParams
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_EVERYBODY = frozenset({"officer", "administrator", "inspector"})


class NoticeRoutes:
    """Notices for officers; contacts for the person they reach, and for administrators."""

    def __init__(self, pool: asyncpg.Pool, params: NoticeParams) -> None:
        self._pool = pool
        self._contacts = Contacts(params)

    def table(self) -> list[Route]:
        """Method, path, roles, handler."""
        return [
            ("GET", "/alerts/{alert_id}/notices", _OFFICE, self.notices),
            ("GET", "/contacts", _EVERYBODY, self.contacts),
            ("POST", "/accounts/{account}/contacts", _EVERYBODY, self.add_contact),
            ("PATCH", "/contacts/{contact_id}", _EVERYBODY, self.change_contact),
            ("POST", "/contacts/{contact_id}/test", _EVERYBODY, self.test_contact),
            ("DELETE", "/contacts/{contact_id}", _EVERYBODY, self.remove_contact),
        ]

    async def notices(self, alert_id: int, actor: Actor) -> AlertNotices:
        """Who was told of an alert: its pages, and every notice with what became of it."""
        async with self._pool.acquire() as conn, conn.transaction():
            area = await conn.fetchval(*queries["area_of_alert"].bind(alert_id=alert_id))
            if area is None or not actor.covers(area):
                raise NotFound(f"no alert {alert_id}")
            return await alert_notices(conn, alert_id)

    async def contacts(self, actor: Actor) -> list[ContactRow]:
        """Your contacts; for administrators everybody's. Addresses are masked."""
        everybody = actor.role == "administrator"
        async with self._pool.acquire() as conn:
            return [ContactRow(**row) for row in await list_contacts(conn, None if everybody else actor.name)]

    async def add_contact(self, account: str, body: ContactBody, actor: Actor) -> ContactRow:
        """Add a contact to an account: your own, or as administrator anybody's."""
        async with self._pool.acquire() as conn, conn.transaction():
            contact_id = await self._contacts.add(conn, account, body, actor, datetime.now(UTC))
            return await _contact(conn, account, contact_id)

    async def change_contact(self, contact_id: int, body: ContactChange, actor: Actor) -> None:
        """Change language, order, least severity, or switch a contact off and on."""
        async with self._pool.acquire() as conn, conn.transaction():
            await self._contacts.change(conn, contact_id, body, actor, datetime.now(UTC))

    async def test_contact(self, contact_id: int, actor: Actor) -> ContactTested:
        """Send a test message now."""
        tested = await self._contacts.test(self._pool, contact_id, actor)
        return ContactTested(
            contact_id=contact_id,
            handed_over=tested.attempt.handed_over,
            error=tested.attempt.error,
            seconds=round(tested.seconds, 3),
        )

    async def remove_contact(self, contact_id: int, actor: Actor) -> None:
        """End a contact; its address is erased."""
        async with self._pool.acquire() as conn, conn.transaction():
            await self._contacts.remove(conn, contact_id, actor, datetime.now(UTC))


async def alert_notices(conn: asyncpg.Connection, alert_id: int) -> AlertNotices:
    """The pages and notices of an alert, oldest first."""
    return AlertNotices(
        pages=[PageRow(**row) for row in await store.alert_pages(conn, alert_id)],
        notices=[NoticeRow(**row) for row in await store.alert_notices(conn, alert_id)],
    )


async def _contact(conn: asyncpg.Connection, account: str, contact_id: int) -> ContactRow:
    rows = await list_contacts(conn, account)
    return next(ContactRow(**row) for row in rows if row["contact_id"] == contact_id)
