"""Takes photos, signatures and documents of a visit: read within limits, judged by content, kept by digest."""

import asyncio
import hashlib
import io
import warnings
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import asyncpg
from aiohttp import StreamReader
from PIL import Image

from inspections.evidence_params import EvidenceParams
from inspections.objects import Objects
from inspections.outcomes import InvalidOutcome
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

EvidenceKind = Literal["photo", "signature", "document"]
_IMAGES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Judged:
    """What a file is by its content."""

    media_type: str
    width_px: int | None = None
    height_px: int | None = None


async def read_within(upload: StreamReader, params: EvidenceParams) -> bytes:
    """Read a body, never more of it than is allowed; raises InvalidOutcome."""
    parts, size = [], 0
    async for part in upload.iter_chunked(_CHUNK_BYTES):
        size += len(part)
        if size > params.bytes_max:
            raise InvalidOutcome("content", f"is larger than {params.bytes_max} bytes")
        parts.append(part)
    if not size:
        raise InvalidOutcome("content", "is empty")
    return b"".join(parts)


def judge(content: bytes, kind: EvidenceKind, pixels_max: int) -> Judged:
    """Say what a file is by its content, whatever its sender calls it; raises InvalidOutcome."""
    if kind == "document":
        if not content.startswith(b"%PDF-"):
            raise InvalidOutcome("content", "a document is a PDF")
        return Judged("application/pdf")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=list(_IMAGES)) as image:
                form, (width, height) = image.format, image.size
                if width * height > pixels_max:
                    raise InvalidOutcome("content", f"has more than {pixels_max} pixels")
                image.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Warning) as error:
        raise InvalidOutcome("content", f"is no whole image ({', '.join(sorted(_IMAGES))})") from error
    return Judged(_IMAGES[form or ""], width, height)


async def take_evidence(
    pool: asyncpg.Pool,
    objects: Objects,
    params: EvidenceParams,
    visit_id: int,
    client_id: UUID,
    kind: EvidenceKind,
    taken_at: datetime,
    upload: StreamReader,
    actor: Actor,
    received_at: datetime,
) -> asyncpg.Record:
    """Keep a file of a visit; the same file under the same client id again is the same row.

    Raises NotFound for a visit that is not the caller's, Conflict for a client id used otherwise or too many files,
    InvalidOutcome for what may not be kept.
    """
    async with pool.acquire() as conn:
        await visit_of_caller(conn, visit_id, actor)
    content = await read_within(upload, params)
    judged = await asyncio.to_thread(judge, content, kind, params.pixels_max)
    digest = hashlib.sha256(content).digest()
    key = f"{digest.hex()[:2]}/{digest.hex()}"
    await objects.put(key, content)  # before the row: a row without its object would be a lie
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(*queries["lock_evidence"].bind(visit_id=visit_id))
        earlier = await conn.fetchrow(*queries["evidence_of_client"].bind(client_id=client_id))
        if earlier is not None:
            if (earlier["sha256"], earlier["visit_id"], earlier["kind"]) != (digest, visit_id, kind):
                raise Conflict(f"client_id {client_id} was used before for another file")
            return earlier
        count = await conn.fetchval(*queries["count_evidence"].bind(visit_id=visit_id))
        if count >= params.per_visit_max:
            raise Conflict(f"visit {visit_id} has {count} files already, the most that are kept")
        row = await conn.fetchrow(
            *queries["add_evidence"].bind(
                client_id=client_id, visit_id=visit_id, kind=kind, media_type=judged.media_type,
                size_bytes=len(content), width_px=judged.width_px, height_px=judged.height_px, sha256=digest,
                object_key=key, taken_at=taken_at,
                received_at=received_at, actor=actor.name,
            )
        )  # fmt: skip
        assert row is not None
        said = {"evidence_id": row["evidence_id"], "kind": kind, "sha256": digest.hex()}
        await audit.record(conn, actor, "evidence.add", f"visit:{visit_id}", said, received_at)
    return row


async def visit_of_caller(conn: asyncpg.Connection, visit_id: int, actor: Actor) -> None:
    """Raises NotFound unless the visit lies in the caller's areas and, for an inspector, is or was the own one."""
    row = await conn.fetchrow(*queries["visit_for_report"].bind(visit_id=visit_id))
    stranger = row is None or not actor.covers(row["area"])
    if stranger or (actor.role == "inspector" and actor.inspector_code not in {row["inspector"], *row["was_of"]}):
        raise NotFound(f"visit {visit_id} does not exist")
