"""Who is silent, in a real database: learned intervals, looks that cost what is due, one incident for one cause."""

from datetime import datetime, timedelta

import asyncpg
import pytest

from rules import passes
from rules.catalog import default_catalog
from rules.passes import Listening
from tests.service.rules_rows import NOW, Town, insert, make_town

CATALOG = default_catalog()


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    """A town that heard something every day."""
    town = await make_town(conn)
    for day in range(40, -1, -1):
        await town.batch(received_at=NOW - timedelta(days=day))
    return town


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


async def tick(pool: asyncpg.Pool, now: datetime = NOW) -> None:
    """Look until nothing more is due."""
    listening = Listening([])
    while (await passes.tick(pool, CATALOG, listening, now)).batches:
        pass


async def found(conn: asyncpg.Connection) -> list[tuple[str, str, str]]:
    rows = await conn.fetch("SELECT rule_id, subject, state FROM alert ORDER BY alert_id")
    return [(row["rule_id"], row["subject"], row["state"]) for row in rows]


async def reported(town: Town, device_id: int, hours: float, count: int) -> None:
    """A device that reported `count` times, `hours` apart, the last time that long ago."""
    for number in range(count, 0, -1):
        at = ago(hours=hours * number)
        await town.readings(device_id, [(at, 1_000_000)], received_at=at)
    await town.heard(device_id, ago(hours=hours))


async def test_a_device_is_silent_by_its_own_interval(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """Registered daily, it came every six hours: 18 hours of silence are three of its intervals."""
    quick, alive = await town.device("M-1"), await town.device("M-2", home=1)
    await reported(town, quick, 6, 10)
    await town.heard(quick, ago(hours=19))
    await town.heard(alive, NOW)
    await tick(pool)
    assert await found(conn) == [("device_silent", f"device:{quick}", "open")]
    (evidence,) = [row["evidence"] for row in await conn.fetch("SELECT evidence FROM alert")]
    assert (evidence["expected_interval_s"], evidence["interval_learned_from_gaps"]) == (21_600, 9)


async def test_a_silence_ends_when_its_device_is_taken_out(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Nobody waits for the word of a meter that hangs nowhere; moved to another home it is still waited for."""
    gone, moved, alive = await town.device("M-1"), await town.device("M-2", home=1), await town.device("M-3")
    for device_id in (gone, moved):
        await reported(town, device_id, 24, 10)
        await town.heard(device_id, ago(days=9))
    await town.heard(alive, NOW)
    await tick(pool)
    await conn.execute("UPDATE installation SET removed_at = $2 WHERE device_id = ANY($1)", [gone, moved], NOW)
    await insert(
        conn, "installation", "installation_id", device_id=moved, premises_id=town.premises_ids[0], installed_at=NOW
    )
    await tick(pool, NOW + timedelta(minutes=5))
    states = {subject: state for _, subject, state in await found(conn)}
    assert states == {f"device:{gone}": "verified", f"device:{moved}": "open"}


async def test_a_look_costs_what_is_due(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """After a look nothing is due until the silence allowed would be over; hearing a device costs no write here."""
    meter = await town.device("M-1")
    await town.heard(meter, ago(hours=60))
    await town.gateway_heard(NOW)
    await tick(pool)
    assert await conn.fetchval("SELECT due_at FROM device_watch") == ago(hours=60) + timedelta(days=3)
    await town.heard(meter, NOW)
    await tick(pool, NOW + timedelta(hours=13))
    row = await conn.fetchrow("SELECT * FROM device_watch")
    assert (row["due_at"], row["silent_since"]) == (NOW + timedelta(hours=37), None)
    assert await found(conn) == []


async def test_a_device_that_its_platform_calls_gone_is_silent_at_once(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Offline for more than an hour, not heard since: an alert days before its interval; heard again ends it."""
    meter = await town.device("M-1")
    await town.heard(meter, ago(hours=3), presence="offline", presence_at=ago(hours=2))
    await tick(pool)
    await tick(pool, NOW + timedelta(minutes=1))
    assert await found(conn) == [("device_silent", f"device:{meter}", "open")]
    await town.heard(meter, NOW + timedelta(minutes=2), presence="online", presence_at=NOW + timedelta(minutes=2))
    await tick(pool, NOW + timedelta(minutes=3))
    assert await found(conn) == [("device_silent", f"device:{meter}", "verified")]


async def test_a_flood_of_late_reports_pages_nobody(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """Reports of a week ago arrive now: nobody becomes silent by them, and they prove no life of today."""
    meter, other = await town.device("M-1"), await town.device("M-2", home=1)
    await town.heard(meter, ago(hours=1))
    await town.heard(other, NOW)
    await tick(pool)
    await town.readings(meter, [(ago(days=7, hours=-h), 1_000_000) for h in range(48)], received_at=NOW)
    await tick(pool, NOW + timedelta(hours=1))
    assert await found(conn) == []


async def cell(town: Town, count: int) -> list[int]:
    """Meters of one compound behind a platform's gateway that others use, too."""
    return [await town.device(f"C-{number}", home=number % 2) for number in range(count)]


async def elsewhere(conn: asyncpg.Connection, town: Town) -> int:
    """A meter of the same gateway in another compound."""
    place = {"latitude": 31.8, "longitude": 117.2}
    district_id = await conn.fetchval("SELECT district_id FROM district")
    compound_id = await insert(
        conn, "compound", "compound_id", code="C-2", name="Elm", district_id=district_id, **place
    )
    building_id = await insert(
        conn, "building", "building_id", code="B-2", name="Elm 1", compound_id=compound_id, **place
    )
    home = await insert(
        conn,
        "premises",
        "premises_id",
        code="P-9",
        building_id=building_id,
        unit="9",
        address="Elm",
        user_class="household",
    )
    town.premises_ids.append(home)
    return await town.device("E-1", home=2)


async def test_a_silent_cell_is_one_incident_and_lets_its_devices_out_one_by_one(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Eight meters fall silent at different hours: one alert as the first is overdue; two that stay so come out."""
    meters = await cell(town, 8)
    other = await elsewhere(conn, town)
    for number, meter in enumerate(meters):
        await town.heard(meter, ago(hours=73 - 4 * number))
    await town.heard(other, NOW)
    await tick(pool)
    assert [row[::2] for row in await found(conn)] == [("cell_silent", "open")]
    for hours in (6, 24, 40):
        await town.heard(other, NOW + timedelta(hours=hours))
        await town.batch(received_at=NOW + timedelta(hours=hours))
        await tick(pool, NOW + timedelta(hours=hours))
    assert [row[::2] for row in await found(conn)] == [("cell_silent", "open")]
    back = NOW + timedelta(hours=41)
    for meter in [*meters[2:], other]:
        await town.heard(meter, back)
    await town.batch(received_at=back)
    await tick(pool, back)
    incident, *single = await found(conn)
    assert incident[::2] == ("cell_silent", "verified")
    assert {row[:2] for row in single} == {("device_silent", f"device:{meter}") for meter in meters[:2]}


async def test_single_silences_are_taken_up_by_the_incident_and_come_back(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """A meter was silent before its cell died: its alert ends with the reason, and opens again as it stays silent."""
    meters = await cell(town, 6)
    other = await elsewhere(conn, town)
    await town.heard(meters[0], ago(days=5))
    for meter in [*meters[1:], other]:
        await town.heard(meter, NOW)
    await tick(pool)
    assert await found(conn) == [("device_silent", f"device:{meters[0]}", "open")]
    later = NOW + timedelta(hours=73)
    for day in (1, 2, 3):
        await town.batch(received_at=NOW + timedelta(days=day))
    await town.heard(other, later)
    await town.batch(received_at=later)
    await tick(pool, later)
    states = {row[0]: row[2] for row in await found(conn)}
    assert states == {"device_silent": "verified", "cell_silent": "open"}
    step = await conn.fetchval("SELECT evidence FROM alert_step WHERE step = 'verified'")
    assert step["folded_into"].startswith("compound:")
    back = later + timedelta(hours=1)
    for meter in meters[1:]:
        await town.heard(meter, back)
    await town.batch(received_at=back)
    await tick(pool, back)
    await tick(pool, back + timedelta(minutes=1))
    assert [row for row in await found(conn) if row[2] == "open"] == [("device_silent", f"device:{meters[0]}", "open")]


async def test_most_gateways_of_a_district_are_one_incident_too(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """One gateway was silent before, then two more: the district is the incident; who stays silent comes out."""
    names = ("GW-2", "GW-3", "GW-4")
    others = [
        await insert(conn, "gateway", "gateway_id", code=name, area="D01", expected_interval_s=86_400) for name in names
    ]

    async def heard(gateway_id: int, at: datetime) -> None:
        town.gateway_id = gateway_id
        await town.gateway_heard(at)
        await town.batch(received_at=at)

    ids = [town.gateway_id, *others]
    for gateway_id, days in zip(ids, (3, 1, 1, 0), strict=True):
        await heard(gateway_id, ago(days=days))
    await tick(pool)
    assert await found(conn) == [("gateway_silent", f"gateway:{ids[0]}", "open")]
    later = NOW + timedelta(days=2)
    for hours in (24, 47):
        await heard(ids[3], NOW + timedelta(hours=hours))
    await tick(pool, later)
    district_id = await conn.fetchval("SELECT district_id FROM district")
    cell = ("cell_silent", f"district:{district_id}")
    assert await found(conn) == [("gateway_silent", f"gateway:{ids[0]}", "verified"), (*cell, "open")]
    await tick(pool, later + timedelta(minutes=1))
    assert len(await found(conn)) == 2
    for gateway_id in ids[1:]:
        await heard(gateway_id, later + timedelta(minutes=2))
    await tick(pool, later + timedelta(minutes=3))
    await tick(pool, later + timedelta(minutes=4))
    states = await found(conn)
    assert (*cell, "verified") in states
    assert [row for row in states if row[2] == "open"] == [("gateway_silent", f"gateway:{ids[0]}", "open")]


async def flood(conn: asyncpg.Connection, lane: str, gateway: str, minutes: float) -> None:
    """A flood as ingest notes it, begun that long ago."""
    await insert(
        conn, "gateway_flood", "flood_id", lane=lane, gateway=gateway, started_at=ago(minutes=minutes), held=700
    )


async def test_a_flooding_gateway_is_an_alert_until_its_flood_ends(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Ten minutes of one flood; two lanes are one alert; being heard does not end it, only the last flood's end."""
    await town.gateway_heard(ago(minutes=30))
    code = await conn.fetchval("SELECT code FROM gateway WHERE gateway_id = $1", town.gateway_id)
    await flood(conn, "D01", code, 9)
    await flood(conn, "D01", "NOBODY", 60)
    await tick(pool)
    assert await found(conn) == []
    await flood(conn, "D01-events", code, 11)
    await tick(pool)
    await town.gateway_heard(NOW)
    await tick(pool, NOW + timedelta(minutes=1))
    alert = ("gateway_flood", f"gateway:{town.gateway_id}")
    assert await found(conn) == [(*alert, "open")]
    row = await conn.fetchrow("SELECT severity, sentence, evidence FROM alert")
    assert row["severity"] == "minor"
    assert f"{code} has sent more than its limit since" in row["sentence"]
    assert row["evidence"]["held"] == 1400
    await conn.execute("UPDATE gateway_flood SET ended_at = $1 WHERE lane = 'D01'", NOW)
    await tick(pool, NOW + timedelta(minutes=2))
    assert await found(conn) == [(*alert, "open")]
    await conn.execute("UPDATE gateway_flood SET ended_at = $1", NOW + timedelta(minutes=2))
    await tick(pool, NOW + timedelta(minutes=3))
    assert await found(conn) == [(*alert, "verified")]


async def test_a_flood_that_a_person_closed_is_not_raised_again(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """The same flood stays answered, a new one is a new episode."""
    code = await conn.fetchval("SELECT code FROM gateway WHERE gateway_id = $1", town.gateway_id)
    await town.gateway_heard(ago(minutes=30))
    await flood(conn, "D01", code, 20)
    await tick(pool)
    await conn.execute("UPDATE alert SET state = 'dismissed', closed_at = $1, cause = 'other'", NOW)
    await tick(pool, NOW + timedelta(minutes=5))
    alert = ("gateway_flood", f"gateway:{town.gateway_id}")
    assert await found(conn) == [(*alert, "dismissed")]
    await conn.execute("UPDATE gateway_flood SET ended_at = $1", NOW)
    await flood(conn, "D01", code, -1)
    await tick(pool, NOW + timedelta(minutes=20))
    assert await found(conn) == [(*alert, "dismissed"), (*alert, "open")]
