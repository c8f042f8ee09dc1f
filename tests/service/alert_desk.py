"""What tests of alerts share: a town with accounts and an HTTP client whose clock the test sets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from aiohttp.test_utils import TestClient, TestServer

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from rules import clockwork, passes
from rules.catalog import default_catalog
from rules.precision_routes import PrecisionRoutes
from rules.routes import AlertRoutes
from rules.silence_routes import SilenceRoutes
from sql import queries
from sql.actor import Actor
from tests.service.rules_rows import NOW, Town, make_inspector, make_town

CATALOG = default_catalog()
CONSOLE = Actor("console", "administrator")
GAUGE = {"kind": "instrument", "instrument": "GT-44, every joint", "value": 0.0, "unit": "ppm"}


@dataclass
class AlertDesk:
    """A district D01 (and an empty D02), officers olga and oleg, sam of D02, inspector ines; minute 0 is NOW."""

    pool: asyncpg.Pool
    conn: asyncpg.Connection
    town: Town
    client: TestClient[Any, Any]
    tokens: dict[str, str]
    now: list[datetime] = field(default_factory=lambda: [NOW])

    def at(self, minute: float) -> "AlertDesk":
        """The same desk at another minute."""
        self.now[0] = NOW + timedelta(minutes=minute)
        return self

    async def ask(self, method: str, path: str, who: str = "olga", status: int = 200, **body: Any) -> Any:
        """Ask; the answer as JSON. A GET's values go into the query."""
        sent = {"params": _pairs(body)} if method == "GET" else {"json": body}
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        async with self.client.request(method, f"/api/v1{path}", headers=headers, **sent) as response:
            text = await response.text()
            assert response.status == status, text
            return await response.json(content_type=None) if "json" in response.content_type else text

    async def step(self, alert_id: int, step: str, **body: Any) -> Any:
        """Take a step."""
        return await self.ask("POST", f"/alerts/{alert_id}/steps", step=step, **body)

    async def raise_leak(self, code: str = "LD-1", minute: float = 0, **columns: Any) -> int:
        """A leak alarm through the evaluator; the alert's id."""
        found = await self.conn.fetchval("SELECT device_id FROM device WHERE code = $1", code)
        device_id = found or await self.town.device(code, "detector", home=0)
        at = NOW + timedelta(minutes=minute)
        await self.town.event(device_id, at=at, **columns)
        await self.conn.execute(*queries["add_cursors"].bind(stream="events"))
        done = await passes.events_pass(self.pool, CATALOG, self.town.slot, at, 500)
        return done.alert_ids[0]

    async def tick(self, minute: float) -> int:
        """Have the clock looked at."""
        return await clockwork.tick(self.pool, NOW + timedelta(minutes=minute))

    async def timeline(self, alert_id: int) -> list[str]:
        """The steps of an alert."""
        query = "SELECT step FROM alert_step WHERE alert_id = $1 ORDER BY step_id"
        return [row["step"] for row in await self.conn.fetch(query, alert_id)]

    async def pages(self, alert_id: int) -> list[tuple[str, int]]:
        """The notices asked for: purpose and level."""
        query = "SELECT purpose, level FROM page WHERE alert_id = $1 ORDER BY page_id"
        return [(row["purpose"], row["level"]) for row in await self.conn.fetch(query, alert_id)]


def _pairs(values: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(one)) for name, many in values.items() for one in (many if isinstance(many, list) else [many])]


@asynccontextmanager
async def alert_desk(pool: asyncpg.Pool, conn: asyncpg.Connection) -> AsyncIterator[AlertDesk]:
    """The desk on this test's database."""
    await make_town(conn, "D02")
    town = await make_town(conn, "D01")
    await make_inspector(conn, "I-1")
    accounts = [
        NewAccount("olga", "officer"),
        NewAccount("oleg", "officer"),
        NewAccount("sam", "officer", ("D02",)),
        NewAccount("ines", "inspector", ("D01",), "I-1"),
    ]
    tokens = {account.name: await add_account(conn, account, CONSOLE, NOW) for account in accounts}
    now = [NOW]
    clock = lambda: now[0]  # noqa: E731
    routes = [
        *PrecisionRoutes(pool, clock).table(),
        *AlertRoutes(pool, CATALOG, clock).table(),
        *SilenceRoutes(pool, CATALOG, clock).table(),
    ]
    web = Web(pool, HttpParams(), routes, None)
    async with TestClient(TestServer(web.application)) as client:
        yield AlertDesk(pool, conn, town, client, tokens, now)
