"""Plays the district through its gateways: history once, one leak as it happens, then everyday life until stopped."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from app.demo.desk import Desk, until
from app.demo.district import State, stale
from app.demo.stage import StageError
from simulator.live import Followed, Live
from simulator.messages import messages
from simulator.model import City
from simulator.publisher import Publisher

_VISIBLE_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Played:
    """What a play did: the state to keep, the devices to go on with, milliseconds from leak to alert (None: again)."""

    state: State
    live: Live
    leak_ms: float | None


async def tell_history(publisher: Publisher, city: City, state: State, progress: Callable[[int], None]) -> State:
    """Publish the district's whole history, unless that was done."""
    if state.played:
        return state
    before = publisher.published().acknowledged
    followed = Followed(messages(city, state.faults(city), state.now, state.days, state.seed))
    await publisher.publish(followed, progress)
    acknowledged = state.acknowledged + publisher.published().acknowledged - before
    return replace(state, played=True, spoken=followed.last, acknowledged=acknowledged)


async def play(publisher: Publisher, desk: Desk, city: City, state: State, progress: Callable[[int], None]) -> Played:
    """Bring the district up to now: its whole history at first, later one word of every device after a long pause."""
    state = await tell_history(publisher, city, state, progress)
    before = publisher.published().acknowledged
    live = Live(city, state.faults(city), state.spoken, state.seed)
    if stale(state, datetime.now(UTC)):
        await publisher.publish(live.everyone(datetime.now(UTC)), progress)
    leak_ms = None
    if state.live_leak is None:
        detector, at, leak_ms = await _leak(publisher, desk, live)
        state = replace(state, live_leak=(detector, at))
    acknowledged = state.acknowledged + publisher.published().acknowledged - before
    return Played(replace(state, acknowledged=acknowledged, spoken=dict(live.last)), live, leak_ms)


async def _leak(publisher: Publisher, desk: Desk, live: Live) -> tuple[str, datetime, float]:
    """Let one more detector smell gas, and time how long it takes until an officer can read the alert."""
    at = datetime.now(UTC)
    said = live.leak(at)
    before, alarm = said[:-1], said[-1]
    await publisher.publish(before)
    begun = time.perf_counter()
    await publisher.publish([alarm])

    async def visible() -> bool:
        page = await desk.ask("alerts", state="open", rule="leak_alarm", limit="50")
        return any(_is_of(item, alarm.device) for item in page["items"])

    if not await until(visible, _VISIBLE_TIMEOUT_S, pause_s=0.002):
        raise StageError(f"the leak alarm of {alarm.device} became no alert within {_VISIBLE_TIMEOUT_S:.0f} s")
    return alarm.device, at, (time.perf_counter() - begun) * 1000


def _is_of(alert: Mapping[str, Any], device: str) -> bool:
    named = alert.get("device")
    return bool(named == device or (isinstance(named, Mapping) and named.get("code") == device))
