"""HTTP of the on-duty rota: shifts, who is on duty, gaps, hand-overs, the nightly test and its confirmations."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from rules.notices.params import NoticeParams
from rules.notices.seal import Seal
from rules.rota import desk, reach, store
from rules.rota.model import Shift
from rules.rota.pages import (
    ConfirmBody,
    Confirmed,
    GapQuery,
    GapRow,
    HandedOverRow,
    HandOverBody,
    HandoverQuery,
    HandoverRow,
    LevelRow,
    OnDutyQuery,
    ReachQuery,
    ReachRow,
    ReleaseBody,
    RotaQuery,
    RoundBegun,
    ShiftAdded,
    ShiftBody,
    ShiftRow,
    result_of,
)
from sql.actor import Actor
from sql.errors import Conflict

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_ADMINISTRATOR = frozenset({"administrator"})
_OFFICE = frozenset({"officer", "administrator"})
_EVERYBODY = frozenset({"officer", "administrator", "inspector"})


class RotaRoutes:
    """The rota: everybody in the office sees it, administrators plan it, those concerned hand over."""

    def __init__(self, pool: asyncpg.Pool, params: NoticeParams, zone: ZoneInfo) -> None:
        self._pool = pool
        self._params = params
        self._zone = zone

    def table(self) -> list[Route]:
        """Method, path, roles, handler."""
        return [
            ("GET", "/rota", _OFFICE, self.shifts),
            ("POST", "/rota", _ADMINISTRATOR, self.add_shift),
            ("GET", "/rota/on-duty", _OFFICE, self.on_duty),
            ("GET", "/rota/gaps", _OFFICE, self.gaps),
            ("GET", "/rota/handovers", _OFFICE, self.handovers),
            ("GET", "/rota/tests", _OFFICE, self.tests),
            ("POST", "/rota/tests", _ADMINISTRATOR, self.begin_tests),
            ("POST", "/rota/tests/confirm", _EVERYBODY, self.confirm),
            ("POST", "/rota/{shift_id}/hand-over", _EVERYBODY, self.hand_over),
            ("POST", "/rota/{shift_id}/release", _ADMINISTRATOR, self.release),
            ("DELETE", "/rota/{shift_id}", _ADMINISTRATOR, self.cancel_shift),
        ]

    async def shifts(self, query: RotaQuery) -> list[ShiftRow]:
        """Shifts of a time, those that nobody has relieved included."""
        now = datetime.now(UTC)
        since = query.since or now
        until = query.until or since + timedelta(days=7)
        async with self._pool.acquire() as conn:
            return [_row(one, now) for one in await store.shifts_between(conn, since, until)]

    async def add_shift(self, body: ShiftBody, actor: Actor) -> ShiftAdded:
        """Plan a shift."""
        areas = None if body.areas is None else tuple(body.areas)
        new = desk.NewShift(body.account, body.level, areas, body.starts_at, body.ends_at, body.note)
        async with self._pool.acquire() as conn, conn.transaction():
            return ShiftAdded(shift_id=await desk.add_shift(conn, new, actor, datetime.now(UTC)))

    async def cancel_shift(self, shift_id: int, actor: Actor) -> None:
        """Call off a shift that has not begun."""
        async with self._pool.acquire() as conn, conn.transaction():
            await desk.cancel_shift(conn, shift_id, actor, datetime.now(UTC))

    async def on_duty(self, query: OnDutyQuery) -> list[LevelRow]:
        """Who is on duty for a district, by level."""
        async with self._pool.acquire() as conn:
            found = await store.on_duty_at(conn, query.area, query.at or datetime.now(UTC))
        return [LevelRow(level=level, accounts=list(accounts)) for level, accounts in found.items()]

    async def gaps(self, query: GapQuery) -> list[GapRow]:
        """When and where nobody is planned, from now on."""
        now = datetime.now(UTC)
        async with self._pool.acquire() as conn:
            found = await store.gaps_between(conn, now, now + timedelta(hours=query.hours), self._params.rota_levels)
        return [
            GapRow(level=gap.level, areas=list(gap.areas), starts_at=gap.starts_at, ends_at=gap.ends_at)
            for gap in found
        ]

    async def hand_over(self, shift_id: int, body: HandOverBody, actor: Actor) -> HandedOverRow:
        """Pass duty on from this shift to another: until then the one who leaves stays on duty."""
        async with self._pool.acquire() as conn, conn.transaction():
            done = await desk.hand_over(conn, shift_id, body.to_shift, body.note, actor, datetime.now(UTC))
        return _handed_over(done)

    async def release(self, shift_id: int, body: ReleaseBody, actor: Actor) -> HandedOverRow:
        """End a shift without a successor."""
        async with self._pool.acquire() as conn, conn.transaction():
            done = await desk.release(conn, shift_id, body.note, actor, datetime.now(UTC))
        return _handed_over(done)

    async def handovers(self, query: HandoverQuery) -> list[HandoverRow]:
        """The newest hand-overs, each with its note and what was open."""
        async with self._pool.acquire() as conn:
            return [HandoverRow(**row) for row in await store.handovers(conn, query.limit)]

    async def tests(self, query: ReachQuery) -> list[ReachRow]:
        """The nightly tests and what became of them, newest first."""
        async with self._pool.acquire() as conn:
            rows = await store.reach_results(conn, query.nights)
        names = ReachRow.model_fields.keys() - {"result"}
        return [ReachRow(result=result_of(row), **{name: row[name] for name in names}) for row in rows]

    async def begin_tests(self, actor: Actor) -> RoundBegun:
        """Test now that everyone on duty within 24 hours can be reached."""
        if self._params.contact_key is None:
            raise Conflict("no contact_key is set, so nobody can be reached at all")
        now = datetime.now(UTC)
        night, seal = now.astimezone(self._zone).date(), Seal(self._params.contact_key)
        async with self._pool.acquire() as conn, conn.transaction():
            number, people = await reach.begin_round(conn, night, seal, now, self._params.reach_confirm_min, actor)
        return RoundBegun(night=night, round=number, people=people)

    async def confirm(self, body: ConfirmBody, actor: Actor) -> Confirmed:
        """Confirm a test by the code of its message, for yourself or for somebody who read it out to you."""
        return await confirmed(self._pool, body.code, actor)


async def confirmed(pool: asyncpg.Pool, code: str, by: Actor) -> Confirmed:
    """Take a confirmation; raises NotFound for a code that nobody was sent."""
    async with pool.acquire() as conn, conn.transaction():
        row = await reach.confirm(conn, code, by, datetime.now(UTC))
    late = row["confirmed_at"] > row["deadline_at"]
    return Confirmed(account=row["account"], channel=row["channel"], confirmed_at=row["confirmed_at"], late=late)


def _row(shift: Shift, now: datetime) -> ShiftRow:
    return ShiftRow(
        shift_id=shift.shift_id,
        account=shift.account,
        level=shift.level,
        areas=None if shift.areas is None else sorted(shift.areas),
        starts_at=shift.starts_at,
        ends_at=shift.ends_at,
        taken_at=shift.taken_at,
        relieved_at=shift.relieved_at,
        on_duty=shift.on_duty(now),
        overdue=shift.overdue(now),
    )


def _handed_over(done: desk.HandedOver) -> HandedOverRow:
    return HandedOverRow(handover_id=done.handover_id, open_alerts=done.open_alerts, uncovered=list(done.uncovered))
