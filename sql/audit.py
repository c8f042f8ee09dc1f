"""The audit chain: who did or saw what, when. Every row carries a digest over itself and the row before."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg

from sql import queries
from sql.actor import Actor


def chain_digest(
    previous: bytes, at: datetime, actor: str, role: str, action: str, subject: str, details: Mapping[str, object]
) -> bytes:
    """Digest of one audit row: SHA-256 over the previous digest and this row's content in canonical JSON."""
    content = [at.astimezone(UTC).isoformat(), actor, role, action, subject, details]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + text.encode()).digest()


async def record(
    conn: asyncpg.Connection, actor: Actor, action: str, subject: str, details: Mapping[str, object], at: datetime
) -> None:
    """Add an audit row inside the caller's transaction, so that a deed and its record commit together.

    `details` must be plain JSON values. Writers queue behind one advisory lock, held until the transaction ends.
    """
    await conn.execute(*queries["lock_audit_chain"].bind())
    previous = await conn.fetchval(*queries["last_audit_digest"].bind()) or b""
    digest = chain_digest(previous, at, actor.name, actor.role, action, subject, details)
    await conn.execute(
        *queries["add_audit_entry"].bind(
            at=at, actor=actor.name, role=actor.role, action=action, subject=subject, details=details, digest=digest
        )
    )


async def first_broken_entry(conn: asyncpg.Connection) -> int | None:
    """Recompute the whole chain; return the id of the first row that does not fit, or None."""
    previous = b""
    async with conn.transaction(readonly=True):
        async for row in conn.cursor(*queries["audit_entries"].bind()):
            expected = chain_digest(
                previous, row["at"], row["actor"], row["role"], row["action"], row["subject"], row["details"]
            )
            if row["digest"] != expected:
                return int(row["audit_id"])
            previous = expected
    return None
