"""Reads one alert with everything about it: timeline, evidence, readings, door, episodes. Takes a connection."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from rules import lifecycle, proof_store
from rules.alert_list import row_values
from rules.alert_rows import alert_of
from rules.model import Json
from rules.pages import AlertWhole, Door, EpisodeRow, ReadingRow, SilenceRow, TimelineRow
from rules.regime_store import regime_in_force
from rules.regimes import Regime
from rules.silence_store import silences_covering
from sql import queries

_AROUND = timedelta(days=2)
_READINGS_MAX = 2000


async def whole(conn: asyncpg.Connection, row: Mapping[str, Any], now: datetime, *, personal: bool) -> AlertWhole:
    """Everything about the alert of a row; address and contact only where `personal`."""
    alert_id = row["alert_id"]
    timeline = await conn.fetch(*queries["alert_timeline"].bind(alert_id=alert_id))
    episodes = await conn.fetch(
        *queries["alert_episodes"].bind(rule_id=row["rule_id"], subject=row["subject"], alert_id=alert_id)
    )
    regime = await regime_in_force(conn)
    covering = (await silences_covering(conn, [alert_id], now)).get(alert_id, [])
    definition = row["definition"] or {}
    return AlertWhole(
        **row_values(row, regime, covering, now),
        rule_version=row["rule_version"],
        rule_title=definition.get("title"),
        what_to_do=definition.get("what_to_do"),
        first_value=row["first_value"],
        cleared_at=row["cleared_at"],
        closed_at=row["closed_at"],
        cause=row["cause"],
        evidence=row["evidence"],
        device_model=row["model"],
        meter_class=row["meter_class"],
        door=_door(row, personal=personal),
        allowed=lifecycle.allowed_sentence(row["state"]),
        regime=regime.name,
        controlled_at=row["controlled_at"],
        telemetry=await _telemetry(conn, row, regime),
        silences=[SilenceRow.model_validate(one, from_attributes=True) for one in covering],
        timeline=[TimelineRow(**step) for step in timeline],
        readings=await _readings_around(conn, row),
        episodes=[EpisodeRow(**episode) for episode in episodes],
    )


async def _telemetry(conn: asyncpg.Connection, row: Mapping[str, Any], regime: Regime) -> Json | None:
    """How far stored readings prove what was made safe; None in any other state, and for what is no single device."""
    if row["state"] != "made_safe" or row["device_id"] is None:
        return None
    alert = alert_of(row)
    return await proof_store.telemetry(conn, alert, row["device_id"], regime.limits_of(alert).telemetry_min)


def _door(row: Mapping[str, Any], *, personal: bool) -> Door:
    return Door(
        premises=row["premises"],
        unit=row["premises_unit"],
        user_class=row["user_class"],
        address=row["address"] if personal else None,
        contact_name=row["contact_name"] if personal else None,
        contact_phone=row["contact_phone"] if personal else None,
        building=row["building"],
        building_name=row["building_name"],
        latitude=row["latitude"],
        longitude=row["longitude"],
    )


async def _readings_around(conn: asyncpg.Connection, row: Mapping[str, Any]) -> list[ReadingRow]:
    """Readings from two days before the alert began (at most 14 days of it) to two days after its last finding."""
    if row["device_id"] is None:
        return []
    since = max(row["first_at"], row["last_at"] - timedelta(days=14)) - _AROUND
    query = queries["alert_readings"]
    found = await conn.fetch(
        *query.bind(device_id=row["device_id"], since=since, until=row["last_at"] + _AROUND, count=_READINGS_MAX)
    )
    return [ReadingRow(**reading) for reading in found]
