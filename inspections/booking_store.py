"""Notice cards and residents' bookings in SQL; every function joins the caller's transaction."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from inspections.booking import BookableWindow, Offer, Shift, free_windows, same_time_later
from inspections.outcomes import InvalidOutcome
from inspections.wallclock import local_day
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound

_DIGITS = "23456789CDFGHJKMNPQRTVWX"  # none is taken for another, none makes a word
_TOKEN_BYTES = 20


def token_digest(token: str) -> bytes:
    """SHA-256 of a token. Tokens are 160 random bits, so a plain digest cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


async def issue_cards(conn: asyncpg.Connection, count: int, actor: Actor, at: datetime) -> list[tuple[str, str]]:
    """Make cards; returns each card's number and its token, which is never shown again."""
    cards = [
        ("".join(secrets.choice(_DIGITS) for _ in range(9)), secrets.token_urlsafe(_TOKEN_BYTES)) for _ in range(count)
    ]
    await conn.execute(
        *queries["issue_cards"].bind(
            card_nos=[card_no for card_no, _ in cards],
            token_hashes=[token_digest(token) for _, token in cards],
            issued_at=at,
            issued_by=actor.name,
        )
    )
    return cards


async def leave_card(
    conn: asyncpg.Connection, card_no: str, premises_id: int, outcome_id: int, expires_at: datetime
) -> None:
    """Note that a card was left at a door; raises InvalidOutcome when it is unknown or belongs to another door."""
    bound = queries["leave_card"].bind(
        card_no=card_no, premises_id=premises_id, outcome_id=outcome_id, expires_at=expires_at
    )
    if await conn.fetchval(*bound) is None:
        raise InvalidOutcome("notice_card", f"card {card_no} was not issued, or was left at another door")


async def card_by_token(conn: asyncpg.Connection, token: str, at: datetime) -> asyncpg.Record:
    """The card that a token opens now; raises NotFound, the same for unknown, expired and not yet left."""
    row = await conn.fetchrow(*queries["card_by_token"].bind(token_hash=token_digest(token), at=at))
    if row is None:
        raise NotFound("this card is unknown or no longer valid; please call us")
    return row


async def lock_booking(conn: asyncpg.Connection) -> None:
    """Wait for the right to book; held until the transaction ends."""
    await conn.execute(*queries["lock_booking"].bind())


async def windows_of_card(
    conn: asyncpg.Connection, card: asyncpg.Record, offer: Offer, zone: ZoneInfo, at: datetime
) -> list[BookableWindow]:
    """The windows that the resident of a card may book now."""
    since, until = at, at + timedelta(days=offer.lead_days + offer.days + 1)
    bound = queries["bookable_inspectors"].bind(areas_above=card["areas_above"], user_class=card["user_class"])
    shifts = await _shifts(conn, await conn.fetch(*bound), since, until)
    taken = await _taken(conn, card["area"], since, until)
    return free_windows(offer, shifts, taken, local_day(at, zone), zone)


async def later_window(
    conn: asyncpg.Connection, premises_id: int, window: BookableWindow, offer: Offer, day: date
) -> BookableWindow:
    """The same time of the next day worked after `day` on which somebody able has room for one more promise.

    `window` is in local time. When no day of the next year has room it is the next day worked: somebody must decide.
    """
    days = list(offer.calendar.after(day))
    rows = await conn.fetch(*queries["able_for_door"].bind(premises_id=premises_id))
    since, until = window.begins_at, window.ends_at + timedelta(days=(days[-1] - day).days + 1)
    shifts = await _shifts(conn, rows, since, until)
    taken = await _taken(conn, rows[0]["area"], since, until) if rows else []
    found = same_time_later(offer, shifts, taken, window, days)
    if found is not None:
        return found
    begin = datetime.combine(days[0], window.begins_at.time(), window.begins_at.tzinfo)
    return BookableWindow(begin, begin + (window.ends_at - window.begins_at))


async def _shifts(
    conn: asyncpg.Connection, rows: Sequence[asyncpg.Record], since: datetime, until: datetime
) -> list[Shift]:
    away = await _away(conn, [row["inspector_id"] for row in rows], since, until)
    return [Shift(row["shift_start"], row["shift_end"], tuple(away[row["inspector_id"]])) for row in rows]


async def _taken(
    conn: asyncpg.Connection, area: str, since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    promised = await conn.fetch(*queries["promised_between"].bind(area=area, since=since, until=until))
    return [(row["promised_from"], row["promised_to"]) for row in promised]


async def _away(
    conn: asyncpg.Connection, inspector_ids: Sequence[int], since: datetime, until: datetime
) -> dict[int, list[tuple[datetime, datetime]]]:
    away: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
    bound = queries["absences_between"].bind(inspector_ids=list(inspector_ids), since=since, until=until)
    for row in await conn.fetch(*bound):
        away[row["inspector_id"]].append((row["begins_at"], row["ends_at"]))
    return away


async def book_appointment(
    conn: asyncpg.Connection, card: asyncpg.Record, window: BookableWindow, day: date, at: datetime
) -> int:
    """Make the appointment and its promise; returns the duty."""
    duty_id: int = await conn.fetchval(
        *queries["book_appointment"].bind(
            card_no=card["card_no"],
            premises_id=card["premises_id"],
            day=day,
            promised_from=window.begins_at,
            promised_to=window.ends_at,
            at=at,
        )
    )
    return duty_id
