"""Quarantine heals: what waits is previewed, and replayed with its original times once its cause is gone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import asyncpg

from ingest import store
from ingest.acquaintance import learn_named
from ingest.directory import Directory
from ingest.formats import read_message
from ingest.intake import read_foreign
from ingest.model import Bound, Message, QuarantineReason, Refused, Tally
from ingest.settling import judge_message
from ingest.sources import SourceParams, source_of
from ingest.transaction import write_batch
from sql import audit, queries
from sql.actor import Actor

SLOT = "replay"
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a replay would do with one waiting message; `reason` and `detail` are None when it would be stored."""

    quarantine_id: int
    topic: str
    was: str
    reason: QuarantineReason | None
    detail: str | None


async def search(
    conn: asyncpg.Connection,
    actor: Actor,
    *,
    quarantine_id: int | None = None,
    reason: str | None = None,
    gateway: str | None = None,
    device: str | None = None,
    words: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    replayed: bool | None = None,
    after: int | None = None,
    page_size: int = 50,
) -> list[asyncpg.Record]:
    """Quarantined messages, newest first, within the caller's areas; None means any, `after` is the last id seen.

    `device` is text inside the payload, `words` text inside payload, topic or detail, both as they are written;
    `since` and `until` bound the time of arrival, repeats included.
    """
    query = queries["quarantine_search"].bind(
        quarantine_id=quarantine_id,
        reason=reason,
        gateway=gateway,
        device=device,
        words=words,
        since=since,
        until=until,
        replayed=replayed,
        areas=actor.area_list(),
        after=after,
        page_size=page_size,
    )
    return list(await conn.fetch(*query))


def payload_shown(payload: bytes, form: Literal["auto", "text", "hex"], bytes_max: int | None = None) -> str:
    """A payload for a person: as text, what is no UTF-8 escaped, or in hexadecimal; `auto`: text when it is."""
    part = payload[:bytes_max]
    if form == "auto":
        form = "text" if _is_text(payload) else "hex"
    return part.hex(" ") if form == "hex" else part.decode("utf-8", "backslashreplace")


def _is_text(payload: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in payload[:2_000]) and b"\xff" not in payload[:2_000]


async def preview(
    conn: asyncpg.Connection,
    at: datetime,
    ids: Sequence[int] | None = None,
    reason: str | None = None,
    sources: Sequence[SourceParams] = (),
) -> list[Prospect]:
    """What a replay at `at` would do with the waiting messages, all or those chosen; nothing is changed.

    Messages of which only the first bytes were kept cannot be replayed and are not listed.
    """
    prospects: list[Prospect] = []
    after = 0
    while page := await _waiting(conn, ids, reason, after):
        after = page[-1]["quarantine_id"]
        judged = await _judge(conn, [_message(row, sources) for row in page], at)
        prospects += [_prospect(row, one) for row, one in zip(page, judged, strict=True)]
    return prospects


async def replay(
    pool: asyncpg.Pool,
    actor: Actor,
    at: datetime,
    ids: Sequence[int] | None = None,
    reason: str | None = None,
    sources: Sequence[SourceParams] = (),
) -> Counter[str]:
    """Store what can be stored now, page by page, and return how many became what.

    Messages keep their first time of arrival; lateness counts up to `at`, so that rules record what is old and page
    no one. What is still refused waits on, untouched. Every page is one audited transaction of the slot `replay`; one
    replay at a time, so that none finds what another has just stored.
    """
    outcome: Counter[str] = Counter()
    after = 0
    async with pool.acquire() as conn:
        await conn.execute(*queries["lock_replay"].bind())
        while page := await _waiting(conn, ids, reason, after):
            after = page[-1]["quarantine_id"]
            tally = await _replay_page(conn, [_message(row, sources) for row in page], actor, at)
            outcome.update(disposition.value for disposition in tally.dispositions)
            outcome["still waiting"] += len(page) - len(tally.dispositions)
    return outcome


async def _replay_page(conn: asyncpg.Connection, page: Sequence[Message], actor: Actor, at: datetime) -> Tally:
    judged = await _judge(conn, page, at)
    good = [one for one in judged if isinstance(one, Bound)]
    if not good:
        return Tally((), 0)
    async with conn.transaction():
        await store.lock_slot(conn, SLOT)
        batch_id = await store.next_batch_id(conn)
        tally = await write_batch(conn, SLOT, batch_id, good, expect_repeats=True, replayed_at=at)
        details = {"batch": batch_id, "messages": len(good)}
        await audit.record(conn, actor, "quarantine.replay", f"batch:{batch_id}", details, at)
    return tally


async def _waiting(
    conn: asyncpg.Connection, ids: Sequence[int] | None, reason: str | None, after: int
) -> list[asyncpg.Record]:
    wanted = None if ids is None else list(ids)
    query = queries["waiting_quarantine"]
    return list(await conn.fetch(*query.bind(ids=wanted, reason=reason, after=after, page_size=_PAGE)))


def _message(row: asyncpg.Record, sources: Sequence[SourceParams]) -> Message:
    topic, payload, received_at, place = row["topic"], row["payload"], row["first_received_at"], row["quarantine_id"]
    source = source_of(sources, topic)
    if source is not None:
        return read_foreign(source, topic, payload, received_at, quarantine_id=place)
    return read_message(topic, payload, received_at, quarantine_id=place)


async def _judge(conn: asyncpg.Connection, messages: Sequence[Message], at: datetime) -> list[Bound | Refused]:
    directory = Directory(recheck_s=0.0)
    await learn_named(conn, directory, messages, 0.0)
    return [judge_message(number, message, directory, at) for number, message in enumerate(messages)]


def _prospect(row: asyncpg.Record, judged: Bound | Refused) -> Prospect:
    rejected = judged.rejected if isinstance(judged, Refused) else None
    return Prospect(
        row["quarantine_id"],
        row["topic"],
        row["reason"],
        None if rejected is None else rejected.reason,
        None if rejected is None else rejected.detail,
    )
