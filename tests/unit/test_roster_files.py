"""A roster as GeoJSON, calendar and paper."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar, Event

from inspections.answers import OneRosterAnswer, VisitAnswer
from inspections.model import Point, Result
from inspections.printing.calendar import roster_calendar
from inspections.printing.geojson import roster_geojson
from inspections.printing.paper import CHINESE_FONT, FontMissing
from inspections.printing.roster_sheet import _BOXES, _result, roster_pdf
from inspections.printing.sketch import Box, sketch_of, stops_of
from inspections.printing.words import Language, roster_words

ZONE = ZoneInfo("Asia/Shanghai")
NINE = datetime(2026, 11, 21, 1, 0, tzinfo=UTC)
START = Point(31.79, 117.2)


def visit(position: int, building: int = 1, **changes: Any) -> VisitAnswer:
    facts: dict[str, Any] = {
        "visit_id": 100 + position, "position": position, "arrive_at": NINE + timedelta(minutes=10 * position),
        "leave_at": NINE + timedelta(minutes=10 * position + 8), "travel_s": 60, "mandatory": False, "chance": 0.5,
        "promised_from": None, "promised_to": None, "reasons": ["periodic inspection is due"],
        "premises": f"H-{position:03d}", "address": f"1 Garden Road, flat {position}", "unit": "1", "floor": 2,
        "user_class": "household", "contact_name": "Resident", "contact_phone": "+86 555 0100",
        "latitude": round(31.8 + building / 1000, 6),
        "building": f"Block {building}", "compound": "Garden", "area": "D01",
        "longitude": 117.2, "result": None, "duty_ids": [position], "alert_ids": [],
    }  # fmt: skip
    return VisitAnswer.model_validate(facts | changes)


def roster(*visits: VisitAnswer, version: int = 1, name: str = "Li Na") -> OneRosterAnswer:
    return OneRosterAnswer(
        inspector="I-1", name=name, area="D01", leave_at=NINE, return_at=NINE + timedelta(hours=6),
        break_start_at=NINE + timedelta(hours=3), break_end_at=NINE + timedelta(hours=3, minutes=30), travel_s=1800,
        visits=list(visits), day=date(2026, 11, 21), version=version, planned_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
    )  # fmt: skip


def text_of(pdf: bytes) -> set[str]:
    """The characters that a document shows, from its fonts' own maps to Unicode."""
    maps = [part for part in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL) if b"begincmap" in part]
    return {chr(int(target, 16)) for one in maps for target in re.findall(rb"<[0-9A-F]{4}> <([0-9A-F]{4})>", one)}


def test_geojson_line_runs_from_start_over_each_building_to_the_end() -> None:
    """Doors of one building are one position of the line; positions are longitude first; doors keep their order."""
    read = json.loads(roster_geojson(roster(visit(1), visit(2), visit(3, 2)), START, START))
    line, *doors = read["features"]
    assert line["geometry"]["coordinates"] == [[117.2, 31.79], [117.2, 31.801], [117.2, 31.802], [117.2, 31.79]]
    assert [door["properties"]["premises"] for door in doors] == ["H-001", "H-002", "H-003"]
    assert doors[0]["geometry"] == {"type": "Point", "coordinates": [117.2, 31.801]}
    assert line["properties"]["version"] == 1


def test_empty_roster_is_still_a_valid_line() -> None:
    """A day without visits goes from the start to the end: a line has at least two positions."""
    line = json.loads(roster_geojson(roster(), START, START))["features"][0]
    assert len(line["geometry"]["coordinates"]) == 2


def test_calendar_of_a_later_version_updates_the_same_events() -> None:
    """The same door has the same UID and a higher SEQUENCE, whatever its visit; a dropped door is cancelled."""
    first = Calendar.from_ical(roster_calendar(roster(visit(1), visit(2)), [], ZONE))
    later = roster(visit(1, visit_id=900), version=2)
    second = Calendar.from_ical(roster_calendar(later, [("H-002", NINE, NINE + timedelta(minutes=8))], ZONE))
    was, now = (
        {event.uid: event for event in calendar.walk("VEVENT") if isinstance(event, Event)}
        for calendar in (first, second)
    )
    assert set(was) == set(now)
    door = next(uid for uid in was if "H-001" in uid)
    assert (was[door].sequence, now[door].sequence) == (1, 2)
    gone = next(uid for uid in was if "H-002" in uid)
    assert now[gone].status == "CANCELLED"
    assert NINE + timedelta(minutes=10) == was[door].DTSTART


def test_calendar_tells_the_address_and_no_contact() -> None:
    """What travels to telephones holds where and why, not who lives there."""
    text = roster_calendar(roster(visit(1)), [], ZONE).decode()
    assert "1 Garden Road" in text
    assert "Resident" not in text
    assert "555" not in text


def test_stops_gather_visits_in_a_row() -> None:
    """Visits of one building in a row are one stop; coming back is another."""
    stops = stops_of([visit(1), visit(2, mandatory=True), visit(3, 2), visit(4)])
    assert [(stop.label, stop.mandatory) for stop in stops] == [("1-2", True), ("3", False), ("4", False)]


def test_sketch_is_true_to_scale_and_north_is_up() -> None:
    """Everything lies within the box; 0.001 degrees north are 111.3 m; the scale bar is a round distance."""
    south, north = Point(31.800, 117.2), Point(31.810, 117.2)
    sketch = sketch_of([south, north], Box(10, 20, 180, 90), margin_mm=5)
    assert sketch.place(south) == pytest.approx((100, 105))
    assert sketch.place(north) == pytest.approx((100, 25))  # 1113 m on 80 mm
    metres, width = sketch.scale_bar(30)
    assert metres == 200
    assert width == pytest.approx(200 * 80 / 1113.2)


def test_sketch_of_one_place_is_drawn() -> None:
    """A single building has no extent; it lies in the middle."""
    assert sketch_of([START], Box(0, 0, 100, 50)).place(START) == pytest.approx((50, 25))


def test_paper_shows_chinese_and_is_the_same_each_time() -> None:
    """Name, address and marks are in the document; the same roster gives the same bytes."""
    day = roster(visit(1, address="翠竹园小区3栋502室", mandatory=True), name="李娜")
    made = roster_pdf(day, START, START, ZONE)
    assert made == roster_pdf(day, START, START, ZONE)
    assert set("李娜翠竹园小区栋室MUST") <= text_of(made)


def test_sheet_is_labelled_in_the_languages_asked_for() -> None:
    """Both unless one is asked for: a Chinese sheet has no English label, an English one no Chinese sign."""
    day = roster(visit(1, mandatory=True, reasons=[], promised_from=NINE, promised_to=NINE), visit(2, result="partial"))
    asked: list[list[Language]] = [["zh", "en"], ["zh"], ["en"]]
    both, chinese, english = (text_of(roster_pdf(day, START, START, ZONE, languages)) for languages in asked)
    assert set("星期六必检已约事由与结果部分检查") <= both & chinese
    assert {"M", "U", "S", "T"} <= both
    assert not {"M", "U", "T"} <= chinese
    assert not any("\u4e00" <= sign <= "\u9fff" for sign in english)
    assert roster_words("en").keys() == roster_words("zh").keys()


def test_there_is_a_box_and_a_word_for_every_result() -> None:
    """Whatever a report may say can be ticked, and is named once it was reported."""
    assert set(_BOXES) == set(get_args(Result))
    for result in _BOXES:
        assert roster_words("zh")[result] in _result(visit(1), ["zh"])
        assert roster_words("en")[result] in _result(visit(1, result=result), ["en"])


def test_missing_font_is_one_sentence(tmp_path: Path) -> None:
    """Without the Chinese font a Chinese address is refused by name, and a Latin one is printed."""
    absent = tmp_path / "absent.ttf"
    with pytest.raises(FontMissing, match=r"absent\.ttf is not there: install"):
        roster_pdf(roster(visit(1, address="翠竹园")), START, START, ZONE, ["en"], absent)
    assert roster_pdf(roster(visit(1)), START, START, ZONE, ["en"], absent).startswith(b"%PDF")
    assert CHINESE_FONT.name == "DroidSansFallbackFull.ttf"
