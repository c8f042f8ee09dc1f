"""Travel from a routing server: asked in pieces as documented, kept, and done without when it is away."""

from array import array
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from inspections.model import Point
from inspections.params import RosterParams
from inspections.planning import plan_day
from inspections.router import travel_table
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, settle_town

PLACES = [Point(31.8 + n / 100, 117.2) for n in range(5)]


class FakeRouter:
    """Answers as OSRM and Valhalla document: 100 s for each hundredth of a degree, no way to the last place."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.broken = ""

    @staticmethod
    def leg(a: tuple[float, float], b: tuple[float, float]) -> float | None:
        if round(b[0], 2) == 31.84:
            return None
        return abs(a[0] - b[0]) * 10_000 + 0.2

    async def osrm(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["places"])
        if self.broken:
            return web.Response(text=self.broken)
        places = [(float(p.split(",")[1]), float(p.split(",")[0])) for p in request.match_info["places"].split(";")]
        rows = [int(n) for n in request.query["sources"].split(";")]
        columns = [int(n) for n in request.query["destinations"].split(";")]
        assert request.query["annotations"] == "duration"
        return web.json_response(
            {"code": "Ok", "durations": [[self.leg(places[a], places[b]) for b in columns] for a in rows]}
        )

    async def valhalla(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body["costing"])
        sources = [(place["lat"], place["lon"]) for place in body["sources"]]
        targets = [(place["lat"], place["lon"]) for place in body["targets"]]
        matrix = [
            [{"from_index": n, "to_index": m, "time": self.leg(a, b), "distance": 1} for m, b in enumerate(targets)]
            for n, a in enumerate(sources)
        ]
        return web.json_response({"sources_to_targets": matrix, "units": "kilometers"})


@pytest.fixture
async def router() -> AsyncIterator[tuple[FakeRouter, str]]:
    fake = FakeRouter()
    application = web.Application()
    application.router.add_get("/table/v1/driving/{places}", fake.osrm)
    application.router.add_post("/sources_to_targets", fake.valhalla)
    async with TestServer(application) as server:
        yield fake, str(server.make_url("/"))


def configured(url: str, **changes: Any) -> RosterParams:
    return RosterParams.model_validate(PARAMS.model_dump() | {"router_url": url, "router_chunk": 4} | changes)


@pytest.mark.parametrize(("kind", "profile"), [("osrm", "driving"), ("valhalla", "auto")])
async def test_matrix_is_asked_in_pieces_and_kept(router: tuple[FakeRouter, str], kind: str, profile: str) -> None:
    """Five places at two a side are eight requests; asked again, none; no way is -1, seconds are rounded up."""
    fake, url = router
    params = configured(url, router_kind=kind, router_profile=profile)
    table = await travel_table([PLACES], params)
    assert table is not None
    assert (table.source, len(fake.asked)) == (kind, 8)
    row = table.seconds[table.index[PLACES[0]]]
    assert [row[table.index[place]] for place in PLACES] == array("i", [0, 101, 201, 301, -1]).tolist()
    assert await travel_table([PLACES[:3]], params) is not None
    assert len(fake.asked) == 8


@pytest.mark.parametrize("answer", ["", "<html>", "[]", '{"code": "NoTable"}', '{"code": "Ok", "durations": [[1]]}',
                                    '{"code": "Ok", "durations": [["x", "y"], [1, 2]]}'])  # fmt: skip
async def test_nonsense_is_done_without_and_said_once(router: tuple[FakeRouter, str], answer: str) -> None:
    """Whatever is wrong with the answer: no table, one line in the log when lost and one when back."""
    fake, url = router
    fake.broken = answer or " "
    with capture_logs() as logs:
        assert await travel_table([PLACES], configured(url)) is None
        assert await travel_table([PLACES], configured(url)) is None
        fake.broken = ""
        assert await travel_table([PLACES], configured(url)) is not None
    assert [line["event"] for line in logs] == [
        "routing server lost: travel by great circle", "routing server is back"
    ]  # fmt: skip


async def test_roster_says_which_travel_it_used(
    router: tuple[FakeRouter, str], pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """With a server its legs are in the plan; without one that answers the great circle is, and both are told."""
    _, url = router
    await settle_town(conn, homes=6)
    assert (await plan_day(pool, TOMORROW, configured(url), NOW)).figures["travel"] == "osrm"
    away = configured("http://127.0.0.1:9/")  # nothing listens on the port for discarding
    made = await plan_day(pool, TOMORROW, away, NOW)
    assert (made.figures["travel"], made.figures["fallback"]) == ("great circle", False)
