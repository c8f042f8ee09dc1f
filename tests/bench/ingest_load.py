"""What the ingest benchmark sends: the registry, the messages, and the same rows for raw COPY."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg

GATEWAYS = 20
AREA = "D01"
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)

Message = tuple[str, bytes]
Record = tuple[object, ...]
RECORD_COLUMNS = ("device_id", "at", "index_ml", "flow_lh", "battery_mv", "seq", "reason", "status", "batch_id")


def gateway_of(device: int) -> str:
    return f"GW-{device % GATEWAYS:03d}"


def register(admin_url: str, devices: int) -> None:
    """A district with gateways and as many meters."""
    with psycopg.connect(admin_url, autocommit=True) as conn:
        conn.execute("INSERT INTO district (code, name) VALUES (%s, 'Bench')", (AREA,))
        conn.execute(
            """INSERT INTO gateway (code, area)
            SELECT 'GW-' || lpad(n::text, 3, '0'), %s FROM generate_series(0, %s) AS n""",
            (AREA, GATEWAYS - 1),
        )
        conn.execute(
            """INSERT INTO device (code, kind, gateway_id, qmin_lh, qmax_lh, pulse_ml, expected_interval_s)
            SELECT 'M-' || n, 'meter', gateway_id, 40, 6000, 10000, 86400
            FROM generate_series(0, %s) AS n JOIN gateway ON code = 'GW-' || lpad((n %% %s)::text, 3, '0')""",
            (devices - 1, GATEWAYS),
        )
        conn.execute("ANALYZE")


def reports(devices: int, days: int) -> list[Message]:
    """Daily reports of 25 values, day after day, device after device."""
    return [_report(device, day) for day in range(days) for device in range(devices)]


def _report(device: int, day: int) -> Message:
    start = DAY + timedelta(days=day - 30)
    base = 1_000_000 * (device % 1000 + 1) + 2_400_000 * day
    body = {
        "device": f"M-{device}",
        "seq": day,
        "at": (start + timedelta(days=1, minutes=device % 60, seconds=7)).isoformat(),
        "reason": "timed",
        "index_ml": base + 2_400_000,
        "status": 0,
        "battery_mv": 3590,
        "rsrp_dbm": -97,
        "hourly": {"from": start.isoformat(), "index_ml": [base + 100_000 * hour for hour in range(1, 25)]},
    }
    return f"gas/v1/{AREA}/{gateway_of(device)}/readings", json.dumps(body).encode()


def singles(devices: int, rounds: int) -> list[Message]:
    """Single readings, round after round of five minutes."""
    out = []
    for number in range(rounds):
        at = (DAY + timedelta(minutes=5 * number, seconds=11)).isoformat()
        for device in range(devices):
            body = {"device": f"M-{device}", "seq": number, "at": at, "index_ml": 10_000 * number, "flow_lh": 212.5}
            out.append((f"gas/v1/{AREA}/{gateway_of(device)}/readings", json.dumps(body).encode()))
    return out


def report_records(devices: int, days: int) -> Iterator[Record]:
    """The rows of `reports`, for devices that nobody else uses."""
    for day in range(days):
        start = DAY + timedelta(days=day - 30)
        for device in range(devices):
            at = start + timedelta(days=1, minutes=device % 60, seconds=7)
            yield 10_000_000 + device, at, 2_400_000, None, 3590, day, 0, 0, 0
            for hour in range(1, 25):
                yield (
                    10_000_000 + device,
                    start + timedelta(hours=hour),
                    100_000 * hour,
                    None,
                    None,
                    None,
                    None,
                    None,
                    0,
                )


def single_records(devices: int, rounds: int) -> Iterator[Record]:
    """The rows of `singles`, for devices that nobody else uses."""
    for number in range(rounds):
        at = DAY + timedelta(minutes=5 * number, seconds=11)
        for device in range(devices):
            yield 20_000_000 + device, at, 10_000 * number, 212.5, None, number, None, None, 0
