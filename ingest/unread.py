"""Alarms that cannot be stored: refused for an impossible time, an unregistered device, a broken field. Pure.

A message in quarantine is nobody's alert. What may be an alarm among them is noted apart, so that the rules page for
it (docs/rules.md, `alarm_unread`): the gas does not wait until somebody registers the detector.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ingest.model import Decoded, Event, Item, Refused, Report
from ingest.payload import EVENTS, FAMILY, LEL_PCT_MAX, REASON_CODES

LEL_PCT_MIN = 5.0
"""From this concentration on a measurement counts as gas: the lowest set-point that is permitted (docs/rules.md)."""

ALARMS = ("leak_alarm", "co_alarm")
UNKNOWN = "unknown"
GAS_MEASURED = "gas_measured"

_WORD = rb'"%s"\s*:\s*"([^"\\]{1,64})"'
_EVENT, _STATE, _DEVICE = (re.compile(_WORD % name) for name in (b"event", b"state", b"device"))
_TEST = re.compile(rb'"test"\s*:\s*true')
_LEL = re.compile(rb'"lel_pct"\s*:\s*(\d{1,3}(?:\.\d{1,9})?)\s*[,}]')
_LEVEL_LOW = re.compile(rb'"level"\s*:\s*1\s*[,}]')


@dataclass(frozen=True, slots=True)
class UnreadAlarm:
    """What may be an alarm in a message that was refused.

    `event` is `leak_alarm`, `co_alarm`, `gas_measured` (a concentration of `lel_pct`), or `unknown`: it came where
    events come, and cannot be read. `level` is 2 where the device does not say that it is low. `gateway`, `device` and
    `area` are what the message claims, None where it claims nothing.
    """

    event: str
    level: int
    lel_pct: float | None
    area: str | None
    gateway: str | None
    family: str
    device: str | None
    reason: str
    detail: str
    received_at: datetime


def unread_alarms(refused: Refused) -> Iterator[UnreadAlarm]:
    """Every alarm that a refused message may hold; self-tests, clears and other events are none."""
    content = refused.message.content
    if isinstance(content, Decoded):
        for item in content.items:
            yield from _of_item(refused, content, item)
    elif refused.message.topic.startswith("gas/"):
        yield from _of_bytes(refused)


def _of_item(refused: Refused, content: Decoded, item: Item) -> Iterator[UnreadAlarm]:
    who = (content.area, content.gateway or None, content.family)
    if isinstance(item, Event) and item.kind in ALARMS and item.state == "raised" and not item.test:
        yield _noted(refused, item.kind, item.level or 2, item.lel_pct, *who, item.device)
    if isinstance(item, Report) and not item.marks and _tells_gas(item):
        yield _noted(refused, GAS_MEASURED, 2, item.lel_pct, *who, item.device)


def _tells_gas(report: Report) -> bool:
    measured = report.lel_pct is not None and report.lel_pct >= LEL_PCT_MIN
    return measured or report.reason == REASON_CODES["detector_alarm"]


def _of_bytes(refused: Refused) -> Iterator[UnreadAlarm]:
    """A native message that could not be decoded, searched for the words that an alarm would have."""
    topic, payload = refused.message.topic.split("/"), refused.message.payload
    event, state = _found(_EVENT, payload), _found(_STATE, payload)
    if not payload or state == "cleared" or _TEST.search(payload):
        return
    lel_pct = _measured(payload)
    if event in ALARMS:
        kind = event
    elif topic[-1] == "readings" and lel_pct is not None and lel_pct >= LEL_PCT_MIN:
        kind = GAS_MEASURED
    elif topic[-1] == "events" and event not in EVENTS:
        kind = UNKNOWN
    else:
        return
    level = 1 if _LEVEL_LOW.search(payload) else 2
    area, gateway = (topic[2], topic[3]) if len(topic) > 3 else (None, None)
    yield _noted(refused, kind, level, lel_pct, area, gateway, FAMILY, _found(_DEVICE, payload))


def _found(pattern: re.Pattern[bytes], payload: bytes) -> str | None:
    match = pattern.search(payload)
    return None if match is None else match.group(1).decode("utf-8", "backslashreplace").replace("\0", "\\0")


def _measured(payload: bytes) -> float | None:
    """The concentration in %LEL that the bytes tell; None where they tell none, or one that no detector shows."""
    match = _LEL.search(payload)
    value = None if match is None else float(match.group(1))
    return value if value is not None and value <= LEL_PCT_MAX else None


def _noted(
    refused: Refused,
    event: str,
    level: int,
    lel_pct: float | None,
    area: str | None,
    gateway: str | None,
    family: str,
    device: str | None,
) -> UnreadAlarm:
    known = refused.gateway.code if refused.gateway is not None else gateway
    rejected, received_at = refused.rejected, refused.message.received_at
    return UnreadAlarm(
        event, level, lel_pct, area, known, family, device, rejected.reason.value, rejected.detail, received_at
    )
