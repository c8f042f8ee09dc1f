"""What the planner of the campaign goes by. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CampaignRules:
    """How the year is planned.

    `early_days`: a door may be visited so long before it is due (United Kingdom: two months). `priority_lead_days`:
    doors of the priority groups are taken as due so much sooner. `open_compounds_per_inspector`: how many compounds a
    group of inspectors works in at once. `compound_min_share`: a compound with less work than this share of a day is
    left to grow.
    """

    early_days: int = 60
    priority_lead_days: int = 60
    notice_days: int = 3
    open_compounds_per_inspector: float = 0.5
    compound_min_share: float = 0.25

    def open_compounds(self, inspectors: int) -> int:
        """How many compounds a group of inspectors works in at once."""
        return max(1, round(self.open_compounds_per_inspector * inspectors))
