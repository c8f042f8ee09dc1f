"""When deliveries become a transaction: by count, by rows, by age; events at once. Bounded."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from ingest.decoders.model import Asserted
from ingest.model import Decoded, Delivery, Event, Foreign, Message, Report


class Due(StrEnum):
    """Why a batch is taken now."""

    URGENT = "urgent"
    FULL = "full"
    OLD = "old"


class BatchParams(BaseModel):
    """How large and how old a batch may become."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages_max: int = Field(5_000, ge=1, le=60_000, description="A batch has at most this many messages.")
    rows_max: int = Field(50_000, ge=1, le=1_000_000, description="A batch is full at this many rows.")
    age_max_s: float = Field(0.2, gt=0, le=60, description="The oldest message waits at most this long for others.")


@dataclass(slots=True)
class _Waiting:
    message: Delivery
    at_s: float
    rows: int
    urgent: bool


class Buffer:
    """Deliveries in order of arrival. `now_s` is any monotonic clock, in seconds."""

    def __init__(self, params: BatchParams, size_max: int) -> None:
        self._params = params
        self._size_max = size_max
        self._waiting: deque[_Waiting] = deque()
        self._rows = 0
        self._urgent = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the intake must pause until a batch was taken."""
        return len(self._waiting) >= self._size_max

    def add(self, message: Delivery, now_s: float) -> None:
        """Put a delivery at the end."""
        rows, urgent = _weight(message)
        self._waiting.append(_Waiting(message, now_s, rows, urgent))
        self._rows += rows
        self._urgent += urgent

    def due(self, now_s: float) -> Due | None:
        """Why a batch should be taken now; None: wait for more."""
        if self._urgent:
            return Due.URGENT
        if len(self._waiting) >= self._params.messages_max or self._rows >= self._params.rows_max:
            return Due.FULL
        if self._waiting and now_s - self._waiting[0].at_s >= self._params.age_max_s:
            return Due.OLD
        return None

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until age alone makes a batch due; None when nothing waits."""
        if not self._waiting:
            return None
        return max(0.0, self._params.age_max_s - (now_s - self._waiting[0].at_s))

    def take(self) -> list[Delivery]:
        """The oldest messages, as many as a batch may have; at least one when any waits."""
        taken: list[Delivery] = []
        rows = 0
        while self._waiting and len(taken) < self._params.messages_max:
            first = self._waiting[0]
            if taken and rows + first.rows > self._params.rows_max:
                break
            self._waiting.popleft()
            taken.append(first.message)
            rows += first.rows
            self._urgent -= first.urgent
        self._rows -= rows
        return taken


def _weight(message: Delivery) -> tuple[int, bool]:
    """Rows a message may become, and whether it must not wait."""
    content = message.content if isinstance(message, Message) else None
    if not isinstance(content, Decoded):
        return (1, False) if not isinstance(content, Foreign) else _foreign_weight(content)
    rows, urgent = 0, False
    for item in content.items:
        if isinstance(item, Report):
            rows += 1 + len(item.frozen_ml)
        else:
            rows += 1
            urgent = urgent or isinstance(item, Event)
    return rows, urgent


def _foreign_weight(content: Foreign) -> tuple[int, bool]:
    observations = content.understood.observations if content.understood else ()
    return max(1, len(observations)), any(isinstance(one, Asserted) for one in observations)
