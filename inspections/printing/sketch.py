"""Where things lie on a sketch of a day: degrees to millimetres of paper, stops with the visits made there. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inspections.answers import VisitAnswer
from inspections.model import Point

_METRES_PER_DEGREE = 111_320.0
_LEAST_SPAN_M = 150.0
_ROUND = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on paper, millimetres."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Stop:
    """A building on the way: the positions of the visits made there in a row."""

    point: Point
    building: str
    compound: str
    first: int
    last: int
    mandatory: bool

    @property
    def label(self) -> str:
        """`4` or `4-7`."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def stops_of(visits: Sequence[VisitAnswer]) -> list[Stop]:
    """The stops of a roster in order; going back to a building is a stop of its own."""
    stops: list[Stop] = []
    for visit in visits:
        point = Point(visit.latitude, visit.longitude)
        if stops and stops[-1].point == point and stops[-1].building == visit.building:
            before = stops[-1]
            stops[-1] = Stop(
                point,
                before.building,
                before.compound,
                before.first,
                visit.position,
                before.mandatory or visit.mandatory,
            )
        else:
            stops.append(Stop(point, visit.building, visit.compound, visit.position, visit.position, visit.mandatory))
    return stops


@dataclass(frozen=True, slots=True)
class Sketch:
    """A projection that is true to scale (equirectangular about the middle): north is up."""

    box: Box
    middle: Point
    mm_per_metre: float

    def place(self, point: Point) -> tuple[float, float]:
        """Where a point lies on the paper, millimetres from the left and from the top."""
        east_m = (
            (point.longitude - self.middle.longitude)
            * _METRES_PER_DEGREE
            * math.cos(math.radians(self.middle.latitude))
        )
        north_m = (point.latitude - self.middle.latitude) * _METRES_PER_DEGREE
        return (
            self.box.left + self.box.width / 2 + east_m * self.mm_per_metre,
            self.box.top + self.box.height / 2 - north_m * self.mm_per_metre,
        )

    def scale_bar(self, most_mm: float) -> tuple[int, float]:
        """The longest round distance (1, 2 or 5 times a power of ten) within `most_mm`: metres, millimetres."""
        most_m = most_mm / self.mm_per_metre
        power = 10 ** math.floor(math.log10(most_m))
        metres = max(digit * power for digit in _ROUND if digit * power <= most_m)
        return int(metres), metres * self.mm_per_metre


def sketch_of(points: Sequence[Point], box: Box, margin_mm: float = 9.0) -> Sketch:
    """The sketch that shows all points within the box, as large as it goes; raises ValueError without a point."""
    if not points:
        raise ValueError("a sketch needs a point")
    latitudes, longitudes = [p.latitude for p in points], [p.longitude for p in points]
    middle = Point((min(latitudes) + max(latitudes)) / 2, (min(longitudes) + max(longitudes)) / 2)
    north_m = (max(latitudes) - min(latitudes)) * _METRES_PER_DEGREE
    east_m = (max(longitudes) - min(longitudes)) * _METRES_PER_DEGREE * math.cos(math.radians(middle.latitude))
    across = (box.width - 2 * margin_mm) / max(east_m, _LEAST_SPAN_M)
    down = (box.height - 2 * margin_mm) / max(north_m, _LEAST_SPAN_M)
    return Sketch(box, middle, min(across, down))
