"""How commands are sent, waited for and proved; one piece of the settings."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from ingest.commanding.model import Limits


class CommandParams(BaseModel):
    """How commands to valves are sent, and what proves them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker_url: SecretStr | None = Field(
        None, description="mqtt:// address with the account that may write commands; unset: the workers' own."
    )
    close_valid_s: int = Field(
        90_000,
        ge=60,
        le=604_800,
        description="A command to close is given up when no device answered after this long: 25 hours, because a meter"
        " on battery listens when it reports, once a day. Ours: no source found.",
    )
    open_valid_s: int = Field(
        3600,
        ge=60,
        le=86_400,
        description="A command to open is given up after this long: somebody must still be at home. Ours: no source"
        " found.",
    )
    answer_grace_s: float = Field(
        600.0, ge=0, le=86_400, description="Answers are waited for this long after a command expired; nothing is sent."
    )
    resend_min_s: float = Field(30.0, gt=0, le=3600, description="First pause before a command is sent again.")
    resend_max_s: float = Field(1800.0, gt=0, le=86_400, description="Longest pause before it is sent again.")
    settle_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="A valve travels this long; flow within it proves nothing. Ours: no source found.",
    )
    quiet_s: float = Field(
        120.0,
        ge=0,
        le=86_400,
        description="Least time without movement of the register that proves no flow: the window of the recovery leak"
        " test of Japanese meters; longer where a pulse at Qmin takes longer.",
    )
    prove_grace_s: float = Field(
        3600.0,
        ge=0,
        le=604_800,
        description="Beyond its report interval, time for a meter that says closed to show that the flow stopped.",
    )
    clock_slack_s: float = Field(
        300.0, ge=0, le=3600, description="A device's clock may be this late against ours. Ours: no source found."
    )
    flow_lh: float = Field(
        5.0,
        gt=0,
        le=1000,
        description="Flow past a closed valve: from about the starting flow of a G2.5 or G4 meter on.",
    )
    auto_close: bool = Field(
        False, description="Close the valves of a home by itself when a high-level leak there is confirmed."
    )
    auto_close_confirm_s: float = Field(
        60.0,
        ge=0,
        le=3600,
        description="A high alarm that lasts this long counts as confirmed, as do two detectors of one home and an"
        " inspector's finding. Ours: no source found.",
    )
    auto_close_recent_s: float = Field(
        3600.0, gt=0, le=86_400, description="Alerts raised longer ago than this are left to people."
    )
    poll_s: float = Field(1.0, gt=0, le=60, description="Seconds after which the dispatcher looks by itself.")
    pause_s: float = Field(0.2, ge=0, le=60, description="Least seconds between two looks.")
    publish_timeout_s: float = Field(5.0, gt=0, le=60, description="Limit for the broker to take a command over.")
    back_off_s: float = Field(1.0, gt=0, le=60, description="Pause while the database is away.")

    @field_validator("broker_url")
    @classmethod
    def _mqtt_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("mqtt://", "mqtts://")):
            raise ValueError("must look like mqtt://user:password@host:1883 (or mqtts://)")
        return url

    @property
    def limits(self) -> Limits:
        """The part that decides."""
        return Limits(**{name: getattr(self, name) for name in Limits.__slots__})
