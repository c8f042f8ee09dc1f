"""HTTP of notices: the written notice of a hazard, and cards to print."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import asyncpg
from aiohttp import web
from pydantic import Field

from inspections import booking_store
from inspections.answers import Shape
from inspections.hazards import load_hazards
from inspections.params import RosterParams
from inspections.printing.hazard_notice import HazardFacts, hazard_notice_pdf
from inspections.printing.notice_cards import Card, notice_cards_pdf
from inspections.printing.paper import FontMissing
from inspections.printing.words import LANGUAGES
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})


class NoticeQuery(Shape):
    """In which language."""

    language: Literal["en", "zh", "both"] = "both"


class PrintedCards(Shape):
    """How many cards are wanted."""

    count: int = Field(ge=1, le=200)


class PaperRoutes:
    """Handlers over a pool."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("GET", "/hazards/{hazard_id}/notice", _OFFICE | {"inspector"}, self.notice),
            ("POST", "/notice-cards/print", _OFFICE, self.print_cards),
        ]

    async def notice(self, hazard_id: int, query: NoticeQuery, actor: Actor) -> web.Response:
        """The written notice of a hazard as PDF, to be signed; inspectors get those of hazards they found."""
        content = await self.notice_pdf(hazard_id, query.language, actor)
        return _pdf(content, f"hazard-notice-{hazard_id}.pdf")

    async def notice_pdf(self, hazard_id: int, language: str, actor: Actor) -> bytes:
        """The written notice; audited, it shows an address. Raises NotFound, or Conflict when the font is missing."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(*queries["hazard_notice"].bind(hazard_id=hazard_id, areas=actor.area_list()))
            if row is None or (actor.role == "inspector" and actor.inspector_code != row["inspector_code"]):
                raise NotFound(f"hazard {hazard_id} does not exist")
            await audit.record(conn, actor, "hazard.notice", f"hazard:{hazard_id}", {"language": language}, at)
        kind = load_hazards(self._params.hazards_file).kinds.get(row["code"])
        facts = HazardFacts(
            hazard_id=hazard_id,
            title=kind.title if kind else row["code"],
            national=kind is not None and kind.source.startswith("national"),
            **{name: row[name] for name in _COLUMNS},
        )
        work = partial(hazard_notice_pdf, facts, LANGUAGES[language], self._params.printing, self._params.zone)
        return await _printed(work)

    async def print_cards(self, body: PrintedCards, actor: Actor) -> web.Response:
        """Issue notice cards and print them, four on a sheet; their tokens are on this paper only."""
        return _pdf(await self.cards_pdf(body.count, actor), "notice-cards.pdf")

    async def cards_pdf(self, count: int, actor: Actor) -> bytes:
        """Issue cards and print them; nothing is issued when they cannot be printed. Audited."""
        if self._params.printing.booking_url is None and self._params.printing.hotline is None:
            raise Conflict("a card needs a hotline or a booking page: set roster.printing.hotline or booking_url")
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            cards = [Card(*one) for one in await booking_store.issue_cards(conn, count, actor, at)]
            numbers = [card.card_no for card in cards]
            await audit.record(conn, actor, "notice_card.issue", "notice_card", {"card_nos": numbers}, at)
            return await _printed(partial(notice_cards_pdf, cards, self._params.printing, at))


_COLUMNS = ("code", "grade", "found_at", "due_on", "note", "premises", "address", "unit", "inspector")


async def _printed(work: Callable[[], bytes]) -> bytes:
    try:
        return await asyncio.to_thread(work)
    except FontMissing as missing:
        raise Conflict(str(missing)) from missing


def _pdf(content: bytes, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=content, content_type="application/pdf", headers=headers)
