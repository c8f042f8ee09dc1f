"""What machines ask a process: /healthz (alive), /readyz (able to work, else why not), /metrics (Prometheus).

They carry no personal data and ask for no token. With `http.probe_port` they have a listener of their own in every
process, also in one that runs no `http` service; without it they are on the `http` service's port.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable

import asyncpg
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from pydantic import BaseModel

from app.database import missing_migrations

_TIMEOUT_S = 2.0
Check = Callable[[], Awaitable[str | None]]  # None when all is well, else the reason


class CheckResult(BaseModel):
    """One thing a process needs: whether it is there, and when not, why."""

    ok: bool
    reason: str | None


class Readiness(BaseModel):
    """Whether a process can work, check by check; `process` is its number, so that nobody takes it for another."""

    ready: bool
    process: int
    checks: dict[str, CheckResult]


class Probes:
    """The three addresses, for one process; `ingest_slot` is the slot it works, None when it runs no ingest."""

    def __init__(self, pool: asyncpg.Pool, ingest_slot: str | None) -> None:
        self._pool = pool
        self._slot = ingest_slot
        self._checks: dict[str, Check] = {"database": self._database, "migrations": self._migrations}
        if ingest_slot is not None:
            self._checks["broker"] = self._broker

    def add_to(self, application: web.Application) -> None:
        """Add the routes to an application."""
        application.router.add_get("/healthz", self.healthz)
        application.router.add_get("/readyz", self.readyz)
        application.router.add_get("/metrics", self.metrics)

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process is alive and its event loop turns."""
        return web.json_response({"alive": True})

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 when everything this process needs is there, else 503 with the reasons."""
        results = dict(zip(self._checks, await asyncio.gather(*map(_run, self._checks.values())), strict=True))
        body = Readiness(ready=all(result.ok for result in results.values()), process=os.getpid(), checks=results)
        return web.Response(
            status=200 if body.ready else 503, text=body.model_dump_json(), content_type="application/json"
        )

    async def metrics(self, _request: web.Request) -> web.Response:
        """Everything that is counted, in the text format of Prometheus."""
        return web.Response(body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _database(self) -> str | None:
        async with self._pool.acquire() as conn:
            await conn.execute("SELECT 1")
        return None

    async def _migrations(self) -> str | None:
        async with self._pool.acquire() as conn:
            missing = await missing_migrations(conn)
        return f"not applied: {', '.join(missing)}" if missing else None

    async def _broker(self) -> str | None:
        connected = REGISTRY.get_sample_value("gaswarden_ingest_connected", {"slot": self._slot or ""})
        return None if connected else f"the ingest worker of slot {self._slot} is not connected to the broker"


async def _run(check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reason = await check()
    except TimeoutError:
        reason = f"no answer within {_TIMEOUT_S:g} s"
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        reason = f"{type(error).__name__}: {error}"
    return CheckResult(ok=reason is None, reason=reason)
