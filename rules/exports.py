"""Lists of alerts for other programs: GeoJSON for maps, CSV for tables."""

import csv
import io
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from rules.pages import AlertPage, AlertQuery, AlertRow
from sql.actor import Actor

_COLUMNS = (
    "alert_id",
    "rule_id",
    "severity",
    "worst_severity",
    "state",
    "area",
    "device",
    "premises",
    "building",
    "gateway",
    "sentence",
    "first_at",
    "last_at",
    "raised_at",
    "last_value",
    "worst_value",
    "unit",
    "count",
    "owner",
    "due_stage",
    "due_at",
    "overdue",
    "escalation",
    "silenced",
    "confirmed",
    "episode",
    "late",
)
_STAGES = ("notified", "acknowledged", "dispatched", "on_site", "made_safe", "verified")
_PAGE = 500


def open_unless_asked(query: AlertQuery) -> AlertQuery:
    """The query, for open alerts where it names no state."""
    return query if query.state else query.model_copy(update={"state": ("open",)})


def geojson_text(page: AlertPage) -> str:
    """A page of alerts as a FeatureCollection (RFC 7946); what has no place on the map has no geometry."""
    features = [_feature(one) for one in page.items]
    return json.dumps({"type": "FeatureCollection", "features": features, "next": page.next}, ensure_ascii=False)


def _feature(one: AlertRow) -> dict[str, object]:
    placed = one.latitude is not None and one.longitude is not None
    geometry = {"type": "Point", "coordinates": [one.longitude, one.latitude]} if placed else None
    properties = one.model_dump(mode="json", exclude={"latitude", "longitude"})
    return {"type": "Feature", "id": one.alert_id, "geometry": geometry, "properties": properties}


class AlertTable(web.StreamResponse):
    """All alerts of a query as CSV, page after page, so that no list is too long."""

    def __init__(
        self, read: Callable[[AlertQuery, Actor], Awaitable[AlertPage]], query: AlertQuery, actor: Actor
    ) -> None:
        super().__init__(headers={"Content-Disposition": 'attachment; filename="alerts.csv"'})
        self.content_type, self.charset = "text/csv", "utf-8"
        self._read = read
        self._query = query.model_copy(update={"limit": _PAGE})
        self._actor = actor

    async def write_eof(self, data: bytes = b"") -> None:
        """Send the table."""
        try:
            await self.write(_lines([[*_COLUMNS, *(f"{stage}_at" for stage in _STAGES)]]))
            query: AlertQuery | None = self._query
            while query is not None:
                page = await self._read(query, self._actor)
                await self.write(_lines([_cells(one) for one in page.items]))
                query = query.model_copy(update={"after": page.next}) if page.next is not None else None
        except ConnectionError:
            return
        await super().write_eof(data)


def _cells(one: AlertRow) -> list[object]:
    values = one.model_dump(mode="json")
    moments = {stage["stage"]: stage["at"] for stage in values["clock"]}
    return [*(_cell(values[name]) for name in _COLUMNS), *(moments[stage] for stage in _STAGES)]


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula is kept a text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _lines(rows: list[list[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()
