"""A mistake in one detector stops that rule alone, and can be seen until it is mended.

The first failure of a version of a rule is logged whole; all are counted, in a metric and in the table rule_failure.
"""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import asyncpg
import structlog
from prometheus_client import Counter

from rules.catalog import Catalog
from rules.model import Rule
from sql import queries

log = structlog.get_logger()

FAILURES = Counter("gaswarden_rules_failures_total", "Evaluations of a rule that broke off with an error", ["rule"])

_T = TypeVar("_T")


@dataclass(slots=True)
class Guard:
    """Runs detectors of one pass; remembers which rules broke off and which came through."""

    errors: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    ran: set[str] = field(default_factory=set)

    def run(self, rule: Rule, detector: Callable[[], _T], otherwise: _T) -> _T:
        """What the detector returns, or `otherwise` when it breaks off."""
        self.ran.add(rule.rule_id)
        try:
            return detector()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other rules go on
            FAILURES.labels(rule.rule_id).inc()
            count = self.errors.get(rule.rule_id, (0, "", ""))[0] + 1
            self.errors[rule.rule_id] = (count, f"{type(error).__name__}: {error}", traceback.format_exc())
            return otherwise

    async def save(self, conn: asyncpg.Connection, catalog: Catalog, now: datetime) -> None:
        """Note failures and what works again, in the caller's transaction; log what is new."""
        for rule_id, (count, error, trace) in sorted(self.errors.items()):
            version = catalog.rules[rule_id].version
            query = queries["note_rule_failure"].bind(
                rule_id=rule_id, version=version, count=count, error=error, at=now
            )
            if await conn.fetchval(*query):
                log.error(
                    "rules: a rule breaks off and stands still, the others go on",
                    rule=rule_id,
                    error=error,
                    trace=trace,
                )
        mended = sorted(self.ran - self.errors.keys())
        for row in await conn.fetch(*queries["mend_rule_failures"].bind(rule_ids=mended, at=now)):
            log.info("rules: a rule works again", rule=row["rule_id"])
