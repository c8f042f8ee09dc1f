"""Loads what is played again; every function takes a connection. Slices of time keep months in little memory."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from rules.replay.model import (
    DeviceFacts,
    DeviceTold,
    FloodSpan,
    GatewayFacts,
    GatewayWord,
    Known,
    Place,
    Presence,
    Refused,
    Stay,
    Town,
    Word,
)
from rules.store import listening_since
from rules.watch_store import shortest_interval
from sql import queries

PRESENCE = "presence"


async def load_town(conn: asyncpg.Connection, device_ids: Sequence[int], until: datetime) -> Town:
    """Some devices and whatever bears on their silence, as registered."""
    rows = await conn.fetch(*queries["replayed_devices"].bind(device_ids=device_ids))
    devices = [DeviceFacts(**row) for row in rows]
    wanted = sorted({one.gateway_id for one in devices})
    gateways = await conn.fetch(*queries["replayed_gateways"].bind(gateway_ids=wanted))
    ids = [one.device_id for one in devices]
    gateway_ids = [row["gateway_id"] for row in gateways]
    floods = await conn.fetch(*queries["flood_spans"].bind(gateway_ids=gateway_ids, until=until))
    stays = await conn.fetch(*queries["stays"].bind(device_ids=ids))
    facts = await listening_since(conn)
    return Town(
        devices=devices,
        gateways=[GatewayFacts(**row) for row in gateways],
        stays=[_stay(row) for row in stays],
        floods=[FloodSpan(**row) for row in floods],
        shortest_interval_s=await shortest_interval(conn) or 86_400.0,
        observed_from=facts["first_at"],
        listened_until=facts["newest_at"],
    )


def _stay(row: asyncpg.Record) -> Stay:
    names = ("user_class", "area", "building_id", "compound_id", "district_id", "building", "compound", "district")
    place = Place(*(row[name] for name in names))
    return Stay(row["device_id"], row["installed_at"], row["removed_at"], place)


async def load_known(conn: asyncpg.Connection, town: Town, at: datetime) -> Known:
    """What was known of devices and gateways at a moment."""
    ids = [one.device_id for one in town.devices]
    gateway_ids = [one.gateway_id for one in town.gateways]
    heard = await conn.fetch(*queries["heard_until"].bind(device_ids=ids, until=at))
    presence = await conn.fetch(*queries["presence_until"].bind(device_ids=ids, until=at))
    words = await conn.fetch(*queries["gateway_words_until"].bind(gateway_ids=gateway_ids, until=at))
    return Known(
        {row["device_id"]: row["heard_at"] for row in heard},
        {row["device_id"]: (row["told_at"], row["presence"]) for row in presence},
        [GatewayWord(**row) for row in words],
    )


async def load_words(conn: asyncpg.Connection, town: Town, since: datetime, until: datetime) -> list[Word]:
    """What arrived within `(since, until]`, in order of arrival."""
    found: list[Word] = []
    ids = [one.device_id for one in town.devices]
    gateway_ids = [one.gateway_id for one in town.gateways]
    time = {"since": since, "until": until}
    bounds = await conn.fetchrow(*queries["arrival_bounds"].bind(**time))
    if bounds["first_id"] is not None:
        batches = {"first_id": bounds["first_id"], "last_id": bounds["last_id"], "device_ids": ids}
        if bounds["first_at"] is not None:
            touched = {"first_at": bounds["first_at"], "last_at": bounds["last_at"]}
            rows = await conn.fetch(*queries["readings_told"].bind(**time, **batches, **touched))
            found += [DeviceTold(*row) for row in rows]
        found += [_event(row) for row in await conn.fetch(*queries["events_told"].bind(**time, **batches))]
    words = await conn.fetch(*queries["gateway_words_told"].bind(**time, gateway_ids=gateway_ids))
    found += [GatewayWord(**row) for row in words]
    refused = await conn.fetch(*queries["refused_told"].bind(**time, gateway_ids=gateway_ids))
    found += [Refused(**row) for row in refused]
    return sorted(found, key=lambda word: word.arrived_at)


def _event(row: asyncpg.Record) -> Word:
    """A word that a device is gone is no sign of its life; any other is one, up to its own moment."""
    if row["kind"] == PRESENCE:
        return Presence(row["arrived_at"], row["device_id"], row["told_at"], row["state"])
    return DeviceTold(row["arrived_at"], row["device_id"], min(row["told_at"], row["arrived_at"]))
