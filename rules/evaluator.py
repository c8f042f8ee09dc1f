"""The rules service: loops that never wait for one another, and a listener that wakes them.

Events must reach an officer within milliseconds, so they have a loop of their own; reports, windows of readings,
absences and what inspectors found follow at their own pace.

Every loop also polls, so a lost notification loses nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import structlog
from prometheus_client import Counter, Gauge, Histogram

from rules import clockwork, passes, store
from rules.backtest_jobs import work_off_one
from rules.catalog import Catalog, default_catalog
from rules.daily import daily_pass
from rules.day_passes import STREAM as DAYS
from rules.day_passes import days_pass, rolled_up_slots
from rules.fitness import lacking
from rules.params import RuleParams
from rules.passes import Done, Listening
from rules.report_passes import STREAM, reports_pass
from rules.rule_sets import InForce
from sql.own_loop import OwnPool, run_in_own_loop

log = structlog.get_logger()

CONNECTED = Gauge("gaswarden_rules_connected", "1 while the rules service listens to the database")
WRITTEN = Counter("gaswarden_rules_alerts_written_total", "Alerts opened or changed", ["stream"])
BATCHES = Counter("gaswarden_rules_batches_total", "Ingest batches evaluated", ["stream"])
PASS_SECONDS = Histogram("gaswarden_rules_pass_seconds", "Duration of one evaluation pass", ["stream"])

_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection lost between two of its states
    OSError,
    TimeoutError,
)
"""What a restarting or crowded database says; anything else is a mistake of ours and stops the service."""


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
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Evaluate until cancelled; survives restarts of the database. `ready` is set once it listens.

    `catalog` is in force until a set of rules is activated; each pass asks which is. With `events_pool` events have an
    event loop and connections of their own.
    """
    wakes = _Wakes()
    book = InForce(catalog)
    silences = Listening([])

    async def reports() -> Done:
        rules = await book.current(pool)

        def one(slot: str) -> Awaitable[Done]:
            return reports_pass(pool, rules, slot, clock(), params.batches_max, params.devices_max)

        return await _all_slots(pool, STREAM, one)

    async def readings() -> Done:
        rules = await book.current(pool)

        def one(slot: str) -> Awaitable[Done]:
            return passes.readings_pass(
                pool, rules, slot, clock(), params.batches_max, params.devices_max, params.city_timezone
            )

        return await _all_slots(pool, "readings", one)

    async def days() -> Done:
        rules = await book.current(pool)
        async with pool.acquire() as conn:
            await store.add_cursors(conn, DAYS)
            slots = await rolled_up_slots(conn)

        def one(slot: str) -> Awaitable[Done]:
            return days_pass(pool, rules, slot, clock(), params.batches_max, params.devices_max, params.city_timezone)

        return summed([await one(slot) for slot in slots])

    async def tick() -> Done:
        return await passes.tick(pool, await book.current(pool), silences, clock(), params.city_timezone)

    told_of: Catalog | None = None

    async def daily() -> Done:
        nonlocal told_of
        rules = await book.current(pool)
        if rules is not told_of:
            told_of = rules
            _tell_lacking(rules)
        return await daily_pass(pool, rules, clock())

    async def backtests() -> Done:
        return Done(int(await work_off_one(pool, await book.current(pool), params.city_timezone)))

    regime = params.chosen_regime()

    started = False

    async def clockwork_pass() -> Done:
        nonlocal started
        if not started:
            await clockwork.start(pool, regime, clock())
            started = True
        await clockwork.look(pool, clock)
        return Done()

    async def proving_pass() -> Done:
        await clockwork.prove(pool, clock())
        return Done()

    async with asyncio.TaskGroup() as group:
        group.create_task(_loop("backtests", backtests, wakes.backtests, params.tick_s, 0, params), name="backtests")
        group.create_task(_listen(pool, wakes, params, ready), name="rules-listen")
        group.create_task(_watch_events(pool, catalog, params, events_pool, wakes, clock), name="rules-events")
        group.create_task(
            _loop(STREAM, reports, wakes.reports, params.poll_s, params.reports_pause_s, params, params.rest_share),
            name="rules-reports",
        )
        group.create_task(
            _loop(
                "readings", readings, wakes.readings, params.poll_s, params.readings_pause_s, params, params.rest_share
            ),
            name="rules-readings",
        )
        group.create_task(
            _loop(DAYS, days, asyncio.Event(), params.poll_s, params.readings_pause_s, params), name="rules-days"
        )
        group.create_task(_loop("daily", daily, asyncio.Event(), params.daily_poll_s, 0, params), name="rules-daily")
        group.create_task(
            _loop("clock", clockwork_pass, asyncio.Event(), params.clock_s, 0, params), name="rules-clock"
        )
        group.create_task(_loop("proof", proving_pass, asyncio.Event(), params.proof_s, 0, params), name="rules-proof")
        group.create_task(_loop("tick", tick, wakes.tick, params.tick_s, params.poll_s, params), name="rules-tick")


def _tell_lacking(catalog: Catalog) -> None:
    """Say once which rules of the program a set lacks: it was written before they were there."""
    if missing := lacking(catalog, default_catalog()):
        names = [rule.rule_id for rule in missing]
        log.warning("the set of rules in force lacks rules of this program: see `gaswarden rules list`", rules=names)


async def _watch_events(
    pool: asyncpg.Pool,
    catalog: Catalog,
    params: RuleParams,
    own_pool: OwnPool | None,
    wakes: _Wakes,
    clock: Callable[[], datetime],
) -> None:
    """The loop of events: woken by `wakes`, or, apart, by a listener of its own."""
    book = InForce(catalog)

    async def loop(pool: asyncpg.Pool, wake: asyncio.Event) -> None:
        async def events() -> Done:
            rules = await book.current(pool)
            one = lambda slot: passes.events_pass(pool, rules, slot, clock(), params.batches_max)  # noqa: E731
            return await _all_slots(pool, "events", one)

        await _loop("events", events, wake, params.poll_s, 0, params)

    async def apart(opened: asyncpg.Pool) -> None:
        own = _Wakes()
        async with asyncio.TaskGroup() as both:
            both.create_task(_listen(opened, own, params, None), name="rules-events-listen")
            both.create_task(loop(opened, own.events), name="rules-events")

    if own_pool is None:
        await loop(pool, wakes.events)
    else:
        await run_in_own_loop(apart, own_pool, "rules events")


async def _all_slots(pool: asyncpg.Pool, stream: str, one: Callable[[str], Awaitable[Done]]) -> Done:
    async with pool.acquire() as conn:
        await store.add_cursors(conn, stream)
        slots = await store.waiting_slots(conn, stream)
    return summed([await one(slot) for slot in slots])


def summed(parts: Sequence[Done]) -> Done:
    """What the passes over some slots did together."""
    return Done(sum(one.batches for one in parts), tuple(alert_id for one in parts for alert_id in one.alert_ids))


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
        except _LOST as error:
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
        except _LOST as error:
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
