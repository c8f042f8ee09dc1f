"""wmbusmeters: wireless M-Bus gas meters decoded by a radio receiver that publishes one JSON object for each telegram.

The program has no topic of its own: an operator pipes its output to a publisher (`wmbusmeters/$METER_ID`), and its
alarms, which are plain text, to another topic (`wmbusmeters_alarm`). A field's unit is the end of its name.
`timestamp` is when the receiver heard the telegram, in UTC; `*_datetime` is the meter's clock, without a zone.
Sources: wmbusmeters README and gas drivers; EN 13757-3 for the words of the status byte.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingest.decoders.jsontext import read_object
from ingest.decoders.model import (
    Asserted,
    Clock,
    Liveness,
    Measured,
    Moment,
    Observation,
    Sample,
    Undecodable,
    Understood,
)
from ingest.decoders.quantities import number_of, scale

NAME = "wmbusmeters-json/1"
FAMILY = "wmbus"
TOPIC_FILTERS = ("wmbusmeters/+", "wmbusmeters_alarm")

# Drivers whose meters are gas meters, whatever the telegram says of the medium. The total of unismart is the
# register before any conversion; the others do not say. (apator08 is declared a water meter: its medium decides.)
_GAS_DRIVERS: Mapping[str, bool | None] = {"aerius": None, "elster": None, "gwfgas": None, "unismart": False}
# field of the message -> our field and the factor into our unit
_MEASURES: Mapping[str, tuple[str, Decimal]] = {
    "total_m3": ("index_ml", Decimal(1_000_000)),
    "flow_m3h": ("flow_lh", Decimal(1000)),
    "temperature_c": ("temperature_c", Decimal(1)),
    "pressure_bar": ("pressure_pa", Decimal(100_000)),
    "battery_v": ("battery_mv", Decimal(1000)),
}
_ALARMS = {
    "DeviceFailure": "offline",
    "RegularResetFailure": "offline",
    "SpecifiedDeviceNotFound": "offline",
    "DeviceInactivity": "stale",
}
# Words of the status byte (EN 13757-3) -> our event words. A vendor's own flags (STATUS_FLAGS_CF0) have no known
# meaning and are named as unread; so are BUSY and ERROR, which are about a question asked of the meter.
_STATUS_EVENTS = {
    "POWER_LOW": "low_battery",
    "PERMANENT_ERROR": "metering_fault",
    "TEMPORARY_ERROR": "fault",
    "ALARM": "fault",
}
_READ = frozenset({
    "_", "media", "meter", "name", "id", "timestamp", "device", "rssi_dbm", "status", "actuality_duration_s",
    "total_datetime", "target_m3", "target_datetime", "target_date", "meter_datetime", *_MEASURES,
})  # fmt: skip
_UNSET_DATE = "1999-11-30"  # how wmbusmeters prints an M-Bus date of all zeros
_TEST_YEAR = 1111  # its test and analyse modes stamp every telegram 1111-11-11T11:11:11Z


def decode(topic: str, payload: bytes) -> Understood:
    """What a telegram or an alarm says; raises Undecodable naming field and rule."""
    if topic.rsplit("/", 1)[-1].endswith("_alarm"):
        return _alarm(topic, payload)
    body = read_object(payload)
    if body.get("_", "telegram") != "telegram":
        raise Undecodable("_", 'must be "telegram"')
    device, driver = _text(body, "id"), _text(body, "meter")
    if not _is_gas(body.get("media"), driver):
        return Understood(FAMILY, NAME, _receiver(body), (), unread=(f"media: {body.get('media')} is not gas"[:80],))
    if "DECODING_ERROR" in str(body.get("status")):
        raise Undecodable("status", "the telegram was not wholly decoded by the receiver")
    observations = (*_measured(body, device, driver), *_conditions(body, device))
    return Understood(FAMILY, NAME, _receiver(body), observations, unread=_unread(body))


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value or not value.isprintable():
        raise Undecodable(key, "must be text: a number would have lost its leading zeros and its letters")
    return value


def _is_gas(media: Any, driver: str) -> bool:
    """The telegram's medium decides; where it says none, the driver. M-Bus ids repeat between media."""
    return media == "gas" or (media in (None, "unknown", "other") and driver in _GAS_DRIVERS)


def _receiver(body: Mapping[str, Any]) -> str | None:
    """The radio receiver that heard the telegram; live messages name it."""
    receiver = body.get("device")
    return receiver if isinstance(receiver, str) and receiver and receiver.isprintable() else None


def _measured(body: Mapping[str, Any], device: str, driver: str) -> list[Observation]:
    """The register and what stands with it, then the register at the end of the last billing period."""
    heard = _heard_at(body)
    simulated = heard is not None and heard.year == _TEST_YEAR
    values: dict[str, Any] = {
        field: scale(field, number_of(key, body[key]), factor)
        for key, (field, factor) in _MEASURES.items()
        if body.get(key) is not None
    }
    if (signal := _signal(body)) is not None:
        values["signal_dbm"] = signal
    converted = _GAS_DRIVERS.get(driver)
    if "index_ml" in values:
        values |= {"register": "total", "converted": converted}
    found: list[Observation] = []
    if values:
        found.append(Measured(device, _moment_of_total(body, heard), simulated=simulated, **values))
    target_at = _meter_time(body, "target_datetime")
    if body.get("target_m3") is not None and target_at is not None:
        target_ml = int(scale("index_ml", number_of("target_m3", body["target_m3"]), 1_000_000))
        moment = Moment(Clock.METER, target_at)
        found.append(Measured(device, moment, "target", index_ml=target_ml, converted=converted, simulated=simulated))
    return found


def _heard_at(body: Mapping[str, Any]) -> datetime | None:
    """When the receiver heard the telegram; None when it does not say."""
    text = body.get("timestamp")
    if text is None:
        return None
    try:
        heard = datetime.fromisoformat(text) if isinstance(text, str) and "T" in text else None
    except ValueError:
        heard = None
    if heard is None or heard.tzinfo is None:
        raise Undecodable("timestamp", "must be a moment in UTC, like 2026-11-20T00:12:31Z")
    try:
        return heard.astimezone(UTC)
    except OverflowError as error:
        raise Undecodable("timestamp", "must be a moment of the calendar") from error


def _moment_of_total(body: Mapping[str, Any], heard: datetime | None) -> Moment:
    """The meter's own time of the total; else when it was heard, less the age of the value where that is sent."""
    own = _meter_time(body, "total_datetime") or _meter_time(body, "meter_datetime")
    if own is not None:
        return Moment(Clock.METER, own)
    age_s = body.get("actuality_duration_s")
    seconds = (
        0.0 if age_s is None else float(scale("actuality_duration_s", number_of("actuality_duration_s", age_s), 1))
    )
    if not 0 <= seconds < 2**31:
        raise Undecodable("actuality_duration_s", "must be between 0 and 2^31 seconds")
    if heard is None:
        return Moment(Clock.ARRIVAL, offset_s=-seconds)
    try:
        return Moment(Clock.GATEWAY, heard - timedelta(seconds=seconds))
    except OverflowError as error:
        raise Undecodable("actuality_duration_s", "must lead to a moment of the calendar") from error


def _meter_time(body: Mapping[str, Any], key: str) -> datetime | None:
    """A zone-less time of the meter's clock; None when absent, null, or never set."""
    text = body.get(key)
    if text is None or (isinstance(text, str) and text.startswith(_UNSET_DATE)):
        return None
    if isinstance(text, str) and re.fullmatch(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", text, re.ASCII):
        try:
            return datetime.fromisoformat(text)
        except ValueError as error:
            raise Undecodable(key, "must be a time of the calendar") from error
    raise Undecodable(key, "must be a time like 2022-12-31 23:59, without a zone")


def _signal(body: Mapping[str, Any]) -> int | None:
    """Strength of the telegram at the receiver; a receiver that cannot tell writes 0 or a positive number."""
    value = body.get("rssi_dbm")
    if value is None:
        return None
    dbm = int(scale("signal_dbm", number_of("rssi_dbm", value), 1))
    return dbm if dbm < 0 else None


def _conditions(body: Mapping[str, Any], device: str) -> list[Observation]:
    """What the status words raise. `OK` clears nothing: it says that no flag is set, not that all is well."""
    status = body.get("status")
    if status is None:
        return []
    if not isinstance(status, str):
        raise Undecodable("status", "must be text")
    heard = _heard_at(body)
    moment = Moment(Clock.ARRIVAL) if heard is None else Moment(Clock.GATEWAY, heard)
    simulated = heard is not None and heard.year == _TEST_YEAR
    return [
        Asserted(device, moment, _STATUS_EVENTS[word], "raised", cause=word, simulated=simulated)
        for word in dict.fromkeys(status.split())
        if word in _STATUS_EVENTS
    ]


def _unread(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Fields we have no place for, and a billing register whose date has no hour: an hour is not made up."""
    unread = [key for key, value in body.items() if key not in _READ and value is not None]
    unread += [
        f"status: {word}" for word in str(body.get("status") or "OK").split() if word not in (*_STATUS_EVENTS, "OK")
    ]
    date = body.get("target_date")
    if body.get("target_m3") is not None and not body.get("target_datetime") and date not in (None, _UNSET_DATE):
        unread.append("target_m3: target_date has no hour")
    return tuple(sorted(key[:100] for key in unread))


def _alarm(topic: str, payload: bytes) -> Understood:
    """An alarm of the receiver, in plain text: its type, a blank, the message. It says nothing of any one meter."""
    try:
        text = payload.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise Undecodable("payload", "must be UTF-8") from error
    kind, _, message = text.partition(" ")
    if kind not in _ALARMS:
        raise Undecodable("payload", f"must begin with one of {', '.join(_ALARMS)}")
    cause = " ".join(f"{kind}: {message}".replace("\0", "").split())[:200]
    gone = Liveness(topic, None, _ALARMS[kind], None, Moment(Clock.ARRIVAL), cause=cause)
    return Understood(FAMILY, NAME, None, (gone,))


def _gateway(text: str) -> Moment:
    return Moment(Clock.GATEWAY, datetime.fromisoformat(text))


def _meter(text: str) -> Moment:
    return Moment(Clock.METER, datetime.fromisoformat(text))


def _said(*observations: Observation, gateway: str | None = None, unread: tuple[str, ...] = ()) -> Understood:
    return Understood(FAMILY, NAME, gateway, observations, unread=unread)


_SOURCE = (
    "written for this project: the fields of the driver's output as wmbusmeters publishes it, with values of our own"
)

SAMPLES: tuple[Sample, ...] = (
    Sample(
        "wmbusmeters/99100001",
        b'{"_":"telegram","media":"gas","meter":"aerius","name":"kitchen","id":"99100001","total_m3":7310.528,'
        b'"flow_m3h":0,"temperature_c":14.2,"target_datetime":"2025-12-31 23:59","target_m3":6699.104,'
        b'"timestamp":"2026-11-20T00:12:31Z","device":"im871a[00100001]","rssi_dbm":-71}',
        _said(
            Measured(
                "99100001",
                _gateway("2026-11-20T00:12:31+00:00"),
                "total",
                index_ml=7_310_528_000,
                flow_lh=0.0,
                temperature_c=14.2,
                signal_dbm=-71,
            ),
            Measured("99100001", _meter("2025-12-31T23:59"), "target", index_ml=6_699_104_000),
            gateway="im871a[00100001]",
        ),
        _SOURCE,
    ),
    Sample(
        "wmbusmeters/05100002",
        b'{"_":"telegram","media":"gas","meter":"elster","name":"Gas","id":"05100002","actuality_duration_s":742,'
        b'"total_m3":2871.46,"timestamp":"2026-11-20T00:12:22Z"}',
        _said(Measured("05100002", _gateway("2026-11-20T00:00:00+00:00"), "total", index_ml=2_871_460_000)),
        _SOURCE,
    ),
    Sample(
        "wmbusmeters/23100003",
        b'{"_": "telegram","status":"OK","actuality_duration_s": 94,"id": "23100003","media": "gas","meter": "gwfgas",'
        b'"name": "g1","target_date": "1999-11-30","target_m3": 0,"timestamp": "2026-11-20T00:01:34Z",'
        b'"total_m3": 208.114}',
        _said(Measured("23100003", _gateway("2026-11-20T00:00:00+00:00"), "total", index_ml=208_114_000)),
        _SOURCE,
    ),
    Sample(
        "wmbusmeters/00043004",
        b'{"_":"telegram","media":"gas","meter":"unismart","name":"GasMeter","id":"00043004","fabrication_no":"03160004",'
        b'"status":"STATUS_FLAGS_A10","other":"OTHER_FLAGS_20","total_datetime":"2026-09-15 10:41","total_m3":1204,'
        b'"target_datetime":"2026-09-01 06:00","target_m3":1190.55,"version":"  5XYZ","supplier_info":"00",'
        b'"parameter_set":"02","meter_datetime":"2026-09-15 10:41","timestamp":"2026-09-15T08:41:09Z"}',
        _said(
            Measured("00043004", _meter("2026-09-15T10:41"), "total", index_ml=1_204_000_000, converted=False),
            Measured("00043004", _meter("2026-09-01T06:00"), "target", index_ml=1_190_550_000, converted=False),
            unread=("fabrication_no", "other", "parameter_set", "status: STATUS_FLAGS_A10", "supplier_info", "version"),
        ),
        _SOURCE,
    ),
    Sample(
        "wmbusmeters/00a4b4dd",
        b'{"_":"telegram","media":"gas","meter":"apator08","name":"cellar","id":"00a4b4dd","total_m3":318.246667,'
        b'"timestamp":"2026-11-20T00:00:00Z"}',
        _said(Measured("00a4b4dd", _gateway("2026-11-20T00:00:00+00:00"), "total", index_ml=318_246_667)),
        _SOURCE,
    ),
    Sample(
        "wmbusmeters_alarm",
        b"DeviceInactivity no telegrams for 3600 seconds\n",
        _said(
            Liveness(
                "wmbusmeters_alarm",
                None,
                "stale",
                None,
                Moment(Clock.ARRIVAL),
                cause="DeviceInactivity: no telegrams for 3600 seconds",
            )
        ),
        _SOURCE,
    ),
)
