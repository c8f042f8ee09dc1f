"""The pace of one writer's gateways: what is above the limit is held by the database and takes its turn later.

Nothing is refused and nothing lost: a held message is acknowledged once its bundle is committed, keeps its order within
its gateway and its time of arrival, and counts in the ledger when its turn comes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg
import structlog
from prometheus_client import Counter, Gauge

from ingest import holding, store
from ingest.failures import ACQUIRE_TIMEOUT_S
from ingest.floods import Floods, RateParams
from ingest.formats import read_message
from ingest.model import Message

log = structlog.get_logger()

_HELD = Gauge("gaswarden_ingest_held", "Messages above their gateway's limit that wait for their turn.", ["slot"])
_FLOODING = Gauge("gaswarden_ingest_flooding_gateways", "Gateways above their limit.", ["slot"])
_HELD_BACK = Counter("gaswarden_ingest_held_back", "Messages held back so far.", ["slot"])


@dataclass(frozen=True, slots=True)
class Turn:
    """Messages of one gateway whose turn it is, and the bundle they were kept in."""

    gateway: str
    bundle_id: int
    messages: tuple[Message, ...]


class Pacer:
    """The limits of the gateways of one writer; `is_mine` tells them from those of the lane's other writers."""

    def __init__(
        self, pool: asyncpg.Pool, lane: str, slot: str, params: RateParams, is_mine: Callable[[str], bool]
    ) -> None:
        self._pool = pool
        self._lane = lane
        self._slot = slot
        self._params = params
        self._is_mine = is_mine
        self._floods = Floods(params)
        _HELD.labels(slot).set_function(lambda: self._floods.held)
        _FLOODING.labels(slot).set_function(lambda: len(self._floods.flooding))

    async def recall(self) -> None:
        """Learn what an earlier worker left waiting, once its transactions are over; order depends on it."""
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
            await store.lock_slot(conn, self._slot)
            held = dict.fromkeys(await holding.open_floods(conn, self._lane), 0)
            held |= await holding.held_messages(conn, self._lane)
        mine = {gateway: messages for gateway, messages in held.items() if self._is_mine(gateway)}
        self._floods = Floods(self._params)
        self._floods.restore(mine, time.monotonic())

    def must_hold(self, gateway: str, now_s: float) -> bool:
        """Whether a message that arrives now is held back."""
        return self._floods.must_hold(gateway, now_s)

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until a turn, or until a flood may have ended; None without floods."""
        return self._floods.due_in_s(now_s)

    async def hold(self, conn: asyncpg.Connection, bundles: Sequence[holding.Bundle]) -> None:
        """Keep these bundles, inside the caller's transaction."""
        if bundles:
            await holding.hold(conn, self._lane, bundles, self._params.messages_per_s)

    def kept(self, bundles: Sequence[holding.Bundle]) -> None:
        """These bundles are committed."""
        for bundle in bundles:
            self._floods.kept(bundle.gateway, bundle.messages)
            _HELD_BACK.labels(self._slot).inc(bundle.messages)
        for gateway in self._floods.take_started():
            limit, burst = self._params.messages_per_s, self._params.burst
            log.warning("gateway_floods", slot=self._slot, gateway=gateway, limit_per_s=limit, burst=burst)

    async def next_turn(self) -> Turn | None:
        """Messages whose turn it is; None when it is nobody's."""
        gateway = self._floods.due(time.monotonic())
        if gateway is None:
            return None
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            found = await holding.oldest_bundle(conn, self._lane, gateway)
        if found is None:
            log.error("held_bundle_gone", slot=self._slot, gateway=gateway)
            self._floods.gone(gateway)
            return None
        bundle_id, content = found
        messages = tuple(read_message(topic, payload, at) for topic, payload, at in holding.unpack(content))
        return Turn(gateway, bundle_id, messages)

    def taken(self, turn: Turn) -> None:
        """These messages are committed."""
        self._floods.released(turn.gateway, len(turn.messages), time.monotonic())

    async def end_floods(self) -> None:
        """Tell which floods are over, once each."""
        for gateway in self._floods.take_ended(time.monotonic()):
            log.info("gateway_flood_ended", slot=self._slot, gateway=gateway)
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
                await holding.end_flood(conn, self._lane, gateway)
