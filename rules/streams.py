"""One pass of each stream over all that waits for it, with the rules in force at that moment.

rules/evaluator.py runs each in a loop of its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import asyncpg
import structlog

from rules import clockwork, passes, store
from rules.backtest_jobs import work_off_one
from rules.catalog import Catalog, default_catalog
from rules.daily import daily_pass
from rules.day_passes import STREAM as DAYS
from rules.day_passes import days_pass, rolled_up_slots
from rules.fitness import lacking
from rules.params import RuleParams
from rules.passes import Done, Listening
from rules.report_passes import STREAM as REPORTS
from rules.report_passes import reports_pass
from rules.rule_sets import InForce

log = structlog.get_logger()

Clock = Callable[[], datetime]


class Streams:
    """What the rules do, stream by stream. `catalog` is in force until a set of rules is activated."""

    def __init__(self, pool: asyncpg.Pool, catalog: Catalog, params: RuleParams, clock: Clock) -> None:
        self._pool, self._params, self._clock = pool, params, clock
        self._book = InForce(catalog)
        self._listening = Listening([])
        self._regime = params.chosen_regime()
        self._told_of: Catalog | None = None
        self._wound = False

    async def events(self) -> Done:
        """Alarms."""
        rules = await self._book.current(self._pool)

        def one(slot: str) -> Awaitable[Done]:
            return passes.events_pass(self._pool, rules, slot, self._clock(), self._params.batches_max)

        return await self._waiting_slots("events", one)

    async def reports(self) -> Done:
        """Other events, status words and measures."""
        rules, params = await self._book.current(self._pool), self._params

        def one(slot: str) -> Awaitable[Done]:
            return reports_pass(self._pool, rules, slot, self._clock(), params.batches_max, params.devices_max)

        return await self._waiting_slots(REPORTS, one)

    async def readings(self) -> Done:
        """Windows of devices whose readings changed."""
        rules = await self._book.current(self._pool)
        most = (self._params.batches_max, self._params.devices_max)

        def one(slot: str) -> Awaitable[Done]:
            return passes.readings_pass(self._pool, rules, slot, self._clock(), *most, self._params.city_timezone)

        return await self._waiting_slots("readings", one)

    async def days(self) -> Done:
        """Days of devices whose readings were rolled up."""
        rules = await self._book.current(self._pool)
        most = (self._params.batches_max, self._params.devices_max)
        async with self._pool.acquire() as conn:
            await store.add_cursors(conn, DAYS)
            slots = await rolled_up_slots(conn)
        zone = self._params.city_timezone
        return summed([await days_pass(self._pool, rules, slot, self._clock(), *most, zone) for slot in slots])

    async def tick(self) -> Done:
        """Who is missing, what ended, what inspectors found."""
        rules = await self._book.current(self._pool)
        return await passes.tick(self._pool, rules, self._listening, self._clock(), self._params.city_timezone)

    async def daily(self) -> Done:
        """Ages and balances of zones; says of each set once which rules of the program it lacks."""
        rules = await self._book.current(self._pool)
        if rules is not self._told_of:
            self._told_of = rules
            _tell_lacking(rules)
        return await daily_pass(self._pool, rules, self._clock())

    async def backtests(self) -> Done:
        """One backtest that somebody asked for."""
        rules = await self._book.current(self._pool)
        return Done(int(await work_off_one(self._pool, rules, self._params.city_timezone)))

    async def clock(self) -> Done:
        """Deadlines of alerts; the first time also what the settings say of the regime."""
        if not self._wound:
            await clockwork.start(self._pool, self._regime, self._clock())
            self._wound = True
        await clockwork.look(self._pool, self._clock)
        return Done()

    async def proof(self) -> Done:
        """What telemetry proves of alerts that were made safe."""
        await clockwork.prove(self._pool, self._clock())
        return Done()

    async def _waiting_slots(self, stream: str, one: Callable[[str], Awaitable[Done]]) -> Done:
        async with self._pool.acquire() as conn:
            await store.add_cursors(conn, stream)
            slots = await store.waiting_slots(conn, stream)
        return summed([await one(slot) for slot in slots])


def summed(parts: Sequence[Done]) -> Done:
    """What the passes over some slots did together."""
    return Done(sum(one.batches for one in parts), tuple(alert_id for one in parts for alert_id in one.alert_ids))


def _tell_lacking(catalog: Catalog) -> None:
    if missing := lacking(catalog, default_catalog()):
        names = [rule.rule_id for rule in missing]
        log.warning("the set of rules in force lacks rules of this program: see `gaswarden rules list`", rules=names)
