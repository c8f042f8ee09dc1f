"""A database of this run, and the evaluator's passes at moments that the caller sets: time is simulated."""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import asyncpg

from app.embedded import EmbeddedServers, default_directory
from ingest.params import RollupParams
from ingest.rollup import roll_up, roll_up_slot
from rules import passes, store
from rules.catalog import Catalog
from rules.daily import daily_pass
from rules.day_passes import STREAM as DAYS
from rules.day_passes import days_pass, rolled_up_slots
from rules.passes import Listening
from rules.report_passes import STREAM, reports_pass
from sql import queries
from sql.migrate import migrate
from sql.pool import open_pool

BATCHES_MAX = 2_000
DEVICES_MAX = 2_000


@asynccontextmanager
async def stage(url: str | None = None, *, durable: bool = True) -> AsyncIterator[tuple[asyncpg.Pool, str]]:
    """A migrated database and the address of its owner: on servers of this run, gone afterwards, or that of `url`.

    `durable=False` where only what is found matters, not how long it takes.
    """
    if url is not None:
        await asyncio.to_thread(migrate, url)
        async with open_pool(url, application_name="bench", command_timeout_s=3_600) as pool:
            yield pool, url
        return
    folder = default_directory() / "bench" / uuid.uuid4().hex[:8]
    servers = EmbeddedServers.open(folder, durable=durable, mosquitto=False)
    try:
        await asyncio.to_thread(servers.start)
        await asyncio.to_thread(migrate, servers.admin_database_url)
        async with open_pool(servers.database_url, application_name="bench", command_timeout_s=3_600) as pool:
            yield pool, servers.admin_database_url
    finally:
        await asyncio.to_thread(servers.destroy)
        shutil.rmtree(folder, ignore_errors=True)


def folder_of_run() -> Path:
    """A fresh folder for files of this run, inside the clone."""
    folder = default_directory() / "bench" / f"files-{uuid.uuid4().hex[:8]}"
    folder.mkdir(parents=True)
    return folder


class Watch:
    """The rules service without its loops: each pass at the moment the caller names, until nothing is left to do."""

    def __init__(self, pool: asyncpg.Pool, catalog: Catalog, zone: str = "UTC") -> None:
        self.pool, self.catalog, self.zone = pool, catalog, zone
        self._listening = Listening([])

    async def events(self, now: datetime, slots: Iterable[str] | None = None) -> None:
        """Alarms in batches not seen yet, in all slots or in some."""
        for slot in await self._slots("events", slots):
            while (await passes.events_pass(self.pool, self.catalog, slot, now, BATCHES_MAX)).batches:
                pass

    async def readings(self, now: datetime, slots: Iterable[str] | None = None) -> None:
        """The windows of devices whose readings changed, in all slots or in some."""
        for slot in await self._slots("readings", slots):
            arguments = (self.pool, self.catalog, slot, now, BATCHES_MAX, DEVICES_MAX, self.zone)
            while (await passes.readings_pass(*arguments)).batches:
                pass

    async def reports(self, now: datetime, slots: Iterable[str] | None = None) -> None:
        """Other events, status words and measures of reports in batches not seen yet, in all slots or in some."""
        for slot in await self._slots(STREAM, slots):
            while (await reports_pass(self.pool, self.catalog, slot, now, BATCHES_MAX, DEVICES_MAX)).batches:
                pass

    async def roll_up(self, slots: Iterable[str] | None = None) -> None:
        """What the roll-up has to do, in all slots or in some."""
        if slots is None:
            while (await roll_up(self.pool, RollupParams())).batches:
                pass
            return
        async with self.pool.acquire() as conn:
            await conn.execute(*queries["add_rollup_cursors"].bind())
            for slot in slots:
                while (await roll_up_slot(conn, RollupParams(), slot)).batches:
                    pass

    async def days(self, now: datetime, slots: Iterable[str] | None = None) -> None:
        """The days of devices whose readings were rolled up, in all slots or in some."""
        async with self.pool.acquire() as conn:
            await store.add_cursors(conn, DAYS)
            waiting = await rolled_up_slots(conn)
        for slot in waiting if slots is None else [slot for slot in waiting if slot in set(slots)]:
            arguments = (self.pool, self.catalog, slot, now, BATCHES_MAX, DEVICES_MAX, self.zone)
            while (await days_pass(*arguments)).batches:
                pass

    async def tick(self, now: datetime) -> None:
        """Who is missing."""
        while (await passes.tick(self.pool, self.catalog, self._listening, now)).batches:
            pass

    async def daily(self, now: datetime) -> None:
        """Ages and balances of zones, once a day."""
        while (await daily_pass(self.pool, self.catalog, now)).batches:
            pass

    async def _slots(self, stream: str, slots: Iterable[str] | None = None) -> list[str]:
        async with self.pool.acquire() as conn:
            await store.add_cursors(conn, stream)
            waiting = await store.waiting_slots(conn, stream)
        return waiting if slots is None else [slot for slot in waiting if slot in set(slots)]
