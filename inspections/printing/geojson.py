"""A roster as GeoJSON (RFC 7946): the route as one line, each door as a point, in the order of the day."""

import json

from inspections.answers import OneRosterAnswer, VisitAnswer
from inspections.model import Point


def roster_geojson(roster: OneRosterAnswer, start: Point, end: Point) -> str:
    """A FeatureCollection: the line from start over the doors to the end, then the doors; longitude comes first."""
    features = [_route(roster, start, end), *(_door(visit) for visit in roster.visits)]
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)


def _route(roster: OneRosterAnswer, start: Point, end: Point) -> dict[str, object]:
    way = [(start.longitude, start.latitude)]
    for visit in roster.visits:
        if (position := (visit.longitude, visit.latitude)) != way[-1]:
            way.append(position)
    way.append((end.longitude, end.latitude))  # a line has at least two positions
    facts = {
        "kind": "route",
        "inspector": roster.inspector,
        "day": roster.day.isoformat(),
        "version": roster.version,
        "leave_at": roster.leave_at.isoformat(),
        "return_at": roster.return_at.isoformat(),
        "travel_s": roster.travel_s,
        "visits": len(roster.visits),
    }
    return _feature("LineString", way, facts, f"{roster.day.isoformat()}/{roster.inspector}")


def _door(visit: VisitAnswer) -> dict[str, object]:
    facts = {"kind": "door"} | visit.model_dump(mode="json", exclude={"latitude", "longitude"})
    return _feature("Point", (visit.longitude, visit.latitude), facts, visit.visit_id)


def _feature(kind: str, coordinates: object, facts: dict[str, object], feature_id: str | int) -> dict[str, object]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "id": feature_id, "geometry": geometry, "properties": facts}
