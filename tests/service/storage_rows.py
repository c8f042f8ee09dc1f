"""Batches of readings as ingest commits them, for tests of what comes after."""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

NOW = datetime.now(UTC)

Row = tuple[int, datetime, int | None] | tuple[int, datetime, int | None, int]


async def commit_batch(
    conn: asyncpg.Connection, rows: Sequence[Row], *, slot: str = "0", received_at: datetime = NOW
) -> int:
    """One committed batch of (device_id, at, index_ml[, flags]); returns its id. Booked in the ledger too."""
    async with conn.transaction():
        batch_id: int = await conn.fetchval("SELECT nextval(pg_get_serial_sequence('batch', 'batch_id'))")
        records = [(row[0], row[1], row[2], row[3] if len(row) == 4 else 0, batch_id) for row in rows]
        await conn.copy_records_to_table(
            "reading", records=records, columns=("device_id", "at", "index_ml", "flags", "batch_id")
        )
        moments = [row[1] for row in rows]
        await conn.execute(
            """INSERT INTO batch (batch_id, slot, first_received_at, last_received_at, received, stored, duplicate,
            late, conflict, quarantined, reading_rows, event_rows, gateway_rows, device_ids, first_at, last_at)
            OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $3, $4, $4, 0, 0, 0, 0, $4, 0, 0, $5, $6, $7)""",
            batch_id, slot, received_at, len(rows), sorted({row[0] for row in rows}), min(moments), max(moments),
        )  # fmt: skip
        await conn.execute(
            """INSERT INTO ledger AS l (day, slot, gateway, received, stored, duplicate, late, conflict, quarantined)
            VALUES ($1, $2, 'GW', $3, $3, 0, 0, 0, 0)
            ON CONFLICT (day, slot, gateway) DO UPDATE SET received = l.received + $3, stored = l.stored + $3""",
            received_at.date(), slot, len(rows),
        )  # fmt: skip
    return batch_id


async def rules_have_read(conn: asyncpg.Connection, slot: str, batch_id: int) -> None:
    """The rules' cursors of a slot stand at a batch."""
    await conn.execute(
        """INSERT INTO rule_cursor (stream, slot, batch_id)
        SELECT unnest(ARRAY['events', 'readings', 'instants', 'days']), $1, $2
        ON CONFLICT (stream, slot) DO UPDATE SET batch_id = excluded.batch_id""",
        slot,
        batch_id,
    )
