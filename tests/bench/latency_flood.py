"""A burst of readings from every gateway of a district, published by a process of its own at a steady rate."""

import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING

from tests.publisher import Publisher

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

_TICK_S = 0.1


@dataclass(frozen=True)
class Sender:
    """A gateway with its account, and the meters it publishes."""

    account: tuple[str, str]
    area: str
    meters: tuple[str, ...]


class Flood:
    """A flood under way; `published` messages the broker has acknowledged so far."""

    def __init__(self, published: "Synchronized[int]", started_s: float) -> None:
        self._published = published
        self._started_s = started_s

    @property
    def per_s(self) -> float:
        """Messages a second, over all of it."""
        return self._published.value / (time.monotonic() - self._started_s)


@contextmanager
def flooding(port: int, senders: Sequence[Sender], per_s: int) -> Iterator[Flood]:
    """Single readings, `per_s` of all gateways together, until the end of the block."""
    context = multiprocessing.get_context("spawn")
    published, ready, stop = context.Value("q", 0), context.Event(), context.Event()
    arguments = (port, list(senders), per_s, published, ready, stop)
    process = context.Process(target=_publish, args=arguments)
    process.start()
    if not ready.wait(60):
        raise SystemExit("the flood did not start")
    try:
        yield Flood(published, time.monotonic())
    finally:
        stop.set()
        process.join(60)
    if process.exitcode != 0:
        raise SystemExit("the flood's publisher failed")


def _publish(
    port: int, senders: Sequence[Sender], per_s: int, published: "Synchronized[int]", ready: Event, stop: Event
) -> None:
    """Each tick every gateway sends its share; what falls behind is caught up with, up to a second of it."""
    with ExitStack() as stack:
        links = [stack.enter_context(Publisher("127.0.0.1", port, sender.account)) for sender in senders]
        ready.set()
        started_s, turn = time.monotonic(), 0
        while not stop.is_set():
            due = min(int((time.monotonic() - started_s) * per_s) - published.value, per_s)
            share = due // len(senders)
            for sender, link in zip(senders, links, strict=True):
                if share > 0:
                    link.publish([_message(sender, turn + number) for number in range(share)], window=2_000)
                    published.value += share
            turn += max(0, share)
            time.sleep(_TICK_S / 2)


def _message(sender: Sender, number: int) -> tuple[str, bytes]:
    device = sender.meters[number % len(sender.meters)]
    at = datetime.now(UTC).isoformat()
    body = {"device": device, "seq": number % 65_536, "at": at, "index_ml": 1_000_000 + 10 * number}
    return f"gas/v1/{sender.area}/{sender.account[0]}/readings", json.dumps(body).encode()
