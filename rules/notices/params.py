"""The settings of notices."""

from datetime import time
from pathlib import Path

from cryptography.fernet import Fernet
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

SCHEMES = (
    "mailto", "mailtos", "wecombot", "dingtalk", "feishu", "lark", "jsons", "forms", "ntfys", "gotifys", "barks",
    "tgram", "slack",
    "workflows", "pover", "pagerduty", "opsgenie", "twilio", "vonage", "clickatell", "clicksend", "seven",
    "sns", "sinch", "local",
)  # fmt: skip
"""Channels that may be used unless the settings say otherwise: mail, the office messengers of China and elsewhere, text
messages, webhooks over TLS, and `local` (a file, where `local_directory` is set)."""


class NoticeParams(BaseModel):
    """How notices reach people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contact_key: SecretStr | None = Field(
        None,
        description="Key that seals the addresses of contacts (`gaswarden contact new-key`); several with commas: the "
        "first seals, all open.",
    )
    schemes: tuple[str, ...] = Field(SCHEMES, description="Channels that contacts may use, as Apprise names them.")
    private_hosts: bool = Field(
        False, description="Whether a channel may be at a loopback, private or link-local address."
    )
    local_directory: Path | None = Field(
        None, description="Where contacts local://NAME write NAME.jsonl, for demonstrations and tests; unset: nowhere."
    )
    public_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Where people reach this server: links in notices, confirmations."
    )
    alert_link: str | None = Field(
        None, description="Link to an alert with {alert_id} in it; unset: the alert's own address below `public_url`."
    )
    timeout_s: float = Field(10.0, gt=0, le=120, description="Longest time of one attempt, seconds.")
    concurrency: int = Field(100, ge=1, le=1000, description="Notices worked on at once.")
    per_channel_max: int = Field(10, ge=1, le=1000, description="Attempts at once by one kind of channel.")
    dead_after: int = Field(3, ge=1, le=100, description="Failed attempts in a row after which a contact is dead.")
    fail_over_after: int = Field(2, ge=1, le=100, description="Failed attempts of a notice before the next contact.")
    back_off_s: float = Field(2.0, gt=0, le=600, description="Wait after the first failed attempt, doubled each time.")
    back_off_max_s: float = Field(60.0, gt=0, le=3600, description="Longest wait between attempts, seconds.")
    poll_s: float = Field(
        0.2,
        gt=0,
        le=60,
        description="Seconds after which the queue is looked at unasked: its worker misses a job that comes in while it"
        " looks, one in a hundred, and takes it that much later.",
    )
    stalled_after_s: float = Field(
        10.0,
        ge=1,
        le=600,
        description="A worker not heard of for so long is dead: its notices are sent again, seconds.",
    )
    drain_s: float = Field(12.0, ge=0, le=300, description="Time that running attempts get at shutdown, seconds.")
    database_connections_max: int = Field(
        4, ge=1, le=100, description="Connections of the queue's worker, beside the pool and one that listens."
    )
    tick_s: float = Field(10.0, gt=0, le=3600, description="Seconds between looks at dead channels and the rota.")
    burst_max: int = Field(
        20,
        ge=1,
        le=10_000,
        description="Notices one contact gets in ten minutes, critical ones and leaks aside; the rest come together.",
    )
    together_after_s: float = Field(
        60.0, ge=0, le=600, description="How long notices beyond `burst_max` wait for others, seconds."
    )
    gap_warn_h: float = Field(24.0, ge=0, le=336, description="Gaps in the rota are warned of so long ahead, hours.")
    rota_levels: int = Field(1, ge=1, le=9, description="Levels of the rota that must be covered all the time.")
    handover_late_min: float = Field(
        30.0, ge=0, le=1440, description="A hand-over this long after the end of a shift is overdue, minutes."
    )
    reach_test_at: time = Field(time(19, 0), description="Local time of the nightly test that everyone can be reached.")
    reach_confirm_min: float = Field(60.0, gt=0, le=720, description="Time to confirm the nightly test, minutes.")

    @field_validator("contact_key")
    @classmethod
    def _is_key(cls, keys: SecretStr | None) -> SecretStr | None:
        try:
            for key in keys.get_secret_value().split(",") if keys else ():
                Fernet(key.strip())
        except (ValueError, TypeError):
            raise ValueError(
                "must be a key that `gaswarden contact new-key` made (32 bytes in URL-safe base64)"
            ) from None
        return keys

    @field_validator("schemes")
    @classmethod
    def _known_words(cls, schemes: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(scheme.strip().lower() for scheme in schemes)
        if "file" in lowered:
            raise ValueError("file is no channel; use local and local_directory")
        return lowered
