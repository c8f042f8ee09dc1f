"""HTTP of alerts: the list, one whole, its steps, the live stream; and the catalogue of rules."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from rules import lifecycle, store
from rules.catalog import Catalog, default_catalog
from rules.model import OfficerStep, WrongStep
from rules.pages import (
    AlertPage,
    AlertQuery,
    AlertRow,
    AlertWhole,
    Door,
    EpisodeRow,
    ReadingRow,
    RuleEntry,
    RuleFailing,
    RuleVersion,
    StepBody,
    StepDone,
    StreamQuery,
    TimelineRow,
    states_of,
)
from rules.stream import AlertStream
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_EVERYBODY = frozenset({"officer", "administrator", "inspector"})
_AROUND = timedelta(days=2)
_READINGS_MAX = 2000


class AlertRoutes:
    """Alerts for officers and inspectors, within their areas."""

    def __init__(self, pool: asyncpg.Pool, catalog: Catalog | None = None) -> None:
        self._pool = pool
        self._catalog = catalog or default_catalog()

    def table(self) -> list[Route]:
        """Method, path, roles, handler."""
        return [
            ("GET", "/alerts", _EVERYBODY, self.alerts),
            ("GET", "/alerts/stream", _OFFICE, self.stream),
            ("GET", "/alerts/{alert_id}", _EVERYBODY, self.alert),
            ("POST", "/alerts/{alert_id}/steps", _OFFICE, self.take_step),
            ("GET", "/rules", _EVERYBODY, self.rules),
        ]

    async def alerts(self, query: AlertQuery, actor: Actor) -> AlertPage:
        """List alerts, newest first; an area stands for all districts below it, too."""
        if query.rule is not None and query.rule not in self._catalog.rules:
            known = await self._pool.fetchval(*queries["rule_was_used"].bind(rule_id=query.rule))
            if not known:
                raise NotFound(f"rule: there is no rule {query.rule}; there are {', '.join(self._catalog.rules)}")
        found = await self._pool.fetch(
            *queries["list_alerts"].bind(
                states=states_of(query.state),
                severities=list(query.severity) or None,
                areas=await self._areas(query.area),
                rule_id=query.rule,
                since=query.since,
                until=query.until,
                late=query.late,
                text=query.text,
                after=query.after,
                count=query.limit + 1,
                scope=actor.area_list(),
            )
        )
        items = [AlertRow(**row) for row in found[: query.limit]]
        return AlertPage(items=items, next=items[-1].alert_id if len(found) > query.limit else None)

    async def _areas(self, asked: Sequence[str]) -> list[str] | None:
        """The asked districts with all below them, None when none was asked for; raises NotFound for an unknown one."""
        if not asked:
            return None
        rows = await self._pool.fetch(*queries["districts_within"].bind(codes=list(asked)))
        unknown = sorted(set(asked) - {row["asked"] for row in rows})
        if unknown:
            raise NotFound(f"area: no district has the code {', '.join(unknown)}")
        return sorted({row["code"] for row in rows})

    async def alert(self, alert_id: int, actor: Actor) -> AlertWhole:
        """One alert whole: timeline, evidence, the readings around it, the door, past episodes."""
        async with self._pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(*queries["alert_whole"].bind(alert_id=alert_id))
            if row is None or not actor.covers(row["area"]):
                raise NotFound(f"no alert {alert_id}")
            if actor.role in _OFFICE:
                details = {"rule": row["rule_id"], "premises": row["premises"]}
                await audit.record(conn, actor, "alert.read", f"alert:{alert_id}", details, datetime.now(UTC))
            return await _whole(conn, row, personal=actor.role in _OFFICE)

    async def take_step(self, alert_id: int, body: StepBody, actor: Actor) -> StepDone:
        """Take a step on an alert: acknowledge, dispatch, on_site, made_safe, verify or dismiss."""
        now = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            alert, area = await store.lock_alert(conn, alert_id)
            if not actor.covers(area):
                raise NotFound(f"no alert {alert_id}")
            asked = OfficerStep(body.step, actor.name, body.note, body.cause, body.evidence)
            rule = self._catalog.rules.get(alert.rule_id)
            try:
                transition = lifecycle.officer_step(rule.clears if rule else "by_person", alert, asked, now)
            except WrongStep as error:
                raise Conflict(str(error)) from error
            await store.save_transition(conn, transition, now)
            details = {"from": alert.state, **body.model_dump(exclude_none=True)}
            await audit.record(conn, actor, f"alert.{body.step}", f"alert:{alert_id}", details, now)
        after = transition.alert
        assert after is not None
        return StepDone(
            alert_id=alert_id,
            state=after.state,
            owner=after.owner,
            closed_at=after.closed_at,
            allowed=lifecycle.allowed_sentence(after.state),
        )

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
            for rule in self._catalog.rules.values()
        ]

    async def stream(self, query: StreamQuery, actor: Actor) -> AlertStream:
        """Steps of alerts as they happen (server-sent events; resumes by Last-Event-ID)."""
        return AlertStream(self._pool, actor, query.after)


async def _whole(conn: asyncpg.Connection, row: Mapping[str, Any], *, personal: bool) -> AlertWhole:
    timeline = await conn.fetch(*queries["alert_timeline"].bind(alert_id=row["alert_id"]))
    episodes = await conn.fetch(
        *queries["alert_episodes"].bind(rule_id=row["rule_id"], subject=row["subject"], alert_id=row["alert_id"])
    )
    definition = row["definition"] or {}
    return AlertWhole(
        **{name: row[name] for name in AlertRow.model_fields},
        rule_version=row["rule_version"],
        rule_title=definition.get("title"),
        what_to_do=definition.get("what_to_do"),
        first_value=row["first_value"],
        cleared_at=row["cleared_at"],
        closed_at=row["closed_at"],
        cause=row["cause"],
        evidence=row["evidence"],
        device_model=row["model"],
        meter_class=row["meter_class"],
        door=_door(row, personal=personal),
        allowed=lifecycle.allowed_sentence(row["state"]),
        timeline=[TimelineRow(**step) for step in timeline],
        readings=await _readings_around(conn, row),
        episodes=[EpisodeRow(**episode) for episode in episodes],
    )


def _door(row: Mapping[str, Any], *, personal: bool) -> Door:
    return Door(
        premises=row["premises"],
        unit=row["premises_unit"],
        user_class=row["user_class"],
        address=row["address"] if personal else None,
        contact_name=row["contact_name"] if personal else None,
        contact_phone=row["contact_phone"] if personal else None,
        building=row["building"],
        building_name=row["building_name"],
        latitude=row["latitude"],
        longitude=row["longitude"],
    )


async def _readings_around(conn: asyncpg.Connection, row: Mapping[str, Any]) -> list[ReadingRow]:
    """Readings from two days before the alert began (at most 14 days of it) to two days after its last finding."""
    if row["device_id"] is None:
        return []
    since = max(row["first_at"], row["last_at"] - timedelta(days=14)) - _AROUND
    query = queries["alert_readings"]
    found = await conn.fetch(
        *query.bind(device_id=row["device_id"], since=since, until=row["last_at"] + _AROUND, count=_READINGS_MAX)
    )
    return [ReadingRow(**reading) for reading in found]
