"""Messages above a gateway's rate limit, held by the database in bundles, whole and in order, until their turn."""

import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from ingest.floods import TURN_MESSAGES
from ingest.model import Held
from sql import queries

_BUNDLE_BYTES_MAX = 1_000_000
_HEAD = struct.Struct(">qHI")  # arrival in microseconds since 1970, bytes of topic, bytes of payload
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


class Bundle:
    """Messages of one gateway, in order; its key makes a second attempt to keep it harmless."""

    __slots__ = ("content", "first_received_at", "gateway", "key", "last_received_at", "messages")

    def __init__(self, gateway: str, held: Sequence[Held]) -> None:
        self.key = uuid4()
        self.gateway = gateway
        self.messages = len(held)
        self.first_received_at = held[0].received_at
        self.last_received_at = held[-1].received_at
        self.content = pack(held)


def bundled(held: Sequence[Held]) -> list[Bundle]:
    """These messages by gateway, cut so that one bundle is one turn, and small."""
    by_gateway: dict[str, list[Held]] = defaultdict(list)
    for one in held:
        by_gateway[one.gateway].append(one)
    return [Bundle(gateway, part) for gateway, all_of_it in by_gateway.items() for part in _cut(all_of_it)]


def _cut(held: Sequence[Held]) -> Iterator[list[Held]]:
    part: list[Held] = []
    size = 0
    for one in held:
        if part and (len(part) >= TURN_MESSAGES or size + len(one.payload) > _BUNDLE_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.payload)
    if part:
        yield part


def pack(held: Sequence[Held]) -> bytes:
    """Arrival, topic and payload of each, compressed."""
    parts: list[bytes] = []
    for one in held:
        topic = one.topic.encode("utf-8", "surrogatepass")
        parts += (_HEAD.pack((one.received_at - _EPOCH) // _US, len(topic), len(one.payload)), topic, one.payload)
    return zlib.compress(b"".join(parts), 1)


def unpack(content: bytes) -> Iterator[tuple[str, bytes, datetime]]:
    """What `pack` made of messages: topic, payload and arrival of each."""
    plain = zlib.decompress(content)
    place = 0
    while place < len(plain):
        arrival_us, topic_bytes, payload_bytes = _HEAD.unpack_from(plain, place)
        place += _HEAD.size
        topic = plain[place : place + topic_bytes].decode("utf-8", "surrogatepass")
        place += topic_bytes
        yield topic, plain[place : place + payload_bytes], _EPOCH + arrival_us * _US
        place += payload_bytes


async def hold(conn: asyncpg.Connection, lane: str, kept: Sequence[Bundle], limit_per_s: float | None) -> None:
    """Keep these bundles of a lane, and count them on their gateways' floods; one begins where none goes on."""
    await conn.execute(
        *queries["hold_bundles"].bind(
            lane=lane,
            keys=[one.key for one in kept],
            gateways=[one.gateway for one in kept],
            messages=[one.messages for one in kept],
            firsts=[one.first_received_at for one in kept],
            lasts=[one.last_received_at for one in kept],
            contents=[one.content for one in kept],
            limit_per_s=limit_per_s,
        )
    )


async def held_messages(conn: asyncpg.Connection, lane: str) -> dict[str, int]:
    """How many messages of a lane wait, by gateway."""
    rows = await conn.fetch(*queries["held_messages"].bind(lane=lane))
    return {row["gateway"]: row["messages"] for row in rows}


async def open_floods(conn: asyncpg.Connection, lane: str) -> list[str]:
    """Gateways of a lane whose flood was not seen to end."""
    rows = await conn.fetch(*queries["open_floods"].bind(lane=lane))
    return [row["gateway"] for row in rows]


async def oldest_bundle(conn: asyncpg.Connection, lane: str, gateway: str) -> tuple[int, bytes] | None:
    """Id and content of the bundle whose turn it is; None when none waits."""
    row = await conn.fetchrow(*queries["oldest_bundle"].bind(lane=lane, gateway=gateway))
    return None if row is None else (row["bundle_id"], row["content"])


async def free_bundle(conn: asyncpg.Connection, bundle_id: int) -> None:
    """Forget a bundle, in the transaction that writes its messages."""
    await conn.execute(*queries["free_bundle"].bind(bundle_id=bundle_id))


async def end_flood(conn: asyncpg.Connection, lane: str, gateway: str) -> None:
    """The flood of a gateway is over."""
    await conn.execute(*queries["end_flood"].bind(lane=lane, gateway=gateway))
