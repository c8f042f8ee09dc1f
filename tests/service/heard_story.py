"""A city that is heard or not, played through ingest's own transaction while the live rules look at set moments."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from ingest import store
from ingest.acquaintance import learn_named
from ingest.binding import bind_message
from ingest.directory import Directory
from ingest.formats import read_message
from ingest.transaction import write_batch
from rules import passes
from rules.catalog import Catalog
from rules.passes import Listening
from tests.service.rules_rows import Town, insert

BEGIN = datetime(2026, 10, 1, tzinfo=UTC)
EVERY = timedelta(hours=6)
FACTS = (
    "rule_id",
    "subject",
    "first_at",
    "last_at",
    "severity",
    "raised_at",
    "closed_at",
    "count",
    "sentence",
)

Fact = tuple[object, ...]


@dataclass
class Story:
    """Messages by the moment of their arrival; each is topic and body."""

    said: list[tuple[datetime, str, dict[str, Any]]] = field(default_factory=list)
    done: list[tuple[datetime, str, tuple[object, ...]]] = field(default_factory=list)
    seq: dict[str, int] = field(default_factory=dict)

    def report(self, gateway: str, device: str, at: datetime, arrived_at: datetime | None = None) -> None:
        """A report of a device, made and arrived at these moments."""
        self.seq[device] = self.seq.get(device, 0) + 1
        body = {"device": device, "seq": self.seq[device], "at": at.isoformat(), "index_ml": 10_000 * self.seq[device]}
        body |= {"flow_lh": 0.0} if device.startswith("M") else {}
        if device.startswith("LD"):
            body = {key: value for key, value in body.items() if key != "index_ml"} | {"lel_pct": 0.0, "status": 0}
        self.said.append((arrived_at or at, f"gas/v1/D01/{gateway}/readings", body))

    def status(self, gateway: str, state: str, session: str, at: datetime, arrived_at: datetime | None = None) -> None:
        """A birth or a will."""
        body = {"state": state, "session": session, "at": at.isoformat()}
        self.said.append((arrived_at or at, f"gas/v1/D01/{gateway}/status", body))

    def also(self, at: datetime, statement: str, *arguments: object) -> None:
        """Something that others write at a moment."""
        self.done.append((at, statement, arguments))


async def play(pool: asyncpg.Pool, catalog: Catalog, story: Story, until: datetime) -> None:
    """Everything in its order: what arrives within ten minutes is one batch, the live rules look every six hours."""
    listening, directory = Listening([]), Directory(0.0)
    waiting = sorted(story.said, key=lambda one: one[0])
    others = sorted(story.done, key=lambda one: one[0])
    now = BEGIN
    while now <= until:
        while waiting and waiting[0][0] <= now:
            first_at = waiting[0][0]
            part = []
            while waiting and waiting[0][0] <= min(now, first_at + timedelta(minutes=10)):
                part.append(waiting.pop(0))
            await _commit(pool, directory, part)
        while others and others[0][0] <= now:
            _, statement, arguments = others.pop(0)
            await pool.execute(statement, *arguments)
        while (await passes.tick(pool, catalog, listening, now)).batches:
            pass
        now += EVERY


async def _commit(pool: asyncpg.Pool, directory: Directory, part: list[tuple[datetime, str, dict[str, Any]]]) -> None:
    messages = [read_message(topic, json.dumps(body).encode(), at) for at, topic, body in part]
    async with pool.acquire() as conn:
        await learn_named(conn, directory, messages, 0.0)
        judged = [bind_message(number, one, directory) for number, one in enumerate(messages)]
        async with conn.transaction():
            await store.lock_slot(conn, "D01")
            batch_id = await store.next_batch_id(conn)
            await write_batch(conn, "D01", batch_id, judged, expect_repeats=True)


async def facts(conn: asyncpg.Connection, rule_ids: set[str]) -> set[Fact]:
    """What the live service raised by some rules."""
    rows = await conn.fetch(f"SELECT {', '.join(FACTS)} FROM alert WHERE rule_id = ANY($1)", sorted(rule_ids))  # noqa: S608
    return {tuple(row) for row in rows}


async def compound(conn: asyncpg.Connection, town: Town, code: str, homes: int) -> list[int]:
    """Another compound of the town's district with one building; its homes are added to the town's."""
    place = {"latitude": 31.8, "longitude": 117.2}
    district_id = await conn.fetchval("SELECT district_id FROM district WHERE code = 'D01'")
    compound_id = await insert(conn, "compound", "compound_id", code=code, name=code, district_id=district_id, **place)
    building_id = await insert(
        conn, "building", "building_id", code=f"{code}-B", name=f"{code} 1", compound_id=compound_id, **place
    )
    first = len(town.premises_ids)
    for number in range(homes):
        columns = {"code": f"{code}-P{number}", "unit": f"{number}", "address": code, "user_class": "household"}
        town.premises_ids.append(await insert(conn, "premises", "premises_id", building_id=building_id, **columns))
    return list(range(first, first + homes))
