"""The ledger: proof that received = stored + duplicate + late + conflict + quarantined, and what never came."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

import asyncpg

from ingest.trace import RESTART_GAP
from sql import queries
from sql.actor import Actor

_KINDS = ("stored", "duplicate", "late", "conflict", "quarantined")


@dataclass(frozen=True, slots=True)
class Line:
    """The ledger of one day, slot and gateway."""

    day: date
    slot: str
    gateway: str
    received: int
    stored: int
    duplicate: int
    late: int
    conflict: int
    quarantined: int

    @property
    def unaccounted(self) -> int:
        """Messages received of which nothing is known; anything but zero is a fault."""
        return self.received - self.stored - self.duplicate - self.late - self.conflict - self.quarantined


@dataclass(frozen=True, slots=True)
class Missing:
    """Messages of one device that its sequence numbers say were sent and that never arrived."""

    gateway: str
    family: str
    device: str
    missing: int
    gaps: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Flood:
    """A gateway that was above its rate limit, messages a second.

    `ended_at` None: it goes on; `waiting` of the messages held back did not have their turn yet.
    """

    lane: str
    gateway: str
    area: str | None
    started_at: datetime
    ended_at: datetime | None
    held: int
    waiting: int
    limit_per_s: float | None


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether the ledger balances, and each fault as a sentence.

    `held` messages are acknowledged and wait for their turn, because their gateway is above its limit: they are in no
    line yet.
    """

    lines: int
    received: int
    by_kind: dict[str, int]
    faults: tuple[str, ...]
    held: int = 0

    @property
    def balances(self) -> bool:
        """Whether no fault was found."""
        return not self.faults


def prove(lines: Sequence[Line], disagreements: Iterable[str]) -> Proof:
    """Add the lines up and check each of them; `disagreements` are faults found by counting rows."""
    totals: dict[str, int] = defaultdict(int)
    faults = []
    for line in lines:
        for kind in _KINDS:
            totals[kind] += getattr(line, kind)
        if line.unaccounted:
            where = f"{line.day} slot {line.slot} gateway {line.gateway}"
            faults.append(f"{where}: received {line.received}, unaccounted for {line.unaccounted}")
    return Proof(len(lines), sum(line.received for line in lines), dict(totals), (*faults, *disagreements))


async def ledger_days(
    conn: asyncpg.Connection,
    first_day: date,
    last_day: date,
    actor: Actor,
    *,
    gateway: str | None = None,
    slot: str | None = None,
) -> list[Line]:
    """The ledger of some days, within the caller's areas; of one gateway or slot when it is named."""
    query = queries["ledger_days"].bind(
        first_day=first_day, last_day=last_day, areas=actor.area_list(), gateway=gateway, slot=slot
    )
    rows = await conn.fetch(*query)
    return [Line(**dict(row)) for row in rows]


async def is_known(conn: asyncpg.Connection, *, gateway: str | None = None, slot: str | None = None) -> bool:
    """Whether such a gateway is registered or ever was in the ledger, and such a slot ever was; None is anyone."""
    known: bool = await conn.fetchval(*queries["ledger_knows"].bind(gateway=gateway, slot=slot))
    return known


async def prove_days(
    conn: asyncpg.Connection,
    first_day: date,
    last_day: date,
    actor: Actor,
    *,
    gateway: str | None = None,
    slot: str | None = None,
) -> Proof:
    """Prove some days: every line balances, batches and ledger agree, and the rows that batches wrote are there.

    With a gateway or a slot only its lines are added up; that books and rows agree is proved of everything.
    """
    lines = await ledger_days(conn, first_day, last_day, actor, gateway=gateway, slot=slot)
    proof = prove(lines, [*await ledger_against_batches(conn), *await rows_against_batches(conn, first_day, last_day)])
    query = queries["held_back"].bind(areas=actor.area_list(), gateway=gateway, slot=slot)
    return replace(proof, held=await conn.fetchval(*query))


async def ledger_against_batches(conn: asyncpg.Connection) -> list[str]:
    """Slots whose ledger and batches disagree, as sentences."""
    rows = await conn.fetch(*queries["ledger_against_batches"].bind())
    return [
        f"slot {row['slot']}: ledger has {row['ledger_received']} received, batches have {row['batch_received']}"
        for row in rows
    ]


async def rows_against_batches(conn: asyncpg.Connection, first_day: date, last_day: date) -> list[str]:
    """Batches of some days whose rows are not as many as they wrote, as sentences. Counts every row they touched."""
    arrival = {
        "first_received_at": datetime.combine(first_day, time(), UTC),
        "last_received_at": datetime.combine(last_day + timedelta(days=1), time(), UTC),
    }
    moments = await conn.fetchrow(*queries["span_of_rows"].bind(**arrival))
    if moments["first_at"] is None:
        return []
    span = {"first_at": moments["first_at"], "last_at": moments["last_at"]}
    rows = await conn.fetch(*queries["rows_against_batches"].bind(**arrival, **span))
    return [
        f"batch {row['batch_id']} of slot {row['slot']}: wrote {row['reading_rows']} readings and {row['event_rows']} "
        f"events, {row['reading_count']} and {row['event_count']} are there"
        for row in rows
    ]


async def missing_messages(
    conn: asyncpg.Connection,
    since: datetime,
    until: datetime,
    actor: Actor,
    restart_gap: int = RESTART_GAP,
    gateway: str | None = None,
) -> list[Missing]:
    """Devices whose sequence numbers have gaps between two device times, the largest loss first."""
    query = queries["missing_messages"]
    rows = await conn.fetch(*query.bind(since=since, until=until, restart_gap=restart_gap, areas=actor.area_list()))
    return [Missing(**dict(row)) for row in rows if gateway in {None, row["gateway"]}]


async def gateway_floods(
    conn: asyncpg.Connection, since: datetime, actor: Actor, *, gateway: str | None = None
) -> list[Flood]:
    """Floods since a moment and those that go on, newest first, within the caller's areas."""
    rows = await conn.fetch(*queries["gateway_floods"].bind(areas=actor.area_list(), since=since))
    return [Flood(**dict(row)) for row in rows if gateway in {None, row["gateway"]}]
