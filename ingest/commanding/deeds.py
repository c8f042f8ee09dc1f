"""What people and the policy do to commands: one transaction each, with its audit row."""

from datetime import datetime
from uuid import UUID, uuid5

import asyncpg

from ingest.commanding import lifecycle, store
from ingest.commanding.model import POLICY, Leak, Limits, NotAllowed, Target, Transition
from sql import audit
from sql.actor import Actor
from sql.errors import Conflict, NotFound

_POLICY_IDS = UUID("6f0b7c1e-3d1a-4c55-9d0e-5a3f1c0f7b21")  # any constant: names the ids of the policy's own commands
_POLICY_ACTOR = Actor(POLICY, "service")


async def request(
    conn: asyncpg.Connection,
    device_id: int,
    valve: str,
    client_id: UUID,
    note: str,
    actor: Actor,
    limits: Limits,
    now: datetime,
    *,
    alert_id: int | None = None,
    valid_s: float | None = None,
) -> int:
    """Ask for a command; the same client id again gives the same command. Returns its id.

    A command to close takes the place of one to open that is in flight. Raises NotFound, and Conflict when a rule
    refuses it, another command is in flight, or the client id was used for something else.
    """
    async with conn.transaction():
        target = await store.command_target(conn, device_id)
        if not actor.covers(target.area):
            raise NotFound(f"no device {device_id}")
        await store.lock_device_commands(conn, device_id)
        if (known := await store.command_by_client_id(conn, client_id)) is not None:
            return _same(known, device_id, valve, actor)
        if alert_id is not None:
            await _check_alert(conn, alert_id, valve, target, actor)
        hindrances = await store.command_hindrances(conn, target)
        try:
            made = lifecycle.request(target, valve, actor.name, alert_id, valid_s, hindrances, limits, now)
            await _make_room(conn, target, valve, actor, now)
        except NotAllowed as error:
            raise Conflict(str(error)) from error
        try:
            async with conn.transaction():
                command_id = await store.add_command(conn, made, target.area, client_id, note, now)
        except asyncpg.UniqueViolationError as error:
            raise Conflict(f"another command was asked for at the same moment ({error.constraint_name})") from error
        details = {"device_id": device_id, "valve": valve, "note": note, "alert_id": alert_id}
        await audit.record(conn, actor, "command.request", f"command:{command_id}", details, now)
    return command_id


def _same(known: asyncpg.Record, device_id: int, valve: str, actor: Actor) -> int:
    asked = (device_id, valve, actor.name)
    if (known["device_id"], known["valve"], known["requested_by"]) != asked:
        raise Conflict("client_id: it was used for another command already")
    return int(known["command_id"])


async def _check_alert(conn: asyncpg.Connection, alert_id: int, valve: str, target: Target, actor: Actor) -> None:
    if valve == "open":
        raise Conflict("alert_id: an alert is a reason to close a valve, never to open it")
    await store.alert_for_command(conn, alert_id, target, actor.area_list())


async def _make_room(conn: asyncpg.Connection, target: Target, valve: str, actor: Actor, now: datetime) -> None:
    """End an opening that is in the way of a closing; raises NotAllowed when something else is in flight."""
    current = await store.command_in_flight(conn, target.device_id)
    if current is None:
        return
    if valve == "open":
        raise NotAllowed(f"command {current.command_id} to {current.valve} is in flight ({current.state})")
    await store.save_transition(conn, lifecycle.supersede(current, actor.name, now), now)


async def approve(conn: asyncpg.Connection, command_id: int, note: str | None, actor: Actor, now: datetime) -> None:
    """Approve a command as the second person. Raises NotFound, and Conflict when it may not be approved."""
    async with conn.transaction():
        device_id = await store.command_device(conn, command_id, actor.area_list())
        await store.lock_device_commands(conn, device_id)
        command = await store.await_command(conn, command_id)
        target = await store.command_target(conn, device_id)
        hindrances = await store.command_hindrances(conn, target)
        try:
            made = lifecycle.approve(command, actor.name, note, hindrances, now)
        except NotAllowed as error:
            raise Conflict(str(error)) from error
        await _save(conn, made, "approve", command_id, note, actor, now)


async def withdraw(conn: asyncpg.Connection, command_id: int, note: str | None, actor: Actor, now: datetime) -> None:
    """Take a command back before it is sent. Raises NotFound, and Conflict when it was sent or is over."""
    async with conn.transaction():
        device_id = await store.command_device(conn, command_id, actor.area_list())
        await store.lock_device_commands(conn, device_id)
        command = await store.await_command(conn, command_id)
        try:
            made = lifecycle.withdraw(command, actor.name, note, now)
        except NotAllowed as error:
            raise Conflict(str(error)) from error
        await _save(conn, made, "withdraw", command_id, note, actor, now)


async def _save(
    conn: asyncpg.Connection,
    made: Transition,
    action: str,
    command_id: int,
    note: str | None,
    actor: Actor,
    now: datetime,
) -> None:
    await store.save_transition(conn, made, now)
    await audit.record(conn, actor, f"command.{action}", f"command:{command_id}", {"note": note}, now)


async def close_by_policy(
    conn: asyncpg.Connection, device_id: int, leak: Leak, why: str, limits: Limits, now: datetime
) -> int:
    """Close a valve because of a confirmed leak, once per alert and device. Raises Conflict as `request` does."""
    client_id = uuid5(_POLICY_IDS, f"{leak.alert_id}:{device_id}")
    note = f"automatic close: {why}"
    return await request(conn, device_id, "close", client_id, note, _POLICY_ACTOR, limits, now, alert_id=leak.alert_id)
