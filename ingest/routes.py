"""HTTP of ingest: a device and its readings, the ledger."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import asyncpg
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ingest import ledger
from ingest.phrases import reading_marks
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_EVERYBODY = frozenset({"officer", "administrator", "inspector"})


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceAnswer(_Frozen):
    """A device, where it is, and its newest known facts; null is unknown."""

    device_id: int
    family: str
    code: str
    kind: Literal["meter", "detector"]
    gateway: str
    area: str
    model: str | None
    meter_class: str | None
    qmin_lh: float | None
    qmax_lh: float | None
    pulse_ml: int | None
    register_wrap_ml: int | None
    has_valve: bool
    expected_interval_s: int
    warn_lel_pct: float | None
    alarm_lel_pct: float | None
    made_on: date | None
    codec: str | None
    site_zone: str | None
    register_name: str | None
    alarm_level: int | None
    volume_kind: Literal["cumulative", "interval"]
    check_of: str | None
    premises: str | None
    last_received_at: datetime | None
    heard_at: datetime | None
    reported_at: datetime | None
    status: int | None
    battery_mv: int | None
    rsrp_dbm: int | None
    lel_pct: float | None
    index_at: datetime | None
    index_ml: int | None
    valve_at: datetime | None
    valve: str | None
    leak_at: datetime | None
    leak_state: str | None
    leak_level: int | None
    battery_pct: float | None
    presence_at: datetime | None
    presence: Literal["online", "offline", "stale"] | None


class ReadingAnswer(_Frozen):
    """One stored reading; `flags` are our marks (docs/payloads.md), `marks` they and the findings, in words."""

    at: datetime
    index_ml: int | None
    flow_lh: float | None
    pressure_pa: int | None
    temperature_c: float | None
    lel_pct: float | None
    battery_mv: int | None
    rsrp_dbm: int | None
    seq: int | None
    reason: int | None
    status: int | None
    flags: int
    batch_id: int
    marks: list[str]


class ReadingPage(_Frozen):
    """Readings, newest first; `next` is the cursor of the following page."""

    items: list[ReadingAnswer]
    next: datetime | None


class ReadingQuery(_Frozen):
    """A range of device time, and a page of it."""

    since: AwareDatetime | None = Field(None, description="From this moment; default: one day before `until`.")
    until: AwareDatetime | None = Field(None, description="Before this moment; default: ten minutes from now.")
    after: AwareDatetime | None = Field(None, description="Cursor: `next` of the page before.")
    limit: int = Field(50, ge=1, le=500)


class LedgerQuery(_Frozen):
    """Days of arrival, both included."""

    first_day: date | None = Field(None, description="Default: today (UTC).")
    last_day: date | None = Field(None, description="Default: the first day.")
    gateway: str | None = Field(None, max_length=64, pattern=r"^[^\x00]*$", description="Lines of this gateway alone.")
    slot: str | None = Field(None, max_length=64, pattern=r"^[^\x00]*$", description="Lines of this worker alone.")


class LedgerLine(_Frozen):
    """What became of the messages of one day, slot and gateway."""

    day: date
    slot: str
    gateway: str
    received: int
    stored: int
    duplicate: int
    late: int
    conflict: int
    quarantined: int


class MissingLine(_Frozen):
    """Messages that a device's sequence numbers say were sent and that never arrived."""

    gateway: str
    family: str
    device: str
    missing: int
    gaps: int
    first_at: datetime
    last_at: datetime


class FloodLine(_Frozen):
    """A gateway above its rate limit; of the messages held back, `waiting` are in no line of the ledger yet."""

    lane: str
    gateway: str
    area: str | None
    started_at: datetime
    ended_at: datetime | None
    held: int
    waiting: int
    limit_per_s: float | None


class LedgerAnswer(_Frozen):
    """The ledger of some days, whether every line balances, what is missing by sequence number, and who flooded."""

    balances: bool
    faults: list[str]
    received: int
    by_disposition: dict[str, int]
    items: list[LedgerLine]
    missing: list[MissingLine]
    floods: list[FloodLine]


class IngestRoutes:
    """Handlers of the ingest package."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route; fixed paths before those with a parameter."""
        return [
            ("GET", "/devices/by-code/{family}/{code}", _EVERYBODY, self.device_by_code),
            ("GET", "/devices/{device_id}", _EVERYBODY, self.device),
            ("GET", "/devices/{device_id}/readings", _EVERYBODY, self.readings),
            ("GET", "/ledger", _OFFICE, self.ledger),
        ]

    async def device_by_code(self, family: str, code: str, actor: Actor) -> DeviceAnswer:
        """A device by its identity: the family it belongs to and its code there."""
        device_id = await self._pool.fetchval(*queries["device_id_by_code"].bind(family=family, code=code))
        if device_id is None:
            raise NotFound(f"no {family} device {code}")
        return await self.device(device_id, actor)

    async def device(self, device_id: int, actor: Actor) -> DeviceAnswer:
        """A device with its newest known facts."""
        query = queries["device_by_id"]
        row = await self._pool.fetchrow(*query.bind(device_id=device_id, areas=actor.area_list()))
        if row is None:
            raise NotFound(f"no device {device_id}")
        return DeviceAnswer.model_validate(dict(row))

    async def readings(self, device_id: int, query: ReadingQuery, actor: Actor) -> ReadingPage:
        """Readings of a device in a range of device time, newest first."""
        await self.device(device_id, actor)
        until = query.until or datetime.now(UTC) + timedelta(minutes=10)
        since = query.since or until - timedelta(days=1)
        rows = await self._pool.fetch(
            *queries["device_readings"].bind(
                device_id=device_id, since=since, until=until, after=query.after, page_size=query.limit + 1
            )
        )
        items = await self._with_marks(device_id, rows[: query.limit])
        return ReadingPage(items=items, next=items[-1].at if len(rows) > query.limit else None)

    async def _with_marks(self, device_id: int, rows: Sequence[asyncpg.Record]) -> list[ReadingAnswer]:
        if not rows:
            return []
        findings = await self._pool.fetch(
            *queries["findings_of_readings"].bind(device_id=device_id, first_at=rows[-1]["at"], last_at=rows[0]["at"])
        )
        return [ReadingAnswer(**dict(row), marks=reading_marks(row["at"], row["flags"], findings)) for row in rows]

    async def ledger(self, query: LedgerQuery, actor: Actor) -> LedgerAnswer:
        """What became of every message of some days, and which never came."""
        first_day = query.first_day or datetime.now(UTC).date()
        last_day = query.last_day or first_day
        since = datetime.combine(first_day, datetime.min.time(), UTC)
        until = datetime.combine(last_day + timedelta(days=1), datetime.min.time(), UTC)
        async with self._pool.acquire() as conn:
            lines = await ledger.ledger_days(conn, first_day, last_day, actor, gateway=query.gateway, slot=query.slot)
            faults = await ledger.ledger_against_batches(conn)
            missing = await ledger.missing_messages(conn, since, until, actor, gateway=query.gateway)
            floods = await ledger.gateway_floods(conn, since, actor, gateway=query.gateway)
        proof = ledger.prove(lines, faults)
        return LedgerAnswer(
            balances=proof.balances,
            faults=list(proof.faults),
            received=proof.received,
            by_disposition=proof.by_kind,
            items=[LedgerLine.model_validate(line, from_attributes=True) for line in lines],
            missing=[MissingLine.model_validate(one, from_attributes=True) for one in missing],
            floods=[FloodLine.model_validate(one, from_attributes=True) for one in floods],
        )
