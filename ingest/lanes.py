"""The lanes of a slot: its sessions with the broker, what each subscribes to, and the parameters of them all."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest.batch import BatchParams
from ingest.floods import RateParams
from ingest.formats import topic_filters, urgent_filters
from ingest.sources import SourceParams, check_sources


class IngestParams(BaseModel):
    """How one ingest slot works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: str = Field("0", pattern=r"^[A-Za-z0-9_-]{1,32}$", description="Name of the slot: one worker at a time.")
    areas: tuple[str, ...] = Field((), description="Areas whose topics this slot reads; empty: all of them.")
    share_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="Slots of the same areas and share name take native messages in turn; unset: each takes all. "
        "Only for brokers that give a gone member's messages to the others.",
    )
    batch: BatchParams = Field(default_factory=BatchParams, description="When a batch is taken.")
    writers: int = Field(
        2,
        ge=1,
        le=8,
        description="Transactions of readings under way at once, each with a connection and a ledger slot of its "
        "own; a gateway's messages all go through one of them, in order.",
    )
    buffer_max: int = Field(
        20_000, ge=100, le=200_000, description="Messages waiting for a transaction before the intake pauses."
    )
    gateway_rate: RateParams = Field(
        default_factory=RateParams, description="How fast one gateway of the native format may send."
    )
    registry_recheck_s: float = Field(
        1.0, ge=0, le=3600, description="An unknown gateway or device is looked up again after this long."
    )
    registry_refresh_s: float = Field(
        300.0, gt=0, le=86_400, description="What is known of the registry is read afresh after this long."
    )
    retry_min_s: float = Field(0.1, gt=0, le=60, description="First pause after a failed transaction.")
    retry_max_s: float = Field(5.0, gt=0, le=600, description="Longest pause between attempts.")
    standby_s: float = Field(
        30.0, gt=0, le=3600, description="A worker that lost its session to another one stands by for this long."
    )
    drain_timeout_s: float = Field(20.0, gt=0, le=600, description="Time to commit what waits when told to stop.")
    sources: tuple[SourceParams, ...] = Field(
        (), description="Where messages of other formats come from ([[ingest.sources]]); native needs none."
    )
    sparkplug_host: str = Field(
        "gaswarden", pattern=r"^[^/+#]{1,64}$", description="Our host id among Sparkplug hosts, one for each slot."
    )

    @field_validator("sources")
    @classmethod
    def _share_no_topic(cls, value: tuple[SourceParams, ...]) -> tuple[SourceParams, ...]:
        return check_sources(value)

    @property
    def own_sources(self) -> tuple[SourceParams, ...]:
        """The sources of this slot's areas."""
        return tuple(one for one in self.sources if not self.areas or one.area in self.areas)


@dataclass(frozen=True, slots=True)
class Lane:
    """One session of a slot. `slot` names it in the ledger and, with its prefix, to the broker.

    `leaves_urgent`: urgent topics are another lane's; what of them arrives here is acknowledged and not counted.
    With several `writers` the ledger has a slot for each. `paced`: its gateways have a rate limit each.
    """

    slot: str
    filters: tuple[str, ...]
    leaves_urgent: bool
    writers: int = 1
    paced: bool = True

    @property
    def slots(self) -> tuple[str, ...]:
        """The writers' slots in the ledger; the first has the lane's own name."""
        return (self.slot, *(f"{self.slot}-w{number}" for number in range(2, self.writers + 1)))

    def writer_of(self, sender: str) -> int:
        """The writer of a sender's messages: always the same, so that they keep their order."""
        return crc32(sender.encode("utf-8", "surrogatepass")) % self.writers

    @classmethod
    def of_events(cls, params: IngestParams) -> Self:
        """The lane of alarms and other events."""
        return cls(f"{params.slot}-events", _shared(params, urgent_filters(params.areas)), leaves_urgent=False)

    @classmethod
    def of_the_rest(cls, params: IngestParams) -> Self:
        """The lane of everything else: it subscribes to whole trees, so that no mistyped topic is lost unseen."""
        filters = _shared(params, topic_filters(params.areas))
        return cls(params.slot, filters, leaves_urgent=True, writers=params.writers)

    @classmethod
    def of_sources(cls, params: IngestParams) -> Self:
        """The lane of other formats than native."""
        filters = tuple(one for source in params.own_sources for one in source.filters)
        return cls(f"{params.slot}-sources", filters, leaves_urgent=False, paced=False)


def sender_of(topic: str) -> str:
    """Whose message a topic carries, as it says: a native gateway, or the whole topic; 200 characters at most."""
    parts = topic.split("/", 4)
    return (parts[3] if len(parts) > 3 and topic.startswith("gas/v1/") else topic)[:200]


def _shared(params: IngestParams, filters: Iterable[str]) -> tuple[str, ...]:
    """The filters as they are, or as subscriptions that a group of slots shares (MQTT 5, section 4.8.2)."""
    return tuple(filters if params.share_name is None else (f"$share/{params.share_name}/{one}" for one in filters))
