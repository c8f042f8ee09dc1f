"""The validation service: readings of new batches -> findings beside them (ingest/validation.py has the rules).

Follows the batches slot by slot with a cursor of its own, so that nothing of this is in the way of ingest. What lies
around the rows of a batch is judged anew: late rows withdraw what they explain, and a batch judged twice changes
nothing. In the Apache edition it keeps behind the roll-up, whose days it compares.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg
import polars as pl
import structlog
from prometheus_client import Counter, Gauge, Histogram

from ingest.model import UNKNOWN_VALUE
from ingest.rollup import Batch, groups, within
from ingest.validation import DAYS, DEVICES, REACH, READINGS, Finding, Schema, Scope, judge_days, judge_readings
from ingest.validation_params import ValidationLimits, ValidationParams
from sql import queries

log = structlog.get_logger()

_LAG = Gauge("gaswarden_validation_waiting_batches", "Committed batches whose readings are not judged yet.")
_DATABASE_OK = Gauge("gaswarden_validation_database_ok", "1 unless the last pass failed.")
_JUDGED = Counter("gaswarden_validation_devices", "Devices judged, once for each time that readings of them arrived.")
_FOUND = Counter("gaswarden_validation_findings", "Findings added or changed, by rule.", ["rule"])
_WITHDRAWN = Counter("gaswarden_validation_withdrawn", "Findings withdrawn because later readings explain them.")
_PASS_S = Histogram(
    "gaswarden_validation_pass_seconds", "One validation transaction.", buckets=(0.01, 0.05, 0.25, 1, 5, 20, 60)
)
_DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_ACQUIRE_TIMEOUT_S = 10.0
_DAY = timedelta(days=1)
_ROWS_OF_A_PIECE = 2_000


@dataclass(frozen=True, slots=True)
class Touched:
    """A device and the device time in which readings of it arrived."""

    device_id: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """A finding as it is kept."""

    finding_id: int
    finding: Finding
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What a pass did: batches it put behind it, devices it judged, findings it kept and withdrew."""

    batches: int = 0
    devices: int = 0
    found: int = 0
    withdrawn: int = 0

    def plus(self, other: "Judged") -> "Judged":
        """Both together."""
        return Judged(
            self.batches + other.batches,
            self.devices + other.devices,
            self.found + other.found,
            self.withdrawn + other.withdrawn,
        )


async def run(pool: asyncpg.Pool, params: ValidationParams) -> None:
    """Work until cancelled; survives restarts of the database (logged once lost, once back)."""
    failed = False
    while True:
        started_s = time.monotonic()
        try:
            done = await validate(pool, params)
        except _DATABASE_ERRORS as error:
            if not failed:
                log.warning("validation_failed", why=repr(error))
            failed = True
            _DATABASE_OK.set(0)
            await asyncio.sleep(params.retry_s)
            continue
        if failed:
            log.info("validation_back")
        failed = False
        _DATABASE_OK.set(1)
        rest_s = params.rest_share * (time.monotonic() - started_s)
        await asyncio.sleep(rest_s if done.batches else params.poll_s)


async def validate(pool: asyncpg.Pool, params: ValidationParams) -> Judged:
    """One transaction for each slot with waiting batches; nothing while another process is at it."""
    async with pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as conn:
        await conn.execute(*queries["add_validation_cursors"].bind())
        total = Judged()
        for row in await conn.fetch(*queries["validation_cursors"].bind()):
            total = total.plus(await validate_slot(conn, params, row["slot"]))
        _LAG.set(await conn.fetchval(*queries["waiting_validation_batches"].bind()))
        return total


async def validate_slot(conn: asyncpg.Connection, params: ValidationParams, slot: str) -> Judged:
    """Judge the next batches of a slot, within the limits of `params`, and move its cursor, in one transaction."""
    started_s = time.monotonic()
    async with conn.transaction():
        if not await conn.fetchval(*queries["claim_validation"].bind()):
            return Judged()
        cursor = await conn.fetchval(*queries["validation_cursor_of"].bind(slot=slot))
        batches = within(await _waiting_batches(conn, slot, cursor, params.batches_max), params.rows_max)
        if not batches:
            return Judged()
        done = Judged(len(batches))
        for group in groups(batches):
            done = done.plus(await _judge_batches(conn, params, group))
        await conn.execute(*queries["advance_validation_cursor"].bind(slot=slot, batch_id=batches[-1].batch_id))
    _PASS_S.observe(time.monotonic() - started_s)
    return done


async def _waiting_batches(conn: asyncpg.Connection, slot: str, batch_id: int, batches_max: int) -> list[Batch]:
    query = queries["batches_to_validate"]
    rows = await conn.fetch(*query.bind(slot=slot, batch_id=batch_id, batches_max=batches_max))
    return [Batch(row["batch_id"], row["reading_rows"], row["first_at"], row["last_at"]) for row in rows]


async def _judge_batches(conn: asyncpg.Connection, params: ValidationParams, group: Sequence[Batch]) -> Judged:
    ids = [batch.batch_id for batch in group]
    query = queries["readings_touched"].bind(
        batch_ids=ids,
        first_id=min(ids),
        last_id=max(ids),
        first_at=min(batch.first_at for batch in group if batch.first_at is not None),
        last_at=max(batch.last_at for batch in group if batch.last_at is not None),
    )
    rows = await conn.fetch(*query, timeout=params.timeout_s)
    done = Judged()
    for start in range(0, len(rows), params.devices_at_once):
        touched = [Touched(**dict(row)) for row in rows[start : start + params.devices_at_once]]
        done = done.plus(await _judge_devices(conn, params, touched, max(ids)))
    return done


async def _judge_devices(
    conn: asyncpg.Connection, params: ValidationParams, touched: Sequence[Touched], batch_id: int
) -> Judged:
    ids = [one.device_id for one in touched]
    devices = _frame(await conn.fetch(*queries["devices_to_validate"].bind(device_ids=ids)), DEVICES)
    around = await _readings_around(conn, params, touched)
    days = await _days_around(conn, params, touched)
    by_reading = await asyncio.to_thread(_findings_in, around, devices, params, touched)
    by_day = await asyncio.to_thread(_findings_of, days, devices, params)
    done = Judged(devices=len(touched))
    for scope, findings, spans in (("reading", *by_reading), ("day", by_day, _day_spans(touched, params))):
        known = await _known_findings(conn, spans, scope)
        keep, gone = reconcile([one for one in findings if _is_within(one, spans)], known)
        await _write(conn, keep, gone, batch_id)
        done = done.plus(Judged(found=len(keep), withdrawn=len(gone)))
    _JUDGED.inc(len(touched))
    return done


Spans = dict[int, tuple[datetime, datetime]]


async def _readings_around(
    conn: asyncpg.Connection, params: ValidationParams, touched: Sequence[Touched]
) -> list[asyncpg.Record]:
    reach = timedelta(days=params.look_around_days)
    query = queries["readings_to_validate"].bind(
        device_ids=[one.device_id for one in touched],
        first_ats=[one.first_at for one in touched],
        last_ats=[one.last_at for one in touched],
        rows_around=2 * REACH,
        earliest_at=min(one.first_at for one in touched) - reach,
        latest_at=max(one.last_at for one in touched) + reach,
        unknown_flags=int(UNKNOWN_VALUE),
    )
    return list(await conn.fetch(*query, timeout=params.timeout_s))


async def _days_around(
    conn: asyncpg.Connection, params: ValidationParams, touched: Sequence[Touched]
) -> list[asyncpg.Record]:
    spans = _day_spans(touched, params)
    query = queries["days_to_validate"].bind(
        device_ids=list(spans),
        first_days=[first - params.day_reach * _DAY for first, _ in spans.values()],
        last_days=[last for _, last in spans.values()],
    )
    return list(await conn.fetch(*query, timeout=params.timeout_s))


def _day_spans(touched: Sequence[Touched], params: ValidationParams) -> Spans:
    """The days whose verdict may change, by device: those touched and those that are compared with them."""
    return {one.device_id: (_day_of(one.first_at), _day_of(one.last_at) + params.day_reach * _DAY) for one in touched}


def _day_of(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _findings_in(
    rows: Sequence[asyncpg.Record], devices: pl.DataFrame, limits: ValidationLimits, touched: Sequence[Touched]
) -> tuple[list[Finding], Spans]:
    """Findings about the readings around, and by device the span in which they are whole."""
    frame = _frame(rows, READINGS | {"side": pl.Int32})
    return judge_readings(frame.drop("side"), devices, limits), _spans(frame, touched)


def _findings_of(rows: Sequence[asyncpg.Record], devices: pl.DataFrame, limits: ValidationLimits) -> list[Finding]:
    """Findings about the days around."""
    return judge_days(_frame(rows, DAYS), devices, limits)


def _spans(frame: pl.DataFrame, touched: Sequence[Touched]) -> Spans:
    """From REACH readings before what arrived to REACH after it, by device: there a verdict has all that it needs."""
    spans: Spans = {one.device_id: (one.first_at, one.last_at) for one in touched}
    before = frame.filter(pl.col("side") < 0).group_by("device_id").agg(pl.col("at").top_k(REACH).min())
    after = frame.filter(pl.col("side") > 0).group_by("device_id").agg(pl.col("at").bottom_k(REACH).max())
    for device_id, at in before.iter_rows():
        spans[device_id] = at, spans[device_id][1]
    for device_id, at in after.iter_rows():
        spans[device_id] = spans[device_id][0], at
    return spans


def _is_within(one: Finding, spans: Spans) -> bool:
    first, last = spans[one.device_id]
    return first <= one.at <= last


async def _known_findings(conn: asyncpg.Connection, spans: Spans, scope: str) -> list[Known]:
    query = queries["findings_between"].bind(
        device_ids=list(spans),
        from_ats=[first for first, _ in spans.values()],
        until_ats=[last for _, last in spans.values()],
        scope=scope,
    )
    return [
        Known(
            row["finding_id"],
            Finding(row["device_id"], row["at"], row["scope"], row["rule"], row["detail"]),
            row["withdrawn_at"] is not None,
        )
        for row in await conn.fetch(*query)
    ]


def reconcile(found: Iterable[Finding], known: Iterable[Known]) -> tuple[list[Finding], list[int]]:
    """What is to be kept (new, changed or true again), and the ids of what holds no longer."""
    by_key = {_key(one.finding): one for one in known}
    keep = []
    for one in found:
        before = by_key.pop(_key(one), None)
        if before is None or before.withdrawn or before.finding.detail != one.detail:
            keep.append(one)
    return keep, [one.finding_id for one in by_key.values() if not one.withdrawn]


def _key(one: Finding) -> tuple[int, datetime, Scope, str]:
    return one.device_id, one.at, one.scope, one.rule


async def _write(conn: asyncpg.Connection, keep: Sequence[Finding], gone: Sequence[int], batch_id: int) -> None:
    now = datetime.now(UTC)
    if keep:
        query = queries["keep_findings"].bind(
            device_ids=[one.device_id for one in keep],
            ats=[one.at for one in keep],
            scopes=[one.scope for one in keep],
            rules=[one.rule for one in keep],
            details=[one.detail for one in keep],
            batch_id=batch_id,
            found_at=now,
        )
        await conn.execute(*query)
    if gone:
        await conn.execute(*queries["withdraw_findings"].bind(finding_ids=list(gone), withdrawn_at=now))
    for one in keep:
        _FOUND.labels(one.rule).inc()
    _WITHDRAWN.inc(len(gone))


def _frame(rows: Sequence[asyncpg.Record], schema: Schema) -> pl.DataFrame:
    """The rows as a frame; piece by piece, for the making of one lets no other thread run."""
    pieces = [rows[start : start + _ROWS_OF_A_PIECE] for start in range(0, max(1, len(rows)), _ROWS_OF_A_PIECE)]
    return pl.concat(
        [pl.DataFrame([tuple(row) for row in piece], schema=schema, orient="row") for piece in pieces], rechunk=True
    )
