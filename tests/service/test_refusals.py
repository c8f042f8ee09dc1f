"""What cannot be stored is kept within bounds: the newest whole, older ones counted, nothing silently."""

from datetime import timedelta

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ingest import quarantine, refusals, tracing
from ingest.formats import read_message
from ingest.model import Gateway, QuarantineReason, Refused, Rejected
from ingest.refusals import LARGE_ABOVE_BYTES, Bounds, keep_refused
from sql.actor import Actor
from tests.ingest_city import AREA, NOW, ledger_totals, register, topic, until, working
from tests.publisher import Publisher
from tests.servers import Broker, Database

_ALL = Actor("test", "administrator")
_FEW = Bounds(small_places=3, large_places=2)


def _broken(
    number: int, gateway: str = "GW-1", reason: QuarantineReason = QuarantineReason.NOT_JSON, size: int = 0
) -> Refused:
    """The `number`th message of a gateway that cannot be read."""
    at = NOW + timedelta(seconds=number)
    message = read_message(topic(gateway), f"{number} ".encode().ljust(size, b"x"), at)
    return Refused(number, message, Gateway(1, gateway, AREA), Rejected(reason, "payload: no JSON", "native/1"))


async def _keep(conn: asyncpg.Connection, *refused: Refused) -> None:
    async with conn.transaction():
        await keep_refused(conn, refused, 1, _FEW)


async def _kept(conn: asyncpg.Connection) -> list[int]:
    rows = await conn.fetch("SELECT split_part(convert_from(payload, 'utf8'), ' ', 1)::int AS number FROM quarantine")
    return sorted(row["number"] for row in rows)


async def _counts(conn: asyncpg.Connection) -> list[tuple[str, str, int, int]]:
    rows = await conn.fetch("SELECT gateway, reason, messages, discarded FROM refusal ORDER BY gateway, reason, large")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("at_once", [1, 2, 10], ids=["one by one", "in twos", "in one batch"])
async def test_a_gateway_that_is_refused_for_ever_keeps_its_newest_messages(
    conn: asyncpg.Connection, at_once: int
) -> None:
    """Ten messages and three places: the newest three are there whole, seven are counted as discarded."""
    for first in range(0, 10, at_once):
        await _keep(conn, *(_broken(number) for number in range(first, first + at_once)))
    assert await _kept(conn) == [7, 8, 9]
    assert await _counts(conn) == [("GW-1", "not_json", 10, 7)]


async def test_every_refused_message_is_kept_or_counted(conn: asyncpg.Connection) -> None:
    """Messages = what is kept, with its repeats, and what was discarded; a repeat takes no place of its own."""
    await _keep(conn, _broken(1), _broken(1), _broken(2))
    await _keep(conn, _broken(2), _broken(3), _broken(4), _broken(5), _broken(5))
    assert await _kept(conn) == [3, 4, 5]
    ((_, _, messages, discarded),) = await _counts(conn)
    assert messages == 8 == discarded + await conn.fetchval("SELECT sum(times) FROM quarantine")


async def test_gateways_reasons_and_sizes_have_places_of_their_own(conn: asyncpg.Connection) -> None:
    """A flood of one kind pushes out neither another gateway's messages, nor those of another reason or size."""
    large = LARGE_ABOVE_BYTES + 1
    other = QuarantineReason.INVALID_FIELD
    await _keep(conn, _broken(100, "GW-2"), _broken(101, reason=other), _broken(102, size=large))
    await _keep(conn, *(_broken(number) for number in range(20)))
    await _keep(conn, *(_broken(number, size=large) for number in range(30, 34)))
    assert await _kept(conn) == [17, 18, 19, 32, 33, 100, 101]
    assert [tuple(row)[:4] for row in await refusals.gave_way(conn, _ALL)] == [("GW-1", "not_json", 25, 20)]
    assert await refusals.gave_way(conn, _ALL, "GW-2") == []
    assert await refusals.gave_way(conn, Actor("a", "officer", frozenset({"D99"}))) == []


async def test_a_replayed_message_gives_way_uncounted(conn: asyncpg.Connection) -> None:
    """What left quarantine is not lost when its place is taken."""
    await _keep(conn, *(_broken(number) for number in range(3)))
    await conn.execute("UPDATE quarantine SET replayed_at = now(), replay_batch_id = 1")
    await _keep(conn, *(_broken(number) for number in range(3, 6)))
    assert await _counts(conn) == [("GW-1", "not_json", 6, 0)]


async def test_a_repeat_of_a_replayed_message_waits_again(conn: asyncpg.Connection) -> None:
    """The same bytes refused again are the same row, with the reason of today."""
    await _keep(conn, _broken(1))
    await conn.execute("UPDATE quarantine SET replayed_at = now(), replay_batch_id = 1")
    await _keep(conn, _broken(1, reason=QuarantineReason.INVALID_FIELD))
    (row,) = await quarantine.search(conn, _ALL, replayed=False)
    assert (row["times"], row["reason"]) == (2, "invalid_field")


async def test_a_trace_says_that_refused_messages_are_no_longer_kept(db: Database, conn: asyncpg.Connection) -> None:
    """Where nothing is known of a reading, the messages nobody can look into any more are named."""
    register(db.admin_url, meters=1)
    await _keep(conn, *(_broken(number) for number in range(10)))
    found = await tracing.trace(conn, "M-GW-1-0", NOW, _ALL)
    assert "7 messages of GW-1 were refused and are no longer kept" in found.sentence


async def test_a_worker_that_just_began_knows_whose_broken_messages_they_are(
    db: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """A gateway that sends nothing but rubbish is looked up all the same: ledger and bounds are its own."""
    register(db.admin_url, meters=1)

    async def all_there() -> bool:
        return (await ledger_totals(pool))["received"] == 2

    async with working(pool, broker.url):
        await until(_connected)
        with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as publisher:
            publisher.publish([(topic("GW-1"), b"{"), (topic("GW-1"), b"[")])
        await until(all_there)
    assert [row["gateway"] for row in await pool.fetch("SELECT gateway FROM ledger")] == ["GW-1"]
    assert [tuple(row) for row in await pool.fetch("SELECT gateway, messages FROM refusal")] == [("GW-1", 2)]


async def _connected() -> bool:
    return REGISTRY.get_sample_value("gaswarden_ingest_connected", {"slot": "0"}) == 1
