"""HTTP of rules: the set in force, kinds with their parameters, drafts, activation, backtests."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
from pydantic import BaseModel, ConfigDict, Field

from rules import rule_sets
from rules.backtest_jobs import BacktestBody
from rules.catalog import KINDS, Catalog, default_catalog, parse_files, shipped_text
from rules.fitness import lacking
from rules.model import InvalidRule
from rules.rule_sets import InForce
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_ADMINISTRATOR = frozenset({"administrator"})


class ParameterEntry(BaseModel):
    """A parameter of a kind of rule."""

    unit: str
    default: float
    least: float
    most: float
    explanation: str


class KindEntry(BaseModel):
    """A kind of rule, and what it supports."""

    kind: str
    family: str
    summary: str
    parameters: dict[str, ParameterEntry]
    value_unit: str | None
    high_when: str | None
    ladder: bool
    schedule: bool
    hysteresis: bool
    durations: bool


class RulesBody(BaseModel):
    """A set of rules, whole: TOML text by file name."""

    model_config = ConfigDict(extra="forbid")

    files: Annotated[dict[str, str], Field(min_length=1)]
    note: Annotated[str, Field(min_length=1, max_length=2000)]


class RulesChecked(BaseModel):
    """Whether a set may be uploaded: its version and rules, or (of a check) the first mistake."""

    ok: bool
    digest: str | None = None
    rules: list[str] = []
    mistake: str | None = None


class LackingRule(BaseModel):
    """A rule that ships with the program, and the set in force has none of its kind."""

    rule_id: str
    kind: str
    title: str
    severity: str
    why: str
    text: str = Field(description="the rule as text of a rules file, to be added to the set")


class RuleSetRow(BaseModel):
    """An uploaded set of rules."""

    digest: str
    note: str
    uploaded_by: str
    uploaded_at: datetime
    activated_at: datetime | None
    in_force: bool


class Activation(BaseModel):
    """Why a set is put in force."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(min_length=1, max_length=2000)]


class BacktestRow(BaseModel):
    """A backtest: how far it is."""

    backtest_id: int
    state: str
    requested_by: str
    requested_at: datetime
    devices_done: int
    devices: int | None
    error: str | None
    finished_at: datetime | None


class BacktestWhole(BacktestRow):
    """A backtest with its report."""

    report: Any


class RuleRoutes:
    """Rules for officers; sets are put in force by administrators alone."""

    def __init__(self, pool: asyncpg.Pool, packaged: Catalog) -> None:
        self._pool = pool
        self._in_force = InForce(packaged)

    def table(self) -> list[Route]:
        """Method, path, roles, handler."""
        return [
            ("GET", "/rules/kinds", _OFFICE, self.kinds),
            ("GET", "/rules/lacking", _OFFICE, self.lacking),
            ("POST", "/rules/check", _OFFICE, self.check),
            ("GET", "/rule-sets", _OFFICE, self.sets),
            ("POST", "/rule-sets", _OFFICE, self.upload),
            ("POST", "/rule-sets/{digest}/activation", _ADMINISTRATOR, self.activate),
            ("GET", "/backtests", _OFFICE, self.backtests),
            ("POST", "/backtests", _OFFICE, self.request),
            ("GET", "/backtests/{backtest_id}", _OFFICE, self.backtest),
        ]

    async def kinds(self) -> list[KindEntry]:
        """Every kind of rule with its parameters: unit, default, permitted range, meaning."""
        return [
            KindEntry(
                kind=name,
                family=kind.family,
                summary=kind.summary,
                parameters={
                    key: ParameterEntry(
                        unit=one.unit,
                        default=one.default,
                        least=one.least,
                        most=one.most,
                        explanation=one.explanation,
                    )
                    for key, one in kind.parameters.items()
                },
                value_unit=kind.value_unit,
                high_when=kind.high_when,
                ladder=kind.value_unit is not None,
                schedule=not kind.leak,
                hysteresis=kind.hysteresis,
                durations=kind.lasting,
            )
            for name, kind in KINDS.items()
        ]

    async def lacking(self) -> list[LackingRule]:
        """Rules that ship with the program, and the set in force, most likely older, has none of their kind."""
        return [
            LackingRule(
                rule_id=rule.rule_id,
                kind=rule.kind,
                title=rule.title,
                severity=rule.severity,
                why=rule.why,
                text=shipped_text([rule.rule_id]),
            )
            for rule in lacking(await self._in_force.current(self._pool), default_catalog())
        ]

    async def check(self, body: RulesBody) -> RulesChecked:
        """Check a set of rules, also against the districts that are registered, without keeping it."""
        try:
            catalog = await rule_sets.across_districts(self._pool, parse_files(body.files))
        except InvalidRule as error:
            return RulesChecked(ok=False, mistake=str(error))
        return RulesChecked(ok=True, digest=catalog.digest, rules=list(catalog.rules))

    async def sets(self) -> list[RuleSetRow]:
        """Uploaded sets, newest first; when none is in force, the packaged catalogue is."""
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(*queries["rule_sets"].bind())
            active = await conn.fetchrow(*queries["rule_set_in_force"].bind())
        digest = None if active is None else active["digest"]
        return [RuleSetRow(**row, in_force=row["digest"] == digest) for row in rows]

    async def upload(self, body: RulesBody, actor: Actor) -> RulesChecked:
        """Keep a set as a draft; a mistake is refused (422) with rule and key, and nothing is kept."""
        async with self._pool.acquire() as conn, conn.transaction():
            catalog = await rule_sets.upload(conn, body.files, body.note, actor, datetime.now(UTC))
        return RulesChecked(ok=True, digest=catalog.digest, rules=list(catalog.rules))

    async def activate(self, digest: str, body: Activation, actor: Actor) -> None:
        """Put a set in force; the digest `packaged` stands for the catalogue of the program."""
        chosen = None if digest == "packaged" else digest
        async with self._pool.acquire() as conn, conn.transaction():
            try:
                await rule_sets.activate(conn, chosen, body.note, actor, datetime.now(UTC))
            except InvalidRule as error:
                raise Conflict(f"this version of the program does not accept the set: {error}") from error

    async def request(self, body: BacktestBody, actor: Actor) -> BacktestRow:
        """Ask for a backtest; the rules service works on one at a time. A mistake of the draft is refused (422)."""
        now = datetime.now(UTC)
        if actor.areas is not None:
            body = body.model_copy(update={"areas": body.areas or tuple(sorted(actor.areas))})
            if strange := [area for area in body.areas if not actor.covers(area)]:
                raise NotFound(f"areas: no district {strange[0]}")
        async with self._pool.acquire() as conn, conn.transaction():
            if (draft := body.draft(await self._in_force.current(conn))) is not None:
                await rule_sets.across_districts(conn, draft)
            await rule_sets.refuse_unregistered(conn, body.areas, body.devices)
            asked = body.model_dump(mode="json")
            query = queries["request_backtest"].bind(asked=asked, actor=actor.name, at=now)
            backtest_id = await conn.fetchval(*query)
            await audit.record(conn, actor, "rules.backtest", f"backtest:{backtest_id}", {"areas": body.areas}, now)
            await conn.execute(*queries["notify_rules"].bind())
            row = await conn.fetchrow(*queries["backtest"].bind(backtest_id=backtest_id))
        return BacktestRow(**{name: row[name] for name in BacktestRow.model_fields})

    async def backtests(self) -> list[BacktestRow]:
        """The newest backtests."""
        rows = await self._pool.fetch(*queries["backtests"].bind(count=100))
        return [BacktestRow(**row) for row in rows]

    async def backtest(self, backtest_id: int, actor: Actor) -> BacktestWhole:
        """One backtest: progress, and the report when it is done. Who sees only some areas sees only his own."""
        row = await self._pool.fetchrow(*queries["backtest"].bind(backtest_id=backtest_id))
        if row is None or (actor.areas is not None and row["requested_by"] != actor.name):
            raise NotFound(f"no backtest {backtest_id}")
        return BacktestWhole(**row)
