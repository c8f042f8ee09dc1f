"""A roster as iCalendar (RFC 5545): one event a door, and one for the break.

An event's UID is the day, the inspector and the door, so a later version updates it (SEQUENCE is the version), and
a door that left the roster is told as CANCELLED. Names and telephone numbers of residents stay out: calendars
travel.
"""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event

from inspections.answers import OneRosterAnswer, VisitAnswer
from inspections.printing.reasons import reasons_in
from inspections.printing.words import Language, place_of, side_by_side

_PRODUCT = "-//Gaswarden//Rosters//EN"


def roster_calendar(
    roster: OneRosterAnswer,
    dropped: Sequence[tuple[str, datetime, datetime]],
    zone: ZoneInfo,
    languages: Sequence[Language] = ("en",),
) -> bytes:
    """The day as a calendar in these languages; `dropped` are doors of earlier versions with the time they last had."""
    calendar = Calendar()
    calendar.add("prodid", _PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", f"{roster.day.isoformat()} {roster.inspector}")
    calendar.add("x-wr-timezone", zone.key)
    for visit in roster.visits:
        calendar.add_component(_visit(roster, visit, zone, languages))
    if roster.break_start_at is not None and roster.break_end_at is not None:
        pause = _event(roster, "break", roster.break_start_at, roster.break_end_at)
        pause.add("summary", side_by_side("rest", languages))
        calendar.add_component(pause)
    for premises, begin, until in dropped:
        gone = _event(roster, premises, begin, until)
        gone.add("summary", f"{premises}: {side_by_side('gone', languages)}")
        gone.add("status", "CANCELLED")
        calendar.add_component(gone)
    return bytes(calendar.to_ical())


def _visit(roster: OneRosterAnswer, visit: VisitAnswer, zone: ZoneInfo, languages: Sequence[Language]) -> Event:
    event = _event(roster, visit.premises, visit.arrive_at, visit.leave_at)
    must = f"{side_by_side('must', languages)}: " if visit.mandatory else ""
    event.add("summary", f"{visit.position}. {must}{place_of(visit)}")
    event.add("location", visit.address)
    event.add("geo", (visit.latitude, visit.longitude))
    event.add("status", "CONFIRMED")
    event.add("class", "PRIVATE")
    if visit.mandatory:
        event.add("priority", 1)
    door = f"{visit.premises}, {side_by_side(visit.user_class, languages)}"
    reasons = reasons_in(languages, visit.reasons)
    event.add("description", "\n".join([door, *_promise(visit, zone, languages), *reasons]))
    return event


def _promise(visit: VisitAnswer, zone: ZoneInfo, languages: Sequence[Language]) -> list[str]:
    if visit.promised_from is None or visit.promised_to is None:
        return []
    begin, until = visit.promised_from.astimezone(zone), visit.promised_to.astimezone(zone)
    return [f"{side_by_side('promised', languages)} {begin:%H:%M}-{until:%H:%M}"]


def _event(roster: OneRosterAnswer, about: str, begin: datetime, until: datetime) -> Event:
    event = Event()
    event.add("uid", f"{roster.day.isoformat()}/{roster.inspector}/{about}@gaswarden")
    event.add("sequence", roster.version)
    event.add("dtstamp", roster.planned_at)
    event.add("dtstart", begin)
    event.add("dtend", until)
    return event
