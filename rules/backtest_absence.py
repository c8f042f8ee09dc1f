"""Backtests of the absence rules: loads what arrived day by day, and plays it to the live rules; writes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import asyncpg

from rules import absence, store
from rules.catalog import Catalog
from rules.due import LEARN_EVERY_DAYS, LEARN_FROM
from rules.model import Alert, Rule
from rules.passes import OUTAGES_KEPT
from rules.replay.absence import Replay
from rules.replay.model import Town
from rules.replay.store import load_known, load_town, load_words

LOOK_EVERY = timedelta(minutes=5)
"""How often a backtest looks for who is silent. Live looks every ten seconds: what is found is found minutes later."""

WARM_UP = LEARN_FROM + timedelta(days=LEARN_EVERY_DAYS)
"""Playing begins so long before the period: by then each interval was learned anew from all that it is learned from."""

SLICE = timedelta(days=1)

Told = Callable[[int, int], Awaitable[None]]


def rules_of(catalog: Catalog) -> Sequence[Rule]:
    """The absence rules of a catalogue: they decide together, so they are tried together."""
    return catalog.of_family("absence")


async def absences_of_period(
    conn: asyncpg.Connection,
    catalogs: Sequence[Catalog],
    device_ids: Sequence[int],
    since: datetime,
    until: datetime,
    answered_after: timedelta | None,
    told: Told,
    every: timedelta = LOOK_EVERY,
) -> list[list[Alert]]:
    """The alerts of each catalogue's absence rules about some devices, their gateways and the places around them.

    Those from before `since` are among them, as far as they were found on the way. `told` hears how far it got.
    """
    if not catalogs:
        return []
    begin = _on_grid(since - WARM_UP, every)
    town = await load_town(conn, device_ids, until)
    known = await load_known(conn, town, begin)
    gap_s = absence.own_gap_s(town.shortest_interval_s)
    gaps = await store.batch_gaps(conn, begin - OUTAGES_KEPT, gap_s)
    replays = [Replay(one, town, known, gaps, begin, every, answered_after) for one in catalogs]
    at, days = begin, -(-(until - begin) // SLICE)
    for day in range(1, days + 1):
        end = min(at + SLICE, until)
        words = await load_words(conn, town, at, end)
        for replay in replays:
            await asyncio.to_thread(asyncio.run, replay.play(words, end))  # it never waits: it only computes
        at = end
        await told(day, days)
    about = _subjects(town, set(device_ids))
    return [[one for one in replay.alerts() if one.subject in about] for replay in replays]


def _on_grid(at: datetime, every: timedelta) -> datetime:
    """The same moment, moved back to a whole look of its day."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + (at - day) // every * every


def _subjects(town: Town, asked: set[int]) -> set[str]:
    """What alerts may be about when some devices are asked for."""
    gateway_ids = {one.gateway_id for one in town.devices if one.device_id in asked}
    found = {f"device:{device_id}" for device_id in asked} | {f"gateway:{number}" for number in gateway_ids}
    found |= {f"district:{one.district_id}" for one in town.gateways if one.gateway_id in gateway_ids}
    for stay in town.stays:
        if stay.device_id in asked:
            place = stay.place
            found |= {f"building:{place.building_id}", f"compound:{place.compound_id}", f"district:{place.district_id}"}
    return found
