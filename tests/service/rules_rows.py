"""Rows that tests of the rules put into the database by themselves: one small district, batches, readings, events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import asyncpg

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@dataclass
class Town:
    """A district D01 with one compound, one building, two homes and a gateway; devices are added as needed."""

    conn: asyncpg.Connection
    building_id: int
    premises_ids: list[int]
    gateway_id: int
    slot: str = "D01"

    async def device(self, code: str, kind: str = "meter", *, home: int | None = 0, **columns: object) -> int:
        """Register a device, installed in a home since 2020 unless `home` is None."""
        values: dict[str, object] = {"kind": kind, "gateway_id": self.gateway_id, "expected_interval_s": 86_400}
        if kind == "meter":
            values |= {"meter_class": "G2.5", "qmin_lh": 25.0, "qmax_lh": 4000.0, "pulse_ml": 10_000}
        else:
            values |= {"warn_lel_pct": 5.0, "alarm_lel_pct": 10.0}
        device_id: int = await insert(self.conn, "device", "device_id", code=code, **(values | columns))
        if home is not None:
            installed_at = datetime(2020, 1, 1, tzinfo=UTC)
            await insert(
                self.conn,
                "installation",
                "installation_id",
                device_id=device_id,
                premises_id=self.premises_ids[home],
                installed_at=installed_at,
            )
        return device_id

    async def batch(
        self,
        device_ids: Sequence[int] = (),
        *,
        events: int = 0,
        received_at: datetime = NOW,
        first_at: datetime | None = None,
        last_at: datetime | None = None,
    ) -> int:
        """Commit a batch of this district's slot."""
        count = max(len(device_ids), events)
        return await insert(
            self.conn,
            "batch",
            "batch_id",
            slot=self.slot,
            first_received_at=received_at,
            last_received_at=received_at,
            received=count,
            stored=count,
            duplicate=0,
            late=0,
            conflict=0,
            quarantined=0,
            reading_rows=len(device_ids),
            event_rows=events,
            gateway_rows=0,
            device_ids=list(device_ids),
            first_at=first_at,
            last_at=last_at,
        )

    async def event(
        self, device_id: int, kind: str = "leak_alarm", state: str = "raised", at: datetime = NOW, **columns: object
    ) -> int:
        """Commit a batch with one event, in one transaction as ingest does."""
        received_at = columns.pop("received_at", at)
        assert isinstance(received_at, datetime)
        level = 2 if kind == "leak_alarm" else None
        values: dict[str, object] = {"level": level, "lel_pct": None, "test": False, "late": False, **columns}
        async with self.conn.transaction():
            batch_id = await self.batch(events=1, received_at=received_at)
            row = {"device_id": device_id, "at": at, "kind": kind, "state": state, "received_at": received_at}
            await insert(self.conn, "event", "batch_id", batch_id=batch_id, **row, **values)
        return batch_id

    async def readings(
        self,
        device_id: int,
        rows: Iterable[tuple[datetime, int | None]],
        *,
        flags: int = 0,
        received_at: datetime = NOW,
    ) -> int:
        """Commit a batch with register values of one device."""
        values = list(rows)
        ats = [at for at, _ in values]
        async with self.conn.transaction():
            batch_id = await self.batch([device_id], received_at=received_at, first_at=min(ats), last_at=max(ats))
            await self.conn.copy_records_to_table(
                "reading",
                records=[(device_id, at, index_ml, flags, batch_id) for at, index_ml in values],
                columns=["device_id", "at", "index_ml", "flags", "batch_id"],
            )
        return batch_id

    async def heard(self, device_id: int, at: datetime, **columns: object) -> None:
        """Move the state of a device and its gateway forward."""
        await self.conn.execute(
            "INSERT INTO device_state (device_id, last_received_at, heard_at) VALUES ($1, $2, $2)"
            " ON CONFLICT (device_id) DO UPDATE SET last_received_at = $2, heard_at = $2",
            device_id,
            at,
        )
        for name, value in columns.items():
            await self.conn.execute(f"UPDATE device_state SET {name} = $2 WHERE device_id = $1", device_id, value)  # noqa: S608
        await self.gateway_heard(at)

    async def gateway_heard(self, at: datetime, state: str | None = None) -> None:
        """Move the state of the gateway forward."""
        await self.conn.execute(
            "INSERT INTO gateway_state (gateway_id, last_received_at, heard_at, state) VALUES ($1, $2, $2, $3)"
            " ON CONFLICT (gateway_id) DO UPDATE SET"
            " last_received_at = greatest(gateway_state.last_received_at, $2),"
            " heard_at = greatest(gateway_state.heard_at, $2), state = $3",
            self.gateway_id,
            at,
            state,
        )


async def insert(conn: asyncpg.Connection, table: str, returning: str, **values: object) -> int:
    """Insert one row and return one of its columns."""
    names, places = ", ".join(values), ", ".join(f"${number}" for number in range(1, len(values) + 1))
    text = f"INSERT INTO {table} ({names}) VALUES ({places}) RETURNING {returning}"  # noqa: S608
    found: int = await conn.fetchval(text, *values.values())
    return found


async def make_town(conn: asyncpg.Connection, area: str = "D01") -> Town:
    """A district with one compound, one building, two homes and a gateway."""
    district_id = await insert(conn, "district", "district_id", code=area, name=area)
    place = {"latitude": 31.8, "longitude": 117.2}
    compound_id = await insert(
        conn, "compound", "compound_id", code=f"{area}-C1", name="Willow Court", district_id=district_id, **place
    )
    building_id = await insert(
        conn, "building", "building_id", code=f"{area}-B1", name="Block 1", compound_id=compound_id, **place
    )
    homes = [
        await insert(
            conn,
            "premises",
            "premises_id",
            code=f"{area}-P{number}",
            building_id=building_id,
            unit=f"{number}01",
            address=f"Willow Court 1-{number}01",
            user_class="household",
            contact_name="A. Resident",
            contact_phone="555-0101",
        )
        for number in (1, 2)
    ]
    gateway_id = await insert(conn, "gateway", "gateway_id", code=f"GW-{area}", area=area, expected_interval_s=86_400)
    return Town(conn, building_id, homes, gateway_id, slot=area)


def hourly(until: datetime, litres: Sequence[float], start_l: float = 1000.0) -> list[tuple[datetime, int]]:
    """Register values at full hours up to `until`, one per hour after the first; `litres[i]` moved in hour i."""
    total = start_l
    rows = [(until - timedelta(hours=len(litres)), round(total * 1000))]
    for number, moved in enumerate(litres, start=1):
        total += moved
        rows.append((until - timedelta(hours=len(litres) - number), round(total * 1000)))
    return rows


async def make_inspector(conn: asyncpg.Connection, code: str) -> int:
    """An inspector of D01; returns the id."""
    return await insert(
        conn,
        "inspector",
        "inspector_id",
        code=code,
        name=code,
        area="D01",
        start_latitude=31.8,
        start_longitude=117.2,
        shift_start=time(8),
        shift_end=time(17),
    )
