"""Backtests of what is looked at once a day: the same alerts as live raised, day by day."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter

import asyncpg
import pytest

from rules.backtest import Report
from rules.backtesting import Asked, run_backtest
from rules.catalog import default_catalog
from rules.daily import daily_pass
from tests.service.heard_story import FACTS, Fact, facts
from tests.service.rules_rows import Town, insert, make_town

DAILY = {"zone_loss", "meter_past_life", "detector_past_life"}
CATALOG = replace(default_catalog(), rules={name: default_catalog().rules[name] for name in sorted(DAILY)})
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 18
ASKED = Asked(BEGIN, BEGIN + timedelta(days=DAYS), answered_after=None)


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    return await make_town(conn)


def on(day: float) -> datetime:
    return BEGIN + timedelta(days=day)


async def day(pool: asyncpg.Pool, now: datetime) -> None:
    """Everything that a day asks for."""
    while (await daily_pass(pool, CATALOG, now)).batches:
        pass


async def tried(conn: asyncpg.Connection, asked: Asked = ASKED) -> Report:
    async def nothing(_done: int, _devices: int) -> None:
        """Nobody listens."""

    return await run_backtest(conn, CATALOG, None, asked, "UTC", nothing)


def told(report: Report) -> set[Fact]:
    found = [one for one in report.alerts if one.rule_id in DAILY]
    return {tuple(getattr(one, name) for name in FACTS) for one in found}


async def live(conn: asyncpg.Connection) -> set[Fact]:
    """What was raised within the period."""
    raised_at = FACTS.index("raised_at")
    return {fact for fact in await facts(conn, DAILY) if BEGIN < fact[raised_at] <= ASKED.until}  # type: ignore[operator]


async def test_lives_that_end_in_a_period_are_found_on_their_day(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Ended before, within, long ago with a worse rung, moved to another home, made unknown: as live raised them."""
    await town.device("M-OLD", made_on=date(2012, 5, 1))
    await town.device("M-ENDS", made_on=date(2016, 11, 5))
    await town.device("M-WORSE", made_on=date(2015, 11, 9))
    unknown = await town.device("M-UNKNOWN", home=None)
    moved = await town.device("LD-1", "detector", home=None, made_on=date(2021, 11, 8))
    uses = ((unknown, 0, datetime(2016, 11, 12, 9, tzinfo=UTC), None), (moved, 0, on(-300), on(12.4)))
    for device_id, home, installed_at, removed_at in (*uses, (moved, 1, on(15.3), None)):
        place = {"premises_id": town.premises_ids[home], "installed_at": installed_at}
        await insert(conn, "installation", "installation_id", device_id=device_id, **place)
        if removed_at is not None:
            for number in range(13):
                await day(pool, on(number))
            out = "UPDATE installation SET removed_at = $2 WHERE device_id = $1"
            await conn.execute(out, device_id, removed_at)
            await day(pool, on(13))
            await day(pool, on(14))
            await day(pool, on(15))
    for number in range(16, DAYS + 1):
        await day(pool, on(number))
    raised = await live(conn)
    assert {fact[0] for fact in raised} == {"meter_past_life", "detector_past_life"}
    assert len(raised) >= 4
    assert told(await tried(conn)) == raised


async def arrive(conn: asyncpg.Connection, town: Town, arrivals: list[tuple[datetime, int, datetime, int]]) -> None:
    """Store registers (arrival, device, moment, mL), a batch for each moment of arrival."""
    for arrived_at, part in groupby(arrivals, key=itemgetter(0)):
        batch_id = await town.batch(received_at=arrived_at)
        rows = [(device_id, at, index_ml, 0, batch_id) for _, device_id, at, index_ml in part]
        columns = ("device_id", "at", "index_ml", "flags", "batch_id")
        await conn.copy_records_to_table("reading", records=rows, columns=columns)


async def test_a_zone_is_balanced_by_what_had_arrived_on_each_day(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """A loss that begins and is mended, homes read days late, a check meter unread for a day: as live judged."""
    homes = [await town.device(f"M-{number}", home=number % 2, pulse_ml=10) for number in range(8)]
    check = await town.device("CHECK-1", home=None, pulse_ml=10, check_of="building:D01-B1")
    arrivals: list[tuple[datetime, int, datetime, int]] = []
    lost_l = 0.0
    for number in range(-9, DAYS + 1):
        lost_l += 900.0 if 4 <= number < 11 else 0.0
        at = on(number) + timedelta(minutes=10)
        for place, home in enumerate(homes):
            delay = 70 if number in (7, 16) and place < 3 else 1
            arrivals.append((at + timedelta(hours=delay), home, at, (number + 9) * 600_000))
        if number != 12:
            arrivals.append((at + timedelta(hours=1), check, at, (number + 9) * 8 * 600_000 + round(lost_l * 1000)))
    waiting = sorted(arrivals)
    for number in range(DAYS + 1):
        await arrive(conn, town, [one for one in waiting if one[0] <= on(number)])
        waiting = [one for one in waiting if one[0] > on(number)]
        await day(pool, on(number))
    raised = await live(conn)
    assert [fact[0] for fact in raised] == ["zone_loss"]
    report = await tried(conn)
    assert told(report) == raised
    assumed = {one.rule_id: one.assumes for one in report.rules}
    assert "each UTC day" in str(assumed["zone_loss"])
    elsewhere = await tried(conn, replace(ASKED, devices=("M-0",)))
    assert told(elsewhere) == raised
