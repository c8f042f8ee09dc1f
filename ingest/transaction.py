"""One batch, one transaction: readings, events, states, quarantine, ledger, batch. Poison is cut out by halves."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from ingest import store
from ingest.binding import refuse_as_unstorable
from ingest.model import Bound, Disposition, Gateway, Refused, Tally
from ingest.noting import note_unread_alarms
from ingest.refusals import keep_refused
from ingest.rows import span
from ingest.states import fold_facts, fold_gateways
from ingest.strangers import keep_strangers


@dataclass(slots=True)
class _Part:
    """What a part of a batch did: per message number, rows added and whether in conflict."""

    bounds: list[Bound] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    added: Counter[int] = field(default_factory=Counter)
    conflicted: set[int] = field(default_factory=set)
    changed: list[Bound] = field(default_factory=list)  # messages that added reading rows
    reading_rows: int = 0
    event_rows: int = 0
    gateway_rows: int = 0
    had_repeats: bool = False

    def join(self, other: "_Part") -> "_Part":
        return _Part(
            self.bounds + other.bounds,
            self.refused + other.refused,
            self.added + other.added,
            self.conflicted | other.conflicted,
            self.changed + other.changed,
            self.reading_rows + other.reading_rows,
            self.event_rows + other.event_rows,
            self.gateway_rows + other.gateway_rows,
            self.had_repeats or other.had_repeats,
        )


async def write_batch(
    conn: asyncpg.Connection,
    slot: str,
    batch_id: int,
    judged: Sequence[Bound | Refused],
    *,
    expect_repeats: bool,
    replayed_at: datetime | None = None,
) -> Tally:
    """Write everything that one batch of messages means, inside the caller's transaction.

    The caller holds the slot's lock and took `batch_id` after it. `expect_repeats` skips the optimistic COPY when
    the last batch had repeats. `replayed_at` is set when the messages come out of quarantine. Raises whatever
    the database says, except what concerns single messages: those are quarantined `unstorable`.
    """
    part = await _store_messages(conn, batch_id, [one for one in judged if isinstance(one, Bound)], expect_repeats)
    refused = [one for one in judged if isinstance(one, Refused)] + part.refused
    others = await keep_strangers(conn, refused, batch_id)
    if others:
        await keep_refused(conn, others, batch_id)
    dispositions = _dispositions(part, refused)
    if replayed_at is None:
        await note_unread_alarms(conn, refused, batch_id)
    else:
        await _mark_replayed(conn, part.bounds, replayed_at, batch_id)
    gateways: dict[int, Gateway | None] = {one.number: one.gateway for one in judged}
    messages = {one.number: one.message for one in judged}
    await store.touch_gateways(conn, fold_gateways(judged))
    lines = [(messages[number], gateways[number], dispositions[number]) for number in sorted(messages)]
    await store.add_to_ledger(conn, slot, lines)
    counts = Counter(dispositions.values())
    rows = (part.reading_rows, part.event_rows, part.gateway_rows)
    device_ids = sorted({one.device.device_id for bound in part.changed for one in bound.reports})
    received = [message.received_at for message in messages.values()]
    await store.insert_batch(conn, batch_id, slot, received, counts, rows, device_ids, span(part.changed))
    in_order = tuple(dispositions[number] for number in sorted(messages))
    return Tally(in_order, batch_id, *rows, part.had_repeats, dict(counts))


async def _store_messages(conn: asyncpg.Connection, batch_id: int, bounds: list[Bound], expect_repeats: bool) -> _Part:
    """Store these messages; when the database refuses one, halve until it stands alone and refuse it."""
    if not bounds:
        return _Part()
    try:
        return await _try_part(conn, batch_id, bounds, expect_repeats)
    except asyncpg.PostgresError as error:
        if not is_about_values(error):
            raise
        refusal = error
    if len(bounds) > 1:
        half = len(bounds) // 2
        first = await _store_messages(conn, batch_id, bounds[:half], expect_repeats)
        return first.join(await _store_messages(conn, batch_id, bounds[half:], expect_repeats))
    try:
        return await _try_part(conn, batch_id, bounds, expect_repeats)
    except asyncpg.PostgresError as error:
        if not is_about_values(error):
            raise
        return _Part(refused=[refuse_as_unstorable(bounds[0], f"{type(error).__name__}: {refusal}")])


def is_about_values(error: BaseException) -> bool:
    """Whether the database refused the values themselves, so that trying again cannot help.

    Classes 22 (data), 23 (integrity) and P0 (raised by a trigger) of SQLSTATE; a client-side encoding error counts.
    """
    code = getattr(error, "sqlstate", None) or ""
    return isinstance(error, asyncpg.DataError) or code[:2] in {"22", "23", "P0"}


async def _try_part(conn: asyncpg.Connection, batch_id: int, bounds: list[Bound], expect_repeats: bool) -> _Part:
    async with conn.transaction():
        part = _Part(bounds=bounds)
        await _store_readings(conn, batch_id, part, expect_repeats)
        await _store_events(conn, batch_id, part)
        await _store_statuses(conn, batch_id, part)
        facts = fold_facts(bounds, part.conflicted)
        if facts:
            await store.merge_device_states(conn, facts)
        words = [(one.device_id, one.words) for one in facts if one.words is not None]
        if words:
            await store.merge_device_words(conn, words)
        return part


async def _store_readings(conn: asyncpg.Connection, batch_id: int, part: _Part, expect_repeats: bool) -> None:
    bounds = [bound for bound in part.bounds if bound.reports]
    if not bounds:
        return
    if not expect_repeats:
        try:
            async with conn.transaction():
                part.reading_rows += await store.copy_readings(conn, bounds, batch_id)
        except asyncpg.UniqueViolationError:
            pass
        else:
            part.added.update(bound.number for bound in bounds)
            part.changed += bounds
            return
    judged = await store.stage_readings(conn, bounds, batch_id)
    for bound in bounds:
        rows, conflict = judged[bound.number]
        part.reading_rows += rows
        part.added[bound.number] += rows
        if rows:
            part.changed.append(bound)
        if conflict:
            part.conflicted.add(bound.number)
    part.had_repeats = part.had_repeats or any(not rows or conflict for rows, conflict in judged.values())


async def _store_events(conn: asyncpg.Connection, batch_id: int, part: _Part) -> None:
    events = [(bound, one) for bound in part.bounds for one in bound.events]
    if not events:
        return
    for (bound, _), (added, conflict) in zip(events, await store.insert_events(conn, events, batch_id), strict=True):
        part.added[bound.number] += added
        part.event_rows += added
        if conflict:
            part.conflicted.add(bound.number)


async def _store_statuses(conn: asyncpg.Connection, batch_id: int, part: _Part) -> None:
    statuses = [(bound, bound.status) for bound in part.bounds if bound.status is not None]
    if not statuses:
        return
    for (bound, _), added in zip(statuses, await store.insert_gateway_events(conn, statuses, batch_id), strict=True):
        part.added[bound.number] += added
        part.gateway_rows += added


def _dispositions(part: _Part, refused: Sequence[Refused]) -> dict[int, Disposition]:
    """One word per message: quarantined before conflict before late before stored before duplicate."""
    words = {one.number: Disposition.QUARANTINED for one in refused}
    for bound in part.bounds:
        if bound.number in part.conflicted:
            words[bound.number] = Disposition.CONFLICT
        elif not part.added[bound.number]:
            words[bound.number] = Disposition.DUPLICATE
        else:
            words[bound.number] = Disposition.LATE if bound.late else Disposition.STORED
    return words


async def _mark_replayed(
    conn: asyncpg.Connection, bounds: Sequence[Bound], replayed_at: datetime, batch_id: int
) -> None:
    ids = [bound.message.quarantine_id for bound in bounds if bound.message.quarantine_id is not None]
    if ids:
        await store.mark_replayed(conn, ids, replayed_at, batch_id)
