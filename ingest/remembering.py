"""What the intake of foreign messages must know after a restart is kept in the database, with the batch it belongs to.

Births and deaths of Sparkplug nodes, so that data that come before the next birth can be read; and the first arrival of
messages that have no other time, so that their repeat is the same reading. Both are bounded: the one by registered
gateways and devices, the other by a fixed number of places for each slot.
"""

import asyncio
from collections.abc import Iterator, Sequence

import asyncpg
import structlog

from ingest.decoders import sparkplug
from ingest.formats import message_digest
from ingest.intake import ARRIVALS_REMEMBERED, Intake
from ingest.model import Bound, Message, Refused
from sql import queries

log = structlog.get_logger()

_DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_ACQUIRE_TIMEOUT_S = 10.0


async def resume(pool: asyncpg.Pool, intake: Intake, slot: str, retry_s: float) -> None:
    """Tell the intake what is kept; waits for a database that is away: nothing can be stored before it is back."""
    told = False
    while True:
        try:
            async with pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as conn:
                words = await conn.fetch(*queries["sparkplug_words"].bind())
                arrivals = await conn.fetch(*queries["arrivals"].bind(slot=slot))
        except _DATABASE_ERRORS as error:
            if not told:
                log.warning("intake_not_resumed", slot=slot, why=repr(error))
            told = True
            await asyncio.sleep(retry_s)
            continue
        intake.resume(
            [(row["topic"], row["payload"]) for row in words],
            {row["key"]: row["received_at"] for row in reversed(arrivals)},
        )
        return


async def remember(conn: asyncpg.Connection, slot: str, judged: Sequence[Bound | Refused], batch_id: int) -> None:
    """Keep what these messages of one batch leave behind, in its transaction; what cannot be kept stops no batch."""
    try:
        async with conn.transaction():
            await _keep(conn, slot, judged, batch_id)
    except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
        log.error("intake_not_remembered", slot=slot, why=repr(error))


async def _keep(conn: asyncpg.Connection, slot: str, judged: Sequence[Bound | Refused], batch_id: int) -> None:
    words = [(number, one) for number, one in enumerate(judged) if _is_word(one)]
    if words:
        await conn.execute(
            *queries["keep_sparkplug_words"].bind(
                topics=[one.message.topic for _, one in words],
                gateway_ids=[one.gateway.gateway_id for _, one in words if one.gateway is not None],
                payloads=[one.message.payload for _, one in words],
                received_ats=[one.message.received_at for _, one in words],
                ordinals=[number for number, _ in words],
                batch_id=batch_id,
            )
        )
    keys = [(key, one.message.received_at) for one in judged for key in _keys(one)][-ARRIVALS_REMEMBERED:]
    if keys:
        received_ats = [received_at for _, received_at in keys]
        await conn.execute(
            *queries["keep_arrivals"].bind(
                slot=slot, keys=[key for key, _ in keys], received_ats=received_ats, places=ARRIVALS_REMEMBERED
            )
        )


def _is_word(one: Bound | Refused) -> bool:
    """Whether a message is a birth or death to keep: of a node that is registered, of a device that is."""
    if one.message.content.decoder != sparkplug.NAME or one.gateway is None:
        return False
    verb = sparkplug.verb_of(one.message.topic)
    return verb in {"NBIRTH", "NDEATH"} or (verb in {"DBIRTH", "DDEATH"} and isinstance(one, Bound))


def _keys(one: Bound | Refused) -> Iterator[bytes]:
    """What a stored message is known by when it comes again, where its moment is its arrival."""
    if isinstance(one, Refused) or not _is_of_its_arrival(one):
        return
    message: Message = one.message
    yield message_digest(message.topic, message.payload)
    if message.sender_key is not None:
        yield message.sender_key


def _is_of_its_arrival(one: Bound) -> bool:
    arrival = one.message.received_at
    moments = [*(each.report.at for each in one.reports), *(each.event.at for each in one.events)]
    return arrival in moments or (one.status is not None and one.status.at == arrival)
