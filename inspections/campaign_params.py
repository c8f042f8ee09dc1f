"""The settings of the campaign: how far ahead, how tight, which days are worked, how often it is planned anew."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from inspections.campaign_rules import CampaignRules
from inspections.working_days import WorkingDays, has_holidays


class CampaignParams(BaseModel):
    """Settings of the campaign of the year."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int = Field(365, ge=7, le=800, description="How many days ahead are planned.")
    early_days: int = Field(30, ge=0, le=366, description="A door may be visited so many days before it is due.")
    priority_lead_days: int = Field(
        14, ge=0, le=366, description="Doors of priority groups are taken as due so many days sooner."
    )
    notice_days: int = Field(3, ge=0, le=60, description="Notices go out so many days before the visits (Nanning: 3).")
    open_compounds_per_inspector: float = Field(
        0.5, gt=0, le=10, description="Compounds that a group of inspectors works in at once, for each inspector."
    )
    compound_min_share: float = Field(
        0.25, ge=0, le=5, description="A compound with less work than this share of a day is left to grow."
    )
    reserve_share: float = Field(
        0.15, ge=0, le=0.9, description="Share of the working time kept for alerts, re-checks and requests (no source)."
    )
    holidays_of: str = Field("CN", max_length=3, description="Country whose holidays are not worked; empty: none.")
    weekdays: tuple[int, ...] = Field((0, 1, 2, 3, 4), description="Weekdays worked, Monday is 0.")
    catch_up_days: int = Field(
        14, ge=0, le=366, description="A building stays in turn for so many days, for doors that did not open."
    )
    replan_days: int = Field(7, ge=1, le=366, description="The service plans the campaign anew after so many days.")

    @field_validator("weekdays")
    @classmethod
    def _some_days(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or not set(value) <= set(range(7)):
            raise ValueError("weekdays must name some of 0 (Monday) to 6 (Sunday)")
        return value

    @field_validator("holidays_of")
    @classmethod
    def _known_country(cls, value: str) -> str:
        if value and not has_holidays(value):
            raise ValueError(f"no holidays of {value!r} are known; give a country's two letters, or nothing for none")
        return value

    @property
    def calendar(self) -> WorkingDays:
        """The days that are worked, for the year and for each day."""
        return WorkingDays(self.holidays_of, frozenset(self.weekdays))

    @property
    def rules(self) -> CampaignRules:
        """What the pure planner goes by."""
        return CampaignRules(
            early_days=self.early_days,
            priority_lead_days=self.priority_lead_days,
            notice_days=self.notice_days,
            open_compounds_per_inspector=self.open_compounds_per_inspector,
            compound_min_share=self.compound_min_share,
        )
