"""Messages that could not be stored, other than those of strangers: kept whole within bounds, counted beyond them.

Without a bound a gateway whose firmware writes one wrong field, or a source that brings the water meters along, would
fill the disk. The newest of each reason are kept, so that `gaswarden quarantine replay` heals them after the decoder
or the registry was mended; older ones give way and are counted. Every message still has its disposition in the ledger.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from ingest.formats import message_digest
from ingest.model import NO_GATEWAY, Refused
from sql import queries
from sql.actor import Actor

LARGE_ABOVE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many messages of one gateway and reason are kept: at most 40 MB of small ones and 32 MB of large ones."""

    small_places: int = 10_000
    large_places: int = 500


@dataclass(frozen=True, slots=True)
class _Kind:
    """What shares places: a registered gateway ('?' for none), a reason, and whether payloads are large."""

    gateway: str
    reason: str
    large: bool


async def keep_refused(
    conn: asyncpg.Connection, refused: Sequence[Refused], batch_id: int, bounds: Bounds | None = None
) -> None:
    """Keep these messages whole with their reasons, in the caller's transaction, at the price of older ones.

    The same bytes on the same topic are one row, counted.
    """
    limits = bounds or Bounds()
    same: dict[bytes, list[Refused]] = defaultdict(list)
    for one in refused:
        same[one.message.digest or message_digest(one.message.topic, one.message.payload)].append(one)
    ids = await _count(conn, list(same.values()))
    for row in await conn.fetch(*queries["count_repeats"].bind(**_said(same), **_times(same))):
        del same[row["digest"]]
    if same:
        await conn.execute(
            *queries["place_refusals"].bind(
                **_columns(same, ids),
                batch_id=batch_id,
                small_places=limits.small_places,
                large_places=limits.large_places,
            )
        )


async def gave_way(conn: asyncpg.Connection, actor: Actor, gateway: str | None = None) -> list[asyncpg.Record]:
    """Of which gateways and reasons older messages are no longer kept, and how many, in the caller's areas."""
    query = queries["refusals_that_gave_way"].bind(gateway=gateway, areas=actor.area_list())
    return list(await conn.fetch(*query))


async def _count(conn: asyncpg.Connection, groups: Sequence[Sequence[Refused]]) -> dict[_Kind, int]:
    """Count these on their rows, which no other slot's transaction can then use; returns the rows' ids."""
    kinds: dict[_Kind, list[datetime]] = defaultdict(list)
    for group in groups:
        kinds[_kind(group[-1])] += [one.message.received_at for one in group]
    rows = await conn.fetch(
        *queries["count_refusals"].bind(
            gateways=[kind.gateway for kind in kinds],
            reasons=[kind.reason for kind in kinds],
            larges=[kind.large for kind in kinds],
            firsts=[min(received) for received in kinds.values()],
            lasts=[max(received) for received in kinds.values()],
            messages=[len(received) for received in kinds.values()],
        )
    )
    return {kind: row["refusal_id"] for kind, row in zip(kinds, rows, strict=True)}


def _kind(one: Refused) -> _Kind:
    gateway = NO_GATEWAY if one.gateway is None else one.gateway.code
    return _Kind(gateway, one.rejected.reason.value, len(one.message.payload) > LARGE_ABOVE_BYTES)


def _said(same: dict[bytes, list[Refused]]) -> dict[str, list[object]]:
    last = [group[-1] for group in same.values()]
    return {
        "digests": list(same),
        "reasons": [one.rejected.reason.value for one in last],
        "details": [storable(one.rejected.detail) for one in last],
        "decoders": [one.rejected.decoder for one in last],
    }


def _times(same: dict[bytes, list[Refused]]) -> dict[str, list[object]]:
    return {
        "lasts": [max(one.message.received_at for one in group) for group in same.values()],
        "times": [len(group) for group in same.values()],
    }


def _columns(same: dict[bytes, list[Refused]], ids: dict[_Kind, int]) -> dict[str, list[object]]:
    last = [group[-1] for group in same.values()]
    return {
        "refusal_ids": [ids[_kind(one)] for one in last],
        "topics": [one.message.topic for one in last],
        "gateways": [one.gateway.code if one.gateway else _gateway_word(one.message.topic) for one in last],
        "payloads": [one.message.payload for one in last],
        "sizes": [one.message.payload_bytes for one in last],
        "firsts": [min(one.message.received_at for one in group) for group in same.values()],
        **_said(same),
        **_times(same),
    }


def _gateway_word(topic: str) -> str:
    parts = topic.split("/")
    return parts[3][:64] or NO_GATEWAY if len(parts) > 3 and topic.startswith("gas/v1/") else NO_GATEWAY


def storable(text: str, chars_max: int = 1000) -> str:
    """The text as PostgreSQL can keep it: no NUL, no lone surrogates, no more characters than these."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()[:chars_max]
