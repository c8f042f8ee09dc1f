"""The officers' desk: filters, bulk, maps and tables, plans of the hot statements; a stream that misses nothing."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from rules import stream
from rules.stream import Cursor, read_page
from sql import queries
from tests.servers import Database
from tests.service.alert_desk import AlertDesk, alert_desk
from tests.service.rules_rows import NOW


@pytest.fixture
async def desk(pool: asyncpg.Pool, conn: asyncpg.Connection) -> AsyncIterator[AlertDesk]:
    async with alert_desk(pool, conn) as opened:
        yield opened


async def listed(desk: AlertDesk, who: str = "olga", **query: Any) -> list[int]:
    return [row["alert_id"] for row in (await desk.ask("GET", "/alerts", who, **query))["items"]]


async def test_filters_by_owner_deadline_and_age(desk: AlertDesk) -> None:
    """Whose they are, nobody's, overdue or not, and how old."""
    first, second = await desk.raise_leak("LD-1"), await desk.raise_leak("LD-2", 40)
    await desk.at(41).step(second, "acknowledge")
    assert await listed(desk, owner="olga") == [second]
    assert await listed(desk, unowned="true") == [first]
    assert await listed(desk, overdue="true") == [first]
    assert await listed(desk, overdue="false") == [second]
    assert await listed(desk, older_than_min=10) == [first]
    assert await listed(desk, text="LD-2") == [second]
    assert await listed(desk, after=second) == [first]
    await desk.ask("GET", "/alerts", status=404, after=999)


async def test_bulk_acknowledgement(desk: AlertDesk) -> None:
    """Each as by itself: what was acknowledged before, does not exist or lies elsewhere is refused by its id."""
    ids = [await desk.raise_leak(f"LD-{number}", number) for number in range(3)]
    await desk.at(4).step(ids[0], "acknowledge")
    done = await desk.ask("POST", "/alerts/acknowledgements", alert_ids=[*ids, 999], note="all of the stairwell")
    assert done["acknowledged"] == ids[1:]
    assert set(done["refused"]) == {str(ids[0]), "999"}
    assert (await desk.ask("POST", "/alerts/acknowledgements", "sam", alert_ids=ids))["acknowledged"] == []
    await desk.ask("POST", "/alerts/acknowledgements", "ines", 403, alert_ids=ids)
    audited = await desk.conn.fetchval("SELECT details FROM audit_entry ORDER BY audit_id DESC LIMIT 1")
    assert audited["alert_ids"] == ids[1:]


async def test_a_map_and_a_table(desk: AlertDesk) -> None:
    """GeoJSON has longitude first and only open alerts; CSV has every alert and no formula."""
    alert_id, closed = await desk.raise_leak("LD-1"), await desk.raise_leak("LD-2", 40)
    await desk.at(41).step(closed, "dismiss", cause="cooking")
    await desk.conn.execute("UPDATE alert SET sentence = '=HYPERLINK(1)' WHERE alert_id = $1", closed)
    drawn = await desk.ask("GET", "/alerts/geojson", "ines")
    (feature,) = drawn["features"]
    assert (drawn["type"], feature["id"]) == ("FeatureCollection", alert_id)
    assert feature["geometry"] == {"type": "Point", "coordinates": [117.2, 31.8]}
    header, *rows = (await desk.ask("GET", "/alerts/csv")).splitlines()
    assert header.startswith("alert_id,rule_id,severity")
    assert [row.split(",")[0] for row in rows] == [str(closed), str(alert_id)]
    assert "'=HYPERLINK(1)" in rows[0]
    assert len((await desk.ask("GET", "/alerts/csv", "sam")).splitlines()) == 1


async def many(conn: asyncpg.Connection, count: int) -> None:
    """Alerts by thousands, of all kinds, owners and ages; every seventh is open."""
    await conn.execute(
        """
        INSERT INTO alert (rule_id, rule_version, subject, area, severity, state, firing, late, sentence, first_at,
            last_at, raised_at, evidence, visit, owner, due_at, wake_at)
        SELECT 'rule_' || n % 20, 'v', 'device:' || n, 'D' || n % 97,
            CASE n % 60 WHEN 0 THEN 'critical' ELSE 'minor' END,
            CASE n % 7 WHEN 0 THEN 'open' ELSE 'verified' END, true, false, 'alert ' || n, at, at,
            at - make_interval(secs => n), '{}', 'none', CASE WHEN n % 500 = 0 THEN 'olga' END,
            CASE n % 7 WHEN 0 THEN at + make_interval(secs => n - 100) END,
            CASE n % 7 WHEN 0 THEN at + make_interval(secs => n + 60) END
        FROM generate_series(1, $1::int) n, (SELECT $2::timestamptz AS at) given""",
        count,
        NOW,
    )


async def analyzed(db: Database) -> None:
    """Statistics for the planner; only the owner may take them."""
    owner = await asyncpg.connect(db.admin_url)
    await owner.execute("ANALYZE alert, alert_step")
    await owner.close()


async def plan(conn: asyncpg.Connection, name: str, **values: object) -> str:
    text, *arguments = queries[name].bind(**values)
    async with conn.transaction():
        await conn.execute(*queries["plan_for_values"].bind())
        rows = await conn.fetch(f"EXPLAIN {text}", *arguments)
    return "\n".join(row[0] for row in rows)


FILTERS = dict.fromkeys(
    ("states", "severities", "areas", "rule_id", "since", "until", "late", "text", "after_at", "after_id", "scope",
     "owner", "unowned", "due_before", "due_from", "severity", "area_code")
)  # fmt: skip
OPEN = ["open", "acknowledged", "dispatched", "on_site", "made_safe"]


BY_INDEX: list[tuple[dict[str, object], str]] = [
    ({}, "alert_raised_idx"),
    ({"states": OPEN}, "alert_open_idx"),
    ({"states": OPEN, "after_at": NOW - timedelta(hours=2), "after_id": 7000}, "alert_open_idx"),
    ({"states": OPEN, "owner": "olga"}, "alert_open_owner_idx"),
    ({"states": OPEN, "rule_id": "rule_7"}, "alert_open_rule_idx"),
    ({"states": OPEN, "area_code": "D3"}, "alert_open_area_idx"),
    ({"states": OPEN, "severity": "critical"}, "alert_open_severity_idx"),
    ({"states": OPEN, "due_before": NOW}, "alert_due_idx"),
    ({"text": "ALERT 12345"}, "alert_sentence_idx"),
    ({"states": OPEN, "text": "gas at the riser"}, "alert_device_idx"),
    ({"states": OPEN, "text": "gas at the riser"}, "alert_premises_idx"),
    ({"states": OPEN, "text": "alert"}, "alert_open_idx"),  # in nearly every sentence: met on the way
]


async def test_each_filter_of_the_list_has_its_index(conn: asyncpg.Connection, db: Database) -> None:
    """The plan over twenty thousand alerts uses the index that is there for the filter, and no sequential scan."""
    await many(conn, 20_000)
    await analyzed(db)
    for given, index in BY_INDEX:
        found = await plan(conn, "list_alerts", **{**FILTERS, **given, "count": 51})
        assert index in found, found
        assert "Seq Scan on alert" not in found


async def test_a_text_is_found_as_it_stands(desk: AlertDesk) -> None:
    """Any case; signs of patterns are signs; a code finds its alerts although no sentence has it; so do two letters."""
    alert_id = await desk.raise_leak()
    update = "UPDATE alert SET sentence = $1"
    for sentence, text, found in (
        ("Gas at 27.5 %LEL in room_4", "gas AT 27.5 %lel", True),
        ("Gas at 27.5 %LEL in room_4", "room_4", True),
        ("Gas at 27.5 %LEL in room-4", "room_4", False),
        ("Gas at 27.5 LEL", "27%", False),
        ("back\\slash", "k\\s", True),
        ("nothing of it", "LD-1", True),
        ("nothing of it", "D01-P1", True),
        ("nothing of it", "of", True),
        ("nothing of it", "D01-P2", False),
    ):
        await desk.conn.execute(update, sentence)
        items = (await desk.ask("GET", "/alerts", text=text))["items"]
        assert [one["alert_id"] for one in items] == ([alert_id] if found else []), (sentence, text)


async def test_the_clock_and_the_stream_have_their_indexes(conn: asyncpg.Connection, db: Database) -> None:
    """What is due, and what was committed since a snapshot, is found without reading every alert and step."""
    await many(conn, 20_000)
    await conn.execute(
        "INSERT INTO alert_step (alert_id, at, step, to_state, actor, reason)"
        " SELECT alert_id, $1, 'raised', 'open', 'x', 'x' FROM alert",
        NOW,
    )
    await analyzed(db)
    snapshot = await conn.fetchval(*queries["current_snapshot"].bind())
    assert "alert_wake_idx" in await plan(conn, "alerts_to_wake", now=NOW, count=500)
    found = await plan(conn, "steps_between", base=snapshot, seen=snapshot, step_id=0, scope=None, count=500)
    assert "alert_step_transaction_idx" in found


async def test_a_step_that_commits_after_a_later_one_is_not_missed(
    desk: AlertDesk, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """The lower step id becomes visible after a higher one was sent, and the listener comes back in between."""
    alert_id = await desk.raise_leak()
    place = Cursor(await conn.fetchval(*queries["current_snapshot"].bind()))
    add = (
        "INSERT INTO alert_step (alert_id, at, step, to_state, actor, reason) VALUES ($1, now(), $2, 'open', 'x', 'x')"
        " RETURNING step_id"
    )
    async with pool.acquire() as slow:
        transaction = slow.transaction()
        await transaction.start()
        lower = await slow.fetchval(add, alert_id, "slow")
        higher = await conn.fetchval(add, alert_id, "quick")
        first = await read_page(pool, place, None)
        assert [row["step"] for row, _ in first.steps] == ["quick"]
        assert higher > lower
        resumed = stream.parse_cursor(str(first.steps[-1][1]))
        assert resumed is not None
        assert (await read_page(pool, resumed, None)).steps == []
        await transaction.commit()
    second = await read_page(pool, resumed, None)
    assert [row["step_id"] for row, _ in second.steps] == [lower]
    assert (await read_page(pool, second.cursor, None)).steps == []


async def test_a_listener_that_leaves_within_a_page_misses_nothing_and_hears_nothing_twice(
    desk: AlertDesk, pool: asyncpg.Pool, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of two, a return after every single event, while others commit: every step exactly once."""
    monkeypatch.setattr(stream, "_PAGE", 2)
    alert_id = await desk.raise_leak()
    cursor = Cursor(await conn.fetchval(*queries["current_snapshot"].bind()))
    add = (
        "INSERT INTO alert_step (alert_id, at, step, to_state, actor, reason) VALUES ($1, now(), $2, 'open', 'x', 'x')"
    )
    wanted, had = [], []
    for number in range(5):
        await conn.execute(add, alert_id, f"step{number}")
        wanted.append(f"step{number}")
    for number in range(5, 25):
        page = await read_page(pool, cursor, None)
        cursor = page.cursor
        if page.steps:
            row, after = page.steps[0]
            had.append(row["step"])
            again = stream.parse_cursor(str(after))
            assert again is not None
            cursor = again
        if number < 10:
            await conn.execute(add, alert_id, f"step{number}")
            wanted.append(f"step{number}")
    assert had == wanted


async def test_the_stream_over_http(desk: AlertDesk) -> None:
    """Live within moments of the commit; a place that cannot be known says that the list must be read again."""
    headers = {"Authorization": f"Bearer {desk.tokens['olga']}", "Last-Event-ID": "5000000:5000000:"}
    async with asyncio.timeout(10), desk.client.get("/api/v1/alerts/stream", headers=headers) as response:
        found = await next_event(response)
        assert found["event"] == "reload"
        alert_id = await desk.raise_leak()
        found = await next_event(response)
        assert (found["event"], json.loads(found["data"])["alert_id"]) == ("raised", alert_id)


async def next_event(response: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = value
        elif "event" in fields:
            return fields
        else:
            fields = {}
    raise AssertionError("the stream ended")


async def gaswarden(db: Database, *words: str) -> tuple[int | None, str, str]:
    """Run the command line on this test's database: exit code, output, words for people."""
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": db.url, "COLUMNS": "300"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", *words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_the_desk_at_the_terminal(desk: AlertDesk, db: Database) -> None:
    """A step is refused with what is allowed; the list as JSON; one whole, clock, door and all, on standard output."""
    alert_id = await desk.raise_leak()
    number = str(alert_id)
    (refused, _, why), (listed_code, out, _), (shown, whole, _) = await asyncio.gather(
        gaswarden(db, "alerts", "step", number, "verify", "--measured", "GT-44=0 ppm"),
        gaswarden(db, "alerts", "--severity", "critical", "--unowned", "--json"),
        gaswarden(db, "alerts", "show", number),
    )
    assert refused == 1
    assert "allowed from here: acknowledge, control, dismiss" in why
    assert (listed_code, [one["alert_id"] for one in json.loads(out)]) == (0, [alert_id])
    assert (shown, "Clock (regime china)" in whole, "severity: critical" in whole) == (0, True, True)
    assert "Willow Court 1-101" in whole


async def test_the_list_at_the_terminal_filters_as_over_http(desk: AlertDesk, db: Database) -> None:
    """Owner, time and lateness fit or leave out; a page says how to go on; an unknown rule is refused by its name."""
    first, second = await desk.raise_leak("LD-1"), await desk.raise_leak("LD-2", 40)
    await desk.at(41).step(first, "acknowledge")
    until = (NOW + timedelta(minutes=5)).isoformat()
    owned, page, refused = await asyncio.gather(
        gaswarden(db, "alerts", "list", "--json", "--until", until, "--owned", "--not-late", "--area", "D01"),
        gaswarden(db, "alerts", "list", "--limit", "1"),
        gaswarden(db, "alerts", "list", "--rule", "leak_alarms"),
    )
    assert (owned[0], [one["alert_id"] for one in json.loads(owned[1])]) == (0, [first])
    assert (page[0], "LD-2" in page[1], "LD-1" in page[1], f"--after {second}" in page[2]) == (0, True, False, True)
    assert (refused[0], "no rule leak_alarms" in refused[2]) == (1, True)
