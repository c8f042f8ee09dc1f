"""Where the worker's processor time goes: each pure stage of the pipeline, timed alone on the benchmark's messages.

What is left of the worker's time (measured beside it, by process) is the MQTT library, asyncpg and the event loop.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ingest.binding import bind_message
from ingest.directory import Directory
from ingest.formats import read_message
from ingest.model import Bound, Decoded, Device, Event, Gateway, Message, Report
from ingest.rows import frozen_copy, own_records, span
from ingest.states import fold_facts
from tests.bench import ingest_load as load

_REPEATS = 3
_BATCH = 5_000


def stages(raw: list[load.Message]) -> dict[str, float]:
    """Microseconds of processor a message, by stage."""
    raw = raw[:_BATCH]
    now = datetime.now(UTC)

    def decode() -> list[Message]:
        return [read_message(topic, payload, now) for topic, payload in raw]

    messages = decode()
    directory = _directory(messages)

    def bind() -> list[Bound]:
        judged = [bind_message(number, one, directory) for number, one in enumerate(messages)]
        return [one for one in judged if isinstance(one, Bound)]

    bounds = bind()
    assert len(bounds) == len(messages)
    steps: dict[str, Callable[[], object]] = {
        "decode": decode,
        "look up": lambda: directory.missing(messages, 0.0),
        "bind and mark": bind,
        "rows for COPY": lambda: (own_records(bounds, 1), frozen_copy(bounds, 1)),
        "device states": lambda: fold_facts(bounds, set()),
        "span": lambda: span(bounds),
    }
    return {name: _best_us(step) / len(raw) for name, step in steps.items()}


def _best_us(step: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(_REPEATS):
        started = time.process_time()
        step()
        best = min(best, time.process_time() - started)
    return best * 1e6


def _directory(messages: list[Message]) -> Directory:
    gateways: dict[str, Gateway] = {}
    devices: dict[tuple[str, str], Device] = {}
    for message in messages:
        content = message.content
        assert isinstance(content, Decoded)
        gateway = gateways.setdefault(content.gateway, Gateway(len(gateways) + 1, content.gateway, content.area))
        for item in content.items:
            if isinstance(item, Report | Event):
                identity = (content.family, item.device)
                devices.setdefault(identity, Device(len(devices) + 1, gateway.gateway_id, 6000.0))
    directory = Directory(recheck_s=1.0)
    directory.learn(list(gateways.values()), list(devices.items()), (set(), set()), 0.0)
    return directory
