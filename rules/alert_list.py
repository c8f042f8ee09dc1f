"""Reads pages of alerts as officers see them: each with its clock and who silences it. Takes a connection."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from rules.alert_rows import listed
from rules.catalog import Catalog
from rules.clocks import clock
from rules.model import Alert
from rules.pages import AlertPage, AlertQuery, AlertRow, StageRow, states_of
from rules.regime_store import regime_in_force
from rules.regimes import Regime
from rules.silence_store import silences_covering
from rules.silences import Silence, sentence, silenced_by
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound

_COMPUTED = {"worst_severity", "overdue", "silenced", "clock"}
STORED = tuple(name for name in AlertRow.model_fields if name not in _COMPUTED)


async def list_alerts(
    conn: asyncpg.Connection, catalog: Catalog, query: AlertQuery, actor: Actor, now: datetime
) -> AlertPage:
    """A page of alerts, newest first, within the caller's areas; raises NotFound for an unknown rule or district.

    Call it in a transaction: the statement is planned for the very filters it is given.
    """
    await _check_rule(conn, catalog, query.rule)
    values = await _values(conn, query, actor, now)
    await conn.execute(*queries["plan_for_values"].bind())
    rows = await conn.fetch(*queries["list_alerts"].bind(**values))
    items = await alert_rows(conn, rows[: query.limit], now)
    return AlertPage(items=items, next=items[-1].alert_id if len(rows) > query.limit else None)


async def _check_rule(conn: asyncpg.Connection, catalog: Catalog, rule_id: str | None) -> None:
    if rule_id is None or rule_id in catalog.rules:
        return
    if not await conn.fetchval(*queries["rule_was_used"].bind(rule_id=rule_id)):
        raise NotFound(f"rule: there is no rule {rule_id}; there are {', '.join(catalog.rules)}")


async def _values(conn: asyncpg.Connection, query: AlertQuery, actor: Actor, now: datetime) -> dict[str, object]:
    until = query.until
    if query.older_than_min is not None:
        oldest = now - timedelta(minutes=query.older_than_min)
        until = min(until, oldest) if until else oldest
    areas = await districts_within(conn, query.area)
    after_at = None
    if query.after is not None:
        after_at = await conn.fetchval(*queries["alert_raised_at"].bind(alert_id=query.after))
        if after_at is None:
            raise NotFound(f"after: there is no alert {query.after}")
    return {
        "states": states_of(query.state) or (states_of(("open",)) if query.overdue is not None else None),
        "severities": list(query.severity) if len(query.severity) > 1 else None,
        "severity": query.severity[0] if len(query.severity) == 1 else None,
        "areas": areas if areas is not None and len(areas) != 1 else None,
        "area_code": areas[0] if areas is not None and len(areas) == 1 else None,
        "rule_id": query.rule,
        "since": query.since,
        "until": until,
        "late": query.late,
        "text": query.text,
        "after_at": after_at,
        "after_id": query.after,
        "count": query.limit + 1,
        "scope": actor.area_list(),
        "owner": query.owner,
        "unowned": query.unowned,
        "due_before": now if query.overdue is True else None,
        "due_from": now if query.overdue is False else None,
    }


async def districts_within(conn: asyncpg.Connection, asked: Sequence[str]) -> list[str] | None:
    """The asked districts with all below them, None when none was asked for; raises NotFound for an unknown one."""
    if not asked:
        return None
    rows = await conn.fetch(*queries["districts_within"].bind(codes=list(asked)))
    unknown = sorted(set(asked) - {row["asked"] for row in rows})
    if unknown:
        raise NotFound(f"area: no district has the code {', '.join(unknown)}")
    return sorted({row["code"] for row in rows})


async def alert_rows(conn: asyncpg.Connection, rows: Sequence[Mapping[str, Any]], now: datetime) -> list[AlertRow]:
    """Rows of alerts with places, as people see them."""
    if not rows:
        return []
    regime = await regime_in_force(conn)
    covering = await silences_covering(conn, [row["alert_id"] for row in rows], now)
    return [AlertRow(**row_values(row, regime, covering.get(row["alert_id"], ()), now)) for row in rows]


def row_values(row: Mapping[str, Any], regime: Regime, covering: Sequence[Silence], now: datetime) -> dict[str, Any]:
    """The values of an AlertRow: what is stored, and what follows from it at this moment."""
    alert = listed(row)
    silence = silenced_by(alert, covering, now) if alert.is_open else None
    return {
        **{name: row[name] for name in STORED},
        "worst_severity": alert.worst,
        "overdue": alert.due_at is not None and alert.due_at < now,
        "silenced": sentence(silence) if silence else None,
        "clock": stage_rows(alert, regime, now),
    }


def stage_rows(alert: Alert, regime: Regime, now: datetime) -> list[StageRow]:
    """The clock of an alert as rows."""
    return [
        StageRow.model_validate({"stage": one.name, "due_at": one.due_at, "at": one.at, "standing": one.standing})
        for one in clock(alert, regime, now)
    ]
