"""HTTP of the to-register list: who publishes without being registered."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from ingest.strangers import unregistered_page
from sql.actor import Actor

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UnregisteredQuery(_Frozen):
    """Which of them."""

    gateway: str | None = Field(None, max_length=200, description="Only what this gateway publishes.")
    after: int | None = Field(None, description="Cursor: `next` of the page before.")
    limit: int = Field(50, ge=1, le=500)


class UnregisteredAnswer(_Frozen):
    """Somebody who publishes and is not registered.

    With an empty family and code it is the gateway itself; with `*`, all devices beyond the rows kept of a gateway.
    `waiting` messages are kept whole and can be replayed; `discarded` ones gave way to newer ones.
    """

    unregistered_id: int
    gateway: str
    family: str
    code: str
    area: str
    reason: Literal["unknown_gateway", "unknown_device", "gateway_mismatch"]
    first_received_at: datetime
    last_received_at: datetime
    messages: int
    discarded: int
    waiting: int


class UnregisteredPage(_Frozen):
    """A page, oldest first; `next` is the cursor of the following page."""

    items: list[UnregisteredAnswer]
    next: int | None


class StrangerRoutes:
    """Handlers of the to-register list."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    def table(self) -> list[Route]:
        """Method, path, roles and handler; to be joined before the routes of `/devices/{device_id}`."""
        return [("GET", "/devices/unregistered", _OFFICE, self.unregistered)]

    async def unregistered(self, query: UnregisteredQuery, actor: Actor) -> UnregisteredPage:
        """Devices and gateways that publish and are not registered."""
        async with self._pool.acquire() as conn:
            rows = await unregistered_page(conn, query.gateway, actor, query.after, query.limit + 1)
        items = [UnregisteredAnswer.model_validate(dict(row)) for row in rows[: query.limit]]
        return UnregisteredPage(items=items, next=items[-1].unregistered_id if len(rows) > query.limit else None)
