"""An ingest worker as a process of its own: `python -m tests.ingest_worker DATABASE_URL MQTT_URL [SLOT]`."""

import asyncio
import gc
import signal
import sys

import uvloop

from ingest.client import BrokerParams
from ingest.subscriber import IngestParams, run
from sql.pool import open_pool


async def main(database_url: str, mqtt_url: str, slot: str = "0") -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    broker = BrokerParams.from_url(mqtt_url, retry_max_s=1.0)
    async with open_pool(database_url, application_name="ingest") as pool:
        await run(pool, IngestParams(slot=slot, retry_max_s=0.5), broker)


if __name__ == "__main__":
    gc.set_threshold(100_000, 20, 50)
    try:
        uvloop.run(main(*sys.argv[1:]))
    except asyncio.CancelledError:
        sys.exit(0)
