"""Who publishes without being registered: one row each, a bounded number of messages, nothing uncounted."""

from datetime import timedelta

import asyncpg
import pytest

from ingest.formats import read_message
from ingest.model import QuarantineReason, Refused, Rejected
from ingest.strangers import Bounds, keep_strangers, unregistered_page
from sql.actor import Actor
from tests.ingest_city import AREA, NOW, reading, register, topic
from tests.servers import Database

_ALL = Actor("test", "administrator")
_FEW = Bounds(places=3, rows_max=4, shared_places=2)


def _unknown(number: int, code: str = "X-1", gateway: str = "GW-1") -> Refused:
    """A reading of a device that nobody registered, the `number`th of its kind."""
    at = NOW - timedelta(hours=200) + timedelta(hours=number)
    message = read_message(topic(gateway), reading(code, seq=number, at=at), at + timedelta(minutes=1))
    detail = f"device: no native device {code} is registered"
    return Refused(number, message, None, Rejected(QuarantineReason.UNKNOWN_DEVICE, detail, "native/1"))


async def _keep(conn: asyncpg.Connection, refused: list[Refused], bounds: Bounds = _FEW) -> list[Refused]:
    async with conn.transaction():
        return await keep_strangers(conn, refused, 1, bounds)


async def _kept_seqs(conn: asyncpg.Connection) -> list[int]:
    rows = await conn.fetch("SELECT (convert_from(payload, 'utf8')::jsonb ->> 'seq')::int AS seq FROM quarantine")
    return sorted(row["seq"] for row in rows)


async def _row(conn: asyncpg.Connection) -> tuple[int, int]:
    row = await conn.fetchrow("SELECT messages, discarded FROM unregistered_device")
    assert row is not None
    return row["messages"], row["discarded"]


@pytest.mark.parametrize("at_once", [1, 2, 10], ids=["one by one", "in twos", "in one batch"])
async def test_a_device_that_reports_for_ever_keeps_its_newest_messages(conn: asyncpg.Connection, at_once: int) -> None:
    """Ten messages and three places: the newest three are there whole, seven are counted as discarded."""
    for first in range(0, 10, at_once):
        assert await _keep(conn, [_unknown(number) for number in range(first, first + at_once)]) == []
    assert await _kept_seqs(conn) == [7, 8, 9]
    assert await _row(conn) == (10, 7)


async def test_every_message_is_kept_or_counted(conn: asyncpg.Connection) -> None:
    """Messages = what is kept, with its repeats, and what was discarded: also with repeats."""
    await _keep(conn, [_unknown(1), _unknown(1), _unknown(2)])
    await _keep(conn, [_unknown(2), _unknown(3), _unknown(4), _unknown(5), _unknown(5)])
    messages, discarded = await _row(conn)
    assert messages == 8
    assert messages == discarded + await conn.fetchval("SELECT sum(times) FROM quarantine")
    assert await _kept_seqs(conn) == [3, 4, 5]


async def test_the_newest_message_has_the_newest_id(conn: asyncpg.Connection) -> None:
    """In an older message's place it has an id of its own: lists stay newest first, an id names one message."""
    await _keep(conn, [_unknown(number) for number in range(3)])
    before = await conn.fetchval("SELECT max(quarantine_id) FROM quarantine")
    await _keep(conn, [_unknown(3)])
    row = await conn.fetchrow("SELECT quarantine_id, place FROM quarantine ORDER BY quarantine_id DESC LIMIT 1")
    assert row is not None
    assert row["quarantine_id"] > before
    assert row["place"] == 0


async def test_a_gateway_has_a_bounded_number_of_rows(conn: asyncpg.Connection) -> None:
    """A million invented devices of one gateway are four rows and a shared one; other gateways are not touched."""
    await _keep(conn, [_unknown(number, f"X-{number}") for number in range(6)])
    await _keep(conn, [_unknown(number, f"X-{number}") for number in range(6, 12)])
    await _keep(conn, [_unknown(50, "X-1"), _unknown(51, "X-1", "GW-2")])
    rows = await conn.fetch("SELECT gateway, code, messages, discarded FROM unregistered_device ORDER BY gateway, code")
    assert [tuple(row) for row in rows] == [
        ("GW-1", "*", 8, 6),
        ("GW-1", "X-0", 1, 0),
        ("GW-1", "X-1", 2, 0),
        ("GW-1", "X-2", 1, 0),
        ("GW-1", "X-3", 1, 0),
        ("GW-2", "X-1", 1, 0),
    ]
    assert await conn.fetchval("SELECT count(*) FROM quarantine") == 8


async def test_other_refusals_are_left_to_the_quarantine(conn: asyncpg.Connection) -> None:
    """Only who is not registered is kept here; the rest is handed back."""
    message = read_message(topic(), b"{", NOW)
    assert isinstance(message.content, Rejected)
    broken = Refused(0, message, None, message.content)
    assert await _keep(conn, [broken, _unknown(1)]) == [broken]
    assert await conn.fetchval("SELECT count(*) FROM quarantine") == 1


async def test_the_list_shows_who_is_still_not_registered(db: Database, conn: asyncpg.Connection) -> None:
    """A device leaves the list when it is registered at that gateway, not at another; areas bound the list."""
    register(db.admin_url, meters=1)
    await _keep(conn, [_unknown(1, "M-GW-1-0"), _unknown(2, "M-GW-2-0"), _unknown(3, "X-9")])
    found = await unregistered_page(conn, None, _ALL, None, 10)
    assert [(row["gateway"], row["code"], row["waiting"]) for row in found] == [
        ("GW-1", "M-GW-2-0", 1),
        ("GW-1", "X-9", 1),
    ]
    assert [row["area"] for row in found] == [AREA, AREA]
    assert await unregistered_page(conn, None, Actor("a", "officer", frozenset({"D99"})), None, 10) == []
    assert len(await unregistered_page(conn, None, _ALL, found[0]["unregistered_id"], 10)) == 1
