"""Notes what may be an alarm among refused messages, in the transaction of their batch: the rules page for it."""

from collections.abc import Sequence

import asyncpg

from ingest.model import Refused
from ingest.refusals import storable
from ingest.unread import UnreadAlarm, unread_alarms
from sql import queries


async def note_unread_alarms(conn: asyncpg.Connection, refused: Sequence[Refused], batch_id: int) -> None:
    """Note them, a row for each kind and registered device, else gateway, else district: strangers add no rows."""
    found = [alarm for one in refused for alarm in unread_alarms(one)]
    if found:
        await conn.execute(*queries["note_unread_alarms"].bind(**_columns(found), batch_id=batch_id))


def _columns(found: Sequence[UnreadAlarm]) -> dict[str, list[object]]:
    return {
        "areas": [one.area for one in found],
        "gateways": [one.gateway for one in found],
        "families": [one.family for one in found],
        "devices": [one.device for one in found],
        "events": [one.event for one in found],
        "levels": [one.level for one in found],
        "lel_pcts": [one.lel_pct for one in found],
        "reasons": [one.reason for one in found],
        "details": [storable(one.detail) for one in found],
        "received": [one.received_at for one in found],
    }
