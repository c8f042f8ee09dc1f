"""The settings of inspections: when to plan, what a visit takes, how travel is reckoned, how long to search."""

from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, field_validator, model_validator

from inspections.access_rates import AccessRates
from inspections.booking import Offer
from inspections.campaign_params import CampaignParams
from inspections.candidates import CallRules
from inspections.cycle import Cycles
from inspections.model import Overbooking, Travel, UserClass
from inspections.printing.params import PrintingParams
from inspections.search import Search


class RosterParams(BaseModel):
    """Settings of duties, rosters and outcomes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    city_timezone: str = Field("Asia/Shanghai", description="IANA name of the city's time zone.")
    plan_at: time = Field(time(18, 0), description="Local time after which tomorrow's rosters are planned.")
    tick_s: float = Field(2.0, gt=0, le=3600, description="How often duties are brought in step with alerts, seconds.")
    periodic_every_s: float = Field(3600.0, gt=0, description="How often periodic duties are opened, seconds.")
    replan_after_s: float = Field(
        60.0,
        gt=0,
        description="Least time between two plannings of tomorrow by the service itself, seconds.",
    )
    lead_min: int = Field(15, ge=0, le=240, description="A roster for today begins so many minutes from now.")
    horizon_days: int = Field(30, ge=0, le=366, description="Duties due within so many days may be planned early.")
    household_min: int = Field(8, ge=1, le=240, description="Work at a household's door, minutes.")
    commercial_min: int = Field(20, ge=1, le=480, description="Work at a business, minutes.")
    industrial_min: int = Field(25, ge=1, le=480, description="Work at an industrial user, minutes.")
    building_setup_s: int = Field(120, ge=0, le=3600, description="Spent on entering a building, seconds (no source).")
    between_buildings_s: int = Field(180, ge=0, le=3600, description="Added to every way between buildings, seconds.")
    between_flats_s: int = Field(60, ge=0, le=3600, description="From door to door within a building, seconds.")
    detour: float = Field(1.3, ge=1, le=5, description="Length of the way over the great circle.")
    speed_kmh: float = Field(15.0, gt=0, le=130, description="Speed between buildings, kilometres an hour.")
    router_url: HttpUrl | None = Field(
        None, description="A routing server whose travel times are used; unset: the great circle."
    )
    router_kind: Literal["osrm", "valhalla"] = Field("osrm", description="What kind of server it is.")
    router_profile: str = Field(
        "driving", pattern=r"^[a-z_]{1,32}$", description="OSRM's profile, or Valhalla's costing (auto, bicycle ...)."
    )
    router_timeout_s: float = Field(10.0, gt=0, le=120, description="Longest wait for one answer, seconds.")
    router_chunk: int = Field(
        100, ge=2, le=10_000, description="Most places in one request (OSRM's own default is 100)."
    )
    capacity_factor: float = Field(3.0, ge=1, le=20, description="Doors considered, times what the day can hold.")
    spread_share: float = Field(
        0.33, ge=0, le=1, description="Share of the doors considered for weight alone, wherever they lie."
    )
    candidates_max: int = Field(50_000, ge=100, description="Most duties read for one day.")
    iterations_per_call: int = Field(10, ge=1, le=10_000, description="Solver iterations for each door considered.")
    iterations_min: int = Field(1_500, ge=0, description="Least solver iterations.")
    change_iterations: int = Field(
        1_500, ge=0, description="Solver iterations after a repair of a running day; 0: repair only."
    )
    polish_share: float = Field(0.15, ge=0, le=0.9, description="Share of the search that moves single doors.")
    search_seconds_max: float = Field(
        300.0,
        gt=0,
        description="Longest search for one part of a day, seconds; a plan it cuts short is not repeatable.",
    )
    plan_timeout_s: float = Field(900.0, gt=0, description="A planning process is ended after so long, seconds.")
    learn_access: bool = Field(True, description="Weigh doors by the learned chance to get in, and overbook by it.")
    no_access_s: int = Field(240, ge=0, le=3600, description="Spent at a door that stays shut, seconds (no source).")
    overbooking_share: float = Field(
        0.25,
        ge=0,
        le=1,
        description="Most that work may exceed the time planned for it, should everybody be home.",
    )
    promise_margin_min: int = Field(
        10, ge=0, le=120, description="Last minutes of a promised window that planning leaves free for delays."
    )
    load_spread_max: float = Field(
        0.2, ge=0, le=1, description="Most difference in work between inspectors of a station, share of a shift."
    )
    seed: int = Field(1, ge=0, le=2**31 - 1, description="Seed of the search: same day, same seed, same plan.")
    cycles_file: Path | None = Field(None, description="Own cycles instead of the packaged inspections/cycles.toml.")
    campaign: CampaignParams = Field(default_factory=CampaignParams, description="The campaign of the year.")
    requests_file: Path | None = Field(None, description="Own categories instead of inspections/requests.toml.")
    cases_file: Path | None = Field(None, description="Own kinds of cases instead of inspections/cases.toml.")
    remind_every_s: float = Field(
        60.0, gt=0, le=86_400, description="How often overdue requests and cases are looked at."
    )
    count_every_s: float = Field(
        60.0, gt=0, le=86_400, description="How often days whose figures changed are counted anew, seconds."
    )
    hazards_file: Path | None = Field(None, description="Own catalogue instead of inspections/hazards.toml.")
    checklists_file: Path | None = Field(None, description="Own checklists instead of inspections/checklists.toml.")
    checklist: Literal["asked", "required"] = Field(
        "asked", description="Whether a full inspection without answers is taken (the receipt names it) or refused."
    )
    evidence: Literal["asked", "required"] = Field(
        "asked", description="Whether a report without the evidence of its hazards' grades is taken or refused."
    )
    card_days: int = Field(60, ge=1, le=365, description="How long a notice card's token opens booking, days.")
    booking_lead_days: int = Field(
        2, ge=1, le=30, description="Residents book from so many days ahead, so that rosters are planned around it."
    )
    booking_days: int = Field(14, ge=1, le=90, description="For how many days windows are offered.")
    booking_window_h: int = Field(2, ge=1, le=12, description="Length of a window that a resident books, hours.")
    booking_per_inspector: int = Field(
        2, ge=1, le=20, description="Most promised visits in a window for each inspector at work then."
    )

    printing: PrintingParams = Field(default_factory=PrintingParams, description="Notices and cards on paper.")

    @field_validator("city_timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not a time zone of the IANA database") from error
        return name

    @model_validator(mode="after")
    def _duties_reach_as_far_as_the_campaign(self) -> Self:
        if self.campaign.early_days > self.horizon_days:
            raise ValueError("campaign.early_days must not exceed horizon_days: duties are opened no sooner than that")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.city_timezone)

    @property
    def offer(self) -> Offer:
        """How windows are offered to residents."""
        return Offer(
            self.booking_lead_days, self.booking_days, self.booking_window_h, self.booking_per_inspector,
            self.campaign.calendar,
        )  # fmt: skip

    @property
    def travel(self) -> Travel:
        """How travel is reckoned."""
        return Travel(
            self.detour, self.speed_kmh, self.between_buildings_s, self.between_flats_s, self.building_setup_s
        )

    @property
    def search(self) -> Search:
        """How the solver searches."""
        return Search(
            iterations_per_call=self.iterations_per_call,
            iterations_min=self.iterations_min,
            polish_share=self.polish_share,
            seconds_max=self.search_seconds_max,
            load_spread_max=self.load_spread_max,
        )

    @property
    def change_search(self) -> Search:
        """How the solver searches after a repair: within two seconds, beside the repair itself."""
        return replace(
            self.search, iterations_per_call=0, iterations_min=self.change_iterations, polish_share=1.0, seconds_max=1.5
        )

    @property
    def overbooking(self) -> Overbooking:
        """How far rosters may rely on absence."""
        return Overbooking(self.no_access_s, self.overbooking_share)

    @property
    def service_s(self) -> dict[UserClass, int]:
        """Work at a door by user class, seconds."""
        minutes: dict[UserClass, int] = {
            "household": self.household_min,
            "commercial": self.commercial_min,
            "industrial": self.industrial_min,
        }
        return {user_class: minute * 60 for user_class, minute in minutes.items()}

    def call_rules(self, cycles: Cycles, rates: AccessRates | None = None) -> CallRules:
        """What turns duties into calls."""
        return CallRules(
            self.service_s,
            cycles.no_access,
            self.zone,
            rates if self.learn_access else None,
            self.overbooking,
            self.promise_margin_min * 60,
        )
