"""The officer's and the inspector's view of the running services: HTTP with a token, nothing else."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, Self

import aiohttp

from app.demo.stage import StageError


class Desk:
    """One account's session with the HTTP interface at `address` (http://host:port)."""

    def __init__(self, address: str, token: str) -> None:
        self._session = aiohttp.ClientSession(
            f"{address}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=120),
        )

    async def __aenter__(self) -> Self:
        """Open."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self._session.close()

    async def ask(self, path: str, **query: str) -> Any:
        """GET; the JSON answer, None for 404. Raises StageError with the problem's words."""
        async with self._session.get(path, params=query) as response:
            if response.status == 404:
                return None
            return await _answer(response)

    async def tell(self, path: str, body: object = None) -> Any:
        """POST; the JSON answer. Raises StageError with the problem's words."""
        async with self._session.post(path, json=body) as response:
            return await _answer(response)

    async def alerts(self) -> list[dict[str, Any]]:
        """Every alert there ever was, page by page."""
        found: list[dict[str, Any]] = []
        query = {"limit": "500"}
        while True:
            page = await self.ask("alerts", **query)
            found += page["items"]
            if page["next"] is None:
                return found
            query["after"] = str(page["next"])

    async def ledger(self, first_day: date, last_day: date) -> dict[str, Any]:
        """The ledger of some days."""
        answer = await self.ask("ledger", first_day=first_day.isoformat(), last_day=last_day.isoformat())
        return dict(answer)


async def _answer(response: aiohttp.ClientResponse) -> Any:
    if response.status >= 400:
        raise StageError(f"{response.method} {response.url.path}: {response.status} {await response.text()}")
    return await response.json()


async def until(done: Callable[[], Awaitable[bool]], timeout_s: float, pause_s: float = 0.25) -> bool:
    """Ask again and again until it is so; False when it is not after the time-out."""
    deadline = time.monotonic() + timeout_s
    while not await done():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(pause_s)
    return True
