"""Why a door is, or is not, visited on a day: one sentence, and what it rests on. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from inspections.answers import DutyAnswer, Shape

Verdict = Literal[
    "on_roster", "visited", "left_out", "deferred", "promised_later", "not_due", "not_planned_yet", "nothing_open"
]


class WhyAnswer(Shape):
    """The answer for one door and day: the verdict, a sentence, and the facts behind it."""

    premises: str
    day: date
    verdict: Verdict
    sentence: str
    version: int | None = Field(description="The version of the day's rosters in force; null: none was planned.")
    inspector: str | None = None
    arrive_at: datetime | None = None
    chance: float | None = Field(None, description="Expected chance to get in at that time.")
    reasons: list[str] = Field(default=[], description="Of the visit: why this door, why on this day.")
    constraint: str | None = None
    price: dict[str, Any] | None = Field(None, description="What forcing the door in would cost.")
    duties: list[DutyAnswer] = Field(default=[], description="What is open for the door, soonest due first.")
    next_due_on: date | None = None
    next_due_why: str | None = None
    campaign_week: date | None = Field(None, description="Monday of the week that the campaign plan has for the door.")


class WhyQuery(Shape):
    """Which day; default: the next one with rosters, else tomorrow."""

    day: date | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What the tables say about a door on a day."""

    premises: str
    day: date
    run: Mapping[str, Any] | None
    visit: Mapping[str, Any] | None
    earlier_visit: Mapping[str, Any] | None
    omission: Mapping[str, Any] | None
    duties: Sequence[Mapping[str, Any]]
    next_due: tuple[date, str]
    horizon_days: int
    campaign_week: date | None = None


def explain_door(known: Known, zone: ZoneInfo) -> WhyAnswer:
    """One verdict for any door: on a roster, left out with its constraint, deferred, not due, nothing open."""
    verdict, sentence, more = _verdict(known, zone)
    return WhyAnswer(
        premises=known.premises,
        day=known.day,
        verdict=verdict,
        sentence=sentence,
        version=known.run["version"] if known.run else None,
        duties=[DutyAnswer.model_validate(dict(duty)) for duty in known.duties],
        next_due_on=known.next_due[0],
        next_due_why=known.next_due[1],
        campaign_week=known.campaign_week,
        **more,
    )


def _verdict(known: Known, zone: ZoneInfo) -> tuple[Verdict, str, dict[str, Any]]:
    if known.visit is not None:
        return _on_roster(known.visit, zone)
    if known.omission is not None:
        found = known.omission
        more = {"constraint": found["constraint"], "price": found["price"]}
        return "left_out", f"left out ({found['constraint']}): {found['reason']}", more
    if not known.duties:
        due_on, why = known.next_due
        return "nothing_open", f"nothing is open; next due on {due_on.isoformat()}: {why}", {}
    return _waiting(known, zone)


def _on_roster(visit: Mapping[str, Any], zone: ZoneInfo) -> tuple[Verdict, str, dict[str, Any]]:
    begin = visit["arrive_at"].astimezone(zone)
    more = {
        "inspector": visit["inspector"],
        "arrive_at": visit["arrive_at"],
        "chance": visit["chance"],
        "reasons": visit["reasons"],
    }
    if visit["result"] is not None:
        return "visited", f"visited by {visit['inspector']}: {visit['result'].replace('_', ' ')}", more
    return "on_roster", f"on the roster of {visit['inspector']} at {begin:%H:%M}: {'; '.join(visit['reasons'])}", more


def _waiting(known: Known, zone: ZoneInfo) -> tuple[Verdict, str, dict[str, Any]]:
    """Something is open, and the day neither visits nor omits the door."""
    first = min(known.duties, key=lambda duty: (not duty["mandatory"], duty["due_on"], duty["duty_id"]))
    promised = [duty for duty in known.duties if duty["promised_from"] is not None]
    later = [duty for duty in promised if duty["promised_from"].astimezone(zone).date() > known.day]
    if known.earlier_visit is not None:
        visit = known.earlier_visit
        begin = visit["arrive_at"].astimezone(zone)
        return "deferred", f"on an earlier roster: {visit['inspector']} on {begin:%Y-%m-%d %H:%M}", {}
    if later and not first["mandatory"]:
        begin = later[0]["promised_from"].astimezone(zone)
        return "promised_later", f"promised for {begin:%Y-%m-%d %H:%M}; nothing is due before that", {}
    if first["not_before"] is not None and first["not_before"] > known.day:
        tried = f" after {first['attempts']} visit{'s' if first['attempts'] != 1 else ''} without entry"
        words = (
            f"put off until {first['not_before'].isoformat()}{tried if first['attempts'] else ''}: {first['reason']}"
        )
        return "deferred", words, {}
    days = (first["due_on"] - known.day).days
    if days > known.horizon_days and not first["mandatory"]:
        return "not_due", f"due on {first['due_on'].isoformat()}, {days} days later: {first['reason']}", {}
    if known.run is None:
        return "not_planned_yet", f"no roster was planned for this day yet; open: {first['reason']}", {}
    closed = known.run["figures"].get("closed")
    if closed:
        return "deferred", f"the day is {closed}: only what cannot wait is visited; open: {first['reason']}", {}
    if days > 0:
        return (
            "deferred",
            f"due on {first['due_on'].isoformat()} only; doors due sooner fill the day: {first['reason']}",
            {},
        )
    return "deferred", f"came up after this day was planned, or its day was over: {first['reason']}", {}
