"""How long it takes from place to place: great circle with a detour factor, or as a routing server's table says."""

from array import array
from collections.abc import Sequence

import numpy as np

from inspections.model import Point, Travel, TravelTable

_EARTH_RADIUS_M = 6_371_009.0
Matrix = Sequence[Sequence[int]]


def travel_matrix(points: Sequence[Point], travel: Travel, table: TravelTable | None = None) -> Matrix:
    """Seconds from every place to every other; 0 on the diagonal (steps inside a building are the caller's).

    What a table knows comes from it, the rest is the great circle.
    """
    if not points:
        return []
    moving = _great_circle_m(points) * travel.detour / (travel.speed_kmh / 3.6)
    if table is not None:
        _take_from(table, points, moving)
    seconds = moving + travel.between_buildings_s
    np.fill_diagonal(seconds, 0.0)
    return [array("q", row.tobytes()) for row in np.ceil(seconds).astype(np.int64)]


def _take_from(table: TravelTable, points: Sequence[Point], seconds: np.ndarray) -> None:
    """Overwrite the legs that a table knows; a negative entry is a leg that the server found no way for."""
    known = [position for position, point in enumerate(points) if point in table.index]
    if not known:
        return
    rows = np.array([table.index[points[position]] for position in known])
    given = np.array([np.frombuffer(table.seconds[row], dtype=np.int32)[rows] for row in rows], dtype=float)
    here = np.ix_(known, known)
    seconds[here] = np.where(given >= 0, given, seconds[here])


def _great_circle_m(points: Sequence[Point]) -> np.ndarray:
    latitude = np.radians([point.latitude for point in points])
    longitude = np.radians([point.longitude for point in points])
    half_chord = (
        np.sin((latitude[:, None] - latitude[None, :]) / 2) ** 2
        + np.cos(latitude)[:, None] * np.cos(latitude)[None, :]
        * np.sin((longitude[:, None] - longitude[None, :]) / 2) ** 2
    )  # fmt: skip
    distance: np.ndarray = 2 * _EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(half_chord, 0.0, 1.0)))
    return distance
