"""Settling: what a foreign message says, and what the registry knows, become native items, or a reason why not.

Pure: the directory and the arrival come in. Nothing is made up: what has no place is named, a message of which nothing
has a place is refused as a whole. Rules are in docs/formats.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ingest.binding import bind_message
from ingest.decoders.model import Asserted, Clock, Liveness, Measured, Moment, Undecodable, Understood
from ingest.directory import Directory
from ingest.foreign import CODEC_FAMILY, Hints
from ingest.local_time import to_utc, zone
from ingest.model import (
    PRESENCE,
    Bound,
    Decoded,
    Device,
    Event,
    Flag,
    Foreign,
    GatewayStatus,
    Item,
    Message,
    QuarantineReason,
    Refused,
    Rejected,
    Report,
)
from ingest.sources import SourceParams

_SEQ_MAX = 2**31 - 1
_LEVEL_NOT_TOLD = 2  # an alarm of unknown height is taken for a high one
_DETAIL_MAX = 300
_SESSION_MAX = 64
_CAUSE_MAX = 64
# Bounds of docs/payloads.md, the same for every format.
_RANGES: dict[str, tuple[float, float]] = {
    "index_ml": (0, 10**15), "flow_lh": (0, 1e9), "pressure_pa": (-100_000, 100_000_000), "temperature_c": (-100, 200),
    "lel_pct": (0, 110), "battery_mv": (1, 100_000), "battery_pct": (0, 100),
}  # fmt: skip
_SIGNAL_DBM = (-200, -1)


class Unsettled(Exception):
    """Why a message cannot be settled: the reason of its quarantine, and a detail that names field and rule."""

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Place:
    """What a message's observations are settled by: its source, when it arrived, who is registered."""

    source: SourceParams
    received_at: datetime
    devices: dict[str, Device]


def judge_message(
    number: int, message: Message, directory: Directory, judged_at: datetime | None = None
) -> Bound | Refused:
    """Settle a message of any format and bind it; as `bind_message`, which does for native ones alone."""
    content = message.content
    if isinstance(content, Foreign):
        message = replace(message, content=settle(message, content, directory))
    return bind_message(number, message, directory, judged_at)


def reread(message: Message, content: Foreign, directory: Directory) -> Foreign | None:
    """What a message says now that the types of the devices it asked for are known; None when that changes nothing."""
    if not content.asked:
        return None
    try:
        return replace(content, understood=_understood(message, content, directory))
    except Unsettled:
        return None
    except Exception:  # noqa: BLE001 - a decoder that fails at it fails again when the message is judged, alone
        return None


def settle(message: Message, content: Foreign, directory: Directory) -> Decoded | Rejected:
    """What a foreign message says as native items, of the gateway it came through; or why that cannot be."""
    source = content.source
    name: str | None = None
    try:
        understood = _understood(message, content, directory)
        name = source.gateway_name(message.topic, understood.gateway)
        items = _items(message, source, understood, directory, name)
    except Unsettled as refusal:
        code = source.gateway_code(name) if name is not None else source.gateway
        return Rejected(refusal.reason, refusal.detail, content.decoder, code)
    code = source.gateway_code(name or "") or ""
    return Decoded(source.area, code, source.device_family(), content.decoder, items)


def _understood(message: Message, content: Foreign, directory: Directory) -> Understood:
    """What the decoder says, asked again when it wanted to know a device that is known by now."""
    if content.asked:
        hints = Hints(lambda device: _codec(directory, device), _profile_of(content.source))
        try:
            return content.source.form.decode(message.topic, message.payload, hints)
        except Undecodable as error:
            raise Unsettled(QuarantineReason.INVALID_FIELD, str(error)) from error
    if content.understood is None:
        raise Unsettled(QuarantineReason.INVALID_FIELD, content.problem)
    return content.understood


def _codec(directory: Directory, device: str) -> str | None:
    known = directory.device(CODEC_FAMILY, device)
    return known.codec if known is not None else None


def _profile_of(source: SourceParams) -> Any:
    return source.profiles.get


def _items(
    message: Message, source: SourceParams, understood: Understood, directory: Directory, name: str | None
) -> tuple[Item, ...]:
    """Items in the order of the observations; of devices that are not registered only enough to be refused by name."""
    if not understood.observations:
        unread = "; ".join(understood.unread)[:_DETAIL_MAX]
        raise Unsettled(QuarantineReason.NOT_UNDERSTOOD, f"payload: {unread or 'says nothing of a device'}")
    if name is None:
        rule = "the message names none: set gateway or gateway_segment of its source"
        raise Unsettled(QuarantineReason.UNKNOWN_GATEWAY, f"gateway: {rule}")
    code = source.gateway_code(name)
    if code is None:
        rule = f"{name[:64]!r} is no gateway code: add it to gateways of its source"
        raise Unsettled(QuarantineReason.UNKNOWN_GATEWAY, f"gateway: {rule}")
    registered = _registered(understood, source, directory, code)
    place = Place(source, message.received_at, registered)
    said = [one for one in understood.observations if not isinstance(one, Liveness)]
    strangers = dict.fromkeys(one.device for one in said if one.device not in registered)
    if strangers:
        return tuple(Report(device, None, message.received_at) for device in strangers)
    items = (
        *_reports([one for one in said if isinstance(one, Measured)], place, understood.unread),
        *(_event(one, place) for one in said if isinstance(one, Asserted)),
        *_words([one for one in understood.observations if isinstance(one, Liveness)], place),
    )
    return items or _nobody(understood, message.received_at)


def _nobody(understood: Understood, received_at: datetime) -> tuple[Item, ...]:
    """All it says is that unregistered devices came or went."""
    gone = dict.fromkeys(one.device for one in understood.observations if one.device is not None)
    return tuple(Report(device, None, received_at) for device in gone)


def _registered(understood: Understood, source: SourceParams, directory: Directory, code: str) -> dict[str, Device]:
    """The devices of the message that are registered with its gateway."""
    gateway = directory.gateway(code)
    found: dict[str, Device] = {}
    for one in understood.observations:
        device = directory.device(source.device_family(), one.device) if one.device is not None else None
        if one.device is not None and device is not None and gateway and device.gateway_id == gateway.gateway_id:
            found[one.device] = device
    return found


# ---- time


def settle_moment(moment: Moment, site_zone: str | None, received_at: datetime) -> tuple[datetime, int]:
    """A moment in UTC and its marks. Raises Unsettled when it has no zone and the site has none."""
    if moment.clock is Clock.ARRIVAL:
        return (moment.at or received_at) + timedelta(seconds=moment.offset_s), 0
    assert moment.at is not None
    if moment.at.tzinfo is not None:
        return moment.at, 0
    if site_zone is None:
        rule = f"{moment.at.isoformat()} has no zone: set site_zone of the device or of its source"
        raise Unsettled(QuarantineReason.INVALID_FIELD, f"at: {rule}")
    try:
        at, sure = to_utc(moment.at, zone(site_zone), moment.summer)
    except (ValueError, OverflowError) as error:
        raise Unsettled(QuarantineReason.TIME_OUT_OF_RANGE, f"at: {error}") from error
    return at, 0 if sure else int(Flag.CLOCK_UNSURE)


def _at(moment: Moment, device: Device, place: Place) -> tuple[datetime, int]:
    return settle_moment(moment, device.site_zone or place.source.site_zone, place.received_at)


# ---- values


def _reports(measured: Sequence[Measured], place: Place, unread: Iterable[str]) -> list[Report]:
    """One report for each device and moment, oldest first; refused when nothing that was measured has a place."""
    gathered: dict[tuple[str, datetime], dict[str, Any]] = {}
    dropped: list[str] = []
    has_index = {(one.device, one.register) for one in measured if one.index_ml is not None or one.pulses is not None}
    for one in measured:
        device = place.devices[one.device]
        chosen = _is_chosen(one, device, place.source)
        values = _values(one, device, (one.device, one.register) in has_index) if chosen else _other_values(one)
        if not chosen:
            dropped.append(f"register {one.register} is not the device's {device.register_name or 'own'}")
        if not chosen and not values:
            continue
        at, marks = _at(one.moment, device, place)
        marks |= int(Flag.SIMULATED) if one.simulated else 0
        report = gathered.setdefault((one.device, at), {"seq": None, "marks": 0})
        report["marks"] |= marks
        if one.seq is not None and not one.historical and one.seq <= _SEQ_MAX:
            report["seq"] = one.seq
        _merge(report, values, one)
    if measured and not gathered:
        detail = "; ".join(dict.fromkeys((*dropped, *unread)))[:_DETAIL_MAX]
        raise Unsettled(QuarantineReason.NOT_UNDERSTOOD, f"payload: {detail}")
    return [
        Report(device, values.pop("seq"), at, **values)
        for (device, at), values in sorted(gathered.items(), key=lambda pair: pair[0][1])
    ]


def _is_chosen(one: Measured, device: Device, source: SourceParams) -> bool:
    """Whether the volume of an observation is this meter's; Unsettled when only the registry could say and does not."""
    if one.register is None or not _has_volume(one):
        return True
    if device.register_name is not None:
        return one.register == device.register_name
    form = source.form
    if one.register in form.registers:
        return True
    if one.register in form.passed_over:
        return False
    rule = f"one of several, for all we know: set register_name of {one.device} if it is the meter's"
    raise Unsettled(QuarantineReason.INVALID_FIELD, f"register {one.register}: {rule}")


def _has_volume(one: Measured) -> bool:
    return any(value is not None for value in (one.index_ml, one.pulses, one.interval_ml, one.interval_pulses))


def _values(one: Measured, device: Device, has_index: bool) -> dict[str, Any]:
    values = _other_values(one)
    index_ml = _index_ml(one, device, has_index)
    if index_ml is not None:
        values["index_ml"] = _in_range("index_ml", index_ml)
    return values


def _index_ml(one: Measured, device: Device, has_index: bool) -> int | None:
    """The cumulative register; volumes of an interval are only read beside the register they lead to."""
    if not _has_volume(one):
        return None
    if device.volume_kind == "interval":
        rule = f"{one.device} is registered with volumes of intervals: what they add to is not known"
        raise Unsettled(QuarantineReason.INVALID_FIELD, f"volume: {rule}")
    if one.index_ml is not None:
        return one.index_ml
    if one.pulses is None:
        if has_index:
            return None
        raise Unsettled(QuarantineReason.INVALID_FIELD, "interval_ml: no register is there that the volume adds to")
    if device.pulse_ml is None:
        raise Unsettled(QuarantineReason.INVALID_FIELD, f"pulses: pulse_ml of {one.device} is not registered")
    return one.pulses * device.pulse_ml


def _other_values(one: Measured) -> dict[str, Any]:
    values = {
        name: _in_range(name, value)
        for name in ("flow_lh", "pressure_pa", "temperature_c", "lel_pct", "battery_mv", "battery_pct")
        if (value := getattr(one, name)) is not None
    }
    if one.signal_dbm is not None and _SIGNAL_DBM[0] <= one.signal_dbm <= _SIGNAL_DBM[1]:
        values["rsrp_dbm"] = one.signal_dbm
    return values


def _in_range(name: str, value: float) -> float:
    low, high = _RANGES[name]
    if not low <= value <= high:
        raise Unsettled(QuarantineReason.INVALID_FIELD, f"{name}: {value} is not between {low:g} and {high:g}")
    return value


def _merge(report: dict[str, Any], values: dict[str, Any], one: Measured) -> None:
    for name, value in values.items():
        if report.setdefault(name, value) != value:
            rule = f"two values for {one.device} at one moment, {report[name]} and {value}: which is the meter's?"
            raise Unsettled(QuarantineReason.INVALID_FIELD, f"{name}: {rule}")


# ---- assertions and liveness


def _event(one: Asserted, place: Place) -> Event:
    device = place.devices[one.device]
    at, _ = _at(one.moment, device, place)
    level = one.level
    if one.kind == "leak_alarm" and level is None:
        level = device.alarm_level or _LEVEL_NOT_TOLD
    lel_pct = None if one.lel_pct is None else _in_range("lel_pct", one.lel_pct)
    cause = one.cause and one.cause.replace("\0", "")[:_CAUSE_MAX]
    seq = one.seq if one.seq is None or one.seq <= _SEQ_MAX else None
    return Event(one.device, seq, at, one.kind, one.state, level, lel_pct, cause, one.simulated)


def _words(words: Sequence[Liveness], place: Place) -> list[Item]:
    """Presence of registered devices as events, and the gateway's birth or end; other devices are no concern."""
    items: list[Item] = []
    for one in words:
        device = place.devices.get(one.device) if one.device is not None else None
        if device is not None and one.device is not None:
            at, _ = _at(one.moment, device, place)
            items.append(Event(one.device, None, at, PRESENCE, one.state, cause=one.cause and one.cause[:_CAUSE_MAX]))
        elif one.device is None:
            at, _ = settle_moment(one.moment, place.source.site_zone, place.received_at)
            items.append(_status(one, at))
    return items


def _status(one: Liveness, at: datetime) -> GatewayStatus:
    """A gateway's birth or end. Session names that come again are told apart by their moment.

    Without any session it is put on record and changes nothing: nobody could tell when it is over.
    """
    state = "online" if one.state == "online" else "offline"
    if one.session is None:
        return GatewayStatus(state, f"none@{at.isoformat()}", at, scope=None)
    scope = one.session[: _SESSION_MAX - 33]
    return GatewayStatus(state, f"{scope}@{at.isoformat()}", at, scope)
