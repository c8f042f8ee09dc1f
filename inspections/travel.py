"""How long it takes from place to place: great circle with a detour factor, until a routing server is configured."""

from array import array
from collections.abc import Sequence

import numpy as np

from inspections.model import Point, Travel

_EARTH_RADIUS_M = 6_371_009.0
Matrix = Sequence[Sequence[int]]


def travel_matrix(points: Sequence[Point], travel: Travel) -> Matrix:
    """Seconds from every place to every other; 0 on the diagonal (steps inside a building are the caller's)."""
    if not points:
        return []
    metres = _great_circle_m(points)
    seconds = metres * travel.detour / (travel.speed_kmh / 3.6) + travel.between_buildings_s
    np.fill_diagonal(seconds, 0.0)
    return [array("q", row.tobytes()) for row in np.ceil(seconds).astype(np.int64)]


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
