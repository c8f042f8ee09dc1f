"""HTTP of the proof: what became of a message, conflicts, quarantine, and what validation found."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import asyncpg
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ingest import quarantine, refusals, tracing
from ingest.model import QuarantineReason
from ingest.phrases import finding_words
from ingest.sources import SourceParams
from ingest.trace import Outcome, Subject
from ingest.validation import Rule
from sql import queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_ADMINISTRATORS = frozenset({"administrator"})
_EVERYBODY = frozenset({"officer", "administrator", "inspector"})
_SHOWN_BYTES = 2_000
_SHOWN_PROSPECTS = 500
_ID_MAX = 2**62
_TEXT = r"^[^\x00]*$"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TraceQuery(_Frozen):
    """Which message: its device and the moment it tells of."""

    device: str = Field(min_length=1, max_length=64, pattern=_TEXT, description="The device's own code.")
    at: AwareDatetime = Field(description="Device time of the reading or event.")
    family: str | None = Field(None, max_length=64, pattern=_TEXT, description="When several families have that code.")


class GapAnswer(_Frozen):
    """Messages sent between two that arrived, and nowhere to be found."""

    missing: int
    after_seq: int
    after_at: datetime
    before_seq: int
    before_at: datetime


class TraceAnswer(_Frozen):
    """What became of one message, in a word and a sentence, and every fact behind it."""

    outcome: Outcome
    sentence: str
    device: Subject
    at: datetime
    reading: dict[str, Any] | None
    nearest: list[dict[str, Any]]
    events: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]
    quarantined: list[dict[str, Any]]
    unreadable: list[dict[str, Any]]
    held: list[dict[str, Any]]
    gaps: list[GapAnswer]
    ledger: list[dict[str, Any]]


class ConflictQuery(_Frozen):
    """Which conflicts, and a page of them."""

    device_id: int | None = Field(None, ge=1, le=2**31 - 1)
    device: str | None = Field(None, max_length=64, pattern=_TEXT, description="A device's own code.")
    source: Literal["reading", "event"] | None = None
    since: AwareDatetime | None = Field(None, description="Device time from this moment.")
    until: AwareDatetime | None = Field(None, description="Device time before this moment.")
    after: int | None = Field(None, ge=0, le=_ID_MAX, description="Cursor: `next` of the page before.")
    limit: int = Field(50, ge=1, le=500)


class ConflictAnswer(_Frozen):
    """Two values for one moment: `kept` is what is stored, `refused` what came after it and says something else."""

    conflict_id: int
    source: Literal["reading", "event"]
    device_id: int
    family: str
    code: str
    gateway: str
    area: str
    at: datetime
    kept: dict[str, Any]
    refused: dict[str, Any]
    batch_id: int
    slot: str | None
    refused_at: datetime | None


class ConflictPage(_Frozen):
    """Conflicts, newest first; `next` is the cursor of the following page."""

    items: list[ConflictAnswer]
    next: int | None


class QuarantineQuery(_Frozen):
    """Which quarantined messages, and a page of them."""

    reason: QuarantineReason | None = None
    gateway: str | None = Field(None, max_length=64, pattern=_TEXT)
    device: str | None = Field(
        None, min_length=1, max_length=64, pattern=_TEXT, description="Text inside the payload: a device's code."
    )
    text: str | None = Field(
        None, min_length=1, max_length=200, pattern=_TEXT, description="Text inside payload, topic or detail."
    )
    since: AwareDatetime | None = Field(None, description="Arrived at this moment or later.")
    until: AwareDatetime | None = Field(None, description="Arrived before this moment.")
    replayed: bool | None = Field(False, description="Only those that left quarantine, or only those that wait.")
    after: int | None = Field(None, ge=0, le=_ID_MAX, description="Cursor: `next` of the page before.")
    limit: int = Field(50, ge=1, le=500)


class QuarantinedAnswer(_Frozen):
    """One quarantined message. `payload` is its beginning as text, what is no UTF-8 escaped."""

    quarantine_id: int
    topic: str
    gateway: str
    reason: QuarantineReason
    detail: str
    decoder: str
    first_received_at: datetime
    last_received_at: datetime
    times: int
    replayed_at: datetime | None
    replay_batch_id: int | None
    payload_bytes: int
    payload: str


class QuarantinePage(_Frozen):
    """Quarantined messages, newest first; `next` is the cursor of the following page."""

    items: list[QuarantinedAnswer]
    next: int | None


class GaveWayQuery(_Frozen):
    """Of which gateway."""

    gateway: str | None = Field(None, max_length=64, pattern=_TEXT)


class GaveWayAnswer(_Frozen):
    """Messages of one gateway ('?': of none that is registered) and reason: how many came, how many are not kept."""

    gateway: str
    reason: QuarantineReason
    messages: int
    discarded: int
    last_received_at: datetime


class GaveWayPage(_Frozen):
    """What is no longer kept, most first."""

    items: list[GaveWayAnswer]


class FormQuery(_Frozen):
    """How a payload is shown."""

    form: Literal["auto", "text", "hex"] = Field("auto", description="auto: as text when it is text.")


class ReplayBody(_Frozen):
    """Which waiting messages to replay; neither ids nor a reason: all of them."""

    preview: bool = Field(True, description="Say what would happen and change nothing.")
    ids: list[int] | None = Field(None, min_length=1, max_length=10_000)
    reason: QuarantineReason | None = None


class ProspectAnswer(_Frozen):
    """What a replay would do with one message; `reason` and `detail` are null when it would be stored."""

    quarantine_id: int
    topic: str
    was: str
    reason: QuarantineReason | None
    detail: str | None


class ReplayAnswer(_Frozen):
    """How many messages became, or would become, what; of a preview, the first messages one by one."""

    preview: bool
    messages: int
    outcome: dict[str, int]
    items: list[ProspectAnswer]


class ValidationQuery(_Frozen):
    """Which findings about a device, and a page of them."""

    since: AwareDatetime | None = Field(None, description="Device time from this moment.")
    until: AwareDatetime | None = Field(None, description="Device time before this moment.")
    rule: Rule | None = None
    withdrawn: bool = Field(False, description="Those too that hold no longer: later readings explain them.")
    after: int | None = Field(None, ge=0, le=_ID_MAX, description="Cursor: `next` of the page before.")
    limit: int = Field(50, ge=1, le=500)


class FindingAnswer(_Frozen):
    """What a rule says of a reading (`at`: its moment) or of a UTC day (`at`: its start)."""

    finding_id: int
    at: datetime
    scope: Literal["reading", "day"]
    rule: Rule
    words: str
    detail: dict[str, Any]
    batch_id: int
    found_at: datetime
    withdrawn_at: datetime | None


class FindingPage(_Frozen):
    """Findings, newest found first; `next` is the cursor of the following page."""

    items: list[FindingAnswer]
    next: int | None


class ProofRoutes:
    """Handlers that show what became of messages and readings."""

    def __init__(self, pool: asyncpg.Pool, sources: Sequence[SourceParams] = ()) -> None:
        self._pool = pool
        self._sources = sources

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route; fixed paths before those with a parameter."""
        return [
            ("GET", "/trace", _OFFICE, self.trace),
            ("GET", "/conflicts", _OFFICE, self.conflicts),
            ("GET", "/quarantine", _OFFICE, self.quarantine),
            ("POST", "/quarantine/replay", _ADMINISTRATORS, self.replay),
            ("GET", "/quarantine/discarded", _OFFICE, self.discarded),
            ("GET", "/quarantine/{quarantine_id}", _OFFICE, self.quarantined),
            ("GET", "/devices/{device_id}/validation", _EVERYBODY, self.validation),
        ]

    async def trace(self, query: TraceQuery, actor: Actor) -> TraceAnswer:
        """What became of one message: stored, in conflict, quarantined, held, never arrived, or unknown."""
        async with self._pool.acquire() as conn:
            found = await tracing.trace(conn, query.device, query.at, actor, query.family)
        return TraceAnswer(
            outcome=found.outcome,
            sentence=found.sentence,
            device=found.subject,
            at=found.at,
            reading=found.reading,
            nearest=list(found.nearest),
            events=list(found.events),
            conflicts=list(found.conflicts),
            quarantined=list(found.quarantined),
            unreadable=list(found.unreadable),
            held=list(found.held),
            gaps=[GapAnswer.model_validate(gap, from_attributes=True) for gap in found.gaps],
            ledger=list(found.ledger),
        )

    async def conflicts(self, query: ConflictQuery, actor: Actor) -> ConflictPage:
        """Values that came for a moment that had another: the first stays, the second is here, newest first."""
        async with self._pool.acquire() as conn:
            rows = await tracing.conflicts_page(
                conn,
                actor,
                device_id=query.device_id,
                code=query.device,
                source=query.source,
                since=query.since,
                until=query.until,
                after=query.after,
                page_size=query.limit + 1,
            )
        items = [ConflictAnswer.model_validate(dict(row)) for row in rows[: query.limit]]
        return ConflictPage(items=items, next=items[-1].conflict_id if len(rows) > query.limit else None)

    async def quarantine(self, query: QuarantineQuery, actor: Actor) -> QuarantinePage:
        """Messages that could not be stored, newest first, with the reason."""
        async with self._pool.acquire() as conn:
            rows = await quarantine.search(
                conn,
                actor,
                reason=query.reason,
                gateway=query.gateway,
                device=query.device,
                words=query.text,
                since=query.since,
                until=query.until,
                replayed=query.replayed,
                after=query.after,
                page_size=query.limit + 1,
            )
        items = [_shown(row, "text", _SHOWN_BYTES) for row in rows[: query.limit]]
        return QuarantinePage(items=items, next=items[-1].quarantine_id if len(rows) > query.limit else None)

    async def discarded(self, query: GaveWayQuery, actor: Actor) -> GaveWayPage:
        """Messages that gave way to newer ones of their gateway and reason: counted, and no longer kept."""
        async with self._pool.acquire() as conn:
            rows = await refusals.gave_way(conn, actor, query.gateway)
        return GaveWayPage(items=[GaveWayAnswer.model_validate(dict(row)) for row in rows])

    async def quarantined(self, quarantine_id: int, query: FormQuery, actor: Actor) -> QuarantinedAnswer:
        """One quarantined message whole, its payload as text or in hexadecimal."""
        async with self._pool.acquire() as conn:
            rows = await quarantine.search(conn, actor, quarantine_id=quarantine_id, page_size=1)
        if not rows:
            raise NotFound(f"no message {quarantine_id} in quarantine")
        return _shown(rows[0], query.form, None)

    async def replay(self, body: ReplayBody, actor: Actor) -> ReplayAnswer:
        """Say what a replay would do, or store what can be stored now with its original times."""
        if actor.areas is not None:
            raise Conflict("a replay is for the whole city, and this account is for some areas")
        now = datetime.now(UTC)
        if not body.preview:
            outcome = await quarantine.replay(self._pool, actor, now, body.ids, body.reason, self._sources)
            return ReplayAnswer(preview=False, messages=sum(outcome.values()), outcome=dict(outcome), items=[])
        async with self._pool.acquire() as conn:
            prospects = await quarantine.preview(conn, now, body.ids, body.reason, self._sources)
        would = Counter("would be stored" if one.reason is None else f"still {one.reason.value}" for one in prospects)
        shown = [ProspectAnswer.model_validate(one, from_attributes=True) for one in prospects[:_SHOWN_PROSPECTS]]
        return ReplayAnswer(preview=True, messages=len(prospects), outcome=dict(would), items=shown)

    async def validation(self, device_id: int, query: ValidationQuery, actor: Actor) -> FindingPage:
        """What the rules of meter data management say of a device's readings and days, newest found first."""
        asked = queries["device_by_id"].bind(device_id=device_id, areas=actor.area_list())
        if await self._pool.fetchrow(*asked) is None:
            raise NotFound(f"no device {device_id}")
        rows = await self._pool.fetch(
            *queries["device_findings"].bind(
                device_id=device_id,
                since=query.since,
                until=query.until,
                rule=query.rule,
                withdrawn=query.withdrawn,
                after=query.after,
                page_size=query.limit + 1,
            )
        )
        items = [
            FindingAnswer(**dict(row), words=finding_words(row["scope"], row["rule"], row["detail"]))
            for row in rows[: query.limit]
        ]
        return FindingPage(items=items, next=items[-1].finding_id if len(rows) > query.limit else None)


def _shown(row: asyncpg.Record, form: Literal["auto", "text", "hex"], bytes_max: int | None) -> QuarantinedAnswer:
    payload = quarantine.payload_shown(row["payload"], form, bytes_max)
    return QuarantinedAnswer.model_validate(dict(row) | {"payload": payload})
