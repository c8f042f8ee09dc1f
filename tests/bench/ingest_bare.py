"""A subscriber that only acknowledges, as a process: `python -m tests.bench.ingest_bare MQTT_URL COUNT`."""

import asyncio
import sys

import uvloop
from mqtt5 import PublishPacket

from ingest.broker_params import BrokerParams
from ingest.client import ConnectionLost, connect


async def main(mqtt_url: str, count: int) -> None:
    pending: list[int] = []
    wake = asyncio.Event()
    room = asyncio.Event()
    room.set()

    def take(packet: PublishPacket) -> None:
        if packet.packet_id is not None:
            pending.append(packet.packet_id)
            wake.set()

    done = 0
    async with connect(BrokerParams.from_url(mqtt_url), "bench-bare") as connection:
        await connection.subscribe(["gas/v1/#"])
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        pump = asyncio.create_task(connection.receive(take, room))
        while done < count:
            await wake.wait()
            wake.clear()
            ids, pending[:] = pending[:], []
            await connection.acknowledge(ids)
            done += len(ids)
        pump.cancel()
        await asyncio.wait({pump})
    sys.stdout.write("done\n")


if __name__ == "__main__":
    try:
        uvloop.run(main(sys.argv[1], int(sys.argv[2])))
    except ConnectionLost as error:
        sys.exit(str(error))
