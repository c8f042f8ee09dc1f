"""HTTP of commands: ask, approve, withdraw, look."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg

from ingest.commanding import deeds, lifecycle, store
from ingest.commanding.pages import (
    CommandBody,
    CommandPage,
    CommandQuery,
    CommandRow,
    CommandStepRow,
    CommandWhole,
    NoteBody,
)
from ingest.commanding.params import CommandParams
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})


class CommandRoutes:
    """Commands to valves for officers, within their areas."""

    def __init__(self, pool: asyncpg.Pool, params: CommandParams | None = None) -> None:
        self._pool = pool
        self._limits = (params or CommandParams()).limits

    def table(self) -> list[Route]:
        """Method, path, roles, handler."""
        return [
            ("POST", "/devices/{device_id}/commands", _OFFICE, self.request),
            ("GET", "/commands", _OFFICE, self.commands),
            ("GET", "/commands/{command_id}", _OFFICE, self.command),
            ("POST", "/commands/{command_id}/approve", _OFFICE, self.approve),
            ("POST", "/commands/{command_id}/withdraw", _OFFICE, self.withdraw),
        ]

    async def request(self, device_id: int, body: CommandBody, actor: Actor) -> CommandWhole:
        """Ask for a valve to be closed (sent at once) or opened (sent when a second person approves)."""
        async with self._pool.acquire() as conn:
            command_id = await deeds.request(
                conn,
                device_id,
                body.valve,
                body.client_id,
                body.note,
                actor,
                self._limits,
                datetime.now(UTC),
                alert_id=body.alert_id,
                valid_s=body.valid_s,
            )
        return await self.command(command_id, actor)

    async def approve(self, command_id: int, body: NoteBody, actor: Actor) -> CommandWhole:
        """Approve a command to open, as another person than the one who asked."""
        async with self._pool.acquire() as conn:
            await deeds.approve(conn, command_id, body.note, actor, datetime.now(UTC))
        return await self.command(command_id, actor)

    async def withdraw(self, command_id: int, body: NoteBody, actor: Actor) -> CommandWhole:
        """Take a command back before it is sent."""
        async with self._pool.acquire() as conn:
            await deeds.withdraw(conn, command_id, body.note, actor, datetime.now(UTC))
        return await self.command(command_id, actor)

    async def commands(self, query: CommandQuery, actor: Actor) -> CommandPage:
        """List commands, newest first."""
        found = await self._pool.fetch(
            *queries["command_page"].bind(
                device_id=query.device_id,
                states=query.states,
                valve=query.valve,
                since=query.since,
                until=query.until,
                areas=actor.area_list(),
                after=query.after,
                page_size=query.limit + 1,
            )
        )
        items = [CommandRow(**_shown(row)) for row in found[: query.limit]]
        return CommandPage(items=items, next=items[-1].command_id if len(found) > query.limit else None)

    async def command(self, command_id: int, actor: Actor) -> CommandWhole:
        """One command whole: its timeline with who did what and what the device said."""
        async with self._pool.acquire() as conn, conn.transaction(readonly=True):
            query = queries["command_whole"]
            row = await conn.fetchrow(*query.bind(command_id=command_id, areas=actor.area_list()))
            if row is None:
                raise NotFound(f"no command {command_id}")
            timeline = await conn.fetch(*queries["command_timeline"].bind(command_id=command_id))
            target = await store.command_target(conn, row["device_id"])
            hindrances = await store.command_hindrances(conn, target)
        return CommandWhole(
            **_shown(row),
            timeline=[CommandStepRow(**step) for step in timeline],
            not_safe_to_open=lifecycle.unsafe_sentence(hindrances),
        )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in CommandRow.model_fields}
