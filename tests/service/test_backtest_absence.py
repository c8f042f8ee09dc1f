"""Backtests of who is not heard: what was played live, out of what is stored of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import asyncpg
import pytest

from rules.backtest import Report
from rules.backtesting import Asked, run_backtest
from rules.catalog import default_catalog
from tests.service.heard_story import BEGIN, EVERY, FACTS, Fact, Story, compound, facts, play
from tests.service.rules_rows import Town, insert, make_town

CATALOG = default_catalog()
ABSENCE = {rule.rule_id for rule in CATALOG.of_family("absence")}
DAYS = 24
END = BEGIN + timedelta(days=DAYS)
ASKED = Asked(BEGIN, END, answered_after=None, look_every=EVERY)


Spans = dict[str, list[tuple[float, float]]]
"""Days from BEGIN, by device or gateway."""


@dataclass
class City:
    """Devices by the gateway that passes on what they tell; the last gateway is a platform with two compounds."""

    town: Town
    behind: dict[str, list[str]]
    ids: dict[str, int]
    gateways: dict[str, int]


@pytest.fixture
async def city(conn: asyncpg.Connection) -> City:
    """Three gateways of a few meters, and a platform with a compound of six meters and some others."""
    town = await make_town(conn)
    gateways = {"GW-D01": town.gateway_id}
    for code in ("GW-2", "GW-3"):
        gateways[code] = await insert(conn, "gateway", "gateway_id", code=code, area="D01", expected_interval_s=86_400)
    homes = await compound(conn, town, "C2", 6)
    behind: dict[str, list[str]] = {"GW-D01": [], "GW-2": [], "GW-3": []}
    ids: dict[str, int] = {}

    async def add(gateway: str, code: str, home: int, kind: str = "meter") -> None:
        town.gateway_id = gateways[gateway]
        ids[code] = await town.device(code, kind, home=home)
        behind[gateway].append(code)

    for number, home in enumerate(homes):
        await add("GW-D01", f"M-C{number}", home)
    for number in range(3):
        await add("GW-D01", f"M-{number}", number % 2)
        await add("GW-2", f"M-A{number}", number % 2)
        await add("GW-3", f"M-B{number}", number % 2)
    await add("GW-D01", "LD-1", 0, "detector")
    town.gateway_id = gateways["GW-D01"]
    return City(town, behind, ids, gateways)


def on(day: float) -> datetime:
    return BEGIN + timedelta(days=day)


def gateway_of(city: City, device: str) -> str:
    return next(gateway for gateway, devices in city.behind.items() if device in devices)


def reports(story: Story, city: City, silent: Spans, held: Spans, *, repeats: bool = False) -> None:
    """Every device reports once a day, four every six hours; what a gateway holds back comes when it is back."""
    for number, device in enumerate(sorted(city.ids)):
        every = 0.25 if device in ("M-0", "M-1", "M-A0", "LD-1") else 1.0
        gateway, day = gateway_of(city, device), 0.2 * (number % 4) + 0.0003 * number + 0.01
        while day < DAYS:
            if not any(begun <= day < end for begun, end in silent.get(device, ())):
                arrived = max([day, *(end + 0.01 for begun, end in held.get(gateway, ()) if begun <= day < end)])
                story.report(gateway, device, on(day), on(arrived))
                if repeats and number % 5 == 0:
                    story.said.append((on(arrived + 0.2), *story.said[-1][1:]))
            day += every


def story_of(city: City) -> Story:
    """Silences of one device, of a gateway with and without a will, of a cell, of ourselves; a late flood, a swap."""
    story = Story()
    ours = (13.0, 14.4)
    held = {"GW-D01": [ours], "GW-2": [(4.2, 6.0), ours], "GW-3": [(8.0, 11.5), ours]}
    silent = {"M-0": [(5.0, 8.3)], "M-2": [(10.0, 30.0)], "LD-1": [(16.0, 17.6)], "M-B2": [(2.0, 30.0)]}
    silent |= {f"M-C{number}": [(12.0, 19.0 if number > 1 else 22.6)] for number in range(6)}
    silent["M-C0"] = [(9.0, 22.6)]
    reports(story, city, silent, held, repeats=True)
    for gateway in city.behind:
        story.status(gateway, "online", "s1", on(0.001))
    story.status("GW-2", "offline", "s1", on(0.001), on(4.25))
    story.status("GW-2", "online", "s2", on(6.0))
    story.status("GW-3", "online", "s2", on(11.5))
    story.status("GW-3", "offline", "s1", on(0.001), on(11.6))
    removed = "UPDATE installation SET removed_at = $2 WHERE device_id = $1"
    story.also(on(7.5), removed, city.ids["M-B2"], on(7.4))
    return story


async def tried(conn: asyncpg.Connection, asked: Asked = ASKED) -> Report:
    async def nothing(_done: int, _devices: int) -> None:
        """Nobody listens."""

    return await run_backtest(conn, CATALOG, None, asked, "UTC", nothing)


def told(report: Report) -> set[Fact]:
    found = [one for one in report.alerts if one.rule_id in ABSENCE]
    return {tuple(getattr(one, name) for name in FACTS) for one in found}


async def test_silences_are_found_again_as_live_found_them(
    pool: asyncpg.Pool, conn: asyncpg.Connection, city: City
) -> None:
    """Devices, gateways, a cell, our own deafness, a late flood and a swap: the same alerts to the last word."""
    await play(pool, CATALOG, story_of(city), END)
    live = await facts(conn, ABSENCE)
    assert {"device_silent", "gateway_silent", "cell_silent"} == {fact[0] for fact in live}
    report = await tried(conn)
    assert told(report) == live
    assumed = {one.rule_id: one.assumes for one in report.rules}
    assert "no row is kept of messages sent again" in str(assumed["device_silent"])


def any_story(city: City, seed: int) -> Story:
    """Whatever a seed makes of the city: silences, wills, floods of gateways, words of platforms, our own outages."""
    story, random = Story(), Random(seed)

    def spans(count: int, longest: float) -> list[tuple[float, float]]:
        begun = [random.uniform(0, DAYS) for _ in range(random.randint(0, count))]
        return [(day, day + random.uniform(0.1, longest)) for day in begun]

    ours = spans(2, 2)
    held = {gateway: spans(2, 4) + ours for gateway in city.behind}
    silent = {device: spans(2, 6) for device in city.ids}
    cell = spans(2, 7)
    silent = {device: own + (cell if device.startswith("M-C") else []) for device, own in silent.items()}
    reports(story, city, silent, held)
    for gateway, number in city.gateways.items():
        story.status(gateway, "online", "s0", on(0.001))
        for count, (begun, end) in enumerate(sorted(held[gateway])):
            if random.random() < 0.5:
                story.status(gateway, "offline", f"s{count}", on(begun), on(begun + 0.05))
                story.status(gateway, "online", f"s{count + 1}", on(end))
        for begun, end in spans(2, 0.9):
            flood(story, "D01", gateway, begun, end)
        del number
    for device in random.sample(sorted(city.ids), 4):
        gone(story, city.ids[device], random.uniform(0, DAYS))
    for device in random.sample(sorted(city.ids), 2):
        removed = "UPDATE installation SET removed_at = $2 WHERE device_id = $1"
        at = on(random.uniform(3, DAYS))
        story.also(at, removed, city.ids[device], at)
    return story


def flood(story: Story, lane: str, gateway: str, begun: float, end: float) -> None:
    """A gateway above its limit, as ingest notes it."""
    add = "INSERT INTO gateway_flood (lane, gateway, started_at, held, limit_per_s) VALUES ($1, $2, $3, 7, 20)"
    over = "UPDATE gateway_flood SET ended_at = $3 WHERE lane = $1 AND gateway = $2 AND ended_at IS NULL"
    story.also(on(begun), over, lane, gateway, on(begun))
    story.also(on(begun), add, lane, gateway, on(begun))
    story.also(on(end), over, lane, gateway, on(end))


def gone(story: Story, device_id: int, day: float) -> None:
    """A platform says that a device is offline, as ingest keeps it."""
    keep = (
        "WITH told AS (INSERT INTO event (device_id, at, kind, state, test, late, received_at, batch_id)"
        " VALUES ($1, $2, 'presence', 'offline', false, false, $2, (SELECT max(batch_id) FROM batch)))"
        " UPDATE device_state SET presence = 'offline', presence_at = $2 WHERE device_id = $1"
    )
    story.also(on(day), keep, device_id, on(day))


@pytest.mark.parametrize("seed", [5])  # others were tried; this one has all that stories are made of
async def test_any_silences_are_found_again_as_live_found_them(
    pool: asyncpg.Pool, conn: asyncpg.Connection, city: City, seed: int
) -> None:
    """Whatever happened: the same alerts of the same moments."""
    await play(pool, CATALOG, any_story(city, seed), END)
    live = await facts(conn, ABSENCE)
    assert len(live) > 5
    assert told(await tried(conn)) == live
