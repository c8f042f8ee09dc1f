"""Looks up what a proof claims: minutes of normal telemetry, an inspection's outcome. Takes a connection."""

from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from rules import proof
from rules.assertions import BLIND_BITS
from rules.model import Alert, Json
from rules.proof import Sample
from sql import queries

_UNKNOWN_FLAGS = 1 | 2 | 16 | 32
"""Marks of readings that tell nothing (docs/payloads.md): back-filled, past memory, clock unsure, simulated."""


async def looked_up(
    conn: asyncpg.Connection, alert: Alert, place: Mapping[str, Any], items: Iterable[Json], minutes_min: float
) -> tuple[Json, ...]:
    """The items with what is stored about them. `minutes_min`: the least telemetry that proves anything."""
    found: list[Json] = []
    for item in items:
        if item["kind"] == "telemetry":
            asked = item.get("minutes")
            minutes = max(minutes_min, asked) if isinstance(asked, int | float) else minutes_min
            found.append(await telemetry(conn, alert, place["device_id"], minutes))
        elif item["kind"] == "inspection":
            found.append(await _inspection(conn, alert, place, item))
        else:
            found.append(item)
    return tuple(found)


async def telemetry(conn: asyncpg.Connection, alert: Alert, device_id: int | None, minutes: float) -> Json:
    """Whether readings since the last finding (and since it was made safe) are normal for so many minutes."""
    row = None
    if device_id is not None:
        row = await conn.fetchrow(*queries["proof_device"].bind(device_id=device_id))
    if row is None:
        return {"kind": "telemetry", "minutes": minutes, "normal": False, "why": "the alert is not about one device"}
    since = max(alert.last_at, alert.made_safe_at or alert.last_at)
    readings = await conn.fetch(*queries["proof_samples"].bind(device_id=device_id, since=since))
    samples = [Sample(one["at"], one["index_ml"], one["lel_pct"], _doubtful(one)) for one in readings]
    warn = (row["warn_lel_pct"] or proof.SAFE_LEL_PCT) if row["kind"] == "detector" else None
    return proof.telemetry(samples, since, minutes, warn)


def _doubtful(reading: Mapping[str, Any]) -> bool:
    return bool(reading["flags"] & _UNKNOWN_FLAGS) or bool((reading["status"] or 0) & BLIND_BITS)


async def _inspection(conn: asyncpg.Connection, alert: Alert, place: Mapping[str, Any], item: Json) -> Json:
    """An inspection's outcome with what it found; `why`: what is wrong with it as a proof for this alert."""
    row = await conn.fetchrow(*queries["proof_inspection"].bind(outcome_id=item["outcome_id"]))
    if row is None:
        return {**item, "why": f"there is no outcome {item['outcome_id']}"}
    found = {**item, "result": row["result"], "at": row["at"].isoformat()}
    here = (
        row["premises_id"] == place["premises_id"]
        if place["premises_id"] is not None
        else row["building_id"] == place["building_id"]
    )
    if not here:
        return {**found, "why": "it was at another place"}
    if row["result"] != "passed" and (row["result"] != "hazard_found" or row["hazard_open"]):
        return {**found, "why": f"its result is {row['result'].replace('_', ' ')}"}
    if row["at"] < alert.last_at:
        return {**found, "why": "the condition was seen again after it"}
    return found
