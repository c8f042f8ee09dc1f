"""Contacts: added, changed, tested, removed; every change audited, addresses sealed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from rules.notices import store, wording
from rules.notices.channels import Channels
from rules.notices.model import Attempt, NotOpened, RefusedAddress
from rules.notices.pages import ContactBody, ContactChange
from rules.notices.params import NoticeParams
from rules.notices.seal import Seal
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test message met, and how long it took."""

    attempt: Attempt
    seconds: float


class Contacts:
    """What may be done with contacts. Everybody has their own; administrators have everybody's."""

    def __init__(self, params: NoticeParams) -> None:
        self._channels = Channels(params)
        self._seal = Seal(params.contact_key)

    async def add(self, conn: asyncpg.Connection, account: str, new: ContactBody, by: Actor, now: datetime) -> int:
        """Add a contact to an account; returns its number.

        Raises NotFound, or Conflict for an address that may not be used.
        """
        _check_may(account, by)
        try:
            channel, shown = self._channels.check(new.address)
        except RefusedAddress as error:
            raise Conflict(str(error)) from error
        contact_id: int | None = await conn.fetchval(
            *queries["add_contact"].bind(
                account=account,
                channel=channel,
                sealed=self._seal.seal(new.address.strip()),
                shown=shown,
                language=new.language,
                severity_min=new.severity_min,
                position=new.position,
                added_at=now,
                added_by=by.name,
            )
        )
        if contact_id is None:
            raise NotFound(f"there is no account {account}, or it is revoked")
        details = {"account": account, "contact": shown, "language": new.language, "severity_min": new.severity_min}
        await audit.record(conn, by, "contact.add", f"contact:{contact_id}", details, now)
        return contact_id

    async def change(
        self, conn: asyncpg.Connection, contact_id: int, change: ContactChange, by: Actor, now: datetime
    ) -> None:
        """Change what is given; raises NotFound."""
        await self._lock(conn, contact_id, by)
        values = change.model_dump()
        await conn.execute(*queries["change_contact"].bind(contact_id=contact_id, **values))
        details = {name: value for name, value in values.items() if value is not None}
        await audit.record(conn, by, "contact.change", f"contact:{contact_id}", details, now)

    async def remove(self, conn: asyncpg.Connection, contact_id: int, by: Actor, now: datetime) -> None:
        """End a contact and erase its address; raises NotFound."""
        contact = await self._lock(conn, contact_id, by)
        await conn.execute(*queries["remove_contact"].bind(contact_id=contact_id, at=now))
        await audit.record(conn, by, "contact.remove", f"contact:{contact_id}", {"account": contact["account"]}, now)

    async def test(self, pool: asyncpg.Pool, contact_id: int, by: Actor) -> Tested:
        """Send a test message and remember whether the channel took it; raises NotFound."""
        async with pool.acquire() as conn, conn.transaction():
            contact = await self._lock(conn, contact_id, by)
        begun = time.perf_counter()
        try:
            address = self._seal.open(contact["sealed"])
            words = wording.write_contact_test(contact["account"], contact["language"])
            attempt = await self._channels.hand_over(contact_id, address, words, "info")
        except NotOpened as error:
            attempt = Attempt(False, str(error))
        seconds = time.perf_counter() - begun
        now = datetime.now(UTC)
        async with pool.acquire() as conn, conn.transaction():
            if attempt.handed_over:
                await store.contact_worked(conn, contact_id, now)
            else:
                await store.contact_failed(conn, contact_id, now, attempt.error or "unknown")
            details = {"handed_over": attempt.handed_over, "error": attempt.error}
            await audit.record(conn, by, "contact.test", f"contact:{contact_id}", details, now)
        return Tested(attempt, seconds)

    async def reseal(self, conn: asyncpg.Connection, by: Actor, now: datetime) -> int:
        """Seal every address with the first key; returns how many. Raises NotOpened when one fits no key."""
        rows = await conn.fetch(*queries["sealed_contacts"].bind())
        for row in rows:
            sealed = self._seal.seal(self._seal.open(row["sealed"]))
            await conn.execute(*queries["reseal_contact"].bind(contact_id=row["contact_id"], sealed=sealed))
        await audit.record(conn, by, "contact.reseal", "contacts", {"contacts": len(rows)}, now)
        return len(rows)

    @staticmethod
    async def _lock(conn: asyncpg.Connection, contact_id: int, by: Actor) -> asyncpg.Record:
        row = await conn.fetchrow(*queries["lock_contact"].bind(contact_id=contact_id))
        if row is None or (by.role != "administrator" and row["account"] != by.name):
            raise NotFound(f"no contact {contact_id}")
        return row


async def list_contacts(conn: asyncpg.Connection, account: str | None) -> Sequence[asyncpg.Record]:
    """Contacts of an account, or (None) of all, addresses masked."""
    return await conn.fetch(*queries["list_contacts"].bind(account=account))  # type: ignore[no-any-return]


def _check_may(account: str, by: Actor) -> None:
    if by.role != "administrator" and by.name != account:
        raise NotFound(f"there is no account {account} whose contacts you may change")
