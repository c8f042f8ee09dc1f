"""The files of evidence that belong into a dossier, read from their store and compared with what was recorded."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.dossier.archive import Item, Standing
from inspections.objects import Objects

_ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp", "application/pdf": "pdf"}


@dataclass(frozen=True, slots=True)
class Kept:
    """Every file that was recorded, each with how it stands, and the content of those that are whole, by name."""

    items: tuple[Item, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


async def gather_evidence(objects: Objects, rows: Sequence[Mapping[str, Any]], bytes_max: int) -> Kept:
    """Read the files of these rows, at most so many bytes together; raises ObjectsUnreachable."""
    items: list[Item] = []
    files: dict[str, bytes] = {}
    held = 0
    for row in rows:
        if held + row["size_bytes"] > bytes_max:
            items.append(_item(row, "left_out"))
            continue
        try:
            content = await objects.get(row["object_key"])
        except FileNotFoundError:
            items.append(_item(row, "missing"))
            continue
        item = judged(row, content)
        items.append(item)
        if item.file is not None:
            files[item.file] = content
            held += len(content)
    return Kept(tuple(items), files)


def judged(row: Mapping[str, Any], content: bytes) -> Item:
    """How a file stands by its content: whole under a name of its own, or corrupt with the digest that it has."""
    found = hashlib.sha256(content).hexdigest()
    if found != row["sha256"]:
        return _item(row, "corrupt", found_sha256=found)
    ending = _ENDINGS.get(row["media_type"], "bin")
    return _item(row, "whole", file=f"evidence/{row['evidence_id']}-{row['kind']}.{ending}")


def _item(row: Mapping[str, Any], standing: Standing, file: str | None = None, found_sha256: str | None = None) -> Item:
    return Item(
        evidence_id=row["evidence_id"],
        kind=row["kind"],
        media_type=row["media_type"],
        taken_at=row["taken_at"],
        sha256=row["sha256"],
        standing=standing,
        file=file,
        found_sha256=found_sha256,
    )
