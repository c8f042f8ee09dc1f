"""The service `commands`: sends what is approved, sends it again, and ends commands by what devices report.

What was decided is committed before anything is sent, so a command that may have reached its device can never be
withdrawn or forgotten; sent again, by this process or the next, it is the same command with the same number.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import uuid4

import asyncpg
import structlog
from prometheus_client import Counter, Gauge

from ingest.broker_params import BrokerParams
from ingest.client import BrokerConnection, ConnectionLost, connect
from ingest.commanding import deeds, lifecycle, store
from ingest.commanding.message import command_payload, command_topic
from ingest.commanding.model import Command, Target, Transition
from ingest.commanding.params import CommandParams
from sql.errors import Conflict
from sql.pool import DATABASE_LOST

log = structlog.get_logger()

_CONNECTED = Gauge("gaswarden_commands_connected", "1 while the dispatcher of commands is connected to the broker.")
_DATABASE_OK = Gauge("gaswarden_commands_database_ok", "1 unless the dispatcher's last look at the database failed.")
_IN_FLIGHT = Gauge("gaswarden_commands_in_flight", "Commands that are not over.")
_SENT = Counter("gaswarden_commands_sent", "Messages to gateways that the broker took over.")
_ENDED = Counter("gaswarden_commands_ended", "Commands that ended, by state.", ["state"])

_CHANNELS = ("gaswarden_command", "gaswarden_batch", "gaswarden_alert")
Clock = Callable[[], datetime]


async def run(
    pool: asyncpg.Pool,
    params: CommandParams,
    broker: BrokerParams,
    *,
    clock: Clock = lambda: datetime.now(UTC),
) -> None:
    """Work until cancelled; survives the loss of broker and database. Several processes may run it at once."""
    address = params.broker_url
    where = broker if address is None else _with_account(broker, address.get_secret_value())
    line = Line(where)
    wake = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(line.stay_connected(wake), name="commands broker")
        group.create_task(_listen(pool, wake, params), name="commands listen")
        group.create_task(_look_again(pool, params, line, wake, clock), name="commands dispatch")


def _with_account(broker: BrokerParams, url: str) -> BrokerParams:
    """The broker of an address with the workers' other settings (certificates, time limits)."""
    named = {"hostname", "port", "tls", "username", "password"}
    return BrokerParams.from_url(url, **broker.model_dump(exclude=named))


class Line:
    """The connection to the broker while there is one."""

    def __init__(self, broker: BrokerParams) -> None:
        self._broker = broker
        self._connection: BrokerConnection | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a broker to hand a message to."""
        return self._connection is not None and self._connection.is_open

    async def publish(self, topic: str, payload: bytes, expires_s: int, timeout_s: float) -> bool:
        """Hand one message to the broker; False when it says that nobody listens. Raises ConnectionLost."""
        if self._connection is None:
            raise ConnectionLost("not connected to the broker")
        return await self._connection.publish(topic, payload, expires_s=expires_s, timeout_s=timeout_s)

    async def stay_connected(self, wake: asyncio.Event) -> NoReturn:
        """Connect, and again with growing pauses whenever the connection is lost."""
        attempt, told = 0, False
        client_id = f"gaswarden-commands-{uuid4().hex[:12]}"
        room = asyncio.Event()
        room.set()
        while True:
            try:
                async with connect(self._broker.model_copy(update={"session_expiry_s": 60}), client_id) as connection:
                    self._connection = connection
                    _CONNECTED.set(1)
                    log.info("commands: broker is back" if told else "commands: broker connected")
                    attempt, told = 0, False
                    wake.set()
                    await connection.receive(lambda _: None, room)
            except ConnectionLost as error:
                if not told:
                    log.warning("commands: broker lost", why=str(error))
                told = True
            finally:
                self._connection = None
                _CONNECTED.set(0)
            pause_s = min(self._broker.retry_max_s, self._broker.retry_min_s * 2.0 ** min(attempt, 20))
            await asyncio.sleep(random.uniform(0.5, 1.0) * pause_s)
            attempt += 1


async def _look_again(
    pool: asyncpg.Pool, params: CommandParams, line: Line, wake: asyncio.Event, clock: Clock
) -> NoReturn:
    lost = False
    while True:
        wake.clear()
        try:
            await dispatch(pool, params, line, clock)
        except DATABASE_LOST as error:
            if not lost:
                log.warning("commands: database lost, trying again", why=repr(error))
            lost = True
            _DATABASE_OK.set(0)
            await asyncio.sleep(params.back_off_s)
            continue
        if lost:
            log.info("commands: database is back")
        lost = False
        _DATABASE_OK.set(1)
        await asyncio.sleep(params.pause_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(params.poll_s):
                await wake.wait()


async def dispatch(pool: asyncpg.Pool, params: CommandParams, line: Line, clock: Clock) -> None:
    """One look: let the policy act, then take every command that is due one step on. Several processes may do it."""
    if params.auto_close:
        await _act_on_leaks(pool, params, clock())
    async with pool.acquire() as conn:
        in_flight = await store.commands_in_flight(conn, clock())
    _IN_FLIGHT.set(len(in_flight))
    for command_id, due in in_flight:
        if due:
            await _take_on(pool, params, line, command_id, clock)


async def _act_on_leaks(pool: asyncpg.Pool, params: CommandParams, now: datetime) -> None:
    since = now - timedelta(seconds=params.auto_close_recent_s)
    async with pool.acquire() as conn:
        for device_id, leak in await store.leaks_to_close(conn, since):
            why = lifecycle.policy_sentence(leak, params.limits, now)
            if why is None:
                continue
            try:
                command_id = await deeds.close_by_policy(conn, device_id, leak, why, params.limits, now)
                log.warning("commands: automatic close", command=command_id, alert=leak.alert_id, why=why)
            except Conflict as error:  # somebody was faster, or the device lost its valve meanwhile
                log.info("commands: no automatic close", alert=leak.alert_id, why=str(error))


async def _take_on(pool: asyncpg.Pool, params: CommandParams, line: Line, command_id: int, clock: Clock) -> None:
    """Step one command: decide and commit, then send what was decided."""
    now = clock()
    async with pool.acquire() as conn, conn.transaction():
        command = await store.lock_command(conn, command_id)
        if command is None or not command.is_in_flight:
            return
        target = await store.command_target(conn, command.device_id)
        evidence = await store.command_evidence(conn, command, target, params.clock_slack_s)
        hindrances = await store.command_hindrances(conn, target) if command.valve == "open" else []
        made = lifecycle.tick(command, target, evidence, hindrances, params.limits, now, can_send=line.is_open)
        if made.command != command or made.steps:
            await store.save_transition(conn, made, now)
    _tell(command, made)
    if made.send:
        await _send(pool, params, line, made.command, target, clock)


async def _send(
    pool: asyncpg.Pool, params: CommandParams, line: Line, command: Command, target: Target, clock: Clock
) -> None:
    expires_s = max(1, int((command.expires_at - clock()).total_seconds()))
    payload = command_payload(command, target)
    try:
        heard = await line.publish(command_topic(target), payload, expires_s, params.publish_timeout_s)
    except ConnectionLost as error:
        log.warning("commands: not handed over", command=command.command_id, why=str(error))
        await _note(pool, command, {"why": str(error)}, clock())
    else:
        _SENT.inc()
        await _note(pool, command, {"heard": heard}, clock())


async def _note(pool: asyncpg.Pool, command: Command, said: Mapping[str, object], now: datetime) -> None:
    """Write down what the broker said, unless the command has moved on meanwhile."""
    assert command.command_id is not None
    async with pool.acquire() as conn, conn.transaction():
        current = await store.await_command(conn, command.command_id)
        if current.state != "sent" or current.attempts != command.attempts:
            return
        if "why" in said:
            made = lifecycle.not_handed_over(current, str(said["why"]), now)
        else:
            made = lifecycle.handed_over(current, heard=bool(said["heard"]))
        await store.save_transition(conn, made, now)


def _tell(before: Command, made: Transition) -> None:
    after = made.command
    if before.is_in_flight and not after.is_in_flight:
        _ENDED.labels(after.state).inc()
        level = log.info if after.state == "proved" else log.warning
        level("commands: ended", command=after.command_id, valve=after.valve, state=after.state, why=after.reason.value)


async def _listen(pool: asyncpg.Pool, wake: asyncio.Event, params: CommandParams) -> NoReturn:
    """Wake the dispatcher when commands, telemetry or alerts change; it polls anyway."""
    while True:
        with contextlib.suppress(*DATABASE_LOST):
            async with pool.acquire() as conn, _listening(conn, wake) as gone:
                await gone.wait()
        await asyncio.sleep(params.back_off_s)


@contextlib.asynccontextmanager
async def _listening(conn: asyncpg.Connection, wake: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """Listen on a connection; the event is set when it is gone. Leaves the connection as it was."""
    gone = asyncio.Event()

    def on_notice(*_: object) -> None:
        wake.set()

    def on_end(_: object) -> None:
        gone.set()

    conn.add_termination_listener(on_end)
    try:
        for channel in _CHANNELS:
            await conn.add_listener(channel, on_notice)
        yield gone
    finally:
        if not conn.is_closed():
            conn.remove_termination_listener(on_end)
            for channel in _CHANNELS:
                await conn.remove_listener(channel, on_notice)
