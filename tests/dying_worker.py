"""`python -m tests.dying_worker STEP`: an ingest worker that ends itself without a word at one step of its pipeline.

The steps are found from outside, by wrapping the functions that the worker calls; the product knows nothing of it.
With DYING_SOURCE it reads messages of that format as well.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import uvloop

from ingest import store
from ingest.broker_params import BrokerParams
from ingest.client import BrokerConnection
from ingest.sources import SourceParams
from ingest.subscriber import run
from sql.pool import open_pool
from tests.ingest_city import AREA, quick_params

STEPS = ("before the transaction", "after COPY", "before COMMIT", "after COMMIT", "in mid-acknowledge")
ENDED = 77


def _end() -> None:
    os._exit(ENDED)


def _ending_after(module: Any, name: str) -> None:
    original: Callable[..., Awaitable[Any]] = getattr(module, name)

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        await original(*arguments, **named)
        _end()

    setattr(module, name, wrapped)


def _ending_after_two(module: Any, name: str) -> None:
    """End when two transactions have come as far; the first waits there for the second."""
    original: Callable[..., Awaitable[Any]] = getattr(module, name)
    arrived = 0

    async def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal arrived
        await original(*arguments, **named)
        arrived += 1
        if arrived == 2:
            _end()
        await asyncio.sleep(15)

    setattr(module, name, wrapped)


def _ending_in_acknowledge(share: float) -> None:
    original = BrokerConnection.acknowledge

    async def acknowledge(self: BrokerConnection, packet_ids: Sequence[int]) -> bool:
        await original(self, packet_ids[: int(len(packet_ids) * share)])
        await asyncio.sleep(0.2)  # let what was said leave the process
        _end()
        return True

    BrokerConnection.acknowledge = acknowledge  # type: ignore[method-assign]


def arrange(step: str) -> None:
    """Make this process end at the step."""
    match step:
        case "before the transaction":
            _ending_after(store, "devices_by_identity")
        case "after COPY":
            _ending_after(store, "copy_readings")
        case "before COMMIT":
            _ending_after(store, "insert_batch")
        case "before COMMIT of both":
            _ending_after_two(store, "insert_batch")
        case "after COMMIT":
            _ending_in_acknowledge(0.0)
        case "in mid-acknowledge":
            _ending_in_acknowledge(0.5)
        case "acknowledged":
            _ending_in_acknowledge(1.0)
        case _:
            raise SystemExit(f"no step {step}")


async def main() -> None:
    word = os.environ.get("DYING_SOURCE")
    sources = (SourceParams(format=word, area=AREA),) if word else ()
    params = quick_params(batch={"age_max_s": 1.0}, sources=sources)
    async with open_pool(os.environ["DATABASE_URL"], application_name="dying") as pool:
        await run(pool, params, BrokerParams.from_url(os.environ["MQTT_URL"]))


if __name__ == "__main__":
    arrange(sys.argv[1])
    uvloop.run(main())
