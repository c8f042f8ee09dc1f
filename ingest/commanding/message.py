"""The message that a gateway hears (docs/payloads.md has it, field by field)."""

import json
from datetime import UTC, datetime

from ingest.commanding.model import Command, Target


def command_topic(target: Target) -> str:
    """Where the gateway of a device listens for commands."""
    return f"gas/v1/{target.gateway_area}/{target.gateway}/commands"


def command_payload(command: Command, target: Target) -> bytes:
    """The command as JSON; sent again it is the same bytes, so that a device knows it by its number."""
    body = {
        "command": command.command_id,
        "device": target.code,
        "valve": command.valve,
        "expires_at": _moment(command.expires_at),
    }
    if target.family != "native":
        body["family"] = target.family
    return json.dumps(body, ensure_ascii=False).encode()


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
