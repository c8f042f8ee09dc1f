"""Travel times from a routing server: OSRM's `table` or Valhalla's `sources_to_targets`, in pieces, kept.

A server that does not answer, or answers nonsense, is logged once when lost and once when back; rosters are then
planned with the great circle, and each run's figures say which travel it used.
"""

import asyncio
import math
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import aiohttp
import structlog

from inspections.model import Point, TravelTable
from inspections.params import RosterParams

log = structlog.get_logger()
_NO_WAY = -1
_KNOWN_MAX = 4_000_000
_AT_ONCE = 4


class RouterFailed(Exception):
    """The routing server gave no usable answer; the message says which."""


class Legs:
    """Seconds between places that a server has given already; forgotten all at once when there are too many."""

    def __init__(self) -> None:
        self._known: dict[tuple[Point, Point], int] = {}
        self.lost = False

    def missing(self, sources: Sequence[Point], targets: Sequence[Point]) -> bool:
        """Tell whether a leg between these places has to be asked for."""
        return any((a, b) not in self._known for a in sources for b in targets if a != b)

    def keep(self, sources: Sequence[Point], targets: Sequence[Point], rows: Sequence[Sequence[int]]) -> None:
        """Remember the seconds of all pairs."""
        if len(self._known) > _KNOWN_MAX:
            self._known.clear()
        for source, row in zip(sources, rows, strict=True):
            for target, seconds in zip(targets, row, strict=True):
                self._known[source, target] = seconds

    def table(self, points: Sequence[Point], source: str) -> TravelTable:
        """The legs among these places; those never asked for are as if there were no way."""
        rows = tuple(array("i", [0 if a == b else self._known.get((a, b), _NO_WAY) for b in points]) for a in points)
        return TravelTable(source, {point: number for number, point in enumerate(points)}, rows)


_LEGS: dict[tuple[str, str, str], Legs] = {}


async def travel_table(groups: Iterable[Iterable[Point]], params: RosterParams) -> TravelTable | None:
    """The legs within each group of places, None when no server is configured or it does not answer."""
    if params.router_url is None:
        return None
    wanted = [sorted(set(group), key=lambda point: (point.latitude, point.longitude)) for group in groups]
    legs = _LEGS.setdefault((str(params.router_url), params.router_kind, params.router_profile), Legs())
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=params.router_timeout_s)) as session:
            for group in wanted:
                await _ask_for(session, group, legs, params)
    except (RouterFailed, aiohttp.ClientError, TimeoutError) as error:
        if not legs.lost:
            log.warning("routing server lost: travel by great circle", kind=params.router_kind, error=repr(error))
        legs.lost = True
        return None
    if legs.lost:
        log.info("routing server is back", kind=params.router_kind)
    legs.lost = False
    every = list(dict.fromkeys(point for group in wanted for point in group))
    return legs.table(every, params.router_kind)


async def _ask_for(session: aiohttp.ClientSession, group: Sequence[Point], legs: Legs, params: RosterParams) -> None:
    size = max(1, params.router_chunk // 2)
    blocks = [group[at : at + size] for at in range(0, len(group), size)]
    pairs = [(a, b) for a in blocks for b in blocks if legs.missing(a, b)]
    free = asyncio.Semaphore(_AT_ONCE)

    async def ask(sources: Sequence[Point], targets: Sequence[Point]) -> None:
        async with free:
            legs.keep(sources, targets, await _seconds(session, sources, targets, params))

    try:
        async with asyncio.TaskGroup() as tasks:
            for sources, targets in pairs:
                tasks.create_task(ask(sources, targets))
    except* (RouterFailed, aiohttp.ClientError, TimeoutError) as failures:
        raise RouterFailed(repr(failures.exceptions[0])) from failures


async def _seconds(
    session: aiohttp.ClientSession, sources: Sequence[Point], targets: Sequence[Point], params: RosterParams
) -> list[list[int]]:
    ask = _osrm if params.router_kind == "osrm" else _valhalla
    rows = await ask(session, sources, targets, params)
    try:
        found = [[_NO_WAY if cell is None else math.ceil(float(cell)) for cell in row] for row in rows]
    except (TypeError, ValueError) as error:
        raise RouterFailed(f"the matrix holds something that is no time: {error}") from error
    if len(found) != len(sources) or any(len(row) != len(targets) for row in found):
        raise RouterFailed(f"asked for {len(sources)} x {len(targets)} legs, the matrix has another shape")
    return found


async def _osrm(
    session: aiohttp.ClientSession, sources: Sequence[Point], targets: Sequence[Point], params: RosterParams
) -> list[list[float | None]]:
    """GET /table/v1/{profile}/{lon},{lat};...?sources=0;1&destinations=2;3&annotations=duration, times in seconds."""
    places = ";".join(f"{point.longitude:.6f},{point.latitude:.6f}" for point in (*sources, *targets))
    query = {
        "sources": ";".join(str(n) for n in range(len(sources))),
        "destinations": ";".join(str(len(sources) + n) for n in range(len(targets))),
        "annotations": "duration",
    }
    url = f"{str(params.router_url).rstrip('/')}/table/v1/{params.router_profile}/{places}"
    async with session.get(url, params=query) as response:
        answer = await _json(response)
    if answer.get("code") != "Ok" or not isinstance(answer.get("durations"), list):
        raise RouterFailed(f"OSRM says {answer.get('code')}: {answer.get('message', 'no durations')}")
    durations: list[list[float | None]] = answer["durations"]
    return durations


async def _valhalla(
    session: aiohttp.ClientSession, sources: Sequence[Point], targets: Sequence[Point], params: RosterParams
) -> list[list[float | None]]:
    """POST /sources_to_targets with sources, targets and costing; `time` is null where there is no way."""
    body = {
        "sources": [{"lat": point.latitude, "lon": point.longitude} for point in sources],
        "targets": [{"lat": point.latitude, "lon": point.longitude} for point in targets],
        "costing": params.router_profile,
    }
    async with session.post(f"{str(params.router_url).rstrip('/')}/sources_to_targets", json=body) as response:
        answer = await _json(response)
    matrix = answer.get("sources_to_targets")
    if not isinstance(matrix, list):
        raise RouterFailed(f"Valhalla says {answer.get('error', 'nothing of sources_to_targets')}")
    try:
        return [[cell["time"] for cell in row] for row in matrix]
    except (TypeError, KeyError) as error:
        raise RouterFailed(f"a leg of Valhalla's matrix has no time: {error!r}") from error


async def _json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        answer = await response.json(content_type=None)
    except ValueError as error:
        raise RouterFailed(f"status {response.status}, and no JSON") from error
    if not isinstance(answer, dict):
        raise RouterFailed(f"status {response.status}, and JSON of another shape")
    return answer
