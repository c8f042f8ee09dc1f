"""The nightly test that everyone on duty can be reached: a message by each contact, confirmed by the code in it."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg

from rules.notices.seal import Seal
from rules.rota import store
from sql import audit, queries
from sql.actor import Actor
from sql.errors import NotFound

AHEAD = timedelta(hours=24)
_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CODE_LENGTH = 12
"""60 bits: cannot be guessed in the hour a test waits, and can be read out over the telephone."""


def new_code() -> str:
    """A code of twelve letters and figures that are not easily taken for one another."""
    return "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))


def hash_code(code: str) -> bytes:
    """The digest by which a code is known; blanks, dashes and small letters do not matter."""
    return hashlib.sha256("".join(code.split()).replace("-", "").upper().encode()).digest()


async def begin_round(
    conn: asyncpg.Connection, night: date, seal: Seal, now: datetime, confirm_min: float, by: Actor
) -> tuple[int, int]:
    """Ask everybody on duty within 24 hours to confirm, by every contact; returns the round and how many were asked."""
    number = await store.last_reach_round(conn, night) + 1
    people = await conn.fetch(*queries["people_to_reach"].bind(until=now + AHEAD))
    deadline_at = now + timedelta(minutes=confirm_min)
    rows = [_row(person, night, number, seal, now, deadline_at) for person in people]
    test_ids = [row["test_id"] for row in await conn.fetch(*queries["add_reach_tests"].bind(rows=rows))]
    await conn.execute(*queries["queue_reach_tests"].bind(test_ids=test_ids))
    details = {"night": night.isoformat(), "round": number, "tests": len(rows)}
    await audit.record(conn, by, "rota.reach_test", f"night:{night.isoformat()}", details, now)
    return number, len({row["account"] for row in people})


def _row(
    person: Mapping[str, Any], night: date, number: int, seal: Seal, now: datetime, deadline_at: datetime
) -> dict[str, object]:
    reachable = person["contact_id"] is not None
    code = new_code()
    return {
        "night": night.isoformat(),
        "round": number,
        "account": person["account"],
        "contact_id": person["contact_id"],
        "channel": person["channel"],
        "code_hash": hash_code(code).hex() if reachable else None,
        "sealed_code": seal.seal(code).hex() if reachable else None,
        "duty_from": person["duty_from"].isoformat(),
        "requested_at": now.isoformat(),
        "deadline_at": deadline_at.isoformat(),
        "last_error": None if reachable else "has no contact",
    }


async def confirm(conn: asyncpg.Connection, code: str, confirmed_by: Actor, now: datetime) -> Mapping[str, Any]:
    """Take a confirmation; returns whose test it was. A code counts once; raises NotFound for one nobody was sent."""
    row = await conn.fetchrow(
        *queries["confirm_reach"].bind(code_hash=hash_code(code), at=now, confirmed_by=confirmed_by.name)
    )
    if row is None:
        raise NotFound("no test has this code")
    details = {"account": row["account"], "channel": row["channel"], "late": now > row["deadline_at"]}
    await audit.record(conn, confirmed_by, "rota.reach_confirmed", f"reach_test:{row['test_id']}", details, now)
    return row  # type: ignore[no-any-return]
