"""What the metrics of ingest say while a transaction hangs, and after it."""

import asyncpg
import psycopg
from prometheus_client import REGISTRY

from sql import queries
from tests.ingest_city import ledger_totals, reading, register, topic, until, working
from tests.publisher import Publisher
from tests.servers import Broker, Database


def sample(name: str) -> float:
    return REGISTRY.get_sample_value(f"gaswarden_ingest_{name}", {"slot": "0"}) or 0


async def test_what_waits_is_seen_while_a_transaction_hangs(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """Fifty messages behind a held transaction are in flight; once committed, none is, and all are counted."""
    register(db.admin_url)
    lock = queries["lock_slot"].text.replace("$1", "%s")
    batched, lagged = sample("batch_messages_sum"), sample("arrival_lag_seconds_count")

    async def all_in_flight() -> bool:
        return sample("in_flight") == 50

    async def none_in_flight() -> bool:
        return (await ledger_totals(pool))["received"] == 50 and sample("in_flight") == 0

    async with working(pool, broker.url):
        with psycopg.connect(db.admin_url) as holder:
            holder.execute(lock.encode(), ("0",))
            with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
                gateway.publish([(topic(), reading(seq=number)) for number in range(50)])
            await until(all_in_flight)
            assert 0 < sample("waiting") + sample("batch_messages_sum") - batched <= 50
        await until(none_in_flight)
    assert sample("batch_messages_sum") - batched == 50
    assert sample("arrival_lag_seconds_count") > lagged
    assert sample("device_lag_seconds_count") > 0
