"""The message to a gateway: what the specification shows is what is sent."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest.commanding.message import command_payload, command_topic
from ingest.commanding.model import Command, Reason, Target

_DOCS = (Path(__file__).parents[2] / "docs" / "payloads.md").read_text("utf-8")
_EXAMPLES = re.findall(r"```json to (gas/v1/\S+)\n(.*?)```", _DOCS, re.DOTALL)
_NOW = datetime(2026, 11, 20, tzinfo=UTC)


def _target(code: str, family: str = "native") -> Target:
    return Target(7, family, code, "meter", "D01", "GW-0001", "D01", 3, True, 40.0, 10_000, 86_400)


def _command(number: int, valve: str, expires_at: datetime) -> Command:
    return Command(number, 7, valve, "sent", Reason.DUE, "olga", _NOW, None, "boris", _NOW, expires_at)


def test_the_specification_has_examples() -> None:
    """One to close, one to open."""
    assert [json.loads(payload)["valve"] for _, payload in _EXAMPLES] == ["close", "open"]


@pytest.mark.parametrize(("topic", "payload"), _EXAMPLES)
def test_what_the_specification_shows_is_what_is_sent(topic: str, payload: str) -> None:
    """Topic and fields, word for word."""
    body = json.loads(payload)
    target = _target(body["device"])
    command = _command(body["command"], body["valve"], datetime.fromisoformat(body["expires_at"]))
    assert command_topic(target) == topic
    assert json.loads(command_payload(command, target)) == body


def test_a_foreign_device_is_named_with_its_family() -> None:
    """Identity is family and text, never text alone."""
    said = json.loads(command_payload(_command(1, "close", _NOW), _target("24e124", "lorawan")))
    assert (said["family"], said["device"]) == ("lorawan", "24e124")
