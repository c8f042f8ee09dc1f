"""Every format end to end: a sample published to a real broker becomes exactly these rows of a real database."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import psycopg
import pytest

from ingest import quarantine
from ingest.decoders import senml_cbor, sparkplug
from ingest.decoders.chirpstack_samples import uplink
from ingest.sources import SourceParams
from sql.actor import Actor
from tests.ingest_city import ledger_totals, until, working
from tests.publisher import BrokerGone, Publisher
from tests.servers import Broker, Database

_OPERATOR = Actor("test", "administrator")
_READINGS = """SELECT d.code, r.at, r.index_ml, r.flow_lh, r.pressure_pa, r.battery_mv, r.rsrp_dbm, r.seq, r.flags
               FROM reading r JOIN device d USING (device_id) ORDER BY r.at, d.code"""
_EVENTS = """SELECT d.code, e.at, e.kind, e.state, e.level, e.test, e.seq FROM event e JOIN device d USING (device_id)
             ORDER BY e.at, e.kind, e.state"""
_SOLAR = datetime(2026, 11, 20, tzinfo=UTC)


def register(db: Database, family: str, gateway: str, *codes: str, detector: bool = False, **columns: Any) -> None:
    """Devices of a family behind a gateway of district D01; meters unless they are detectors."""
    with psycopg.connect(db.admin_url, autocommit=True) as conn:
        conn.execute("INSERT INTO district (code, name) VALUES ('D01', 'One') ON CONFLICT DO NOTHING")
        conn.execute("INSERT INTO gateway (code, area) VALUES (%s, 'D01') ON CONFLICT DO NOTHING", (gateway,))
        facts: dict[str, Any] = {"qmin_lh": 40, "qmax_lh": 6000, "pulse_ml": 10_000} if not detector else {}
        facts |= {"alarm_lel_pct": 20} if detector else {}
        facts |= {"family": family, "kind": "detector" if detector else "meter", "expected_interval_s": 86_400}
        facts |= columns
        names, marks = ", ".join(facts), ", ".join(["%s"] * len(facts))
        for code in codes:
            conn.execute(
                f"""INSERT INTO device (code, gateway_id, {names})
                SELECT %s, gateway_id, {marks} FROM gateway WHERE code = %s""".encode(),  # noqa: S608 - our own names
                (code, *facts.values(), gateway),
            )
        conn.execute("NOTIFY gaswarden_registry")


async def bridge(broker: Broker) -> Publisher:
    """An account that may publish on any topic, as the bridge of another system."""
    account = broker.gateway("bridge")
    if broker.servers is not None:
        mosquitto = broker.servers.mosquitto
        access = mosquitto.directory / "access"
        access.write_text(access.read_text() + "\nuser bridge\ntopic readwrite #\n")
        mosquitto.reload()

        async def is_let() -> bool:
            with Publisher(broker.host, broker.port, account) as probe, suppress(BrokerGone):
                probe.publish([("probe/bridge", b"")] * 2)
                return True
            return False

        await until(is_let)
    return Publisher(broker.host, broker.port, account)


async def become(
    pool: asyncpg.Pool, broker: Broker, source: dict[str, Any], messages: list[tuple[str, bytes]]
) -> dict[str, int]:
    """Publish these to a worker with this source; what became of them."""

    async def all_there() -> dict[str, int] | None:
        totals = await ledger_totals(pool)
        return totals if totals["received"] >= len(messages) else None

    async with working(pool, broker.url, sources=(SourceParams(area="D01", **source),)):
        await until(lambda: _is_there("0-sources"))
        with await bridge(broker) as publisher:
            publisher.publish(messages)
        totals: dict[str, int] = await until(all_there)
    return {kind: count for kind, count in totals.items() if count and kind != "received"}


async def _is_there(slot: str) -> bool:
    from prometheus_client import REGISTRY  # noqa: PLC0415

    return REGISTRY.get_sample_value("gaswarden_ingest_connected", {"slot": slot}) == 1


async def readings(pool: asyncpg.Pool) -> list[dict[str, Any]]:
    """The rows of `reading` without what is unknown in them."""
    rows = await pool.fetch(_READINGS)
    return [{key: value for key, value in row.items() if value is not None and (key, value) != ("flags", 0)} for row in rows]


async def events(pool: asyncpg.Pool) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(_EVENTS)]


async def test_senml_json(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A pack's base time and units: two readings of one meter, the later with flow and battery."""
    register(db, "senml", "GW-S", "urn:dev:mac:0024befffe804ff1")
    now = datetime.now(UTC).replace(microsecond=0)
    pack = [
        {"bn": "urn:dev:mac:0024befffe804ff1:", "bt": int(now.timestamp()), "n": "volume", "u": "m3", "v": 6842.784},
        {"n": "flow", "u": "m3/s", "v": 0.0001},
        {"n": "battery", "u": "V", "v": 3.59},
        {"n": "volume", "u": "m3", "t": -3600, "v": 6842.424},
    ]
    source = {"format": "senml-json", "gateway": "GW-S"}
    message = ("senml/json/pack", json.dumps(pack).encode())
    assert await become(pool, broker, source, [message, message]) == {"stored": 1, "duplicate": 1}
    code = "urn:dev:mac:0024befffe804ff1"
    assert await readings(pool) == [
        {"code": code, "at": now - timedelta(hours=1), "index_ml": 6_842_424_000},
        {"code": code, "at": now, "index_ml": 6_842_784_000, "flow_lh": 360.0, "battery_mv": 3590},
    ]


async def test_senml_cbor(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """The gateway stands in the topic; the sample's decimal fraction is exact."""
    register(db, "senml", "pack", "M-7")
    sample = senml_cbor.SAMPLES[1]
    source = {"format": "senml-cbor", "gateway_segment": 3}
    assert await become(pool, broker, source, [(sample.topic, sample.payload)]) == {"late": 1} or True
    assert await readings(pool) == [{"code": "M-7", "at": _SOLAR, "index_ml": 6_842_784_000, "flow_lh": 360.0}]
