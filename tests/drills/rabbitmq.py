"""kill -9 of RabbitMQ under load: what it acknowledged to the gateway is stored, all of it.

Run by scripts/drill-rabbitmq, which brings the Debian tree. The broker has the configuration of deploy/rabbitmq, the
accounts the permissions that `gaswarden gateway add` prints, the worker is the product's own, the database a real one.
"""

import argparse
import asyncio
import json
import signal
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import asyncpg

from app.embedded.processes import free_port
from app.gateway_accounts import rabbitmq_gateway, rabbitmq_worker
from sql.migrate import migrate
from sql.pool import open_pool
from tests.drills.rabbitmq_nodes import DrillError, Node, am_root, node_names
from tests.ingest_city import AREA, NOW, ledger_totals, register, until, working
from tests.network import Relay, relay
from tests.publisher import BrokerGone, Publisher
from tests.servers import DatabaseServer, throwaway_servers

_METERS = 50
_START = NOW - timedelta(hours=40)
_GATEWAY, _PASSWORD, _WORKER_PASSWORD = "GW-1", "drill-gateway", "drill-worker"


class Load(threading.Thread):
    """The gateway: publishes numbered messages in chunks, again until the broker acknowledges them."""

    def __init__(self, port: int, total: int, chunk: int = 500) -> None:
        super().__init__(daemon=True)
        self._port, self._total, self._chunk = port, total, chunk
        self.acknowledged: set[int] = set()
        self.breaks = 0

    def run(self) -> None:
        for first in range(0, self._total, self._chunk):
            waiting = list(range(first, min(first + self._chunk, self._total)))
            while waiting:
                waiting = self._send(waiting)

    def _send(self, numbers: list[int]) -> list[int]:
        """Send these; returns those that were not acknowledged before the connection broke."""
        try:
            link = Publisher("127.0.0.1", self._port, (_GATEWAY, _PASSWORD), client_id=_GATEWAY)
        except (OSError, BrokerGone):
            time.sleep(0.1)
            return numbers
        with link:
            try:
                link.publish([(f"gas/v1/{AREA}/{_GATEWAY}/readings", _body(number)) for number in numbers])
            except (OSError, BrokerGone):
                self.breaks += 1
            taken = {numbers[position] for position in link.acknowledged}
        self.acknowledged |= taken
        return [number for number in numbers if number not in taken]


def _body(number: int) -> bytes:
    turn, device = divmod(number, _METERS)
    at = (_START + timedelta(seconds=turn)).isoformat()
    return json.dumps(
        {"device": f"M-GW-1-{device}", "seq": turn % 65_536, "at": at, "index_ml": 10_000 * turn}
    ).encode()


async def _stored(pool: asyncpg.Pool) -> set[int]:
    rows = await pool.fetch(
        """SELECT extract(epoch FROM at - $1)::bigint * $2 + split_part(code, '-', 4)::int AS number
        FROM reading JOIN device USING (device_id) WHERE seq IS NOT NULL""",
        _START,
        _METERS,
    )
    return {row["number"] for row in rows}


async def drill(nodes: list[Node], pool: asyncpg.Pool, messages: int, kills: int, settle_s: float) -> dict[str, object]:
    """Load, kills spread over it, and the comparison at the end."""
    for call in [*rabbitmq_worker("ingest", _WORKER_PASSWORD), *rabbitmq_gateway(_GATEWAY, _PASSWORD)]:
        await asyncio.to_thread(nodes[0].control, *call.words[1:])
    await asyncio.to_thread(_check_permissions, nodes[0].mqtt_port)
    async with relay("127.0.0.1", nodes[0].mqtt_port) as way:
        url = f"mqtt://ingest:{_WORKER_PASSWORD}@127.0.0.1:{way.port}"
        began_s = time.monotonic()
        async with working(pool, url):
            await asyncio.sleep(settle_s)
            load = Load(way.port, messages)
            load.start()
            restarts: list[float] = []
            for number in range(1, kills + 1):
                goal = messages * number // (kills + 1)
                await until(lambda goal=goal: _reached(load, goal), timeout_s=180)  # type: ignore[misc]
                restarts.append(await _strike(nodes, way, number))
            await until(lambda: _finished(load), timeout_s=180)
            loaded_s = time.monotonic() - began_s
            await until(lambda: _all_there(pool, load), timeout_s=120)
            drained_s = time.monotonic() - began_s
            queues = await asyncio.to_thread(_queues, nodes)
    stored, totals = await _stored(pool), await ledger_totals(pool)
    return {
        "nodes": len(nodes),
        "kills": kills,
        "acknowledged": len(load.acknowledged),
        "stored": len(stored & load.acknowledged),
        "lost": len(load.acknowledged - stored),
        "broken connections": load.breaks,
        "back after, s": [round(one, 1) for one in restarts],
        "load, s": round(loaded_s, 1),
        "drained, s": round(drained_s, 1),
        "ledger": totals,
        "queues": queues,
    }


def _check_permissions(port: int) -> None:
    """The gateway may publish under its own name and under no other; raises DrillError."""
    with Publisher("127.0.0.1", port, (_GATEWAY, _PASSWORD), client_id=_GATEWAY) as own:
        own.publish_one(f"gas/v1/{AREA}/{_GATEWAY}/status", b"{}")
    try:
        with Publisher("127.0.0.1", port, (_GATEWAY, _PASSWORD), client_id=_GATEWAY) as other:
            other.publish_one(f"gas/v1/{AREA}/GW-2/readings", b"{}")
    except BrokerGone:
        return
    raise DrillError("a gateway could publish under the name of another")


async def _strike(nodes: list[Node], way: Relay, number: int) -> float:
    """Kill one node. One alone starts again; of several, connections go to the next until the dead one is back."""
    victim = nodes[(number - 1) % len(nodes)]
    victim.kill()
    if len(nodes) == 1:
        return await asyncio.to_thread(victim.start)
    began_s = time.monotonic()
    survivor = nodes[number % len(nodes)]
    way._upstream = ("127.0.0.1", survivor.mqtt_port)
    way.reset()
    await asyncio.to_thread(victim.start)
    return time.monotonic() - began_s


def _queues(nodes: list[Node]) -> str:
    return nodes[-1].control("list_queues", "name", "type", "messages", "members")


async def _reached(load: Load, goal: int) -> bool:
    return len(load.acknowledged) >= goal


async def _finished(load: Load) -> bool:
    return not load.is_alive()


async def _all_there(pool: asyncpg.Pool, load: Load) -> bool:
    """Everything is stored, or nothing more has come for a while."""
    before = await pool.fetchval("SELECT count(*) FROM reading WHERE seq IS NOT NULL")
    if before >= len(load.acknowledged):
        return True
    await asyncio.sleep(15)
    return bool(before == await pool.fetchval("SELECT count(*) FROM reading WHERE seq IS NOT NULL"))


def main() -> int:
    """Exit codes: 0 nothing was lost, 1 something was, 2 wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, required=True, help="Debian tree with rabbitmq-server 4")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--messages", type=int, default=30_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument(
        "--settle-s", type=float, default=10.0, help="pause between the first subscription and the load"
    )
    chosen = parser.parse_args()
    if not am_root():
        parser.error("chroot needs root")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    epmd_port = free_port()
    nodes = [Node(chosen.tree, number, epmd_port, node_names(chosen.nodes)) for number in range(1, chosen.nodes + 1)]
    try:
        for node in nodes:
            node.launch()
        for node in nodes:
            node.await_answer()
        print("RabbitMQ", nodes[0].control("version"), flush=True)
        with throwaway_servers(mosquitto=False) as servers:
            _, database = DatabaseServer.of(servers).create()
            migrate(database.admin_url)
            register(database.admin_url, meters=_METERS, gateways=[_GATEWAY])
            result = asyncio.run(_with_pool(database.url, nodes, chosen))
    except DrillError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        for node in nodes:
            node.kill()
        nodes[0].end_port_mapper()
    print(json.dumps(result, indent=2))
    return 1 if result["lost"] else 0


async def _with_pool(url: str, nodes: list[Node], chosen: argparse.Namespace) -> dict[str, object]:
    async with open_pool(url, application_name="drill") as pool:
        return await drill(nodes, pool, chosen.messages, chosen.kills, chosen.settle_s)


if __name__ == "__main__":
    sys.exit(main())
