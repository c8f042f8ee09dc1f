"""HTTP of alerts: the list, one whole, its steps, the live stream; and the catalogue of rules."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiohttp import web

from rules import deeds, lifecycle
from rules.alert_list import list_alerts
from rules.alert_whole import whole
from rules.catalog import Catalog, default_catalog
from rules.exports import AlertTable, geojson_text, open_unless_asked
from rules.model import Alert, OfficerStep
from rules.pages import (
    AcknowledgeBody,
    Acknowledged,
    AlertPage,
    AlertQuery,
    AlertWhole,
    OwnerBody,
    RuleEntry,
    RuleFailing,
    RuleVersion,
    StepBody,
    StepDone,
    StreamQuery,
)
from rules.rule_sets import InForce
from rules.stream import AlertStream, Bell
from sql import audit, queries
from sql.actor import Actor
from sql.errors import NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_EVERYBODY = frozenset({"officer", "administrator", "inspector"})


class AlertRoutes:
    """Alerts for officers and inspectors, within their areas."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        catalog: Catalog | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._rules = InForce(catalog or default_catalog())
        self._clock = clock
        self._bell = Bell(pool)

    def table(self) -> list[Route]:
        """Method, path, roles, handler."""
        return [
            ("GET", "/alerts", _EVERYBODY, self.alerts),
            ("GET", "/alerts/stream", _OFFICE, self.stream),
            ("GET", "/alerts/geojson", _EVERYBODY, self.geojson),
            ("GET", "/alerts/csv", _EVERYBODY, self.csv),
            ("POST", "/alerts/acknowledgements", _OFFICE, self.acknowledge),
            ("GET", "/alerts/{alert_id}", _EVERYBODY, self.alert),
            ("POST", "/alerts/{alert_id}/steps", _OFFICE, self.take_step),
            ("PUT", "/alerts/{alert_id}/owner", _OFFICE, self.hand_over),
            ("GET", "/rules", _EVERYBODY, self.rules),
        ]

    async def alerts(self, query: AlertQuery, actor: Actor) -> AlertPage:
        """List alerts, newest first; an area stands for all districts below it, too."""
        async with self._pool.acquire() as conn, conn.transaction(readonly=True):
            return await list_alerts(conn, await self._rules.current(conn), query, actor, self._clock())

    async def geojson(self, query: AlertQuery, actor: Actor) -> web.Response:
        """Alerts as points on a map (RFC 7946), filtered and paged as the list; the open ones unless `state` is given.

        `next` beside the features is the `after` of the following page. What has no place on the map has no geometry.
        """
        page = await self.alerts(open_unless_asked(query), actor)
        return web.Response(text=geojson_text(page), content_type="application/geo+json")

    async def csv(self, query: AlertQuery, actor: Actor) -> AlertTable:
        """Alerts as a table with a row each, filtered as the list is, all pages in one; `limit` is not minded."""
        await self.alerts(query.model_copy(update={"limit": 1}), actor)
        return AlertTable(self.alerts, query, actor)

    async def alert(self, alert_id: int, actor: Actor) -> AlertWhole:
        """One alert whole: timeline, evidence, the readings around it, the door, past episodes."""
        async with self._pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(*queries["alert_whole"].bind(alert_id=alert_id))
            if row is None or not actor.covers(row["area"]):
                raise NotFound(f"no alert {alert_id}")
            now = self._clock()
            if actor.role in _OFFICE:
                details = {"rule": row["rule_id"], "premises": row["premises"]}
                await audit.record(conn, actor, "alert.read", f"alert:{alert_id}", details, now)
            return await whole(conn, row, now, personal=actor.role in _OFFICE)

    async def take_step(self, alert_id: int, body: StepBody, actor: Actor) -> StepDone:
        """Take a step on an alert: acknowledge, control, dispatch, on_site, made_safe, verify or dismiss."""
        proofs = tuple(one.model_dump(exclude_none=True) for one in body.evidence)
        asked = OfficerStep(body.step, actor.name, body.note, body.cause, proofs, body.confirmed)
        async with self._pool.acquire() as conn, conn.transaction():
            rules = await self._rules.current(conn)
            return _done(await deeds.take_step(conn, rules, alert_id, asked, actor, self._clock()))

    async def acknowledge(self, body: AcknowledgeBody, actor: Actor) -> Acknowledged:
        """Acknowledge many alerts at once, each as by itself; the caller becomes the owner of those without one."""
        async with self._pool.acquire() as conn, conn.transaction():
            done, refused = await deeds.acknowledge_many(
                conn, await self._rules.current(conn), body.alert_ids, body.note, actor, self._clock()
            )
        return Acknowledged(acknowledged=done, refused=refused)

    async def hand_over(self, alert_id: int, body: OwnerBody, actor: Actor) -> StepDone:
        """Give an open alert to another officer, who is told at once; an acknowledgement expires from now on."""
        async with self._pool.acquire() as conn, conn.transaction():
            return _done(await deeds.hand_over(conn, alert_id, body.owner, body.note, actor, self._clock()))

    async def rules(self) -> list[RuleEntry]:
        """The catalogue of rules in force, with the versions that have fired."""
        versions: dict[str, list[RuleVersion]] = {}
        for row in await self._pool.fetch(*queries["rule_versions"].bind()):
            entry = RuleVersion(version=row["version"], first_used_at=row["first_used_at"])
            versions.setdefault(row["rule_id"], []).append(entry)
        failing = {
            row["rule_id"]: RuleFailing(**{name: row[name] for name in RuleFailing.model_fields})
            for row in await self._pool.fetch(*queries["failing_rules"].bind())
        }
        in_force = await self._rules.current(self._pool)
        return [
            RuleEntry(
                rule_id=rule.rule_id,
                kind=rule.kind,
                family=rule.family,
                version=rule.version,
                definition=dict(rule.definition),
                versions=versions.get(rule.rule_id, []),
                failing=failing.get(rule.rule_id),
            )
            for rule in in_force.rules.values()
        ]

    async def stream(self, query: StreamQuery, actor: Actor) -> AlertStream:
        """Steps of alerts as they happen (server-sent events; resumes by Last-Event-ID)."""
        return AlertStream(self._pool, self._bell, actor, query.after)


def _done(alert: Alert) -> StepDone:
    assert alert.alert_id is not None
    return StepDone(
        alert_id=alert.alert_id,
        state=alert.state,
        owner=alert.owner,
        due_stage=alert.due_stage,
        due_at=alert.due_at,
        closed_at=alert.closed_at,
        allowed=lifecycle.allowed_sentence(alert.state),
    )
