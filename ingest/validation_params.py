"""The settings of validation: where its rules draw their lines, and at what pace readings are judged."""

from pydantic import BaseModel, ConfigDict, Field


class ValidationLimits(BaseModel):
    """Where the rules draw their lines. What is marked `ours` has no public source and is set to say little."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    implausible_qmax_factor: float = Field(
        2.0,
        ge=1,
        le=100,
        description="A register step beyond this many times Qmax is implausible; ours, as at arrival.",
    )
    missing_tolerance_pct: float = Field(
        2.0, ge=0, le=1000, description="A gap may be longer than the device's expected interval by this much; ours."
    )
    history_days: int = Field(28, ge=7, le=60, description="Own recent use: the days before that are compared; ours.")
    history_known_days: int = Field(14, ge=3, le=60, description="Fewer known days among them compare nothing; ours.")
    high_ratio: float = Field(
        5.0, gt=1, le=1000, description="A day above this many times the highest of its recent days is high; ours."
    )
    high_floor_ml: int = Field(
        1_000_000,
        ge=0,
        le=10**12,
        description="A day's use below this is never high: about twice what a home uses that cooks and heats water "
        "(0.6 m³ a day on average over 100,799 homes of Shanghai-Songjiang).",
    )
    low_ratio: float = Field(
        0.1, gt=0, lt=1, description="A day with use below this part of the lowest of its recent days is low; ours."
    )
    zero_days: int = Field(
        30,
        ge=2,
        le=60,
        description="A register that moved and then stood still this long: the usual limit of meters that close "
        "themselves after long disuse (30 days).",
    )

    @property
    def day_reach(self) -> int:
        """Days on either side that a day's verdict may depend on."""
        return self.zero_days + 2 * self.history_days


class ValidationParams(ValidationLimits):
    """How readings are judged, and at what pace."""

    poll_s: float = Field(5.0, gt=0, le=3600, description="Pause when nothing waits.")
    rest_share: float = Field(
        1.0, ge=0, le=100, description="Seconds of rest after a pass for each second that it worked."
    )
    rows_max: int = Field(
        100_000, ge=1_000, le=5_000_000, description="Reading rows of one transaction, unless a single batch has more."
    )
    batches_max: int = Field(500, ge=1, le=10_000, description="Batches of one transaction.")
    devices_at_once: int = Field(1_000, ge=1, le=100_000, description="Devices in memory at a time.")
    look_around_days: int = Field(
        40, ge=1, le=400, description="Readings further than this from what arrived are not looked for."
    )
    timeout_s: float = Field(300.0, gt=0, le=86_400, description="Longest time of one statement.")
    retry_s: float = Field(5.0, gt=0, le=600, description="Pause after a failed pass.")
