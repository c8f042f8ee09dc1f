"""SQL of the ingest transaction. Every function takes a connection; the shell opens the transaction."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

import asyncpg

from ingest.directory import Identity
from ingest.model import (
    NO_GATEWAY,
    Bound,
    BoundEvent,
    Device,
    Disposition,
    Gateway,
    GatewayStatus,
    Message,
)
from ingest.rows import (
    FROZEN_COLUMNS,
    READING_COLUMNS,
    STAGED_COLUMNS,
    frozen_copy,
    own_records,
    span,
    staged_records,
)
from ingest.states import DeviceFacts, DeviceWords, fact_columns
from sql import queries


async def lock_slot(conn: asyncpg.Connection, slot: str) -> datetime:
    """Wait until this is the only transaction of its slot; returns the database's clock then."""
    now: datetime = await conn.fetchval(*queries["lock_slot"].bind(slot=slot), column=2)
    return now


async def claim_slot(conn: asyncpg.Connection, slot: str) -> bool:
    """Claim the slot for this session, until it ends or is reset; False when another session has it."""
    return bool(await conn.fetchval(*queries["claim_slot"].bind(slot=slot), timeout=2.0))


async def next_batch_id(conn: asyncpg.Connection) -> int:
    """Take the id of the batch that this transaction writes."""
    return int(await conn.fetchval(*queries["next_batch_id"].bind()))


async def batch_committed(conn: asyncpg.Connection, batch_id: int, slot: str, received: Sequence[datetime]) -> bool:
    """Tell whether a batch is there after all, when nobody heard the answer to its COMMIT.

    The id alone would not do: a server that crashed before it wrote the sequence gives the same id again.
    """
    return bool(
        await conn.fetchval(
            *queries["batch_committed"].bind(
                batch_id=batch_id,
                slot=slot,
                first_received_at=min(received),
                last_received_at=max(received),
                received=len(received),
            )
        )
    )


async def gateways_by_code(conn: asyncpg.Connection, codes: Iterable[str]) -> list[Gateway]:
    """Registered gateways among these codes."""
    rows = await conn.fetch(*queries["gateways_by_code"].bind(codes=list(codes)))
    return [Gateway(row["gateway_id"], row["code"], row["area"]) for row in rows]


async def devices_by_identity(
    conn: asyncpg.Connection, identities: Iterable[Identity]
) -> list[tuple[Identity, Device]]:
    """Registered devices among these identities."""
    wanted = list(identities)
    rows = await conn.fetch(
        *queries["devices_by_identity"].bind(families=[one[0] for one in wanted], codes=[one[1] for one in wanted])
    )
    return [
        (
            (row["family"], row["code"]),
            Device(**{name: value for name, value in row.items() if name not in {"family", "code"}}),
        )
        for row in rows
    ]


async def copy_readings(conn: asyncpg.Connection, bounds: Sequence[Bound], batch_id: int) -> int:
    """Store all reading rows by binary COPY; raises UniqueViolationError when one is there already.

    The caller holds a savepoint. Returns the number of rows.
    """
    own = own_records(bounds, batch_id)
    if own:
        await conn.copy_records_to_table("reading", records=own, columns=READING_COLUMNS)
    frozen, count = frozen_copy(bounds, batch_id)
    if count:
        await conn.copy_to_table("reading", source=memoryview(frozen), format="binary", columns=FROZEN_COLUMNS)
    return len(own) + count


async def stage_readings(
    conn: asyncpg.Connection, bounds: Sequence[Bound], batch_id: int
) -> dict[int, tuple[int, bool]]:
    """Store the reading rows that are new and keep conflicts; returns (rows added, in conflict) by message number."""
    moments = span(bounds)
    if moments is None:
        return {}
    await conn.execute(*queries["create_staging"].bind())
    await conn.execute(*queries["clear_staging"].bind())
    await conn.copy_records_to_table("staged_reading", records=staged_records(bounds), columns=STAGED_COLUMNS)
    inserted = await conn.fetch(*queries["insert_staged_readings"].bind(batch_id=batch_id))
    await conn.execute(*queries["favour_index_lookups"].bind())
    judged = await conn.fetch(
        *queries["judge_staged_readings"].bind(batch_id=batch_id, first_at=moments[0], last_at=moments[1])
    )
    added, differing = {row["message"]: row["added"] for row in inserted}, {row["message"] for row in judged}
    return {bound.number: (added.get(bound.number, 0), bound.number in differing) for bound in bounds}


async def insert_events(
    conn: asyncpg.Connection, events: Sequence[tuple[Bound, BoundEvent]], batch_id: int
) -> list[tuple[bool, bool]]:
    """Store the events that are new and keep conflicts; returns (added, in conflict) per event."""
    columns = {
        "device_ids": [one.device.device_id for _, one in events],
        "ats": [one.event.at for _, one in events],
        "kinds": [one.event.kind for _, one in events],
        "states": [one.event.state for _, one in events],
        "levels": [one.event.level for _, one in events],
        "lels": [one.event.lel_pct for _, one in events],
        "causes": [one.event.cause for _, one in events],
        "tests": [one.event.test for _, one in events],
        "seqs": [one.event.seq for _, one in events],
    }
    lates = [one.late for _, one in events]
    received = [bound.message.received_at for bound, _ in events]
    status = await conn.execute(
        *queries["insert_events"].bind(**columns, lates=lates, received_ats=received, batch_id=batch_id)
    )
    if int(status.split()[-1]) == len(events):
        return [(True, False)] * len(events)
    judged = await conn.fetch(*queries["judge_events"].bind(**columns, batch_id=batch_id))
    return [(row["added"], row["conflict"]) for row in judged]


async def insert_gateway_events(
    conn: asyncpg.Connection, statuses: Sequence[tuple[Bound, GatewayStatus]], batch_id: int
) -> list[bool]:
    """Store births and wills that are new and let them act on the gateway's state; returns (added) per status."""
    added = await conn.fetch(
        *queries["insert_gateway_events"].bind(
            gateway_ids=[bound.gateway.gateway_id for bound, _ in statuses],
            ats=[status.at for _, status in statuses],
            states=[status.state for _, status in statuses],
            sessions=[status.session for _, status in statuses],
            received_ats=[bound.message.received_at for bound, _ in statuses],
            batch_id=batch_id,
        )
    )
    ordinals = {row["ordinal"] - 1 for row in added}
    for position in sorted(ordinals):
        await _apply_status(conn, *statuses[position])
    return [position in ordinals for position in range(len(statuses))]


async def _apply_status(conn: asyncpg.Connection, bound: Bound, status: GatewayStatus) -> None:
    gateway_id, received_at = bound.gateway.gateway_id, bound.message.received_at
    if status.state == "offline" and status.scope is not None:
        query = queries["apply_scoped_will"]
        await conn.execute(*query.bind(gateway_id=gateway_id, scope=status.scope, received_at=received_at))
    elif status.state == "online":
        query = queries["apply_gateway_birth"]
        await conn.execute(
            *query.bind(gateway_id=gateway_id, session=status.session, at=status.at, received_at=received_at)
        )
    else:
        await conn.execute(*queries["apply_gateway_will"].bind(gateway_id=gateway_id, session=status.session))


async def merge_device_states(conn: asyncpg.Connection, facts: Sequence[DeviceFacts]) -> None:
    """Move the states of these devices forward."""
    await conn.execute(queries["merge_device_states"].text, *fact_columns(facts))


async def merge_device_words(conn: asyncpg.Connection, words: Sequence[tuple[int, DeviceWords]]) -> None:
    """Move charge and presence of these devices forward."""
    await conn.execute(
        *queries["merge_device_words"].bind(
            device_ids=[device_id for device_id, _ in words],
            battery_ats=[one.battery_at for _, one in words],
            batteries=[one.battery_pct for _, one in words],
            presence_ats=[one.presence_at for _, one in words],
            presences=[one.presence for _, one in words],
        )
    )


async def touch_gateways(conn: asyncpg.Connection, heard: dict[int, tuple[datetime, datetime]]) -> None:
    """Remember (last arrival, heard up to) of each gateway."""
    received_ats = [received_at for received_at, _ in heard.values()]
    heard_ats = [heard_at for _, heard_at in heard.values()]
    await conn.execute(
        *queries["touch_gateways"].bind(gateway_ids=list(heard), received_ats=received_ats, heard_ats=heard_ats)
    )


async def mark_replayed(
    conn: asyncpg.Connection, quarantine_ids: Sequence[int], replayed_at: datetime, batch_id: int
) -> None:
    """Record that these messages left quarantine in this batch."""
    await conn.execute(
        *queries["mark_replayed"].bind(ids=list(quarantine_ids), replayed_at=replayed_at, batch_id=batch_id)
    )


async def add_to_ledger(
    conn: asyncpg.Connection, slot: str, lines: Sequence[tuple[Message, Gateway | None, Disposition]]
) -> None:
    """Add these messages' dispositions to the ledger of their days and gateways."""
    counts: dict[tuple[date, str], Counter[Disposition]] = defaultdict(Counter)
    for message, gateway, disposition in lines:
        day = message.received_at.astimezone(UTC).date()
        counts[day, NO_GATEWAY if gateway is None else gateway.code][disposition] += 1
    await conn.execute(
        *queries["add_to_ledger"].bind(
            days=[day for day, _ in counts],
            slot=slot,
            gateways=[gateway for _, gateway in counts],
            received=[count.total() for count in counts.values()],
            **{kind.value: [count[kind] for count in counts.values()] for kind in Disposition},
        )
    )


async def insert_batch(
    conn: asyncpg.Connection,
    batch_id: int,
    slot: str,
    received: Sequence[datetime],
    counts: Counter[Disposition],
    rows: tuple[int, int, int],
    device_ids: Sequence[int],
    moments: tuple[datetime, datetime] | None,
) -> None:
    """Write the batch's own row and tell the rules; `rows` are readings, events and gateway events really added."""
    first_at, last_at = moments or (None, None)
    await conn.execute(
        *queries["insert_batch"].bind(
            batch_id=batch_id,
            slot=slot,
            first_received_at=min(received),
            last_received_at=max(received),
            received=len(received),
            **{kind.value: counts[kind] for kind in Disposition},
            reading_rows=rows[0],
            event_rows=rows[1],
            gateway_rows=rows[2],
            device_ids=list(device_ids),
            first_at=first_at,
            last_at=last_at,
        )
    )
    await conn.execute(*queries["notify_batch"].bind(slot=slot))
