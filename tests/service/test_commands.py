"""Commands against a real broker and database: valves that answer, lie, sleep; restarts; the automatic close."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from app.embedded.mosquitto import ACCESS_RULES
from ingest.broker_params import BrokerParams
from ingest.commanding import deeds, dispatcher
from ingest.commanding.dispatcher import Line, dispatch
from ingest.commanding.params import CommandParams
from simulator.link import Broker as Address
from simulator.valves import Behaviour, Ear, Valve
from sql.actor import Actor
from sql.errors import Conflict
from tests.ingest_city import AREA, ledger_totals, register, until, working
from tests.publisher import Publisher
from tests.servers import Broker, Database

OLGA, BORIS = Actor("olga", "officer"), Actor("boris", "officer")
METER = "M-GW-1-0"


class Desk:
    """Gives commands as officers do, and looks what became of them."""

    def __init__(self, pool: asyncpg.Pool, params: CommandParams) -> None:
        self.pool, self.params = pool, params

    async def ask(self, valve: str = "close", actor: Actor = OLGA, device: str = METER, **more: Any) -> int:
        async with self.pool.acquire() as conn:
            device_id = await conn.fetchval("SELECT device_id FROM device WHERE code = $1", device)
            limits, now = self.params.limits, datetime.now(UTC)
            client_id = more.pop("client_id", None) or uuid4()
            return await deeds.request(conn, device_id, valve, client_id, "leak", actor, limits, now, **more)

    async def approve(self, command_id: int, actor: Actor = BORIS) -> None:
        async with self.pool.acquire() as conn:
            await deeds.approve(conn, command_id, None, actor, datetime.now(UTC))

    async def row(self, command_id: int) -> asyncpg.Record:
        return await self.pool.fetchrow("SELECT * FROM command WHERE command_id = $1", command_id)

    async def ended(self, command_id: int) -> tuple[str, str]:
        async def over() -> asyncpg.Record | None:
            row = await self.row(command_id)
            return row if row["ended_at"] else None

        row = await until(over)
        return row["state"], row["reason"]

    async def steps(self, command_id: int) -> list[str]:
        query = "SELECT step FROM command_step WHERE command_id = $1 ORDER BY step_id"
        return [row["step"] for row in await self.pool.fetch(query, command_id)]


def quick(broker: Broker, **more: Any) -> CommandParams:
    url = None if broker.servers is None else SecretStr(broker.servers.commands_mqtt_url)
    values = {"settle_s": 0.0, "quiet_s": 1.0, "resend_min_s": 0.3, "poll_s": 0.1, "pause_s": 0.0, "back_off_s": 0.2}
    return CommandParams(broker_url=url, **(values | more))


@pytest.fixture
def desk(db: Database, pool: asyncpg.Pool, broker: Broker) -> Desk:
    register(db.admin_url)
    return Desk(pool, quick(broker))


@asynccontextmanager
async def running(coroutine: Any) -> AsyncIterator["asyncio.Task[None]"]:
    """A service until the end of the block; its failure is the test's."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=20)
        if not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]


def dispatching(
    desk: Desk, broker: Broker, params: CommandParams | None = None, clock: Callable[[], datetime] | None = None
) -> Any:
    workers = BrokerParams.from_url(broker.url, retry_max_s=0.5)
    return running(
        dispatcher.run(desk.pool, params or desk.params, workers, clock=clock or (lambda: datetime.now(UTC)))
    )


@asynccontextmanager
async def hearing(broker: Broker, behaviour: Behaviour = "obeys", device: str = METER) -> AsyncIterator[Ear]:
    """The gateway GW-1 with one valve behind it."""
    ear = Ear(
        Address(broker.host, broker.port), "GW-1", AREA, broker.gateway("GW-1"), [Valve(device, behaviour)],
        report_after_s=0.2,
    )  # fmt: skip
    async with running(ear.run()):
        async with asyncio.timeout(10):
            await ear.listening.wait()
        yield ear


@asynccontextmanager
async def everything(desk: Desk, broker: Broker, behaviour: Behaviour = "obeys") -> AsyncIterator[Ear]:
    """Ingest, dispatcher and a valve."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(working(desk.pool, broker.url))
        ear = await stack.enter_async_context(hearing(broker, behaviour))
        await stack.enter_async_context(dispatching(desk, broker))
        yield ear


async def test_a_valve_that_obeys_is_proved_by_its_telemetry(desk: Desk, broker: Broker) -> None:
    """Asked, sent, answered, proved; and what is said to gateways never comes back as telemetry."""
    async with everything(desk, broker) as ear:
        command_id = await desk.ask()
        assert await desk.ended(command_id) == ("proved", "closed_and_no_flow")
    steps = await desk.steps(command_id)
    assert steps[:3] == ["requested", "approved", "sent"]
    assert "taken" in steps
    assert steps[-1] == "proved"
    assert (ear.valves[METER].position, ear.valves[METER].moves) == ("closed", 1)
    row = await desk.row(command_id)
    assert (row["requested_by"], row["approved_by"]) == ("olga", "olga")
    assert await desk.pool.fetchval("SELECT count(*) FROM quarantine") == 0
    evidence = await desk.pool.fetchval("SELECT evidence FROM command_step WHERE step = 'proved'")
    assert evidence["flow_lh"] == 0


async def test_a_valve_that_lies_fails(desk: Desk, broker: Broker) -> None:
    """It says closed, and its meter counts on."""
    async with everything(desk, broker, "lies"):
        assert await desk.ended(await desk.ask()) == ("failed", "flow_through_closed_valve")


async def test_a_stuck_valve_fails(desk: Desk, broker: Broker) -> None:
    """It says itself that it is faulty."""
    async with everything(desk, broker, "stuck"):
        assert await desk.ended(await desk.ask()) == ("failed", "valve_fault")


async def test_a_sleeping_valve_is_called_again_and_expires(desk: Desk, broker: Broker) -> None:
    """The same number several times, nothing after its time; then the device takes a new command."""
    async with hearing(broker, "sleeps") as ear:
        async with dispatching(desk, broker):
            command_id = await desk.ask(valid_s=60)
            await until(lambda: _heard(ear, 3))
        with pytest.raises(Conflict, match="in flight"):
            await desk.ask()
        async with connected(desk, broker) as line:
            sent = (await desk.row(command_id))["attempts"]
            await dispatch(desk.pool, desk.params, line, lambda: datetime.now(UTC) + timedelta(seconds=61))
            assert (await desk.row(command_id))["state"] == "sent"
            await dispatch(desk.pool, desk.params, line, lambda: datetime.now(UTC) + timedelta(seconds=661))
        assert await desk.ended(command_id) == ("expired", "no_answer")
        assert (await desk.row(command_id))["attempts"] == sent
        assert {body["command"] for body in ear.heard} == {command_id}
        assert await desk.ask() > command_id


@asynccontextmanager
async def connected(desk: Desk, broker: Broker, line: Line | None = None) -> AsyncIterator[Line]:
    """A line to the broker for passes that a test makes one by one."""
    line = line or Line(account(desk, broker))
    wake = asyncio.Event()
    async with running(line.stay_connected(wake)):
        async with asyncio.timeout(10):
            await wake.wait()
        yield line


def account(desk: Desk, broker: Broker) -> BrokerParams:
    address = desk.params.broker_url
    return BrokerParams.from_url(address.get_secret_value() if address else broker.url)


async def _heard(ear: Ear, count: int) -> bool:
    return len(ear.heard) >= count


async def test_opening_takes_two_people_and_is_sent_after_the_second(desk: Desk, broker: Broker) -> None:
    """Nothing goes out before; the one who asked cannot be the second; the valve's word proves it."""
    async with everything(desk, broker) as ear:
        assert await desk.ended(await desk.ask()) == ("proved", "closed_and_no_flow")
        command_id = await desk.ask("open")
        with pytest.raises(Conflict, match="second person"):
            await desk.approve(command_id, OLGA)
        assert {body["valve"] for body in ear.heard} == {"close"}
        await desk.approve(command_id)
        assert await desk.ended(command_id) == ("proved", "valve_there")
        assert ear.valves[METER].position == "open"


async def test_two_who_approve_at_once_approve_once(desk: Desk) -> None:
    """One is told that it is approved already."""
    command_id = await desk.ask("open")
    third = Actor("carla", "officer")
    done = await asyncio.gather(
        desk.approve(command_id, BORIS), desk.approve(command_id, third), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in done) == ["Conflict", "NoneType"]
    assert await desk.steps(command_id) == ["requested", "approved"]


async def test_two_who_ask_at_once_get_one_command(desk: Desk) -> None:
    """One in flight per device; the same client id gives the same command."""
    done = await asyncio.gather(*(desk.ask() for _ in range(5)), return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["Conflict"] * 4 + ["int"]
    client_id = uuid4()
    other = "M-GW-1-1"
    ids = await asyncio.gather(*(desk.ask(client_id=client_id, device=other) for _ in range(5)))
    assert len(set(ids)) == 1
    with pytest.raises(Conflict, match="client_id"):
        await desk.ask("open", client_id=client_id, device=other)


async def test_closing_takes_the_place_of_an_opening(desk: Desk, broker: Broker) -> None:
    """Even of one that was sent: the greater number wins at the valve."""
    async with everything(desk, broker) as ear:
        opening = await desk.ask("open")
        closing = await desk.ask("close")
        assert await desk.ended(opening) == ("withdrawn", "superseded")
        assert await desk.ended(closing) == ("proved", "closed_and_no_flow")
        assert ear.valves[METER].position == "closed"


class Killed(Exception):
    """The dispatcher's process ends here."""


class KilledLine(Line):
    """A line whose process is killed at a sending: before the message leaves, or right after the broker has it."""

    def __init__(self, broker: BrokerParams, *, before: bool) -> None:
        super().__init__(broker)
        self._before = before

    async def publish(self, topic: str, payload: bytes, expires_s: int, timeout_s: float) -> bool:
        if not self._before:
            await super().publish(topic, payload, expires_s, timeout_s)
        raise Killed


@pytest.mark.parametrize("before", [True, False])
async def test_a_dispatcher_killed_at_the_sending_loses_and_doubles_nothing(
    desk: Desk, broker: Broker, before: bool
) -> None:
    """The next one sends the same command with the same number; the valve moves once."""
    line = KilledLine(account(desk, broker), before=before)
    async with working(desk.pool, broker.url), hearing(broker) as ear:
        command_id = await desk.ask()
        async with connected(desk, broker, line):
            with pytest.raises(Killed):
                await dispatch(desk.pool, desk.params, line, lambda: datetime.now(UTC))
        assert (await desk.row(command_id))["state"] == "sent"
        async with dispatching(desk, broker), dispatching(desk, broker):
            assert await desk.ended(command_id) == ("proved", "closed_and_no_flow")
        assert {body["command"] for body in ear.heard} == {command_id}
        assert ear.valves[METER].moves == 1
        assert await desk.pool.fetchval("SELECT count(*) FROM command") == 1


async def test_two_dispatchers_send_once(desk: Desk, broker: Broker) -> None:
    """The row's lock decides which of them."""
    slow = quick(broker, resend_min_s=30.0)
    async with hearing(broker, "sleeps") as ear, dispatching(desk, broker, slow), dispatching(desk, broker, slow):
        await asyncio.gather(*(desk.ask(device=f"M-GW-1-{number}") for number in range(3)))
        await until(lambda: _heard(ear, 3))
        await until(lambda: _all_taken(desk, 3))
    assert len(ear.heard) == 3


async def _all_taken(desk: Desk, count: int) -> bool:
    return bool(await desk.pool.fetchval("SELECT count(*) FROM command_step WHERE step = 'taken'") == count)


async def test_a_broker_that_is_away_holds_a_command_back(desk: Desk, broker: Broker) -> None:
    """It stays approved, can be withdrawn, and goes out once the broker is back."""
    if broker.servers is None:
        pytest.skip("the broker of MQTT_URL is not ours to stop")
    mosquitto = broker.servers.mosquitto
    async with hearing(broker, "sleeps") as ear, dispatching(desk, broker):
        await until(_connected)
        await asyncio.to_thread(mosquitto.stop)
        await until(_disconnected)
        command_id = await desk.ask()
        withdrawn = await desk.ask(device="M-GW-1-1")
        await desk.pool.fetchval("SELECT pg_notify('gaswarden_command', '')")
        assert await desk.steps(command_id) == ["requested", "approved"]
        async with desk.pool.acquire() as conn:
            await deeds.withdraw(conn, withdrawn, None, OLGA, datetime.now(UTC))
        await asyncio.to_thread(mosquitto.start)
        await until(lambda: _heard(ear, 1))
        assert {body["command"] for body in ear.heard} == {command_id}
        assert await desk.ended(withdrawn) == ("withdrawn", "by_person")


async def _connected() -> bool:
    return REGISTRY.get_sample_value("gaswarden_commands_connected") == 1


async def _disconnected() -> bool:
    return not await _connected()


async def test_only_the_commands_account_may_speak_to_gateways(desk: Desk, broker: Broker) -> None:
    """A gateway cannot command another, nor can the ingest workers' account."""
    if broker.servers is None:
        pytest.skip("the broker of MQTT_URL has accounts of its own")
    topic = f"gas/v1/{AREA}/GW-1/commands"
    async with hearing(broker) as ear:
        for account in (broker.gateway("GW-2"), broker.gateway("GW-1"), broker.ingest):
            with Publisher(broker.host, broker.port, account) as publisher:
                publisher.publish_one(topic, b'{"device": "M-GW-1-0", "command": 9}')
        async with dispatching(desk, broker):
            command_id = await desk.ask()
            await until(lambda: _heard(ear, 1))
        assert ear.heard[0]["command"] == command_id


async def test_what_we_say_to_gateways_is_no_telemetry(desk: Desk, broker: Broker) -> None:
    """Where the workers' account hears commands too, they are acknowledged and neither counted nor quarantined."""
    if broker.servers is None:
        pytest.skip("the broker of MQTT_URL has access rules of its own")
    mosquitto = broker.servers.mosquitto
    broker.gateway("GW-1")  # now: a new account writes the access rules anew
    mosquitto._write("access", ACCESS_RULES.replace("topic deny gas/v1/+/+/commands\n", ""))
    mosquitto.reload()
    async with everything(desk, broker) as ear:
        assert await desk.ended(await desk.ask()) == ("proved", "closed_and_no_flow")
        said = ear.valves[METER].seq
        await until(lambda: _received(desk, said))
    assert await desk.pool.fetchval("SELECT count(*) FROM quarantine") == 0


async def _received(desk: Desk, count: int) -> bool:
    return bool((await ledger_totals(desk.pool))["received"] >= count)


async def _leak(desk: Desk, **columns: Any) -> int:
    """A critical leak alert at the home of METER and its detector LD-GW-1, with the detector's state."""
    pool = desk.pool
    await pool.execute(
        "INSERT INTO compound (code, name, district_id, latitude, longitude)"
        " SELECT 'K1', 'K1', district_id, 31.8, 117.2 FROM district WHERE code = $1",
        AREA,
    )
    await pool.execute(
        "INSERT INTO building (code, name, compound_id, latitude, longitude)"
        " SELECT 'B1', 'B1', compound_id, 31.8, 117.2 FROM compound"
    )
    home = await pool.fetchval(
        "INSERT INTO premises (code, building_id, unit, address, user_class)"
        " SELECT 'H1', building_id, '1', '1 Garden Road', 'household' FROM building RETURNING premises_id"
    )
    await pool.execute(
        "INSERT INTO installation (device_id, premises_id, installed_at)"
        " SELECT device_id, $1, now() - interval '1 day' FROM device WHERE code IN ($2, 'LD-GW-1')",
        home,
        METER,
    )
    detector = await pool.fetchval("SELECT device_id FROM device WHERE code = 'LD-GW-1'")
    await pool.execute(
        "INSERT INTO device_state (device_id, last_received_at, heard_at, leak_at, leak_state, leak_level)"
        " VALUES ($1, now(), now(), now(), 'raised', 2)",
        detector,
    )
    values = {
        "rule_id": "leak_alarm", "rule_version": "1", "subject": f"device:{detector}", "area": AREA,
        "device_id": detector, "premises_id": home, "severity": "critical", "state": "open", "firing": True,
        "late": False, "sentence": "leak", "first_at": datetime.now(UTC), "last_at": datetime.now(UTC),
        "raised_at": datetime.now(UTC), "evidence": {}, "visit": "mandatory",
    } | columns  # fmt: skip
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    text = f"INSERT INTO alert ({', '.join(values)}) VALUES ({places}) RETURNING alert_id"  # noqa: S608
    alert_id: int = await pool.fetchval(text, *values.values())
    return alert_id


async def test_the_automatic_close_is_off(desk: Desk, broker: Broker) -> None:
    """A confirmed leak alone closes nothing; switched on, it closes the meter's valve once."""
    alert_id = await _leak(desk, confirmed=True)
    workers = BrokerParams.from_url(broker.url)
    await dispatch(desk.pool, desk.params, Line(workers), lambda: datetime.now(UTC))
    assert await desk.pool.fetchval("SELECT count(*) FROM command") == 0
    switched_on = quick(broker, auto_close=True)
    for _ in range(3):
        await dispatch(desk.pool, switched_on, Line(workers), lambda: datetime.now(UTC))
    row = await desk.pool.fetchrow("SELECT c.*, d.code FROM command c JOIN device d USING (device_id)")
    assert (row["code"], row["valve"], row["alert_id"], row["approved_by"]) == (METER, "close", alert_id, "policy")
    assert await desk.pool.fetchval("SELECT count(*) FROM command") == 1
    assert await desk.pool.fetchval("SELECT actor FROM audit_entry WHERE action = 'command.request'") == "policy"


async def test_the_automatic_close_waits_for_confirmation(desk: Desk, broker: Broker) -> None:
    """A high alarm of this moment is not confirmed, one that lasts is; a late or low one never is."""
    params = quick(broker, auto_close=True)
    line = Line(BrokerParams.from_url(broker.url))
    alert_id = await _leak(desk)
    await dispatch(desk.pool, params, line, lambda: datetime.now(UTC))
    assert await desk.pool.fetchval("SELECT count(*) FROM command") == 0
    later = datetime.now(UTC) + timedelta(seconds=61)
    for change in ("late = true", "late = false, severity = 'major'", "severity = 'critical', state = 'dismissed'"):
        await desk.pool.execute(f"UPDATE alert SET {change} WHERE alert_id = $1", alert_id)  # noqa: S608
        await dispatch(desk.pool, params, line, lambda: later)
        assert await desk.pool.fetchval("SELECT count(*) FROM command") == 0, change
    await desk.pool.execute("UPDATE alert SET state = 'open'")
    await dispatch(desk.pool, params, line, lambda: later)
    assert await desk.pool.fetchval("SELECT state FROM command") == "approved"


async def test_a_valve_closed_because_of_an_alert_opens_after_its_proof_of_safety(desk: Desk, broker: Broker) -> None:
    """Not while the alert is open, not when it is dismissed at a desk; made safe, it opens."""
    alert_id = await _leak(desk)
    async with everything(desk, broker):
        assert await desk.ended(await desk.ask(alert_id=alert_id)) == ("proved", "closed_and_no_flow")
        for state in ("open", "on_site", "dismissed"):
            await desk.pool.execute("UPDATE alert SET state = $1", state)
            with pytest.raises(Conflict, match=f"not safe to open: alert {alert_id}"):
                await desk.ask("open")
        await desk.pool.execute("UPDATE alert SET state = 'made_safe'")
        opening = await desk.ask("open")
        await desk.pool.execute("UPDATE alert SET state = 'on_site'")
        with pytest.raises(Conflict, match="not safe"):
            await desk.approve(opening)
        await desk.pool.execute("UPDATE alert SET state = 'verified'")
        await desk.approve(opening)
        assert await desk.ended(opening) == ("proved", "valve_there")
