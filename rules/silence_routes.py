"""HTTP of silences and maintenance windows: make one, approve one for leaks, end one, list them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg

from rules import silence_store
from rules.catalog import Catalog, default_catalog
from rules.rule_sets import InForce
from rules.silence_pages import SilenceBody, SilencePage, SilenceQuery, SilenceWhole
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})


class SilenceRoutes:
    """Silences for officers, within their areas; a silence of the whole city takes an account for the whole city."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        catalog: Catalog | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._rules = InForce(catalog or default_catalog())
        self._clock = clock

    def table(self) -> list[Route]:
        """Method, path, roles, handler."""
        return [
            ("GET", "/silences", _OFFICE, self.silences),
            ("POST", "/silences", _OFFICE, self.add_silence),
            ("POST", "/silences/{silence_id}/approval", _OFFICE, self.approve_silence),
            ("POST", "/silences/{silence_id}/end", _OFFICE, self.end_silence),
        ]

    async def silences(self, query: SilenceQuery, actor: Actor) -> SilencePage:
        """List silences that are not over, newest first; those of the whole city are seen by everybody."""
        rows = await self._pool.fetch(
            *queries["silence_list"].bind(
                active_at=None if query.all else self._clock(),
                scope=actor.area_list(),
                after=query.after,
                count=query.limit + 1,
            )
        )
        items = [_whole(row) for row in rows[: query.limit]]
        return SilencePage(items=items, next=items[-1].silence_id if len(rows) > query.limit else None)

    async def add_silence(self, body: SilenceBody, actor: Actor) -> SilenceWhole:
        """Keep notices back for a time. For leaks it has no effect until a second person approves it."""
        now = self._clock()
        if fault := body.fault(now):
            raise Conflict(fault)
        async with self._pool.acquire() as conn, conn.transaction():
            await self._check_rule(conn, body.rule)
            places = await _places(conn, body)
            if (not places and actor.areas is not None) or not all(actor.covers(one) for one in places):
                raise Conflict("the silence reaches beyond your districts: name an area, a device or a subject in them")
            silence_id = await silence_store.add_silence(
                conn,
                kind=body.kind,
                rule_id=body.rule,
                area=body.area,
                device_id=body.device_id,
                subject=body.subject,
                place=places[-1] if places else None,
                from_at=body.from_at or now,
                until_at=body.until_at,
                reason=body.reason,
                author=actor.name,
                created_at=now,
                leaks=body.leaks,
            )
            details = body.model_dump(mode="json", exclude_none=True)
            await audit.record(conn, actor, "silence.add", f"silence:{silence_id}", details, now)
            return _whole(await silence_store.lock_silence(conn, silence_id))

    async def approve_silence(self, silence_id: int, actor: Actor) -> SilenceWhole:
        """Let a silence cover leaks: by somebody else than its author."""
        now = self._clock()
        async with self._pool.acquire() as conn, conn.transaction():
            row = await self._lock(conn, silence_id, actor)
            if not row["leaks"]:
                raise Conflict("it asks for no leak: nothing is to be approved")
            if row["author"] == actor.name:
                raise Conflict("a leak is silenced by two persons: somebody else must approve what you asked for")
            if row["approved_by"] is not None:
                raise Conflict(f"{row['approved_by']} has approved it already")
            self._refuse_ended(row, now)
            await silence_store.approve_silence(conn, silence_id, actor.name, now)
            await audit.record(conn, actor, "silence.approve", f"silence:{silence_id}", {}, now)
            return _whole(await silence_store.lock_silence(conn, silence_id))

    async def end_silence(self, silence_id: int, actor: Actor) -> SilenceWhole:
        """End a silence now; notices it kept back are given for what is still open."""
        now = self._clock()
        async with self._pool.acquire() as conn, conn.transaction():
            row = await self._lock(conn, silence_id, actor)
            self._refuse_ended(row, now)
            await silence_store.end_silence(conn, silence_id, actor.name, now)
            await audit.record(conn, actor, "silence.end", f"silence:{silence_id}", {}, now)
            return _whole(await silence_store.lock_silence(conn, silence_id))

    async def _check_rule(self, conn: asyncpg.Connection, rule_id: str | None) -> None:
        rules = (await self._rules.current(conn)).rules
        if rule_id is None or rule_id in rules:
            return
        if not await conn.fetchval(*queries["rule_was_used"].bind(rule_id=rule_id)):
            raise NotFound(f"rule: there is no rule {rule_id}; there are {', '.join(rules)}")

    async def _lock(self, conn: asyncpg.Connection, silence_id: int, actor: Actor) -> asyncpg.Record:
        row = await silence_store.lock_silence(conn, silence_id)
        if row["place"] is not None and not actor.covers(row["place"]):
            raise NotFound(f"no silence {silence_id}")
        if row["place"] is None and actor.areas is not None:
            raise Conflict("it is a silence of the whole city, and your account is not")
        return row

    def _refuse_ended(self, row: asyncpg.Record, now: datetime) -> None:
        if row["ended_at"] is not None or row["until_at"] <= now:
            raise Conflict("it is over already")


async def _places(conn: asyncpg.Connection, body: SilenceBody) -> list[str]:
    """The districts of what a silence names, the narrowest last; raises NotFound for what does not exist."""
    places: list[str] = []
    if body.area is not None:
        if not await conn.fetch(*queries["districts_within"].bind(codes=[body.area])):
            raise NotFound(f"area: no district has the code {body.area}")
        places.append(body.area)
    if body.device_id is not None:
        places.append(await silence_store.subject_area(conn, f"device:{body.device_id}"))
    if body.subject is not None:
        places.append(await silence_store.subject_area(conn, body.subject))
    return places


def _whole(row: asyncpg.Record) -> SilenceWhole:
    return SilenceWhole(**{name: row[name] for name in SilenceWhole.model_fields})
