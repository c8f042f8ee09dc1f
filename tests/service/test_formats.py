"""Every format end to end: a sample published to a real broker becomes exactly these rows of a real database."""

import asyncio
import json
import os
import struct
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import psycopg
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from ingest import quarantine
from ingest.broker_params import BrokerParams
from ingest.client import connect
from ingest.decoders import senml_cbor
from ingest.decoders.chirpstack_samples import uplink
from ingest.foreign import FOREIGN
from ingest.proof_routes import ProofRoutes, ReplayBody
from ingest.sources import SourceParams
from sql.actor import Actor
from tests.dying_worker import ENDED
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
            with Publisher(broker.host, broker.port, account) as probe:
                return _takes(probe)

        await until(is_let)
    return Publisher(broker.host, broker.port, account)


def _takes(probe: Publisher) -> bool:
    """Whether the broker lets this account publish; it ends the connection of one that it does not let."""
    try:
        probe.publish([("probe/bridge", b"")] * 2)
    except BrokerGone:
        return False
    return True


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
    return REGISTRY.get_sample_value("gaswarden_ingest_connected", {"slot": slot}) == 1


async def readings(pool: asyncpg.Pool) -> list[dict[str, Any]]:
    """The rows of `reading` without what is unknown in them."""
    rows = await pool.fetch(_READINGS)
    return [
        {key: value for key, value in row.items() if value is not None and (key, value) != ("flags", 0)} for row in rows
    ]


async def events(pool: asyncpg.Pool) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await pool.fetch(_EVENTS)]


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def now_s() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


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
    assert sum((await become(pool, broker, source, [(sample.topic, sample.payload)])).values()) == 1
    assert await readings(pool) == [{"code": "M-7", "at": _SOLAR, "index_ml": 6_842_784_000, "flow_lh": 360.0}]


async def test_wmbusmeters(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """The total stands at the time it was heard; the billing register of another day is passed over, water refused."""
    register(db, "wmbus", "RX-1", "99100001")
    now = now_s()
    gas = {
        "_": "telegram", "media": "gas", "meter": "aerius", "id": "99100001", "total_m3": 7310.528, "flow_m3h": 0.25,
        "target_m3": 6699.104, "target_datetime": "2025-12-31 23:59", "timestamp": text(now), "rssi_dbm": -71,
        "device": "im871a[00100001]",
    }  # fmt: skip
    water = gas | {"media": "water", "id": "11"}
    source = {"format": "wmbusmeters", "gateways": {"im871a[00100001]": "RX-1"}}
    messages = [("wmbusmeters/99100001", json.dumps(gas).encode()), ("wmbusmeters/11", json.dumps(water).encode())]
    assert await become(pool, broker, source, messages) == {"stored": 1, "quarantined": 1}
    assert await readings(pool) == [
        {"code": "99100001", "at": now, "index_ml": 7_310_528_000, "flow_lh": 250.0, "rsrp_dbm": -71}
    ]
    kept = await pool.fetchrow("SELECT reason, detail, gateway, decoder FROM quarantine")
    assert tuple(kept) == ("not_understood", "payload: media: water is not gas", "RX-1", "wmbusmeters-json/1")


def telegram(time: str, volume: str) -> bytes:
    """A telegram of version 4.2 with a gas meter on channel 1, its checksum computed bit by bit."""
    body = (
        "/ISK5\\2M550T-1012\r\n\r\n1-3:0.2.8(42)\r\n0-0:96.1.1(4530303434303037)\r\n0-1:24.1.0(003)\r\n"
        f"0-1:96.1.0(4730303339303031)\r\n0-1:24.2.1({time})({volume}*m3)\r\n!"
    ).encode()
    crc = 0
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return body + f"{crc:04X}\r\n".encode()


async def test_dsmr(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """The hour that Amsterdam repeats in autumn is told apart by S and W; a time it skipped in spring is unsure."""
    register(db, "dsmr", "4530303434303037", "4730303339303031", site_zone="Europe/Amsterdam")
    messages = [
        ("dsmr/raw", telegram("251026023000S", "00001.000")),
        ("dsmr/raw", telegram("251026023000W", "00002.000")),
        ("dsmr/raw", telegram("250330023000", "00000.500")),
    ]
    assert await become(pool, broker, {"format": "dsmr"}, messages) == {"late": 3}
    assert [(row["at"], row["index_ml"], row.get("flags")) for row in await readings(pool)] == [
        (datetime(2025, 3, 30, 1, 30, tzinfo=UTC), 500_000, 16),
        (datetime(2025, 10, 26, 0, 30, tzinfo=UTC), 1_000_000, None),
        (datetime(2025, 10, 26, 1, 30, tzinfo=UTC), 2_000_000, None),
    ]


_DETECTOR, _READER, _OPTICAL = "24e124460c000001", "70b3d5e75e00abcd", "70b3d5e75e00f432"


async def test_chirpstack(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A methane alarm with the registered level, a pulse count by the registered volume, charge in percent, a join."""
    register(db, "lorawan", "LNS-1", _DETECTOR, detector=True, has_valve=True, codec="milesight-gs101", alarm_level=1)
    register(db, "lorawan", "LNS-1", _READER, codec="watteco-pulse-atex", register_name="index_1")
    now = now_s()
    info = {"deviceInfo": {"devEui": _DETECTOR}, "time": text(now), "deduplicationId": "s1", "batteryLevel": 88.5}

    def topic(eui: str, event: str) -> str:
        return f"application/17c82e96/device/{eui}/event/{event}"

    messages = [
        (topic(_DETECTOR, "up"), uplink(_DETECTOR, "?", 85, "BY4BBgEABwEB", time=text(now))),
        (topic(_READER, "up"), uplink(_READER, "?", 125, "EQoADwQCIwAAAtA=", time=text(now), fCnt=70_000)),
        (topic(_DETECTOR, "status"), json.dumps(info | {"time": text(now + timedelta(seconds=1))}).encode()),
        (topic(_DETECTOR, "join"), uplink(_DETECTOR, "?", 0, "", time=text(now - timedelta(seconds=1)))),
    ]
    assert await become(pool, broker, {"format": "chirpstack", "gateway": "LNS-1"}, messages) == {"stored": 4}
    assert await readings(pool) == [
        {"code": _DETECTOR, "at": now, "rsrp_dbm": -106, "seq": 12},
        {"code": _READER, "at": now, "index_ml": 7_200_000, "rsrp_dbm": -106, "seq": 70_000},
        {"code": _DETECTOR, "at": now + timedelta(seconds=1)},
    ]
    assert await events(pool) == [
        (_DETECTOR, now - timedelta(seconds=1), "presence", "online", None, False, None),
        (_DETECTOR, now, "leak_alarm", "raised", 1, False, 12),
        (_DETECTOR, now, "valve", "closed", None, False, 12),
    ]
    state = await pool.fetchrow(
        "SELECT battery_pct, presence, valve, leak_state FROM device_state WHERE presence IS NOT NULL"
    )
    assert tuple(state) == (88.5, "online", "closed", "raised")


async def test_things_stack(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A simulated alarm is a test; of a batch only the registered counter counts, its newest sample with a number."""
    register(db, "lorawan", "app1", _READER, codec="watteco-pulse-atex", register_name="index_3", pulse_ml=10)
    register(db, "lorawan", "app1", _DETECTOR, detector=True, codec="milesight-gs101")
    samples = FOREIGN["things-stack"].samples
    messages = [(one.topic.replace("@tenant1", ""), one.payload) for one in samples]
    assert await become(pool, broker, {"format": "things-stack"}, messages) == {"late": 2}
    at = datetime(2023, 7, 19, 7, 51, 25, 508_306, UTC)
    found = await readings(pool)
    assert [(row["at"], row.get("index_ml"), row.get("seq")) for row in found if row["code"] == _READER] == [
        *((at - timedelta(hours=hours), 41_945_600, None) for hours in (3, 2, 1)),
        (at, 41_945_600, 1),
    ]
    assert [row["flags"] for row in found if row["code"] == _DETECTOR] == [32]
    assert await events(pool) == [(_DETECTOR, at, "leak_alarm", "raised", 2, True, 0)]
    assert await pool.fetchval("SELECT count(*) FROM device_state WHERE leak_state IS NOT NULL") == 0


async def test_ctwing(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """Flat fields of a detector, and the platform's word that it went."""
    code = "00000000000000000000000000000002"
    register(db, "ctwing", "15017088", code, detector=True)
    now = now_s()
    head = {"timestamp": int(now.timestamp() * 1000), "productId": "15017088", "deviceId": code}
    alarm = head | {"messageType": "dataReport", "payload": {"gas_sensor_state": 2, "battery_voltage": 3.5}}
    gone = head | {"messageType": "deviceOnlineOfflineReport", "eventType": 0}
    messages = [("ctwing/push", json.dumps(one).encode()) for one in (alarm, gone, alarm)]
    assert await become(pool, broker, {"format": "ctwing"}, messages) == {"stored": 2, "duplicate": 1}
    assert await readings(pool) == [{"code": code, "at": now, "battery_mv": 3500}]
    assert await events(pool) == [
        (code, now, "leak_alarm", "raised", 2, False, None),
        (code, now, "presence", "offline", None, False, None),
    ]


async def test_onenet(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A data point; a body whose product has a declared profile is read by it."""
    register(db, "onenet", "90273", "102839")
    now = now_s()
    body = {
        "sysProperty": {"messageType": "deviceDatapoint", "productId": "90273"},
        "appProperty": {
            "deviceId": "102839",
            "dataTimestamp": int(now.timestamp() * 1000),
            "datastream": "3303_0_5700",
        },
        "body": 1234567,
    }
    profile = {"measures": {"3303_0_5700": {"gives": "index_ml", "factor": 1000}}}
    source = {"format": "onenet", "profiles": {"90273": profile}}
    assert await become(pool, broker, source, [("onenet/push", json.dumps(body).encode())]) == {"stored": 1}
    assert await readings(pool) == [{"code": "102839", "at": now, "index_ml": 1_234_567_000}]


async def test_iotda(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A property report; one of 2014 is before the earliest moment we keep, and refused by its time."""
    sample = FOREIGN["iotda"].samples[0]
    register(db, "iotda", "ABC123456789", "d4922d8a-6c8e-4396-852c-164aefa6638f")
    new = sample.payload.replace(b"20151212T121212Z", b"20241212T121212Z").replace(b"2015-12-12", b"2024-12-12")
    old = sample.payload.replace(b"20151212T121212Z", b"20141212T121212Z").replace(b"2015-12-12", b"2014-12-12")
    messages = [(sample.topic, new), (sample.topic, old)]
    assert await become(pool, broker, {"format": "iotda"}, messages) == {"late": 1, "quarantined": 1}
    at = datetime(2024, 12, 12, 12, 12, 12, tzinfo=UTC)
    code = "d4922d8a-6c8e-4396-852c-164aefa6638f"
    assert await readings(pool) == [{"code": code, "at": at, "index_ml": 1_234_560_000, "battery_mv": 3610}]
    assert await pool.fetchval("SELECT reason FROM quarantine") == "time_out_of_range"


async def test_alink(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A post of the device: what has its own time and what has only that of arrival are two readings."""
    register(db, "alink", "a1Mtx4pAbCd", "a1Mtx4pAbCd/meter-7")
    sample = FOREIGN["alink"].samples[0]
    assert await become(pool, broker, {"format": "alink"}, [(sample.topic, sample.payload)]) == {"late": 1}
    first, second = await readings(pool)
    assert first == {
        "code": "a1Mtx4pAbCd/meter-7",
        "at": datetime(2018, 4, 23, 1, 58, 42, tzinfo=UTC),
        "index_ml": 23_600_000,
    }
    assert second["battery_mv"] == 3600
    assert now_s() - second["at"] < timedelta(minutes=1)


async def test_cjt188(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A frame's clock has no zone: the source's, for the device has none registered."""
    register(db, "cjt188", "DTU-17", "00000012345678")
    sample = FOREIGN["cjt188"].samples[0]
    source = {"format": "cjt188", "site_zone": "Asia/Shanghai"}
    assert await become(pool, broker, source, [(sample.topic, sample.payload)]) == {"late": 1}
    at = datetime(2024, 5, 1, 0, 30, tzinfo=UTC)
    assert await readings(pool) == [{"code": "00000012345678", "at": at, "index_ml": 1_234_560_000}]


async def test_quarantine_heals(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """What was refused for want of a device, its codec or its register is stored by a replay, at its original time."""
    register(db, "lorawan", "LNS-1", _DETECTOR, detector=True)
    at = datetime(2026, 7, 1, tzinfo=UTC)
    topic = f"application/17c82e96/device/{_OPTICAL}/event/up"
    message = (topic, uplink(_OPTICAL, "?", 129, "bQ8AADDUAAoAAAAZAAU=", time=text(at)))
    source = {"format": "chirpstack", "gateway": "LNS-1"}
    assert await become(pool, broker, source, [message]) == {"quarantined": 1}
    sources = (SourceParams(area="D01", **source),)
    now = datetime.now(UTC)
    async with pool.acquire() as conn:
        (before,) = await quarantine.preview(conn, now, sources=sources)
        assert before.reason == "invalid_field"
        register(db, "lorawan", "LNS-1", _OPTICAL, codec="fludia-fm432g", pulse_ml=1_000)
        (after,) = await quarantine.preview(conn, now, sources=sources)
        assert after.reason is None
    previewed = await ProofRoutes(pool, sources).replay(ReplayBody(), _OPERATOR)
    assert previewed.outcome == {"would be stored": 1}  # over HTTP, too, a message is read by its source
    assert dict(await quarantine.replay(pool, _OPERATOR, now, sources=sources)) == {"late": 1, "still waiting": 0}
    assert [(row["at"], row["index_ml"]) for row in await readings(pool)] == [
        (at - timedelta(minutes=45), 12_470_000),
        (at - timedelta(minutes=30), 12_470_000),
        (at - timedelta(minutes=15), 12_495_000),
        (at, 12_500_000),
    ]


async def test_a_registered_codec_is_enough_to_name_the_gateway(
    db: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """A device of unfamiliar profile is read by its registered codec; its application, named only then, is found."""
    register(db, "lorawan", "17c82e96-be03-4f38-aef3-f83d48582d97", _OPTICAL, codec="fludia-fm432g", pulse_ml=1_000)
    now = now_s()
    topic = f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{_OPTICAL}/event/up"
    message = (topic, uplink(_OPTICAL, "?", 129, "bQ8AADDUAAoAAAAZAAU=", time=text(now)))
    assert await become(pool, broker, {"format": "chirpstack"}, [message]) == {"stored": 1}
    assert (await readings(pool))[-1]["index_ml"] == 12_500_000


# ---- Sparkplug B: an edge node written by the book, not with the code under test


def _varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def _field(number: int, value: bytes | float) -> bytes:
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _metric(name: str | None, value: bytes, alias: int | None, datatype: int | None, unit: str | None = None) -> bytes:
    out = _field(1, name.encode()) if name else b""
    out += _field(2, alias) if alias is not None else b""
    out += _field(4, datatype) if datatype is not None else b""
    if unit:
        out += _field(9, _field(1, b"engUnit") + _field(2, _field(1, 12) + _field(8, unit.encode())))
    return _field(2, out + value)


def _message(at: datetime, seq: int | None, *metrics: bytes) -> bytes:
    head = _field(1, int(at.timestamp() * 1000)) + b"".join(metrics)
    return head if seq is None else head + _field(3, seq)


def _born(number: int) -> bytes:
    return _metric("bdSeq", _field(11, number), None, 4)


def _volume(value: float, *, birth: bool = False) -> bytes:
    if birth:
        return _metric("Volume", _field(13, value), 1, 10, "m3")
    return _metric(None, _field(13, value), 1, None)


async def test_sparkplug(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """Births, data by alias, a gap that closes, a gap that does not and its rebirth request, a death of its session."""
    register(db, "sparkplug", "PRS:edge-1", "PRS/edge-1/M-7", register_name="Volume")
    now = now_s()
    at = [now + timedelta(seconds=n) for n in range(6)]
    asked: asyncio.Queue[str] = asyncio.Queue()
    account = BrokerParams.from_url(broker.url)

    def topic(verb: str, device: str = "") -> str:
        return f"spBv1.0/PRS/{verb}/edge-1{device}"

    async def rows(count: int) -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM reading") == count)

    sources = (SourceParams(format="sparkplug", area="D01"),)
    async with working(pool, broker.url, sources=sources):
        await until(lambda: _is_there("0-sources"))
        with await bridge(broker) as node:
            user, password = broker.gateway("bridge")
            listener = account.model_copy(update={"username": user, "password": SecretStr(password)})
            async with connect(listener, "listener") as connection:
                await connection.subscribe(["spBv1.0/PRS/NCMD/edge-1", "spBv1.0/STATE/gaswarden"])
                hearing = asyncio.create_task(
                    connection.receive(lambda packet: asked.put_nowait(packet.topic), _set_event())
                )
                node.publish([(topic("NBIRTH"), _message(now, 0, _born(3)))])
                node.publish([(topic("DBIRTH", "/M-7"), _message(at[0], 1, _volume(100.5, birth=True)))])
                node.publish([(topic("DDATA", "/M-7"), _message(at[2], 3, _volume(101.5)))])  # ahead of its turn
                node.publish([(topic("DDATA", "/M-7"), _message(at[1], 2, _volume(101.0)))])
                await until(lambda: rows(3))
                node.publish([(topic("DDATA", "/M-7"), _message(at[4], 5, _volume(102.5)))])  # 4 never comes
                await until(lambda: rows(4))
                heard = {await asyncio.wait_for(asked.get(), 10) for _ in range(2)}
                assert heard == {"spBv1.0/PRS/NCMD/edge-1", "spBv1.0/STATE/gaswarden"}
                node.publish([(topic("NDEATH"), _message(at[5], None, _born(2)))])  # of another session
                node.publish([(topic("NDEATH"), _message(at[5], None, _born(3)))])
                await until(lambda: _presence(pool, "offline"))
                hearing.cancel()
        totals = await ledger_totals(pool)
    assert [row["index_ml"] for row in await readings(pool)] == [100_500_000, 101_000_000, 101_500_000, 102_500_000]
    assert await pool.fetchval("SELECT state FROM gateway_state") == "offline"
    assert [
        tuple(row) for row in await pool.fetch("SELECT state, left(session, 2) FROM gateway_event ORDER BY batch_id")
    ] == [
        ("online", "3@"),
        ("offline", "3@"),
    ]
    assert {kind: count for kind, count in totals.items() if count} == {"received": 7, "stored": 6, "quarantined": 1}


@pytest.mark.parametrize("step", ["before COMMIT", "after COMMIT", "in mid-acknowledge", "acknowledged"])
async def test_sparkplug_births_outlive_the_worker(db: Database, pool: asyncpg.Pool, broker: Broker, step: str) -> None:
    """Killed between births and data: what is said by alias meanwhile is read by the new worker, no birth asked for."""
    register(db, "sparkplug", "PRS:edge-1", "PRS/edge-1/M-7", register_name="Volume")
    now = now_s() - timedelta(minutes=1)
    sources = (SourceParams(format="sparkplug", area="D01"),)
    async with working(pool, broker.url, sources=sources):
        await until(lambda: _is_there("0-sources"))  # the broker has the session now

    async def stored() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM reading") == 3)

    with await bridge(broker) as node:
        node.publish([("spBv1.0/PRS/NBIRTH/edge-1", _message(now, 0, _born(3)))])
        node.publish([("spBv1.0/PRS/DBIRTH/edge-1/M-7", _message(now, 1, _volume(100.5, birth=True)))])
        environ = os.environ | {"DATABASE_URL": db.url, "MQTT_URL": broker.url, "DYING_SOURCE": "sparkplug"}
        dying = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.dying_worker", step, env=environ)
        assert await asyncio.wait_for(dying.wait(), 20) == ENDED
        for seq in (2, 3):
            at = now + timedelta(seconds=seq)
            node.publish([("spBv1.0/PRS/DDATA/edge-1/M-7", _message(at, seq, _volume(100.0 + seq)))])
        account = BrokerParams.from_url(broker.url)
        user, password = broker.gateway("bridge")
        asked: list[str] = []
        listener = account.model_copy(update={"username": user, "password": SecretStr(password)})
        async with connect(listener, "listener") as connection:
            await connection.subscribe(["spBv1.0/PRS/NCMD/edge-1"])
            hearing = asyncio.create_task(connection.receive(lambda packet: asked.append(packet.topic), _set_event()))
            async with working(pool, broker.url, sources=sources):
                await until(stored)
            hearing.cancel()
    assert [row["index_ml"] for row in await readings(pool)] == [100_500_000, 102_000_000, 103_000_000]
    assert await pool.fetchval("SELECT count(*) FROM quarantine") == 0
    assert asked == []


async def test_a_repeat_in_other_words_is_known_after_a_restart(
    db: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """The sender's own key of a message without a time is kept: another worker gives its repeat the first arrival."""
    register(db, "lorawan", "LNS-1", _READER, codec="watteco-pulse-atex", register_name="index_1")
    body = {"deduplicationId": "s1", "deviceInfo": {"devEui": _READER}, "batteryLevel": 88.5}  # tells no time
    source = SourceParams(format="chirpstack", area="D01", gateway="LNS-1")
    for became in ({"stored": 1}, {"stored": 1, "duplicate": 1}):
        async with working(pool, broker.url, sources=(source,)):
            await until(lambda: _is_there("0-sources"))
            with await bridge(broker) as publisher:
                body |= {"margin": len(became)}
                publisher.publish([(f"application/7/device/{_READER}/event/status", json.dumps(body).encode())])

            async def counted(wanted: int = sum(became.values())) -> bool:
                return (await ledger_totals(pool))["received"] == wanted

            await until(counted)
        totals = await ledger_totals(pool)
        assert {kind: count for kind, count in totals.items() if count and kind != "received"} == became
    assert len(await readings(pool)) == 1


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def _presence(pool: asyncpg.Pool, presence: str) -> bool:
    return bool(await pool.fetchval("SELECT presence FROM device_state") == presence)
