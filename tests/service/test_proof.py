"""What became of a message, asked over HTTP's handlers and the command line, against real rows."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.probes import Probes
from app.web import Web
from ingest import rollup, validating
from ingest.formats import read_message
from ingest.params import IngestParams, RollupParams
from ingest.proof_routes import (
    ConflictQuery,
    FormQuery,
    ProofRoutes,
    QuarantineQuery,
    ReplayBody,
    TraceQuery,
    ValidationQuery,
)
from ingest.routes import IngestRoutes, LedgerQuery, ReadingQuery
from ingest.validation_params import ValidationParams
from sql.actor import Actor
from sql.errors import Conflict, NotFound
from tests.ingest_city import NOW, event, reading, register, topic, writer_of
from tests.servers import Database

OFFICER = Actor("chen", "officer")
ELSEWHERE = Actor("wu", "officer", frozenset({"D99"}))
HOUR = timedelta(hours=1)


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


@pytest.fixture
def routes(city: Database, pool: asyncpg.Pool) -> ProofRoutes:
    return ProofRoutes(pool)


async def write(pool: asyncpg.Pool, *messages: tuple[str, bytes], slot: str = "0") -> None:
    """What the worker does with one batch, without a broker."""
    params = IngestParams(registry_recheck_s=0, slot=slot)
    writer = writer_of(pool, params)
    await writer.commit([read_message(where, payload, datetime.now(UTC)) for where, payload in messages])


async def traced(routes: ProofRoutes, at: datetime, device: str = "M-GW-1-0", actor: Actor = OFFICER) -> Any:
    return await routes.trace(TraceQuery(device=device, at=at), actor)


async def test_each_way_of_a_message_is_traced(routes: ProofRoutes, pool: asyncpg.Pool) -> None:
    """Stored, frozen, in conflict, quarantined, lost on the way, never made: each is told as what it is."""
    midnight = NOW.replace(hour=0)
    await write(
        pool,
        (topic(), reading(seq=1, at=midnight - 30 * HOUR, index_ml=5)),
        (topic(), reading(seq=4, at=midnight, index_ml=30, hours=[10, None, 20], hours_from=midnight - 24 * HOUR)),
        (topic(), reading(seq=4, at=midnight, index_ml=31)),
        (topic(), reading(seq=-1, at=midnight - 3 * HOUR)),
        (topic(kind="events"), event(at=midnight)),
        (topic(), b'{"device": "M-GW-1-1", '),
    )
    outcomes = {
        "stored": await traced(routes, midnight - 30 * HOUR),
        "frozen": await traced(routes, midnight - 23 * HOUR),
        "conflict": await traced(routes, midnight),
        "lost": await traced(routes, midnight - 22 * HOUR + HOUR / 2),
        "event": await traced(routes, midnight, "LD-GW-1"),
        "refused": await traced(routes, midnight - 3 * HOUR),
        "perhaps": await traced(routes, midnight - 3 * HOUR, "M-GW-1-1"),
        "never": await traced(routes, midnight + HOUR / 2),
    }
    words = {name: found.outcome.value for name, found in outcomes.items()}
    assert words == {
        "stored": "stored",
        "frozen": "stored",
        "conflict": "conflict",
        "lost": "missing",
        "event": "stored",
        "refused": "quarantined",
        "perhaps": "perhaps_quarantined",
        "never": "unknown",
    }
    assert outcomes["frozen"].reading["told_at"] == midnight
    assert outcomes["frozen"].reading["seq"] == 4
    assert outcomes["conflict"].conflicts[0]["refused"]["index_ml"] == 31
    assert [(gap.after_seq, gap.missing) for gap in outcomes["conflict"].gaps] == [(1, 2)]
    (line,) = outcomes["stored"].ledger
    assert (line["gateway"], line["slot"], line["received"]) == ("GW-1", "0", 6)


async def test_a_lost_message_is_traced_by_its_number(routes: ProofRoutes, pool: asyncpg.Pool) -> None:
    """Between numbers 1 and 3 one message was sent; whoever asks for it hears that it never arrived."""
    await write(pool, (topic(), reading(seq=1, at=NOW - 2 * HOUR)), (topic(), reading(seq=3, at=NOW)))
    found = await traced(routes, NOW - HOUR)
    assert found.outcome.value == "missing"
    assert "1 message sent between" in found.sentence


async def test_a_quarantined_message_is_traced_by_what_it_says(
    routes: ProofRoutes, pool: asyncpg.Pool, city: Database
) -> None:
    """A message of an unregistered device is found by device and moment while it waits, not by another moment."""
    await write(pool, (topic(), reading("M-NEW", at=NOW - 5 * HOUR)))
    found = await traced(routes, NOW - 5 * HOUR, "M-NEW")
    assert found.outcome.value == "quarantined"
    assert "unknown_device" in found.sentence
    assert (await traced(routes, NOW - 6 * HOUR, "M-NEW")).outcome.value == "unknown"
    assert (await traced(routes, NOW - 5 * HOUR, "M-NEW", ELSEWHERE)).outcome.value == "unknown"


async def test_other_areas_learn_nothing(routes: ProofRoutes, pool: asyncpg.Pool) -> None:
    """Outside the caller's areas a stored message, a conflict and a quarantined payload do not exist."""
    await write(pool, (topic(), reading(index_ml=1)), (topic(), reading(index_ml=2)), (topic(), b"{"))
    assert (await traced(routes, NOW)).outcome.value == "conflict"
    assert (await traced(routes, NOW, actor=ELSEWHERE)).outcome.value == "unknown"
    assert (await routes.conflicts(ConflictQuery(), ELSEWHERE)).items == []
    (waiting,) = (await routes.quarantine(QuarantineQuery(), OFFICER)).items
    with pytest.raises(NotFound):
        await routes.quarantined(waiting.quarantine_id, FormQuery(), ELSEWHERE)


async def test_conflicts_come_in_pages(routes: ProofRoutes, pool: asyncpg.Pool) -> None:
    """Every conflict is on exactly one page, newest first; filters by device and time hold."""
    for value in range(5):
        await write(
            pool,
            (topic(), reading(seq=1, index_ml=value)),
            (topic(), reading("M-GW-1-1", seq=1, at=NOW - HOUR, index_ml=value)),
        )
    seen: list[int] = []
    after = None
    while True:
        page = await routes.conflicts(ConflictQuery(limit=3, after=after), OFFICER)
        seen += [one.conflict_id for one in page.items]
        if (after := page.next) is None:
            break
    assert len(seen) == 8
    assert seen == sorted(set(seen), reverse=True)
    of_one = await routes.conflicts(ConflictQuery(device="M-GW-1-1", since=NOW - HOUR, until=NOW), OFFICER)
    assert {one.code for one in of_one.items} == {"M-GW-1-1"}
    assert sorted(one.refused["index_ml"] for one in of_one.items) == [1, 2, 3, 4]
    assert (await routes.conflicts(ConflictQuery(device="M-GW-1-1", until=NOW - HOUR), OFFICER)).items == []


async def test_quarantine_is_searched(routes: ProofRoutes, pool: asyncpg.Pool) -> None:
    """By reason, gateway, device in the payload, text anywhere, and time of arrival."""
    before = datetime.now(UTC)
    await write(
        pool,
        (topic(), reading("M-GW-1-0", seq=-1)),
        (topic("GW-2"), reading("M-GW-2-0", seq=-2)),
        (topic("GW-2"), b"\x68\xff\x00 M-GW-2-0"),
    )

    async def found(**fields: Any) -> list[str]:
        page = await routes.quarantine(QuarantineQuery(**fields), OFFICER)
        return sorted(one.reason.value for one in page.items)

    assert await found() == ["invalid_field", "invalid_field", "not_json"]
    assert await found(reason="not_json") == ["not_json"]
    assert await found(gateway="GW-1") == ["invalid_field"]
    assert await found(device="M-GW-2-0") == ["invalid_field", "not_json"]
    assert await found(text="seq") == ["invalid_field", "invalid_field"]
    assert await found(text="GW-2/read") == ["invalid_field", "not_json"]
    assert await found(text="%") == []
    assert await found(until=before) == []
    assert len(await found(since=before)) == 3
    assert await found(replayed=True) == []
    (binary,) = (await routes.quarantine(QuarantineQuery(reason="not_json"), OFFICER)).items
    whole = await routes.quarantined(binary.quarantine_id, FormQuery(), OFFICER)
    assert whole.payload == (b"\x68\xff\x00 M-GW-2-0").hex(" ")
    assert "M-GW-2-0" in (await routes.quarantined(binary.quarantine_id, FormQuery(form="text"), OFFICER)).payload
    with pytest.raises(ValidationError):
        QuarantineQuery(device="\x00")


async def test_a_replay_over_http_previews_then_heals(routes: ProofRoutes, pool: asyncpg.Pool, city: Database) -> None:
    """A preview changes nothing; the replay stores; an account of some areas may do neither."""
    await write(pool, (topic("GW-9"), reading("M-GW-9-0")), (topic(), b"{"))
    register(city.admin_url, gateways=("GW-9",))
    administrator = Actor("ada", "administrator")
    told = await routes.replay(ReplayBody(), administrator)
    assert (told.preview, told.messages) == (True, 2)
    assert told.outcome == {"would be stored": 1, "still not_json": 1}
    assert await pool.fetchval("SELECT count(*) FROM reading") == 0
    done = await routes.replay(ReplayBody(preview=False), administrator)
    assert done.outcome["stored"] == 1
    assert (await traced(routes, NOW, "M-GW-9-0")).outcome.value == "stored"
    with pytest.raises(Conflict):
        await routes.replay(ReplayBody(), Actor("eve", "administrator", frozenset({"D01"})))


async def test_findings_are_shown_beside_readings(routes: ProofRoutes, pool: asyncpg.Pool) -> None:
    """A reading shows our marks and the findings about it in words; the finding has a page of its own."""
    await write(
        pool,
        (topic(), reading(seq=1, at=NOW - 2 * HOUR, index_ml=9_000, status=256)),
        (topic(), reading(seq=2, at=NOW - HOUR, index_ml=9_000)),
        (topic(), reading(seq=3, at=NOW, index_ml=5_000)),
    )
    await rollup.roll_up(pool, RollupParams())
    await validating.validate(pool, ValidationParams())
    of = IngestRoutes(pool)
    device_id = (await of.device_by_code("native", "M-GW-1-0", OFFICER)).device_id
    page = await of.readings(device_id, ReadingQuery(), OFFICER)
    assert [one.marks for one in page.items] == [
        ["backwards: 0.005 m³ is lower than 0.009 m³ before it"],
        [],
        ["the device's clock was not synchronised: unknown"],
    ]
    (found,) = (await routes.validation(device_id, ValidationQuery(), OFFICER)).items
    assert (found.rule.value, found.at, found.scope) == ("backwards", NOW, "reading")
    assert (await routes.validation(device_id, ValidationQuery(until=NOW), OFFICER)).items == []
    with pytest.raises(NotFound):
        await routes.validation(device_id, ValidationQuery(), ELSEWHERE)


async def test_the_ledger_of_one_gateway_and_worker(routes: ProofRoutes, pool: asyncpg.Pool) -> None:
    """Lines of another gateway or worker are left out; the proof goes over everything all the same."""
    await write(pool, (topic(), reading(seq=1)), (topic("GW-2"), reading("M-GW-2-0", seq=1)))
    await write(pool, (topic(), reading(seq=2, at=NOW - HOUR)), slot="7")
    of = IngestRoutes(pool)
    gateway = await of.ledger(LedgerQuery(gateway="GW-1"), OFFICER)
    assert sorted((one.slot, one.received) for one in gateway.items) == [("0", 1), ("7", 1)]
    worker = await of.ledger(LedgerQuery(gateway="GW-1", slot="7"), OFFICER)
    assert (worker.balances, worker.received) == (True, 1)


async def test_over_http_the_roles_hold(routes: ProofRoutes, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An officer traces and reads one payload, and may not replay; an administrator may; the description has it all."""
    await write(pool, (topic(), reading(index_ml=7)), (topic(), b"{"))
    console = Actor("console", "administrator")
    tokens = {
        role: await add_account(conn, NewAccount(role, role), console, NOW) for role in ("officer", "administrator")
    }
    web = Web(pool, HttpParams(), routes.table(), Probes(pool, None))
    async with TestClient(TestServer(web.application)) as client:

        async def call(role: str, method: str, path: str, **more: Any) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {tokens[role]}"}
            async with client.request(method, f"/api/v1{path}", headers=headers, **more) as response:
                return response.status, await response.json()

        status, told = await call("officer", "GET", "/trace", params={"device": "M-GW-1-0", "at": NOW.isoformat()})
        assert (status, told["outcome"], told["reading"]["index_ml"]) == (200, "stored", 7)
        assert (await call("officer", "GET", "/trace", params={"device": "M-GW-1-0", "at": "2026-11-20T08:00:00"}))[
            0
        ] == 422
        _, page = await call("officer", "GET", "/quarantine")
        number = page["items"][0]["quarantine_id"]
        assert (await call("officer", "GET", f"/quarantine/{number}", params={"form": "hex"}))[1]["payload"] == "7b"
        assert (await call("officer", "POST", "/quarantine/replay", json={"preview": True}))[0] == 403
        status, told = await call("administrator", "POST", "/quarantine/replay", json={"preview": True})
        assert (status, told["outcome"]) == (200, {"still not_json": 1})
        _, described = await call("officer", "GET", "/openapi.json")
        assert "/api/v1/trace" in described["paths"] or "/trace" in described["paths"]


def gaswarden(db: Database, *words: str, code: int = 0) -> str:
    """The command line on a test's database; its standard output."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GASWARDEN_", "MQTT_"))}
    done = subprocess.run(
        [sys.executable, "-m", "app", *words],
        cwd=Path(__file__).parents[2],
        env=kept | {"DATABASE_URL": db.url, "MQTT_URL": "mqtt://127.0.0.1:1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.timeout(180)
async def test_the_command_line_proves_and_searches(city: Database, pool: asyncpg.Pool) -> None:
    """Trace, conflicts, ledger and quarantine answer a person and a program; nothing known is exit code 1."""
    await write(pool, (topic(), reading(index_ml=1)), (topic(), reading(index_ml=2)), (topic(), reading(seq=-1)))
    at = NOW.isoformat()
    told = json.loads(gaswarden(city, "trace", "M-GW-1-0", at, "--json"))
    assert (told["outcome"], told["reading"]["index_ml"]) == ("conflict", 1)
    assert "the first stays" in gaswarden(city, "trace", "M-GW-1-0", at)
    assert "nothing is known" in gaswarden(city, "trace", "M-GW-1-1", at, code=1)
    assert "names no zone" in gaswarden(city, "trace", "M-GW-1-0", at[:19], code=2)
    (conflict,) = json.loads(gaswarden(city, "conflicts", "--device", "M-GW-1-0", "--json"))
    assert conflict["refused"]["index_ml"] == 2
    assert "index_ml 2" in gaswarden(city, "conflicts")
    assert json.loads(gaswarden(city, "conflicts", "--device", "M-GW-1-1", "--json")) == []
    ledger = json.loads(gaswarden(city, "ledger", "--gateway", "GW-1", "--slot", "0", "--json"))
    assert (ledger["balances"], ledger["received"], ledger["conflict"]) == (True, 3, 1)
    assert json.loads(gaswarden(city, "ledger", "--gateway", "GW-2", "--json"))["items"] == []
    assert "no gateway GW-8" in gaswarden(city, "ledger", "--gateway", "GW-8", code=1)
    (waiting,) = json.loads(gaswarden(city, "quarantine", "list", "--device", "M-GW-1-0", "--text", "seq", "--json"))
    assert json.loads(gaswarden(city, "quarantine", "list", "--device", "M-GW-2-0", "--json")) == []
    assert "no reason" in gaswarden(city, "quarantine", "list", "--reason", "bad", code=2)
    number = str(waiting["quarantine_id"])
    assert '"seq": -1' in gaswarden(city, "quarantine", "show", number)
    assert b'"seq"'.hex(" ") in gaswarden(city, "quarantine", "show", number, "--hex")
    assert "there is no message" in gaswarden(city, "quarantine", "show", "999", code=1)
