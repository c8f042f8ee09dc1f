"""Loads and saves commands; every function takes a connection and joins the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from ingest.commanding.model import Command, Evidence, Hindrance, Leak, Reason, Said, Sample, Step, Target, Transition
from sql import queries
from sql.errors import Conflict, NotFound

_COMMAND_FIELDS = tuple(one.name for one in fields(Command))
_MOVED = (
    "state", "reason", "approved_by", "approved_at", "sent_at", "attempts", "next_send_at", "answered_at", "prove_by",
    "ended_at",
)  # fmt: skip


async def command_target(conn: asyncpg.Connection, device_id: int) -> Target:
    """The device a command is for; raises NotFound."""
    row = await conn.fetchrow(*queries["command_target"].bind(device_id=device_id))
    if row is None:
        raise NotFound(f"no device {device_id}")
    return Target(**row)


async def lock_device_commands(conn: asyncpg.Connection, device_id: int) -> None:
    """Change the commands of a device one at a time, until the transaction ends."""
    await conn.execute(*queries["lock_device_commands"].bind(device_id=device_id))


async def command_by_client_id(conn: asyncpg.Connection, client_id: UUID) -> asyncpg.Record | None:
    """The command that a caller asked for under its own id, None when it did not yet."""
    return await conn.fetchrow(*queries["command_by_client_id"].bind(client_id=client_id))


async def command_in_flight(conn: asyncpg.Connection, device_id: int) -> Command | None:
    """The unfinished command of a device, locked."""
    row = await conn.fetchrow(*queries["command_in_flight"].bind(device_id=device_id))
    return None if row is None else command_of(row)


async def command_device(conn: asyncpg.Connection, command_id: int, areas: Sequence[str] | None) -> int:
    """The device of a command within some areas (None: any); raises NotFound."""
    row = await conn.fetchrow(*queries["command_row"].bind(command_id=command_id))
    if row is None or (areas is not None and row["area"] not in areas):
        raise NotFound(f"no command {command_id}")
    return int(row["device_id"])


async def lock_command(conn: asyncpg.Connection, command_id: int) -> Command | None:
    """One command, locked; None when it is not there or somebody else works on it."""
    row = await conn.fetchrow(*queries["lock_command"].bind(command_id=command_id))
    return None if row is None else command_of(row)


async def await_command(conn: asyncpg.Connection, command_id: int) -> Command:
    """One command, locked once nobody else works on it; raises NotFound."""
    row = await conn.fetchrow(*queries["await_command"].bind(command_id=command_id))
    if row is None:
        raise NotFound(f"no command {command_id}")
    return command_of(row)


async def alert_for_command(
    conn: asyncpg.Connection, alert_id: int, target: Target, areas: Sequence[str] | None
) -> None:
    """Check that an alert is there and concerns this device's home; raises NotFound or Conflict."""
    query = queries["alert_for_command"]
    row = await conn.fetchrow(
        *query.bind(alert_id=alert_id, device_id=target.device_id, premises_id=target.premises_id)
    )
    if row is None or (areas is not None and row["area"] not in areas):
        raise NotFound(f"no alert {alert_id}")
    if not row["concerns"]:
        raise Conflict(f"alert {alert_id} concerns neither device {target.code} nor the home or building it is in")


async def add_command(
    conn: asyncpg.Connection, transition: Transition, area: str, client_id: UUID, note: str, now: datetime
) -> int:
    """Save a new command with its timeline and tell the dispatcher; returns its id."""
    one = transition.command
    values = {name: getattr(one, name) for name in (
        "device_id", "valve", "state", "requested_by", "requested_at", "alert_id", "approved_by", "approved_at",
        "expires_at", "next_send_at",
    )}  # fmt: skip
    query = queries["add_command"]
    command_id: int = await conn.fetchval(
        *query.bind(**values, reason=one.reason.value, client_id=client_id, area=area, note=note)
    )
    await add_command_steps(conn, command_id, transition.steps, now)
    await conn.execute(*queries["notify_command"].bind(command_id=command_id))
    return command_id


async def save_transition(conn: asyncpg.Connection, transition: Transition, now: datetime) -> None:
    """Move a saved command on, with its timeline, and tell whoever watches."""
    one = transition.command
    assert one.command_id is not None
    values = {name: getattr(one, name) for name in _MOVED} | {"reason": one.reason.value}
    await conn.execute(*queries["update_command"].bind(command_id=one.command_id, **values))
    await add_command_steps(conn, one.command_id, transition.steps, now)
    await conn.execute(*queries["notify_command"].bind(command_id=one.command_id))


async def add_command_steps(conn: asyncpg.Connection, command_id: int, steps: Sequence[Step], now: datetime) -> None:
    """Add rows to a command's timeline."""
    if not steps:
        return
    columns = {
        "steps": [one.step for one in steps],
        "from_states": [one.from_state for one in steps],
        "to_states": [one.to_state for one in steps],
        "actors": [one.actor for one in steps],
        "reasons": [one.reason.value for one in steps],
        "notes": [one.note for one in steps],
        "evidences": [one.evidence for one in steps],
    }
    await conn.execute(*queries["add_command_steps"].bind(command_id=command_id, at=now, **columns))


async def commands_in_flight(conn: asyncpg.Connection, now: datetime) -> list[tuple[int, bool]]:
    """Ids of unfinished commands, oldest first, each with whether there is something to do for it."""
    rows = await conn.fetch(*queries["commands_in_flight"].bind(now=now))
    return [(row["command_id"], row["due"]) for row in rows]


async def command_evidence(
    conn: asyncpg.Connection, command: Command, target: Target, clock_slack_s: float
) -> Evidence:
    """What arrived from the device since the command was first sent; nothing before."""
    if command.sent_at is None:
        return Evidence()
    since = command.sent_at - timedelta(seconds=clock_slack_s)
    words = queries["command_words"].bind(device_id=command.device_id, since=since, sent_at=command.sent_at)
    said = tuple(Said(**row) for row in await conn.fetch(*words))
    if target.kind != "meter" or not said:
        return Evidence(said)
    samples = queries["command_samples"].bind(device_id=command.device_id, since=since)
    return Evidence(said, tuple(Sample(**row) for row in await conn.fetch(*samples)))


async def command_hindrances(conn: asyncpg.Connection, target: Target) -> list[Hindrance]:
    """Alerts that may keep the device's valve closed."""
    query = queries["command_hindrances"]
    rows = await conn.fetch(*query.bind(device_id=target.device_id, premises_id=target.premises_id))
    return [Hindrance(**row) for row in rows]


async def leaks_to_close(conn: asyncpg.Connection, since: datetime) -> list[tuple[int, Leak]]:
    """High-level leaks with the device whose valve would be closed, none of which a policy command has answered."""
    rows = await conn.fetch(*queries["leaks_to_close"].bind(since=since))
    return [(row["target_id"], Leak(**{name: row[name] for name in Leak.__slots__})) for row in rows]


def command_of(row: Mapping[str, Any]) -> Command:
    """A command from a row that has its columns."""
    values = {name: row[name] for name in _COMMAND_FIELDS}
    return Command(**(values | {"reason": Reason(row["reason"])}))
