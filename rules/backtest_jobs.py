"""Backtests that were asked for over HTTP: taken one at a time by the rules service, with progress."""

from datetime import UTC, datetime, timedelta

import asyncpg
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from rules import backtest
from rules.backtest import OFFICER_HOURS
from rules.backtesting import Asked, run_backtest
from rules.catalog import Catalog, parse_files
from rules.drafts import changed
from rules.model import InvalidRule
from rules.rule_sets import across_districts
from sql import queries
from sql.errors import NotFound

STALE_S = 300.0
"""A running backtest that said nothing for so long has lost its process, and is begun again."""


class BacktestBody(BaseModel):
    """A draft to try on stored history, whole or as changes; without either the rules in force are reported."""

    model_config = ConfigDict(extra="forbid")

    files: dict[str, str] = Field({}, description="rules files (TOML) of the draft by name, all of them")
    changes: dict[str, str] = Field(
        {}, description="files (TOML) by name that say only what changes of the rules in force, instead of `files`"
    )
    since: AwareDatetime
    until: AwareDatetime
    areas: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    answered_after_h: float | None = Field(
        24, ge=0, le=8760, description="an alert counts as ended so long after its condition; null: it stays open"
    )
    officer_hours: dict[str, float] = Field(
        default_factory=lambda: dict(OFFICER_HOURS), description="hours of work one alert costs, by severity"
    )

    @model_validator(mode="after")
    def _in_order(self) -> "BacktestBody":
        if self.files and self.changes:
            raise ValueError("either files or changes, not both")
        if self.until <= self.since:
            raise ValueError("until must lie after since")
        if missing := OFFICER_HOURS.keys() - self.officer_hours.keys():
            raise ValueError(f"officer_hours lacks {min(missing)}")
        return self

    def draft(self, current: Catalog) -> Catalog | None:
        """The draft, its areas as written; None: the rules in force. Raises InvalidRule."""
        if self.changes:
            return changed(current, self.changes)
        return parse_files(self.files) if self.files else None

    def asked(self) -> Asked:
        """What the backtest is about."""
        after = None if self.answered_after_h is None else timedelta(hours=self.answered_after_h)
        return Asked(self.since, self.until, self.areas, self.devices, after, self.officer_hours)


async def work_off_one(pool: asyncpg.Pool, current: Catalog, zone: str) -> bool:
    """Take the next waiting backtest and finish it; False when none waits. A wrong draft fails its job alone."""
    row = await pool.fetchrow(*queries["claim_backtest"].bind(now=datetime.now(UTC), stale_s=STALE_S))
    if row is None:
        return False
    backtest_id = row["backtest_id"]

    async def told(done: int, devices: int) -> None:
        await pool.execute(
            *queries["note_backtest"].bind(
                backtest_id=backtest_id, devices_done=done, devices=devices, now=datetime.now(UTC)
            )
        )

    report, error = None, None
    try:
        body = BacktestBody.model_validate(row["asked"])
        async with pool.acquire() as conn:
            written = body.draft(current)
            draft = current if written is None else await across_districts(conn, written)
            against = None if written is None else current
            found = await run_backtest(conn, draft, against, body.asked(), zone, told)
        report = backtest.as_data(found)
    except (InvalidRule, NotFound) as refused:
        error = str(refused)
    await pool.execute(
        *queries["finish_backtest"].bind(
            backtest_id=backtest_id,
            state="failed" if error else "done",
            report=report,
            error=error,
            now=datetime.now(UTC),
        )
    )
    return True
