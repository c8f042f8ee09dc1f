"""Collects what is known of one message (ingest/trace.py says what that means), and shows conflicts."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from ingest import quarantine, refusals
from ingest.formats import read_message
from ingest.holding import unpack
from ingest.model import FUTURE_MAX, Decoded, Report
from ingest.trace import Subject, Trace, gaps_in
from sql import queries
from sql.actor import Actor
from sql.errors import Conflict

_HOUR = timedelta(hours=1)
_QUARANTINE_MAX = 200
_BUNDLES_MAX = 500


async def trace(conn: asyncpg.Connection, code: str, at: datetime, actor: Actor, family: str | None = None) -> Trace:
    """Everything known of the message of a device that tells of the moment `at`, within the caller's areas.

    Raises Conflict when devices of several families have that code and none is named.
    """
    subject = await _subject(conn, code, family, actor)
    waiting, unreadable = await _quarantined(conn, code, at, actor)
    if subject.device_id is None:
        return Trace(subject, at, quarantined=waiting, unreadable=unreadable)
    readings = await _rows(conn, "traced_readings", device_id=subject.device_id, at=at)
    events = await _rows(conn, "traced_events", device_id=subject.device_id, at=at)
    found = await conflicts_page(conn, actor, device_id=subject.device_id, since=at, until=at + timedelta.resolution)
    numbered = await _rows(conn, "traced_numbers", device_id=subject.device_id, at=at)
    exact = next((row for row in readings if row["at"] == at), None)
    return Trace(
        subject,
        at,
        reading=exact,
        nearest=tuple(row for row in readings if row["at"] != at),
        events=tuple(events),
        conflicts=tuple(dict(row) for row in found),
        quarantined=waiting,
        unreadable=unreadable,
        held=await _held(conn, subject, code, at),
        gaps=gaps_in([(row["at"], row["seq"]) for row in numbered]),
        ledger=await _ledger(conn, subject, exact or next(iter(events), None), at),
        gave_way=sum(row["discarded"] for row in await refusals.gave_way(conn, actor, subject.gateway)),
    )


async def conflicts_page(
    conn: asyncpg.Connection,
    actor: Actor,
    *,
    device_id: int | None = None,
    code: str | None = None,
    source: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: int | None = None,
    page_size: int = 50,
) -> list[asyncpg.Record]:
    """Conflicts, newest first, within the caller's areas; `after` is the last id seen."""
    query = queries["conflicts_page"].bind(
        device_id=device_id,
        code=code,
        source=source,
        since=since,
        until=until,
        areas=actor.area_list(),
        after=after,
        page_size=page_size,
    )
    return list(await conn.fetch(*query))


async def _subject(conn: asyncpg.Connection, code: str, family: str | None, actor: Actor) -> Subject:
    rows = await conn.fetch(*queries["devices_of_code"].bind(code=code, family=family, areas=actor.area_list()))
    if not rows:
        return Subject(code, family)
    if len(rows) > 1:
        raise Conflict(f"{code} is a device of several families, name one: {', '.join(row['family'] for row in rows)}")
    return Subject(code, rows[0]["family"], rows[0]["device_id"], rows[0]["gateway"])


async def _quarantined(
    conn: asyncpg.Connection, code: str, at: datetime, actor: Actor
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Messages in quarantine that name the device: those that tell of the moment, and those that may."""
    rows = await quarantine.search(
        conn, actor, device=code, since=at - timedelta(days=1), replayed=None, page_size=_QUARANTINE_MAX
    )
    told = [
        (_tells_of(row, code, at), {name: value for name, value in row.items() if name != "payload"}) for row in rows
    ]
    return tuple(one for tells, one in told if tells), tuple(one for tells, one in told if tells is None)


async def _held(conn: asyncpg.Connection, subject: Subject, code: str, at: datetime) -> tuple[dict[str, Any], ...]:
    """Messages of the device's gateway that wait for their turn and tell of the moment."""
    query = queries["bundles_held_since"].bind(gateway=subject.gateway, since=at - FUTURE_MAX, bundles_max=_BUNDLES_MAX)
    return tuple(
        {"topic": topic, "received_at": received_at}
        for row in await conn.fetch(*query)
        for topic, payload, received_at in unpack(row["content"])
        if _is_told(read_message(topic, payload, received_at).content, code, at)
    )


def _is_told(content: object, code: str, at: datetime) -> bool | None:
    """Whether what a message says tells of a device's moment; None when it could not be read."""
    if not isinstance(content, Decoded):
        return None
    mine = [item for item in content.items if getattr(item, "device", None) == code]
    return any(item.at == at or (isinstance(item, Report) and _freezes(item, at)) for item in mine)


def _tells_of(row: asyncpg.Record, code: str, at: datetime) -> bool | None:
    """Whether a message tells of the moment; None when it may: it cannot be read, and arrived in the two days after."""
    told = _is_told(read_message(row["topic"], row["payload"], row["first_received_at"]).content, code, at)
    if told is not None:
        return told
    said = _moment_in(row["payload"])
    if said is not None:
        return said == at
    arrived: datetime = row["first_received_at"]
    return None if timedelta(minutes=-10) <= arrived - at <= timedelta(days=2) else False


def _moment_in(payload: bytes) -> datetime | None:
    """The moment that a refused message gives, when it is an object of JSON with one at all."""
    try:
        at = datetime.fromisoformat(json.loads(payload)["at"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return None if at.tzinfo is None else at


def _freezes(report: Report, at: datetime) -> bool:
    if report.frozen_from is None:
        return False
    hours, rest = divmod(at - report.frozen_from, _HOUR)
    known = 1 <= hours <= len(report.frozen_ml) and report.frozen_ml[hours - 1] is not None
    return known and not rest


async def _ledger(
    conn: asyncpg.Connection, subject: Subject, row: dict[str, Any] | None, at: datetime
) -> tuple[dict[str, Any], ...]:
    arrived = at if row is None else row.get("received_at") or row.get("last_received_at") or at
    slot = None if row is None else row["slot"]
    day = arrived.astimezone(UTC).date()
    return tuple(await _rows(conn, "traced_ledger", day=day, slot=slot, gateway=subject.gateway))


async def _rows(conn: asyncpg.Connection, name: str, **values: object) -> list[dict[str, Any]]:
    return [dict(row) for row in await conn.fetch(*queries[name].bind(**values))]
