"""What HTTP takes and gives of commands."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ingest.commanding.model import ENDED, IN_FLIGHT

State = Literal["requested", "approved", "sent", "proved", "failed", "expired", "refused", "withdrawn"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CommandBody(_Frozen):
    """Close or open a valve. The same `client_id` again is the same command."""

    client_id: UUID = Field(description="Made by the caller, one per command wanted.")
    valve: Literal["close", "open"]
    note: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$", description="Why; kept with the command.")
    alert_id: int | None = Field(
        None, ge=1, le=2**62, description="Close because of this alert: opening then waits for it."
    )
    valid_s: int | None = Field(None, ge=60, le=604_800, description="Give up after this long; at most the setting.")


class NoteBody(_Frozen):
    """A word on a step."""

    note: str | None = Field(None, max_length=500, pattern=r"^[^\x00]*$")


class CommandQuery(_Frozen):
    """Which commands, and a page of them."""

    device_id: int | None = Field(None, ge=1, le=2**31 - 1)
    state: list[State | Literal["in_flight", "ended"]] = Field([], description="Repeat for several.")
    valve: Literal["close", "open"] | None = None
    since: AwareDatetime | None = Field(None, description="Asked for from this moment.")
    until: AwareDatetime | None = Field(None, description="Asked for before this moment.")
    after: int | None = Field(None, description="Cursor: `next` of the page before.")
    limit: int = Field(50, ge=1, le=500)

    @property
    def states(self) -> list[str] | None:
        """The states meant, None for all."""
        groups: dict[str, tuple[str, ...]] = {"in_flight": IN_FLIGHT, "ended": ENDED}
        return [state for word in self.state for state in groups.get(word, (word,))] or None


class CommandRow(_Frozen):
    """One command; `answered_at` is by the device's clock, every other moment by ours."""

    command_id: int
    client_id: UUID
    device_id: int
    family: str
    device: str
    gateway: str
    premises: str | None
    area: str
    valve: Literal["close", "open"]
    state: State
    reason: str
    requested_by: str
    requested_at: datetime
    note: str
    alert_id: int | None
    approved_by: str | None
    approved_at: datetime | None
    expires_at: datetime
    sent_at: datetime | None
    attempts: int
    answered_at: datetime | None
    prove_by: datetime | None
    ended_at: datetime | None


class CommandPage(_Frozen):
    """Commands, newest first; `next` is the cursor of the following page."""

    items: list[CommandRow]
    next: int | None


class CommandStepRow(_Frozen):
    """One step of a command's life; `evidence` is what the device said."""

    at: datetime
    step: str
    from_state: str | None
    to_state: str
    actor: str
    reason: str
    note: str | None
    evidence: dict[str, Any] | None


class CommandWhole(CommandRow):
    """One command with its timeline, and why its valve may not be opened now (null: it may)."""

    timeline: list[CommandStepRow]
    not_safe_to_open: str | None
