"""Native JSON, version 1: topic and bytes in, items or a reason out (docs/payloads.md is the specification)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import NotRequired, TypedDict  # noqa: UP035 - pydantic reads these on 3.11

from ingest.model import PAYLOAD_BYTES_MAX, Decoded, Event, GatewayStatus, Item, QuarantineReason, Rejected, Report

DECODER = "native/1"
FAMILY = "native"

REASON_CODES = {
    "timed": 0, "key": 1, "magnet": 3, "battery_low": 5, "battery_lost": 6, "metering_fault": 9, "detector_alarm": 10,
    "detector_cut": 11, "large_flow": 15, "tamper": 18, "no_use": 20, "pass_through": 21, "valve_action": 22,
    "micro_flow": 23, "continuous_flow": 24, "reverse_flow": 25, "pressure_high": 26, "pressure_low": 27,
    "power_up": 28, "hold_test_done": 34, "retry": 40,
}  # fmt: skip

_TOPIC = re.compile(r"gas/v1/([A-Za-z0-9_.:-]{1,64})/([A-Za-z0-9_.:-]{1,64})/(readings|events|status)")
_MEASURES = (
    "index_ml", "hourly", "flow_lh", "pressure_pa", "temperature_c", "lel_pct", "battery_mv", "rsrp_dbm", "status",
)  # fmt: skip


def _moment(text: str) -> datetime:
    return _in_utc(datetime.fromisoformat(text))


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:
        return moment
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # pydantic knows ValueError only
        raise ValueError("not a moment of the years 1 to 9999") from error


def _full_hour(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.minute or moment.second or moment.microsecond:
        raise ValueError("not a full hour")
    return _in_utc(moment)


_RFC3339 = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$", max_length=40)
Moment = Annotated[str, _RFC3339, AfterValidator(_moment)]
FullHour = Annotated[str, _RFC3339, AfterValidator(_full_hour)]
Identity = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$")]
Seq = Annotated[int, Field(ge=0, le=65_535)]
Millilitres = Annotated[int, Field(ge=0, le=10**15)]
LEL_PCT_MAX = 110
LelPercent = Annotated[float, Field(ge=0, le=LEL_PCT_MAX)]

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

HourlyBody = TypedDict(
    "HourlyBody",
    {"from": FullHour, "index_ml": Annotated[list[Millilitres | None], Field(min_length=1, max_length=24)]},
)
HourlyBody.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]


class ReadingsBody(TypedDict):
    """A `readings` payload; units are in the names."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    device: Identity
    seq: Seq
    at: Moment
    reason: NotRequired[
        Literal[
            "timed", "key", "magnet", "battery_low", "battery_lost", "metering_fault", "detector_alarm",
            "detector_cut", "large_flow", "tamper", "no_use", "pass_through", "valve_action", "micro_flow",
            "continuous_flow", "reverse_flow", "pressure_high", "pressure_low", "power_up", "hold_test_done", "retry",
        ]
        | None
    ]  # fmt: skip
    index_ml: NotRequired[Millilitres | None]
    hourly: NotRequired[HourlyBody | None]
    flow_lh: NotRequired[Annotated[float, Field(ge=0, le=1e9)] | None]
    pressure_pa: NotRequired[Annotated[int, Field(ge=-100_000, le=100_000_000)] | None]
    temperature_c: NotRequired[Annotated[float, Field(ge=-100, le=200)] | None]
    lel_pct: NotRequired[LelPercent | None]
    battery_mv: NotRequired[Annotated[int, Field(gt=0, le=100_000)] | None]
    rsrp_dbm: NotRequired[Annotated[int, Field(ge=-156, le=-31)] | None]
    status: NotRequired[Annotated[int, Field(ge=0, le=65_535)] | None]


class EventsBody(TypedDict):
    """An `events` payload."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    device: Identity
    seq: Seq
    at: Moment
    event: Literal[
        "leak_alarm", "co_alarm", "valve", "tamper", "magnet", "fault", "end_of_life", "detector_cut", "low_battery",
        "large_flow", "continuous_flow", "micro_flow", "reverse_flow", "pressure_high", "pressure_low",
        "metering_fault", "power_loss", "seismic", "tilt", "flow_valve_closed", "pass_through", "valve_fault",
        "warming_up", "inhibited", "hold_test",
    ]  # fmt: skip
    state: Literal["raised", "cleared", "open", "closed", "normal", "abnormal", "interrupted"]
    level: NotRequired[Literal[1, 2] | None]
    lel_pct: NotRequired[LelPercent | None]
    cause: NotRequired[Annotated[str, Field(max_length=64, pattern=r"^[^\x00]*$")] | None]
    test: NotRequired[bool | None]


class StatusBody(TypedDict):
    """A `status` payload; the firmware is for people who watch the topic, it is not stored."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    state: Literal["online", "offline"]
    session: Identity
    at: Moment
    firmware: NotRequired[Annotated[str, Field(max_length=64)] | None]


_Validate = Callable[[bytes], Any]
_parse_readings: _Validate = TypeAdapter(ReadingsBody).validator.validate_json
_parse_events: _Validate = TypeAdapter(EventsBody).validator.validate_json
_parse_status: _Validate = TypeAdapter(StatusBody).validator.validate_json


class _InvalidField(Exception):
    """A rule between fields is broken; the message names field and rule."""


def _report(payload: bytes) -> Report:
    body: ReadingsBody = _parse_readings(payload)
    say = body.get
    if all(say(name) is None for name in _MEASURES):
        raise _InvalidField("index_ml: a reading says at least one of " + ", ".join(_MEASURES))
    hourly = body.get("hourly")
    reason = body.get("reason")
    return Report(
        body["device"],
        body["seq"],
        body["at"],  # type: ignore[arg-type]
        body.get("index_ml"),
        body.get("flow_lh"),
        body.get("pressure_pa"),
        body.get("temperature_c"),
        body.get("lel_pct"),
        body.get("battery_mv"),
        body.get("rsrp_dbm"),
        None if reason is None else REASON_CODES[reason],
        body.get("status"),
        hourly["from"] if hourly else None,  # type: ignore[arg-type]
        tuple(hourly["index_ml"]) if hourly else (),
    )


EVENTS = frozenset(get_args(get_type_hints(EventsBody)["event"]))
"""Every word that `event` may be."""

_RAISED_OR_CLEARED = ("raised", "cleared")
_STATES = {"valve": ("open", "closed"), "hold_test": ("normal", "abnormal", "interrupted")}


def _event(payload: bytes) -> Event:
    body: EventsBody = _parse_events(payload)
    kind, state = body["event"], body["state"]
    if state not in _STATES.get(kind, _RAISED_OR_CLEARED):
        raise _InvalidField(
            "state: a valve is open or closed, a hold_test normal, abnormal or interrupted, "
            f"anything else raised or cleared (got {kind} {state})"
        )
    if kind == "leak_alarm" and body.get("level") is None:
        raise _InvalidField("level: a leak_alarm says its level")
    return Event(
        body["device"],
        body["seq"],
        body["at"],  # type: ignore[arg-type]
        kind,
        state,
        body.get("level"),
        body.get("lel_pct"),
        body.get("cause"),
        bool(body.get("test")),
    )


def _status(payload: bytes) -> GatewayStatus:
    body: StatusBody = _parse_status(payload)
    return GatewayStatus(body["state"], body["session"], body["at"])  # type: ignore[arg-type]


_KINDS: dict[str, Callable[[bytes], Item]] = {"readings": _report, "events": _event, "status": _status}


def decode_native(topic: str, payload: bytes) -> Decoded | Rejected:
    """Decode one native message; never raises on any topic or bytes."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        detail = f"topic: is not gas/v1/{{area}}/{{gateway}}/{{readings|events|status}}: {topic[:200]}"
        return Rejected(QuarantineReason.BAD_TOPIC, detail, DECODER)
    if len(payload) > PAYLOAD_BYTES_MAX:
        detail = f"payload: {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX}"
        return Rejected(QuarantineReason.TOO_LARGE, detail, DECODER)
    area, gateway, kind = match.groups()
    try:
        return Decoded(area, gateway, FAMILY, DECODER, (_KINDS[kind](payload),))
    except ValidationError as error:
        return _rejected(error)
    except _InvalidField as error:
        return Rejected(QuarantineReason.INVALID_FIELD, str(error), DECODER)


def _rejected(error: ValidationError) -> Rejected:
    """Tell bytes that are no JSON object from an object with a wrong field."""
    found = error.errors(include_url=False, include_context=False)
    if not found[0]["loc"]:
        return Rejected(QuarantineReason.NOT_JSON, found[0]["msg"], DECODER)
    sentences = [f"{'.'.join(map(str, one['loc']))}: {one['msg']} (got {str(one['input'])[:80]})" for one in found[:3]]
    return Rejected(QuarantineReason.INVALID_FIELD, "; ".join(sentences), DECODER)
