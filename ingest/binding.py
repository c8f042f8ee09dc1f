"""From what a message says to registered gateways and devices, or to the reason why not."""

from datetime import datetime, timedelta

from ingest.directory import Directory, gateway_named
from ingest.marks import mark_report
from ingest.model import (
    EARLIEST,
    FUTURE_MAX,
    LATE_AFTER,
    Bound,
    BoundEvent,
    BoundReport,
    Decoded,
    Device,
    Event,
    Gateway,
    GatewayStatus,
    Item,
    Message,
    QuarantineReason,
    Refused,
    Rejected,
    Report,
)

_HOUR = timedelta(hours=1)


def bind_message(
    number: int, message: Message, directory: Directory, judged_at: datetime | None = None
) -> Bound | Refused:
    """Bind the message that stands at `number` in its batch; a message is bound whole or refused whole.

    Lateness counts up to the arrival; for a replay up to `judged_at`, the moment at which rules first see it.
    """
    content = message.content
    if isinstance(content, Rejected):
        return Refused(number, message, _gateway_of(message.topic, content, directory), content)
    if not isinstance(content, Decoded):
        raise TypeError(f"a message of {content.decoder} is settled before it is bound")
    gateway = directory.gateway(content.gateway)
    if gateway is None or gateway.area != content.area:
        detail = f"topic: no gateway {content.gateway} is registered in area {content.area}"
        return _refused(number, message, None, QuarantineReason.UNKNOWN_GATEWAY, detail)
    latest = message.received_at + FUTURE_MAX
    late_before = (judged_at or message.received_at) - LATE_AFTER
    late = False
    reports: list[BoundReport] = []
    events: list[BoundEvent] = []
    status: GatewayStatus | None = None
    for item in content.items:
        wrong = _out_of_range(item, latest)
        if wrong:
            return _refused(number, message, gateway, QuarantineReason.TIME_OUT_OF_RANGE, wrong)
        if isinstance(item, GatewayStatus):
            status = item
            continue
        device = directory.device(content.family, item.device)
        if device is None or device.gateway_id != gateway.gateway_id:
            return _refused(number, message, gateway, *_stranger(content, item.device, device))
        late = late or item.at < late_before
        if isinstance(item, Report):
            flags, frozen_flags = mark_report(item, device)
            reports.append(BoundReport(device, item, flags, frozen_flags))
        elif isinstance(item, Event):
            events.append(BoundEvent(device, item, item.at < late_before))
    return Bound(number, message, gateway, late, tuple(reports), tuple(events), status)


def refuse_as_unstorable(bound: Bound, answer: str) -> Refused:
    """The database refused this message alone: `answer` is what it said."""
    return _refused(bound.number, bound.message, bound.gateway, QuarantineReason.UNSTORABLE, answer)


def _stranger(content: Decoded, code: str, device: Device | None) -> tuple[QuarantineReason, str]:
    if device is None:
        return QuarantineReason.UNKNOWN_DEVICE, f"device: no {content.family} device {code} is registered"
    return QuarantineReason.GATEWAY_MISMATCH, f"device: {code} belongs to another gateway than {content.gateway}"


def _refused(number: int, message: Message, gateway: Gateway | None, reason: QuarantineReason, detail: str) -> Refused:
    decoder = message.content.decoder
    return Refused(number, message, gateway, Rejected(reason, detail, decoder))


def _out_of_range(item: Item, latest: datetime) -> str | None:
    """The rule on time that an item breaks; `latest` is the arrival plus the tolerance for fast clocks."""
    if not EARLIEST <= item.at <= latest:
        return f"at: {item.at.isoformat()} is before 2015 or more than 10 minutes ahead"
    if isinstance(item, Report) and item.frozen_from is not None:
        within = EARLIEST <= item.frozen_from <= latest
        if not within or item.frozen_from + len(item.frozen_ml) * _HOUR > latest:
            return f"hourly.from: {item.frozen_from.isoformat()} gives hours before 2015 or more than 10 minutes ahead"
    return None


def _gateway_of(topic: str, content: Rejected, directory: Directory) -> Gateway | None:
    """The registered gateway that the source of a foreign message names, or a native topic, for the ledger."""
    if content.gateway is not None:
        return directory.gateway(content.gateway)
    named = gateway_named(topic, content)
    gateway = directory.gateway(named) if named is not None else None
    return gateway if gateway is not None and gateway.area == topic.split("/")[2] else None
