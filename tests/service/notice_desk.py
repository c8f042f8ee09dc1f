"""A desk for tests of notices: a webhook that answers as it is told, people with contacts, and the running service."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
from aiohttp import web
from pydantic import SecretStr

from rules.catalog import default_catalog
from rules.notices import service
from rules.notices.contacts import Contacts
from rules.notices.pages import ContactBody
from rules.notices.params import NoticeParams
from rules.outbox import request_notices
from rules.paging import Page
from sql.actor import Actor
from tests.servers import Database
from tests.service.rules_rows import insert

KEY = "2mJ0cQvJm4l2wq3xXg2b9mB7H2y9r0o2q8u3n1w5xZk="
ZONE = ZoneInfo("Asia/Shanghai")
CHIEF = Actor("chief", "administrator")
MOMENT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def params(**values: Any) -> NoticeParams:
    """Quick settings that allow webhooks on loopback; the nightly test is two hours off, whatever the time is."""
    quick = {
        "reach_test_at": (datetime.now(ZONE) + timedelta(hours=2)).time(),
        "contact_key": SecretStr(KEY), "schemes": ("json", "local"), "private_hosts": True, "timeout_s": 5,
        "back_off_s": 0.05, "back_off_max_s": 0.1, "poll_s": 0.05, "stalled_after_s": 1, "tick_s": 0.1, "drain_s": 5,
    }  # fmt: skip
    return NoticeParams(**(quick | values))


@dataclass
class Hook:
    """A webhook: remembers what it got by path, and answers with a status or not at all."""

    port: int = 0
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    status: dict[str, int] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def address(self, name: str) -> str:
        return f"json://127.0.0.1:{self.port}/{name}"

    def of(self, name: str) -> list[dict[str, Any]]:
        return [body for path, body in self.got if path == name]

    async def handle(self, request: web.Request) -> web.Response:
        name = request.path.strip("/")
        self.got.append((name, await request.json()))
        self.arrived.set()
        if name in self.hanging:
            await self.released.wait()
        return web.Response(status=self.status.get(name, 200))

    async def wait(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """The messages to a name, once there are so many."""
        async with asyncio.timeout(40):
            while len(self.of(name)) < count:
                self.arrived.clear()
                if len(self.of(name)) < count:
                    await self.arrived.wait()
        return self.of(name)


@asynccontextmanager
async def webhook() -> AsyncIterator[Hook]:
    """A running webhook on a free port."""
    hook = Hook()
    application = web.Application()
    application.router.add_post("/{name}", hook.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.port = runner.addresses[0][1]
    try:
        yield hook
    finally:
        hook.released.set()
        await runner.cleanup()


async def make_account(
    conn: asyncpg.Connection, name: str, role: str = "officer", areas: list[str] | None = None
) -> None:
    row = {"name": name, "role": role, "areas": areas, "token_hash": name.encode(), "created_at": MOMENT}
    await insert(conn, "account", "account_id", **row)


async def make_contact(conn: asyncpg.Connection, account: str, address: str, **values: Any) -> int:
    """A contact, by the way every contact is made."""
    body = ContactBody(address=address, **({"language": "en"} | values))
    return await Contacts(params()).add(conn, account, body, CHIEF, MOMENT)


async def make_shift(
    conn: asyncpg.Connection, account: str, level: int = 1, areas: list[str] | None = None, **values: Any
) -> int:
    """A shift that began an hour ago and ends in seven."""
    now = datetime.now(UTC)
    times = {"starts_at": now.replace(hour=0, minute=0, second=0), "ends_at": now.replace(year=now.year + 1)}
    row = {"account": account, "level": level, "areas": areas, "added_at": now, "added_by": "chief", **times, **values}
    return await insert(conn, "rota_shift", "shift_id", **row)


async def make_alert(conn: asyncpg.Connection, severity: str = "critical", **columns: object) -> int:
    values: dict[str, object] = {
        "rule_id": "leak_alarm", "rule_version": "v", "subject": "device:1", "area": "D01", "severity": severity,
        "state": "open", "firing": True, "late": False, "sentence": "LD-1 raised a leak alarm of level 2",
        "first_at": MOMENT, "last_at": MOMENT, "raised_at": MOMENT, "evidence": {}, "visit": "none",
        "worst_value": 27.5, "unit": "%LEL",
    }  # fmt: skip
    return await insert(conn, "alert", "alert_id", **(values | columns))


async def page(conn: asyncpg.Connection, alert_id: int, purpose: str = "raised", level: int = 1) -> None:
    """Ask for people to be told, as whoever pages does."""
    async with conn.transaction():
        await request_notices(conn, [Page(alert_id, purpose, level)], datetime.now(UTC))


async def notices(conn: asyncpg.Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in await conn.fetch("SELECT * FROM notice ORDER BY notice_id")]


async def until(look: Callable[[], Any], wanted: Callable[[Any], bool], wait_s: float = 40.0) -> Any:
    """What `look` (async) finds once it is as wanted."""
    async with asyncio.timeout(wait_s):
        while not wanted(found := await look()):  # noqa: ASYNC110 - a row tells nobody that it changed
            await asyncio.sleep(0.02)
    return found


@asynccontextmanager
async def running(db: Database, pool: asyncpg.Pool, settings: NoticeParams | None = None) -> AsyncIterator[None]:
    """The notices service at work."""
    ready = asyncio.Event()
    task = asyncio.create_task(
        service.run(pool, default_catalog(), settings or params(), db.url, ZONE, ready=ready), name="service"
    )
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        if task.done():
            await task
        yield
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
