"""The lanes of a slot: its sessions with the broker, what each subscribes to, and the parameters of them all."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from zlib import crc32

from ingest.formats import topic_filters, urgent_filters
from ingest.params import IngestParams


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
