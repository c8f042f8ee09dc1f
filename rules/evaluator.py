"""The rules service: loops that never wait for one another, and a listener that wakes them.

Events must reach an officer within milliseconds, so they have a loop of their own; reports, windows of readings,
absences and what inspectors found follow at their own pace.

Every loop also polls, so a lost notification loses nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import structlog
from prometheus_client import Counter, Gauge, Histogram

from rules.catalog import Catalog
from rules.day_passes import STREAM as DAYS
from rules.params import RuleParams
from rules.passes import Done
from rules.report_passes import STREAM as REPORTS
from rules.streams import Clock, Streams
from sql.own_loop import OwnPool, run_in_own_loop
from sql.pool import DATABASE_LOST

log = structlog.get_logger()

CONNECTED = Gauge("gaswarden_rules_connected", "1 while the rules service listens to the database")
WRITTEN = Counter("gaswarden_rules_alerts_written_total", "Alerts opened or changed", ["stream"])
BATCHES = Counter("gaswarden_rules_batches_total", "Ingest batches evaluated", ["stream"])
PASS_SECONDS = Histogram("gaswarden_rules_pass_seconds", "Duration of one evaluation pass", ["stream"])


@dataclass(frozen=True, slots=True)
class _Wakes:
    events: asyncio.Event = field(default_factory=asyncio.Event)
    reports: asyncio.Event = field(default_factory=asyncio.Event)
    readings: asyncio.Event = field(default_factory=asyncio.Event)
    tick: asyncio.Event = field(default_factory=asyncio.Event)
    backtests: asyncio.Event = field(default_factory=asyncio.Event)

    def on_notice(self, _conn: object, _pid: int, channel: str, _payload: object) -> None:
        """Wake the loops that a channel concerns."""
        if channel == "gaswarden_batch":
            self.events.set()
            self.reports.set()
            self.readings.set()
        elif channel == "gaswarden_rules":
            self.backtests.set()
        else:
            self.tick.set()


async def run(
    pool: asyncpg.Pool,
    catalog: Catalog,
    params: RuleParams,
    *,
    events_pool: OwnPool | None = None,
    ready: asyncio.Event | None = None,
    clock: Clock = lambda: datetime.now(UTC),
) -> None:
    """Evaluate until cancelled; survives restarts of the database. `ready` is set once it listens.

    `catalog` is in force until a set of rules is activated; each pass asks which is. With `events_pool` events have an
    event loop and connections of their own.
    """
    wakes = _Wakes()
    streams = Streams(pool, catalog, params, clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(_listen(pool, wakes, params, ready), name="rules-listen")
        group.create_task(_watch_events(pool, catalog, params, events_pool, wakes, clock), name="rules-events")
        for one in _loops(streams, wakes, params):
            task = _loop(one.stream, one.one_pass, one.wake, one.wait_s, one.pause_s, params, one.rest_share)
            group.create_task(task, name=f"rules-{one.stream}")


@dataclass(frozen=True, slots=True)
class _Looped:
    """A stream's pass, what wakes it, how long it waits at most, and how it rests (`_loop`)."""

    stream: str
    one_pass: Callable[[], Awaitable[Done]]
    wait_s: float
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    pause_s: float = 0.0
    rest_share: float = 0.0


def _loops(streams: Streams, wakes: _Wakes, params: RuleParams) -> list[_Looped]:
    """Everything but events, each at its own pace."""
    poll_s, rest = params.poll_s, params.rest_share
    return [
        _Looped(REPORTS, streams.reports, poll_s, wakes.reports, params.reports_pause_s, rest),
        _Looped("readings", streams.readings, poll_s, wakes.readings, params.readings_pause_s, rest),
        _Looped(DAYS, streams.days, poll_s, pause_s=params.readings_pause_s),
        _Looped("daily", streams.daily, params.daily_poll_s),
        _Looped("tick", streams.tick, params.tick_s, wakes.tick, poll_s),
        _Looped("clock", streams.clock, params.clock_s),
        _Looped("proof", streams.proof, params.proof_s),
        _Looped("backtests", streams.backtests, params.tick_s, wakes.backtests),
    ]


async def _watch_events(
    pool: asyncpg.Pool,
    catalog: Catalog,
    params: RuleParams,
    own_pool: OwnPool | None,
    wakes: _Wakes,
    clock: Clock,
) -> None:
    """The loop of events: woken by `wakes`, or, apart, by a listener of its own."""

    async def loop(pool: asyncpg.Pool, wake: asyncio.Event) -> None:
        streams = Streams(pool, catalog, params, clock)
        await _loop("events", streams.events, wake, params.poll_s, 0, params)

    async def apart(opened: asyncpg.Pool) -> None:
        own = _Wakes()
        async with asyncio.TaskGroup() as both:
            both.create_task(_listen(opened, own, params, None), name="rules-events-listen")
            both.create_task(loop(opened, own.events), name="rules-events")

    if own_pool is None:
        await loop(pool, wakes.events)
    else:
        await run_in_own_loop(apart, own_pool, "rules events")


async def _loop(
    stream: str,
    one_pass: Callable[[], Awaitable[Done]],
    wake: asyncio.Event,
    wait_s: float,
    pause_s: float,
    params: RuleParams,
    rest_share: float = 0.0,
) -> None:
    """Pass after pass while there is work; otherwise wait for a notice, at most `wait_s`.

    After a pass it rests `rest_share` of the time that it took, at least `pause_s`: what a burst brings meanwhile is
    then evaluated together, and alarms find the processor free.
    """
    lost = False
    while True:
        wake.clear()
        started_s = time.monotonic()
        try:
            with PASS_SECONDS.labels(stream).time():
                done = await one_pass()
        except DATABASE_LOST as error:
            lost = _say_lost(stream, error, lost)
            await asyncio.sleep(params.back_off_s)
            continue
        lost = _say_back(stream, lost)
        BATCHES.labels(stream).inc(done.batches)
        WRITTEN.labels(stream).inc(len(done.alert_ids))
        await asyncio.sleep(max(pause_s, rest_share * (time.monotonic() - started_s)))
        if done.batches == 0:
            await _wait(wake, wait_s)


async def _wait(wake: asyncio.Event, wait_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait_s):
            await wake.wait()


def _say_lost(what: str, error: BaseException, already: bool) -> bool:
    if not already:
        log.warning("rules: database lost, trying again", loop=what, error=str(error) or type(error).__name__)
    return True


def _say_back(what: str, lost: bool) -> bool:
    if lost:
        log.info("rules: database is back", loop=what)
    return False


async def _listen(pool: asyncpg.Pool, wakes: _Wakes, params: RuleParams, ready: asyncio.Event | None) -> None:
    lost = False
    while True:
        try:
            async with pool.acquire() as conn, _listening(conn, wakes) as gone:
                lost = _say_back("listen", lost)
                if ready is not None:
                    ready.set()
                await gone.wait()
            lost = _say_lost("listen", ConnectionError("the listening connection was closed"), lost)
        except DATABASE_LOST as error:
            lost = _say_lost("listen", error, lost)
        await asyncio.sleep(params.back_off_s)


@contextlib.asynccontextmanager
async def _listening(conn: asyncpg.Connection, wakes: _Wakes) -> AsyncIterator[asyncio.Event]:
    """Listen on a connection; the event is set when the connection is gone. Leaves the connection as it was."""
    gone = asyncio.Event()

    def on_end(_conn: object) -> None:
        gone.set()

    conn.add_termination_listener(on_end)
    try:
        await conn.add_listener("gaswarden_batch", wakes.on_notice)
        await conn.add_listener("gaswarden_outcome", wakes.on_notice)
        await conn.add_listener("gaswarden_rules", wakes.on_notice)
        CONNECTED.set(1)
        yield gone
    finally:
        CONNECTED.set(0)
        if not conn.is_closed():
            conn.remove_termination_listener(on_end)
            await conn.remove_listener("gaswarden_batch", wakes.on_notice)
            await conn.remove_listener("gaswarden_outcome", wakes.on_notice)
            await conn.remove_listener("gaswarden_rules", wakes.on_notice)
