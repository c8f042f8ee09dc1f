"""HTTP of notice cards (office) and of booking with one (the resident: no account, one door, free windows only)."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import asyncpg
from pydantic import AwareDatetime, Field

from inspections import booking_store as store
from inspections.answers import Shape
from inspections.params import RosterParams
from inspections.wallclock import local_day
from sql import audit
from sql.actor import PUBLIC, RESIDENT, Actor
from sql.errors import Conflict

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})


class CardsBody(Shape):
    """How many cards are to be printed."""

    count: Annotated[int, Field(ge=1, le=1000)]


class IssuedCard(Shape):
    """A card to be printed: its number in clear, its token as a QR code. The token is never shown again."""

    card_no: str
    token: str


class WindowAnswer(Shape):
    """A window in which the inspector comes."""

    begins_at: datetime
    ends_at: datetime


class BookingAnswer(Shape):
    """What a resident sees: what is booked, or else what is free. No name, no address."""

    valid_until: datetime
    booked: WindowAnswer | None
    free: list[WindowAnswer]


class BookingBody(Shape):
    """The window wanted: `begins_at` as it was offered."""

    begins_at: AwareDatetime


class BookingRoutes:
    """Handlers over a pool."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("POST", "/notice-cards", _OFFICE, self.issue),
            ("GET", "/booking/{token}", PUBLIC, self.windows),
            ("POST", "/booking/{token}", PUBLIC, self.book),
        ]

    async def issue(self, body: CardsBody, actor: Actor) -> list[IssuedCard]:
        """Notice cards to print and take along; a card opens its door's booking once an inspector has left it there."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            cards = await store.issue_cards(conn, body.count, actor, at)
            numbers = [card_no for card_no, _ in cards]
            await audit.record(conn, actor, "notice_card.issue", "notice_card", {"card_nos": numbers}, at)
        return [IssuedCard(card_no=card_no, token=token) for card_no, token in cards]

    async def windows(self, token: str) -> BookingAnswer:
        """For residents: the windows that are free, or the one that is booked."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction(readonly=True):
            return await self._answer(conn, await store.card_by_token(conn, token, at), at)

    async def book(self, token: str, body: BookingBody) -> BookingAnswer:
        """For residents: book a free window; a card books one visit, the same window again changes nothing."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            await store.lock_booking(conn)
            card = await store.card_by_token(conn, token, at)
            if _stands(card):
                if card["promised_from"] != body.begins_at:
                    raise Conflict("a visit is booked with this card already; to change it, please call us")
                return await self._answer(conn, card, at)
            free = await store.windows_of_card(conn, card, self._params.offer, self._params.zone, at)
            window = next((window for window in free if window.begins_at == body.begins_at), None)
            if window is None:
                raise Conflict("this window is not free (any more); please choose another")
            day = local_day(window.begins_at, self._params.zone)
            duty_id = await store.book_appointment(conn, card, window, day, at)
            said = {"card_no": card["card_no"], "from": window.begins_at.isoformat()}
            await audit.record(conn, RESIDENT, "appointment.book", f"duty:{duty_id}", said, at)
            return await self._answer(conn, await store.card_by_token(conn, token, at), at)

    async def _answer(self, conn: asyncpg.Connection, card: asyncpg.Record, at: datetime) -> BookingAnswer:
        if _stands(card):
            zone = self._params.zone  # a resident reads the city's own time
            booked = WindowAnswer(
                begins_at=card["promised_from"].astimezone(zone), ends_at=card["promised_to"].astimezone(zone)
            )
            return BookingAnswer(valid_until=card["expires_at"], booked=booked, free=[])
        free = await store.windows_of_card(conn, card, self._params.offer, self._params.zone, at)
        windows = [WindowAnswer(begins_at=window.begins_at, ends_at=window.ends_at) for window in free]
        return BookingAnswer(valid_until=card["expires_at"], booked=None, free=windows)


def _stands(card: asyncpg.Record) -> bool:
    """Whether the card's appointment is still to come; one that was cancelled or missed can be booked anew."""
    return card["duty_id"] is not None and card["duty_state"] == "open"
