"""Sample messages of CTWing and what they give."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from ingest.decoders.model import Asserted, Clock, Liveness, Measured, Moment, Sample, Understood

_DEVICE = "00000000000000000000000000000002"
_DETECTOR = "envelope and gas detector fields as in public integrations of CTWing, identifiers masked; put together"
_FRAME = "68307856341200000081161F9000563412002C000012002C000000000000000000F816"
_METER = "envelope as in public integrations of CTWing, identifiers masked; CJ/T 188 frame constructed"
_GOING = "as in public integrations of CTWing, identifiers masked"


def report(payload: object, **more: Any) -> dict[str, Any]:
    """Build a data report of the envelope seen in the wild around a payload."""
    return {
        "upPacketSN": -1,
        "upDataSN": -1,
        "topic": "v1/up/ad19prof",
        "timestamp": 1606982320277,
        "tenantId": "10461180",
        "serviceId": "",
        "protocol": "lwm2m",
        "productId": "15017088",
        "payload": payload,
        "messageType": "dataReport",
        "deviceType": "",
        "deviceId": _DEVICE,
        "assocAssetId": "",
        "IMSI": "undefined",
        "IMEI": "860000000000002",
    } | more


def samples(family: str, name: str) -> tuple[Sample, ...]:
    """Give the samples, each with what the decoder of that name makes of it."""
    at = Moment(Clock.GATEWAY, datetime(2020, 12, 3, 7, 58, 40, 277_000, UTC))
    detector = {
        "valve_state": 2, "temperature": 0, "medium": 0, "gas_value": 0, "gas_sensor_state": 0, "fan_state": 2,
        "battery_voltage": 1.1, "battery_value": 100, "error_code": 1,
    }  # fmt: skip
    said = (
        Measured(_DEVICE, at, battery_mv=1100, battery_pct=100.0),
        Asserted(_DEVICE, at, "leak_alarm", "cleared"),
        Asserted(_DEVICE, at, "fault", "raised", cause="error_code 1"),
    )
    unread = ("valve_state", "temperature", "medium", "gas_value", "fan_state")
    frame = base64.b64encode(bytes.fromhex(_FRAME)).decode()
    going = {
        "timestamp": 1606982320277, "tenantId": "10461180", "protocol": "lwm2m", "productId": "15017088",
        "messageType": "deviceOnlineOfflineReport", "iccid": "undefined", "eventType": 0, "deviceId": _DEVICE,
    }  # fmt: skip
    return (
        Sample(
            "ctwing/push",
            json.dumps(report(detector)).encode(),
            Understood(family, name, "15017088", said, unread=tuple(f"payload.{one}" for one in unread)),
            _DETECTOR,
        ),
        Sample(
            "ctwing/push",
            json.dumps(report({"serviceId": "notification", "serviceData": detector})).encode(),
            Understood(family, name, "15017088", said, unread=tuple(f"payload.serviceData.{one}" for one in unread)),
            _DETECTOR,
        ),
        Sample(
            "ctwing/push",
            json.dumps(report({"APPdata": frame})).encode(),
            Understood(
                family,
                name,
                "15017088",
                (Measured(_DEVICE, at, "00000012345678", index_ml=1_234_560_000),),
                unread=("settlement_volume", "status"),
            ),
            _METER,
        ),
        Sample(
            "ctwing/push",
            json.dumps(going).encode(),
            Understood(family, name, "15017088", (Liveness("15017088", _DEVICE, "offline", None, at),)),
            _GOING,
        ),
    )
