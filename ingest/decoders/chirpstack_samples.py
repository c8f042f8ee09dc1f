"""Sample messages of ChirpStack and what they give."""

import json
from datetime import UTC, datetime
from typing import Any

from ingest.decoders.model import Asserted, Clock, Liveness, Measured, Moment, Sample, Understood

_FAMILY = "lorawan"
_APPLICATION = "17c82e96-be03-4f38-aef3-f83d48582d97"
_DOCS = "ChirpStack documentation, integrations/events (MIT)"
_ASSEMBLED = "assembled from ChirpStack's documented event (MIT) and bytes that makers and The Things Network describe"
_AT = datetime(2024, 7, 23, 3, 15, 37, 161_000, UTC)
_KEY = "3ac7e3c4-4401-4b8d-9386-a5c902f9202d"


def _topic(eui: str, event: str) -> str:
    return f"application/{_APPLICATION}/device/{eui}/event/{event}"


def uplink(eui: str, profile: str, port: int, data: str, /, **more: Any) -> bytes:
    """Build an uplink event of the documented shape around base64 data."""
    body = {
        "deduplicationId": _KEY,
        "time": "2024-07-23T03:15:37.161023242+00:00",
        "deviceInfo": {
            "applicationId": _APPLICATION,
            "applicationName": "gas",
            "deviceProfileName": profile,
            "deviceName": "kitchen",
            "devEui": eui,
            "tags": {},
        },
        "devAddr": "78000003",
        "adr": False,
        "dr": 3,
        "fCnt": 12,
        "fPort": port,
        "confirmed": False,
        "data": data,
        "rxInfo": [{"gatewayId": "464060cab5062e5a", "uplinkId": 57654, "rssi": -106, "snr": -3.0}],
        "txInfo": {"frequency": 867100000},
    }
    return json.dumps(body | more).encode()


def samples(name: str) -> tuple[Sample, ...]:
    """Give the samples, each with what the decoder of that name makes of it."""
    now = Moment(Clock.GATEWAY, _AT.replace(microsecond=161_023))
    detector, reader = "24e124460c000001", "70b3d5e75e00abcd"
    status_at = Moment(Clock.GATEWAY, datetime(2022, 7, 18, 9, 35, 6, 927_172, UTC))
    status = {
        "deduplicationId": "bf2a9746-1c8b-49be-a92e-f0b89c8534e4",
        "time": "2022-07-18T09:35:06.927172638+00:00",
        "deviceInfo": {"applicationId": _APPLICATION, "deviceName": "Test device", "devEui": "0101010101010101"},
        "margin": 10,
        "batteryLevel": 88.3,
    }
    return (
        Sample(
            _topic(detector, "up"),
            uplink(detector, "GS101", 85, "BY4BBgEABwEB", object={"gas_status": "alarm", "valve_status": "off"}),
            Understood(
                _FAMILY,
                name,
                _APPLICATION,
                (
                    Asserted(detector, now, "leak_alarm", "raised", seq=12),
                    Asserted(detector, now, "valve", "closed", seq=12),
                    Measured(detector, now, seq=12, signal_dbm=-106),
                ),
                _KEY,
                unread=("relay_output_status",),
            ),
            _ASSEMBLED,
        ),
        Sample(
            _topic(reader, "up"),
            uplink(reader, "Watteco Pulse Sens'O ATEX", 125, "EQoADwQCIwAAAtA="),
            Understood(
                _FAMILY,
                name,
                _APPLICATION,
                (Measured(reader, now, "index_1", seq=12, pulses=720, signal_dbm=-106),),
                _KEY,
            ),
            _ASSEMBLED,
        ),
        Sample(
            _topic("0101010101010101", "status"),
            json.dumps(status).encode(),
            Understood(
                _FAMILY,
                name,
                _APPLICATION,
                (Measured("0101010101010101", status_at, battery_pct=88.3),),
                "bf2a9746-1c8b-49be-a92e-f0b89c8534e4",
                unread=("margin",),
            ),
            _DOCS,
        ),
        Sample(
            _topic(detector, "join"),
            uplink(detector, "GS101", 0, ""),
            Understood(
                _FAMILY, name, _APPLICATION, (Liveness(_APPLICATION, detector, "online", "78000003", now),), _KEY
            ),
            _ASSEMBLED,
        ),
    )
