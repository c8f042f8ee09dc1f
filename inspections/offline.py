"""Outcomes from offline: each is recorded or kept as a conflict, in any order, however often, with a receipt."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from inspections.access_rates import AccessRates
from inspections.answers import OutcomeReceipt
from inspections.offline_answers import ConflictKind, ItemReceipt, OfflineOutcome
from inspections.outcomes import InvalidOutcome
from inspections.params import RosterParams
from inspections.reports import take_report
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

_ITEM_BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class _Why:
    """Why an item is kept as a conflict."""

    kind: ConflictKind
    reason: str
    field: str | None = None
    area: str | None = None


async def take_batch(
    pool: asyncpg.Pool,
    items: Sequence[dict[str, Any]],
    params: RosterParams,
    actor: Actor,
    received_at: datetime,
    rates: AccessRates | None = None,
) -> list[ItemReceipt]:
    """Take each item in a transaction of its own, in order of the time at the door; receipts in the order sent.

    What was taken before an interruption stays taken: the batch is sent again whole.
    """
    receipts: dict[int, ItemReceipt] = {}
    async with pool.acquire() as conn:
        for index in sorted(range(len(items)), key=lambda one: (str(items[one].get("at")), one)):
            receipts[index] = await _take(conn, index, items[index], params, actor, received_at, rates)
    return [receipts[index] for index in range(len(items))]


async def _take(
    conn: asyncpg.Connection,
    index: int,
    item: dict[str, Any],
    params: RosterParams,
    actor: Actor,
    received_at: datetime,
    rates: AccessRates | None,
) -> ItemReceipt:
    digest = item_digest(item, actor)
    report = _read(item)
    if isinstance(report, _Why):
        return await _keep(conn, index, item, digest, report, actor, received_at)
    visit = await conn.fetchrow(*queries["visit_for_report"].bind(visit_id=report.visit_id))
    hindrance = _hindrance(visit, report, actor)
    if hindrance is not None:
        return await _keep(conn, index, item, digest, hindrance, actor, received_at)
    try:
        async with conn.transaction():
            receipt = await take_report(conn, report.visit_id, report, params, actor, received_at, rates)
            await conn.execute(*queries["record_conflict"].bind(digest=digest, outcome_id=receipt["outcome_id"]))
            if not visit["in_force"]:
                await _keep_row(conn, item, digest, _left_out(visit, report), actor, received_at, receipt["outcome_id"])
    except InvalidOutcome as refusal:
        why = _Why("invalid", refusal.rule, refusal.field, visit["area"])
    except NotFound:
        why = _Why("moved", f"visit {report.visit_id} is on somebody else's roster by now", area=visit["area"])
    except Conflict as refusal:
        reused = "used" in str(refusal)
        why = _Why("client_id_reused" if reused else "already_reported", str(refusal), area=visit["area"])
    else:
        answer = OutcomeReceipt.model_validate(dict(receipt))
        return ItemReceipt(index=index, client_id=report.client_id, status="recorded", receipt=answer)
    return await _keep(conn, index, item, digest, why, actor, received_at)


def item_digest(item: Mapping[str, Any], actor: Actor) -> bytes:
    """SHA-256 over the sender and the item in canonical JSON."""
    text = json.dumps([actor.name, item], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).digest()


def _read(item: Mapping[str, Any]) -> OfflineOutcome | _Why:
    text = json.dumps(item)
    if "\\u0000" in text or len(text) > _ITEM_BYTES_MAX:
        return _Why("invalid", f"holds a NUL character, or is longer than {_ITEM_BYTES_MAX} bytes")
    try:
        return OfflineOutcome.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(map(str, fault["loc"]))
        return _Why("invalid", fault["msg"].removeprefix("Value error, "), field)


def _hindrance(visit: asyncpg.Record | None, report: OfflineOutcome, actor: Actor) -> _Why | None:
    """Why this sender cannot report this visit; to whom it never belonged, it does not exist."""
    unknown = _Why("unknown_visit", f"there is no visit {report.visit_id}")
    if visit is None or not actor.covers(visit["area"]):
        return unknown
    if actor.role == "inspector" and visit["inspector"] != actor.inspector_code:
        if actor.inspector_code not in visit["was_of"]:
            return unknown
        return _Why("moved", f"visit {report.visit_id} is on somebody else's roster by now", area=visit["area"])
    return None


def _left_out(visit: asyncpg.Record, report: OfflineOutcome) -> _Why:
    day, version = visit["day"].isoformat(), visit["version"]
    reason = (
        f"the rosters in force on {day} have no visit {report.visit_id} any more (last in version {version}); recorded"
    )
    return _Why("roster_changed", reason, area=visit["area"])


async def _keep(
    conn: asyncpg.Connection,
    index: int,
    item: dict[str, Any],
    digest: bytes,
    why: _Why,
    actor: Actor,
    received_at: datetime,
) -> ItemReceipt:
    async with conn.transaction():
        row = await _keep_row(conn, item, digest, why, actor, received_at, None)
    return ItemReceipt(
        index=index,
        client_id=_uuid(item.get("client_id")),
        status="conflict",
        conflict_id=row["conflict_id"],
        kind=row["kind"],
        field=row["field"],
        reason=row["reason"],
    )


async def _keep_row(
    conn: asyncpg.Connection,
    item: dict[str, Any],
    digest: bytes,
    why: _Why,
    actor: Actor,
    received_at: datetime,
    outcome_id: int | None,
) -> asyncpg.Record:
    row = await conn.fetchrow(
        *queries["keep_conflict"].bind(
            digest=digest,
            client_id=_uuid(item.get("client_id")),
            visit_id=_number(item.get("visit_id"), 2**63),
            area=why.area,
            kind=why.kind,
            field=why.field,
            reason=why.reason,
            item=_storable(item),
            base_version=_number(item.get("base_version"), 2**31),
            outcome_id=outcome_id,
            state="open" if outcome_id is None else "recorded",
            received_at=received_at,
            actor=actor.name,
        )
    )
    assert row is not None
    return row


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _number(value: object, limit: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit else None


def _storable(item: dict[str, Any]) -> dict[str, Any]:
    """The item as JSON that the database takes: what it cannot hold is kept as escaped text."""
    text = json.dumps(item)
    return {"text": text} if "\\u0000" in text else item


async def settle(
    conn: asyncpg.Connection,
    conflict_id: int,
    record: bool,
    note: str,
    params: RosterParams,
    actor: Actor,
    at: datetime,
) -> None:
    """A person decides on an open conflict: the report is taken as it was sent, or not; in the caller's transaction.

    Raises NotFound, Conflict when it is settled already or cannot be taken, InvalidOutcome.
    """
    row = await conn.fetchrow(*queries["lock_conflict"].bind(conflict_id=conflict_id, areas=actor.area_list()))
    if row is None:
        raise NotFound(f"conflict {conflict_id} does not exist")
    if row["state"] != "open":
        raise Conflict(f"conflict {conflict_id} is {row['state']} already")
    outcome_id = None
    if record:
        report = _read(row["item"])
        if isinstance(report, _Why):
            raise Conflict(f"it cannot be recorded as it was sent: {report.field or 'item'}: {report.reason}")
        outcome_id = (await take_report(conn, report.visit_id, report, params, actor, at))["outcome_id"]
    state = "recorded" if record else "rejected"
    await conn.execute(
        *queries["settle_conflict"].bind(
            conflict_id=conflict_id, state=state, outcome_id=outcome_id, settled_at=at, settled_by=actor.name, note=note
        )
    )
    said = {"state": state, "note": note}
    await audit.record(conn, actor, "outcome_conflict.settle", f"outcome_conflict:{conflict_id}", said, at)
