"""HTTP of evidence: upload of a visit's files, their list, download."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from aiohttp import StreamReader, web
from pydantic import AwareDatetime, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from inspections.answers import Shape
from inspections.evidence import EvidenceKind, take_evidence, visit_of_caller
from inspections.evidence_params import EvidenceParams
from inspections.objects import Objects
from inspections.outcomes import InvalidOutcome
from sql import audit, queries
from sql.actor import Actor
from sql.errors import NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_EVERYBODY = frozenset({"officer", "inspector", "administrator"})
_WRITERS = frozenset({"officer", "inspector"})


class EvidenceAnswer(Shape):
    """A file of a visit."""

    evidence_id: int
    client_id: UUID
    visit_id: int
    kind: EvidenceKind
    media_type: str
    size_bytes: int
    width_px: int | None
    height_px: int | None
    sha256: str
    taken_at: datetime
    received_at: datetime
    actor: str


class EvidenceQuery(Shape):
    """What is sent."""

    kind: EvidenceKind
    taken_at: AwareDatetime = Field(description="By the clock of the sender's device.")


class EvidenceRoutes:
    """Handlers over a pool and the objects."""

    def __init__(self, pool: asyncpg.Pool, params: EvidenceParams) -> None:
        self._pool = pool
        self._params = params
        self._objects = Objects(params)

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("PUT", "/visits/{visit_id}/evidence/{client_id}", _WRITERS, self.upload),
            ("GET", "/visits/{visit_id}/evidence", _EVERYBODY, self.of_visit),
            ("GET", "/evidence/{evidence_id}", _EVERYBODY, self.download),
        ]

    async def upload(
        self, visit_id: int, client_id: UUID, query: EvidenceQuery, upload: StreamReader, actor: Actor
    ) -> EvidenceAnswer:
        """Keep a photo or signature (JPEG, PNG, WebP) or a PDF: the raw body; send it again until an answer comes."""
        at = datetime.now(UTC)
        try:
            row = await take_evidence(
                self._pool, self._objects, self._params, visit_id, client_id, query.kind, query.taken_at, upload,
                actor, at,
            )  # fmt: skip
        except InvalidOutcome as refusal:
            fault = PydanticCustomError("evidence", "{rule}", {"rule": refusal.rule})
            raise ValidationError.from_exception_data(
                "Evidence", [InitErrorDetails(type=fault, loc=("body", refusal.field), input=None)]
            ) from refusal
        return _answer(row)

    async def of_visit(self, visit_id: int, actor: Actor) -> list[EvidenceAnswer]:
        """The files of a visit."""
        async with self._pool.acquire() as conn:
            await visit_of_caller(conn, visit_id, actor)
            return [_answer(row) for row in await conn.fetch(*queries["evidence_of_visit"].bind(visit_id=visit_id))]

    async def download(self, evidence_id: int, actor: Actor) -> web.Response:
        """A file as it was sent; every look is audited, it may show a home."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(*queries["evidence_by_id"].bind(evidence_id=evidence_id))
            if row is None:
                raise NotFound(f"evidence {evidence_id} does not exist")
            await visit_of_caller(conn, row["visit_id"], actor)
            await audit.record(conn, actor, "evidence.read", f"evidence:{evidence_id}", {}, at)
        content = await self._objects.get(row["object_key"])
        return web.Response(body=content, content_type=row["media_type"])


def _answer(row: asyncpg.Record) -> EvidenceAnswer:
    shown = {name: row[name] for name in EvidenceAnswer.model_fields}
    return EvidenceAnswer.model_validate(shown | {"sha256": row["sha256"].hex()})
