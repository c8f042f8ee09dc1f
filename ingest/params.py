"""The settings of ingest: how a slot works, and how readings are rolled up."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest.batch import BatchParams
from ingest.floods import RateParams
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


class RollupParams(BaseModel):
    """How readings are rolled up; how long what is kept is in the database (`gaswarden storage keep`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rest_share: float = Field(
        1.0, ge=0, le=100, description="Seconds of rest after a pass for each second that it worked."
    )
    poll_s: float = Field(
        5.0, gt=0, le=3600, description="Pause when nothing waits; hourly and daily values are about this far behind."
    )
    rows_max: int = Field(
        200_000, ge=1_000, le=5_000_000, description="Reading rows of one transaction, unless a single batch has more."
    )
    batches_max: int = Field(500, ge=1, le=10_000, description="Batches of one transaction.")
    timeout_s: float = Field(600.0, gt=0, le=86_400, description="Longest time of one roll-up statement.")
    retire_every_s: float = Field(3600.0, gt=0, le=86_400, description="Time between looks for what may be retired.")
    retry_s: float = Field(5.0, gt=0, le=600, description="Pause after a failed pass.")
