"""Devices and gateways that publish without being registered: one row each, and a bounded number of messages kept.

Without a bound an unknown meter that reports every hour would fill the disk with messages nobody can store. The newest
are kept whole, so that `gaswarden quarantine replay` heals them after the registration; older ones give way and are
counted. Every message still has its disposition in the ledger.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from ingest.formats import message_digest
from ingest.model import Decoded, QuarantineReason, Refused
from ingest.refusals import storable
from sql import queries
from sql.actor import Actor

PLACES = 32  # messages kept whole of one unregistered device: a month of daily reports
ROWS_MAX = 10_000  # rows of one gateway; the city's busiest gateways serve some thousand meters
SHARED_PLACES = 1_000  # messages kept whole of all devices beyond those rows

_REASONS = {QuarantineReason.UNKNOWN_GATEWAY, QuarantineReason.UNKNOWN_DEVICE, QuarantineReason.GATEWAY_MISMATCH}


@dataclass(frozen=True, slots=True)
class Stranger:
    """Who is not registered: a device of a gateway, or, with an empty family and code, the gateway itself."""

    gateway: str
    family: str
    code: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept: messages per device, rows per gateway, messages of all devices beyond those rows."""

    places: int = PLACES
    rows_max: int = ROWS_MAX
    shared_places: int = SHARED_PLACES


def stranger_of(refused: Refused) -> Stranger | None:
    """Whom a refused message is about, when it was refused because somebody is not registered; else None.

    Of several devices in one message it is the one that the refusal names.
    """
    content = refused.message.content
    if refused.rejected.reason not in _REASONS or not isinstance(content, Decoded):
        return None
    if refused.rejected.reason is QuarantineReason.UNKNOWN_GATEWAY:
        return Stranger(content.gateway, "", "")
    codes = [code for item in content.items if (code := getattr(item, "device", None)) is not None]
    named = next((code for code in codes if f" {code} " in refused.rejected.detail), None)
    return None if named is None else Stranger(content.gateway, content.family, named)


async def keep_strangers(
    conn: asyncpg.Connection, refused: Sequence[Refused], batch_id: int, bounds: Bounds | None = None
) -> list[Refused]:
    """Keep the messages of the unregistered within bounds, in the caller's transaction; returns the other messages."""
    strangers = [(who, one) for one in refused if (who := stranger_of(one)) is not None]
    if not strangers:
        return list(refused)
    limits = bounds or Bounds()
    ids = await _count_strangers(conn, strangers, limits)
    await _place_strangers(conn, strangers, ids, batch_id, limits)
    return [one for one in refused if stranger_of(one) is None]


async def unregistered_page(
    conn: asyncpg.Connection, gateway: str | None, actor: Actor, after: int | None, page_size: int
) -> list[asyncpg.Record]:
    """Who publishes and is not registered yet, oldest first, in the caller's areas; `after` is the last id seen."""
    query = queries["unregistered_page"]
    bound = query.bind(areas=actor.area_list(), gateway=gateway, after=after, page_size=page_size)
    return list(await conn.fetch(*bound))


async def _count_strangers(
    conn: asyncpg.Connection, strangers: Sequence[tuple[Stranger, Refused]], limits: Bounds
) -> dict[Stranger, int]:
    groups: dict[Stranger, list[Refused]] = defaultdict(list)
    for who, one in strangers:
        groups[who].append(one)
    rows = await conn.fetch(
        *queries["count_strangers"].bind(
            gateways=[_word(who.gateway) for who in groups],
            families=[_word(who.family) for who in groups],
            codes=[_word(who.code) for who in groups],
            areas=[_word(_area(group[-1])) for group in groups.values()],
            reasons=[group[-1].rejected.reason.value for group in groups.values()],
            firsts=[min(_received(group)) for group in groups.values()],
            lasts=[max(_received(group)) for group in groups.values()],
            messages=[len(group) for group in groups.values()],
            rows_max=limits.rows_max,
        )
    )
    return {who: row["unregistered_id"] for who, row in zip(groups, rows, strict=True)}


async def _place_strangers(
    conn: asyncpg.Connection,
    strangers: Sequence[tuple[Stranger, Refused]],
    ids: dict[Stranger, int],
    batch_id: int,
    limits: Bounds,
) -> None:
    same: dict[bytes, list[tuple[Stranger, Refused]]] = defaultdict(list)
    for who, one in strangers:
        same[one.message.digest or message_digest(one.message.topic, one.message.payload)].append((who, one))
    kept = await conn.fetch(
        *queries["count_kept_strangers"].bind(
            digests=list(same),
            lasts=[max(_received([one for _, one in group])) for group in same.values()],
            times=[len(group) for group in same.values()],
        )
    )
    for row in kept:
        del same[row["digest"]]
    if same:
        await conn.execute(
            *queries["place_strangers"].bind(**_columns(same, ids), batch_id=batch_id, **_places(limits))
        )


def _places(limits: Bounds) -> dict[str, int]:
    return {"places": limits.places, "shared_places": limits.shared_places}


def _columns(same: dict[bytes, list[tuple[Stranger, Refused]]], ids: dict[Stranger, int]) -> dict[str, list[object]]:
    last = [group[-1] for group in same.values()]
    return {
        "unregistered_ids": [ids[who] for who, _ in last],
        "digests": list(same),
        "topics": [one.message.topic for _, one in last],
        "gateways": [_word(who.gateway) for who, _ in last],
        "payloads": [one.message.payload for _, one in last],
        "sizes": [one.message.payload_bytes for _, one in last],
        "reasons": [one.rejected.reason.value for _, one in last],
        "details": [_word(one.rejected.detail) for _, one in last],
        "decoders": [one.rejected.decoder for _, one in last],
        "firsts": [min(_received([one for _, one in group])) for group in same.values()],
        "lasts": [max(_received([one for _, one in group])) for group in same.values()],
        "times": [len(group) for group in same.values()],
    }


def _area(refused: Refused) -> str:
    content = refused.message.content
    return content.area if isinstance(content, Decoded) else ""


def _received(group: Sequence[Refused]) -> list[datetime]:
    return [one.message.received_at for one in group]


def _word(text: str) -> str:
    """Short enough for an index."""
    return storable(text, 200)
