"""Who is asking: the caller's name, role and areas, as every store and audit row needs them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Actor:
    """A caller.

    `areas` holds district codes with all their children, or None for the whole city; `inspector_code` is set for
    inspectors and names whose roster they may see.
    """

    name: str
    role: str
    areas: frozenset[str] | None = None
    inspector_code: str | None = None

    def covers(self, area: str) -> bool:
        """Tell whether `area` lies within what this caller may see."""
        return self.areas is None or area in self.areas

    def area_list(self) -> list[str] | None:
        """The areas as a sorted list for a query parameter; None means no restriction."""
        return None if self.areas is None else sorted(self.areas)


RULES = Actor("rules", "service")
INSPECTIONS = Actor("inspections", "service")
RESIDENT = Actor("resident", "resident")

PUBLIC = frozenset({"public"})
"""The roles of a route that needs no account: its handler gets no actor and shows no personal data."""
