"""The settings of the rules service."""

from pathlib import Path
from typing import Self
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from rules.regimes import DEFAULT as DEFAULT_REGIME
from rules.regimes import InvalidRegime, Regime, default_regimes, parse_regimes


class RuleParams(BaseModel):
    """How the rules service works through what arrives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path | None = Field(
        None, description="Own rules (a TOML file, or a folder of them) instead of the packaged catalogue."
    )
    poll_s: float = Field(1.0, gt=0, le=60, description="Seconds after which every loop looks by itself")
    tick_s: float = Field(10.0, gt=0, le=3600, description="Seconds between looks for silence and for outcomes")
    daily_poll_s: float = Field(
        60.0, gt=0, le=3600, description="Seconds between looks whether a new UTC day has begun"
    )
    readings_pause_s: float = Field(
        0.5, ge=0, le=60, description="Least seconds between two window passes, so that a burst is evaluated together"
    )
    reports_pause_s: float = Field(
        0.05, ge=0, le=60, description="Least seconds between two passes over what devices report of themselves"
    )
    rest_share: float = Field(
        1.0, ge=0, le=100, description="Seconds that passes over readings and reports rest for each second they worked"
    )
    batches_max: int = Field(500, ge=1, le=100_000, description="Ingest batches taken into one pass")
    devices_max: int = Field(2000, ge=1, le=100_000, description="Devices whose windows are in memory at once")
    city_timezone: str = Field("Asia/Shanghai", description="IANA name of the city's time zone: when its nights are.")
    back_off_s: float = Field(1.0, gt=0, le=60, description="Seconds to wait while the database is away")
    clock_s: float = Field(1.0, gt=0, le=60, description="Seconds between looks at deadlines of alerts")
    proof_s: float = Field(
        60.0, gt=0, le=3600, description="Seconds between looks whether telemetry proves what was made safe"
    )
    regime: str = Field(DEFAULT_REGIME, description="How fast what must happen to an alert (rules/regimes.toml)")
    regimes_file: Path | None = Field(None, description="File of your own regimes, in the form of rules/regimes.toml")

    @model_validator(mode="after")
    def _regime_is_there(self) -> Self:
        self.chosen_regime()
        return self

    def chosen_regime(self) -> Regime:
        """The regime to put in force; raises ValueError when the file or the name is wrong."""
        try:
            regimes = parse_regimes(self.regimes_file.read_text("utf-8")) if self.regimes_file else default_regimes()
        except (OSError, UnicodeDecodeError, InvalidRegime) as error:
            raise ValueError(f"regimes_file: {error}") from error
        if self.regime not in regimes:
            raise ValueError(f"regime: there is no regime {self.regime}; there are {', '.join(regimes)}")
        return regimes[self.regime]

    @field_validator("city_timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"{name!r} is not a time zone of the IANA database")
        return name
