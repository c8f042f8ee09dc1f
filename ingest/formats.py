"""The registry of message formats: topic filter -> decoder, each with samples and the exact readings they give."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from ingest import payload as native
from ingest.model import (
    KEPT_BYTES_OF_LARGE,
    PAYLOAD_BYTES_MAX,
    Decoded,
    Event,
    GatewayStatus,
    Item,
    Message,
    QuarantineReason,
    Rejected,
    Report,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A message as it comes in, and the items it must become."""

    topic: str
    payload: bytes
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """One decoder: its name and version, the topics it understands, and its samples.

    `topic_filter` is an MQTT filter; `{area}` in it is replaced by the areas of a slot, or by `+`.
    """

    name: str
    topic_prefix: str
    topic_filter: str
    decode: Callable[[str, bytes], Decoded | Rejected]
    samples: tuple[Sample, ...]


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_NATIVE_SAMPLES = (
    Sample(
        "gas/v1/D01/GW-0001/readings",
        b'{"device": "M-000123", "seq": 4711, "at": "2026-11-20T08:12:31+08:00", "reason": "timed",'
        b' "index_ml": 1234567000, "status": 0, "battery_mv": 3590, "rsrp_dbm": -97,'
        b' "hourly": {"from": "2026-11-19T00:00:00Z", "index_ml": [1234100000, null, 1234110000]}}',
        (
            Report(
                "M-000123",
                4711,
                _at("2026-11-20T00:12:31Z"),
                index_ml=1_234_567_000,
                battery_mv=3590,
                rsrp_dbm=-97,
                reason=0,
                status=0,
                frozen_from=_at("2026-11-19T00:00:00Z"),
                frozen_ml=(1_234_100_000, None, 1_234_110_000),
            ),
        ),
    ),
    Sample(
        "gas/v1/D01/GW-0001/readings",
        b'{"device": "LD-0007", "seq": 310, "at": "2026-11-20T10:15:00Z", "lel_pct": 0.0, "status": null}',
        (Report("LD-0007", 310, _at("2026-11-20T10:15:00Z"), lel_pct=0.0),),
    ),
    Sample(
        "gas/v1/D01/GW-0001/events",
        b'{"device": "LD-0007", "seq": 311, "at": "2026-11-20T10:16:05Z", "event": "leak_alarm", "state": "raised",'
        b' "level": 2, "lel_pct": 27.5}',
        (Event("LD-0007", 311, _at("2026-11-20T10:16:05Z"), "leak_alarm", "raised", level=2, lel_pct=27.5),),
    ),
    Sample(
        "gas/v1/D01/GW-0001/status",
        b'{"state": "online", "session": "5f0c9a51", "at": "2026-11-20T00:00:02Z", "firmware": "2.4.1"}',
        (GatewayStatus("online", "5f0c9a51", _at("2026-11-20T00:00:02Z")),),
    ),
)

FORMATS: Mapping[str, Format] = {
    "native": Format(native.DECODER, "gas/v1/", "gas/v1/{area}/#", native.decode_native, _NATIVE_SAMPLES),
}


def urgent_filters(areas: tuple[str, ...]) -> list[str]:
    """The subscriptions of a slot's lane for events, which must not wait behind readings."""
    return [f"gas/v1/{area}/+/events" for area in areas or ("+",)]


def is_urgent(topic: str) -> bool:
    """Whether a topic is one of those that `urgent_filters` subscribe to."""
    return topic.endswith("/events") and topic.startswith("gas/v1/") and topic.count("/") == 4


def is_our_own(topic: str) -> bool:
    """Whether a topic carries what we say to gateways: no telemetry, though a slot's subscription may bring it back."""
    return topic.endswith("/commands") and topic.startswith("gas/v1/") and topic.count("/") == 4


def topic_filters(areas: tuple[str, ...]) -> list[str]:
    """The subscriptions of a slot: every format's filter, once per area it owns, or for all areas."""
    filters = [form.topic_filter for form in FORMATS.values()]
    if not areas:
        return [
            text.replace("{area}/", "") if text.endswith("{area}/#") else text.replace("{area}", "+")
            for text in filters
        ]
    return [text.replace("{area}", area) for text in filters for area in areas]


def read_message(
    topic: str,
    payload: bytes,
    received_at: datetime,
    receipt: tuple[object, int] | None = None,
    quarantine_id: int | None = None,
) -> Message:
    """Decode one delivery with the format of its topic; of a payload above the limit only the first bytes stay."""
    content: Decoded | Rejected
    for form in FORMATS.values():
        if topic.startswith(form.topic_prefix):
            content = form.decode(topic, payload)
            break
    else:
        content = Rejected(QuarantineReason.BAD_TOPIC, f"topic: no format reads {topic[:200]}", "none")
    size = len(payload)
    if size > PAYLOAD_BYTES_MAX:
        digest = message_digest(topic, payload)
        return Message(topic, payload[:KEPT_BYTES_OF_LARGE], received_at, content, receipt, size, digest, quarantine_id)
    return Message(topic, payload, received_at, content, receipt, size, None, quarantine_id)


def message_digest(topic: str, payload: bytes) -> bytes:
    """Identity of a quarantined message: SHA-256 of topic, NUL, whole payload."""
    return sha256(topic.encode() + b"\0" + payload).digest()
