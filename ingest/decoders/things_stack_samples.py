"""Sample messages of The Things Stack and what they give."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.decoders.model import Asserted, Clock, Measured, Moment, Sample, Understood

_FAMILY = "lorawan"
_SOURCE = (
    "assembled from the uplink of The Things Stack documentation (Apache-2.0) and the official example bytes of"
    " TheThingsNetwork/lorawan-devices vendor/watteco (Apache-2.0)"
)
_ASSEMBLED = "assembled from the uplink of The Things Stack documentation (Apache-2.0) and the maker's description"
_BATCH = "MgMDLNLcAAAAABF7AgAAgJA9AFAAQBBAgB0RYEcE2BGQJJEkkiR7"
_RECEIVED = datetime(2023, 7, 19, 7, 51, 25, 508_306, UTC)


def uplink(device: str, eui: str, model: str, port: int, data: str, /, **more: Any) -> dict[str, Any]:
    """Build an uplink of the documented shape around base64 data; fields of the message itself in `more`."""
    return {
        "end_device_ids": {
            "device_id": device,
            "application_ids": {"application_id": "app1"},
            "dev_eui": eui,
            "join_eui": "800000000000000C",
            "dev_addr": "00BCB929",
        },
        "correlation_ids": ["as:up:01E0WZGT6Y7657CPFPE5WEYDSQ"],
        "received_at": "2023-07-19T07:51:25.714773143Z",
        "uplink_message": {
            "session_key_id": "AXA50tHUGUucuzS/bCGMNw==",
            "f_port": port,
            "f_cnt": 1,
            "frm_payload": data,
            "rx_metadata": [{"gateway_ids": {"gateway_id": "gtw1"}, "rssi": -35, "channel_rssi": -35, "snr": 5}],
            "settings": {"frequency": "868300000"},
            "version_ids": {"brand_id": "watteco", "model_id": model},
            "received_at": "2023-07-19T07:51:25.508306410Z",
        }
        | more,
    }


def samples(name: str) -> tuple[Sample, ...]:
    """Give the samples, each with what the decoder of that name makes of it."""
    eui = "70b3d5e75e00abcd"
    now = Moment(Clock.GATEWAY, _RECEIVED)
    batch = tuple(
        Measured(
            eui,
            Moment(Clock.GATEWAY, _RECEIVED - timedelta(hours=hours)),
            register,
            seq=1,
            pulses=pulses,
            signal_dbm=None if hours else -35,
            historical=hours > 0,
        )
        for register, pulses in (("index_1", 0), ("index_2", 67_108_864), ("index_3", 4_194_560))
        for hours in (3, 2, 1, 0)
    )
    detector = uplink("det-7", "24E124460C000001", "gs101", 85, "BY4B")
    del detector["uplink_message"]["f_cnt"]
    detector["simulated"] = True
    return (
        Sample(
            "v3/app1@tenant1/devices/dev1/up",
            json.dumps(uplink("dev1", eui.upper(), "pulse-senso-atex", 125, _BATCH)).encode(),
            Understood(_FAMILY, name, "app1@tenant1", batch, f"{eui}:AXA50tHUGUucuzS/bCGMNw==:1"),
            _SOURCE,
        ),
        Sample(
            "v3/app1/devices/det-7/up",
            json.dumps(detector).encode(),
            Understood(
                _FAMILY,
                name,
                "app1",
                (
                    Asserted("24e124460c000001", now, "leak_alarm", "raised", seq=0, simulated=True),
                    Measured("24e124460c000001", now, seq=0, signal_dbm=-35, simulated=True),
                ),
            ),
            _ASSEMBLED,
        ),
    )
