"""The ingest service of one slot: decode -> batch -> one transaction -> acknowledge.

Nothing is acknowledged before it is committed, nor on another connection than the one that delivered it. What was
delivered is stored even when its connection is gone by then; the broker sends it again and it counts as a duplicate.
"""

import asyncio
import gc
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager

import asyncpg

from ingest.acknowledging import Receipts
from ingest.broker_params import BrokerParams
from ingest.committing import Writer
from ingest.decoders.sparkplug import Host
from ingest.directory import Directory
from ingest.following import RegistryFollower
from ingest.intake import Intake
from ingest.lanes import Lane
from ingest.pacing import Pacer
from ingest.params import IngestParams
from ingest.receiving import Receiver
from ingest.remembering import resume
from sql.own_loop import OwnPool, RelayedEvent, run_in_own_loop


async def run(
    pool: asyncpg.Pool, params: IngestParams, broker: BrokerParams, events_pool: OwnPool | None = None
) -> None:
    """Work until cancelled; then commit and acknowledge what was delivered, and leave.

    Survives the loss of the broker and of the database for as long as it lasts. Events have a lane of their own, with
    its own session, transactions and slot in the ledger, so that an alarm never waits behind a flood of readings; with
    `events_pool` also an event loop and connections of its own. So have the sources of other formats a lane.
    """
    subscribed = asyncio.Event()
    rest = _Worker(pool, params, broker, Lane.of_the_rest(params), after=subscribed)
    with _patient_collector():
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(_take_events(pool, params, broker, events_pool, subscribed), name="ingest events")
            lanes.create_task(rest.work(), name="ingest readings")
            if params.own_sources:
                intake = Intake(params.own_sources, Host(params.sparkplug_host))
                lane = Lane.of_sources(params)
                sources = _Worker(pool, params, broker, lane, intake=intake)
                begun = sources.work(resume(pool, intake, lane.slot, params.retry_max_s))
                lanes.create_task(begun, name="ingest sources")


async def _take_events(
    pool: asyncpg.Pool, params: IngestParams, broker: BrokerParams, own_pool: OwnPool | None, subscribed: asyncio.Event
) -> None:
    """The lane of events; `subscribed` is set while it is connected."""
    if own_pool is None:
        await _Worker(pool, params, broker, Lane.of_events(params), subscribed=subscribed).work()
        return
    relayed = RelayedEvent(subscribed)

    async def work(opened: asyncpg.Pool) -> None:
        await _Worker(opened, params, broker, Lane.of_events(params), subscribed=relayed).work()

    await run_in_own_loop(work, own_pool, "ingest events")


class _Worker:
    """The moving parts of one lane: its session, its writers, and what they know of the registry."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        params: IngestParams,
        broker: BrokerParams,
        lane: Lane,
        after: asyncio.Event | None = None,
        intake: Intake | None = None,
        subscribed: asyncio.Event | None = None,
    ) -> None:
        directory, receipts = Directory(params.registry_recheck_s), Receipts(lane.slot)
        self._room = asyncio.Event()
        self._room.set()
        self._follower = RegistryFollower(pool, lane.slot, directory, params.registry_refresh_s)
        self._writers = [
            Writer(
                pool,
                params,
                slot,
                directory,
                receipts,
                self._look_for_room,
                pacer=_pacer(pool, params, lane, number) if lane.paced else None,
                speaks_foreign=intake is not None,
                buffer_max=params.buffer_max // lane.writers,
            )
            for number, slot in enumerate(lane.slots)
        ]
        claim = self._follower.claim_slot
        self.receiver = Receiver(
            params, broker, lane, self._writers, receipts, self._room, claim, after, intake, subscribed
        )

    async def work(self, before: Awaitable[None] | None = None) -> None:
        """Work until cancelled, once `before` is done."""
        if before is not None:
            await before
        async with asyncio.TaskGroup() as background:
            background.create_task(self._follower.follow(), name="ingest registry")
            for writer in self._writers:
                background.create_task(writer.commit_batches(), name="ingest commits")
            await self.receiver.stay_connected()

    def _look_for_room(self) -> None:
        if not any(writer.is_full for writer in self._writers):
            self._room.set()


def _pacer(pool: asyncpg.Pool, params: IngestParams, lane: Lane, number: int) -> Pacer:
    def is_mine(sender: str) -> bool:
        return lane.writer_of(sender) == number

    return Pacer(pool, lane.slot, lane.slots[number], params.gateway_rate, is_mine)


@contextmanager
def _patient_collector() -> Iterator[None]:
    """Look for reference cycles rarely while thousands of messages wait: there are none among them.

    Measured: 42 µs of processor a message with Python's own thresholds, 30 µs with these.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
