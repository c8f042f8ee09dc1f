"""HTTP of how right the rules are, as inspections and dismissals tell."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from rules.alert_list import districts_within
from rules.precision import FALSE_CAUSES, OTHER_CAUSES, precision
from rules.precision_pages import PrecisionAnswer, PrecisionQuery, PrecisionRow
from sql import queries
from sql.actor import Actor

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_BACK = timedelta(days=365)


class PrecisionRoutes:
    """Precision of rules, of the alerts in the caller's areas."""

    def __init__(self, pool: asyncpg.Pool, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._pool = pool
        self._clock = clock

    def table(self) -> list[Route]:
        """Method, path, roles, handler."""
        return [("GET", "/rules/precision", _OFFICE, self.precision)]

    async def precision(self, query: PrecisionQuery, actor: Actor) -> PrecisionAnswer:
        """How many alerts of each rule turned out true or false: by version, device model, district, month or week."""
        until = query.until or self._clock()
        since = query.since or until - _BACK
        async with self._pool.acquire() as conn:
            scope = _within(await districts_within(conn, query.area), actor.area_list())
            rows = await conn.fetch(
                *queries["measured_alerts"].bind(
                    by=query.by,
                    rule_id=query.rule,
                    since=since,
                    until=until,
                    scope=scope,
                    false_causes=list(FALSE_CAUSES),
                    other_causes=list(OTHER_CAUSES),
                )
            )
        return PrecisionAnswer(by=query.by, since=since, until=until, items=[_row(row) for row in rows])


def _within(asked: list[str] | None, allowed: list[str] | None) -> list[str] | None:
    if asked is None or allowed is None:
        return allowed if asked is None else asked
    return sorted(set(asked) & set(allowed))


def _row(row: asyncpg.Record) -> PrecisionRow:
    measured = precision(row["true_alerts"], row["false_alerts"])
    return PrecisionRow(**row, precision=measured.share, precision_low=measured.low, precision_high=measured.high)
