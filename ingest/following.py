"""What a lane keeps a listening session for: word of changes in the registry, and its claim to the slot."""

import asyncio

import asyncpg
import structlog

from ingest import store
from ingest.directory import Directory
from ingest.failures import ACQUIRE_TIMEOUT_S, DATABASE_ERRORS

log = structlog.get_logger()


class RegistryFollower:
    """Keeps a directory true, and holds the claim to a slot while it lives."""

    def __init__(self, pool: asyncpg.Pool, slot: str, directory: Directory, refresh_s: float) -> None:
        self._pool = pool
        self._slot = slot
        self._directory = directory
        self._refresh_s = refresh_s
        self._listener: asyncpg.Connection | None = None

    async def follow(self) -> None:
        """Forget what is known of the registry whenever an import says that it changed, and now and then anyway."""
        while True:
            try:
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
                    await self._listen(conn)
            except DATABASE_ERRORS as error:
                log.debug("registry_listener_lost", slot=self._slot, why=repr(error))
            self._directory.forget()
            await asyncio.sleep(1.0)

    async def claim_slot(self) -> bool:
        """Whether no other worker claimed this slot before us; while the database is away nobody can tell, and we may.

        The claim is a lock of the listening session, so that a worker that dies leaves none behind.
        """
        if self._listener is None:
            return True
        try:
            return await store.claim_slot(self._listener, self._slot)
        except DATABASE_ERRORS:
            return True

    async def _listen(self, conn: asyncpg.Connection) -> None:
        ended = asyncio.Event()

        def changed(*_: object) -> None:
            self._directory.forget()

        def gone(_: object) -> None:
            ended.set()

        conn.add_termination_listener(gone)
        try:
            await conn.add_listener("gaswarden_registry", changed)
            await store.claim_slot(conn, self._slot)
            self._listener = conn
            async with asyncio.timeout(self._refresh_s):
                await ended.wait()
        except TimeoutError:
            return
        finally:
            self._listener = None
            if not conn.is_closed():
                conn.remove_termination_listener(gone)
                await conn.remove_listener("gaswarden_registry", changed)
