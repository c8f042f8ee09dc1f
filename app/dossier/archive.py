"""A dossier's archive: files, a manifest with their digests, a signature over the manifest. Pure.

The archive is a zip in one canonical form (entries stored in order, no times), so that a verifier can rebuild it
and find any altered byte, also one that no file of the archive holds.
"""

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = "gaswarden dossier 2"
_MANIFEST, _SIGNATURE = "manifest.json", "manifest.sig"
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error)
_EPOCH = (1980, 1, 1, 0, 0, 0)
Standing = Literal["whole", "missing", "corrupt", "left_out"]
_LACKS = {
    "missing": "is missing: its file was not in the store of evidence",
    "corrupt": "is corrupt: its file is not the one that was taken",
    "left_out": "is left out: the archive would have become too large",
}


@dataclass(frozen=True, slots=True)
class About:
    """What a dossier is about, who made it and when."""

    kind: str
    subject: str
    made_at: datetime
    made_by: str


@dataclass(frozen=True, slots=True)
class Item:
    """A file of evidence as it was recorded when it was taken, and how it was found when the dossier was made.

    `file` is its name in the archive; None unless it is whole. `found_sha256` is what was found of a corrupt one.
    """

    evidence_id: int
    kind: str
    media_type: str
    taken_at: str
    sha256: str
    standing: Standing
    file: str | None
    found_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying found: faults in words, none when all is whole and signed; the manifest once it is trusted.

    `lacking` names the evidence that the archive itself says it does not hold.
    """

    faults: tuple[str, ...]
    manifest: Mapping[str, Any]
    lacking: tuple[str, ...] = ()


def build_archive(
    about: About, files: Mapping[str, bytes], key: Ed25519PrivateKey, evidence: Sequence[Item] = ()
) -> bytes:
    """The signed archive of these files; `evidence` says which of them are evidence, and which evidence lacks."""
    manifest = {
        "format": FORMAT,
        "kind": about.kind,
        "subject": about.subject,
        "made_at": about.made_at.isoformat(),
        "made_by": about.made_by,
        "key_sha256": hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest(),
        "files": {name: {"sha256": _digest(content), "bytes": len(content)} for name, content in sorted(files.items())},
        "evidence": [asdict(item) for item in evidence],
    }
    signed = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
    return _zip(dict(sorted(files.items())) | {_MANIFEST: signed, _SIGNATURE: key.sign(signed)})


def verify_archive(content: bytes, key: Ed25519PublicKey) -> Verdict:
    """Check signature, digests, completeness and the form of the archive itself; never raises on a bad archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        signed, signature = files[_MANIFEST], files[_SIGNATURE]
    except (KeyError, NotImplementedError, RuntimeError, ValueError, EOFError, OSError, *_DAMAGED) as error:
        return Verdict((f"this is no dossier, or a damaged one: {error}",), {})
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return Verdict(("the manifest is not signed by this key, or was altered after",), {})
    manifest: dict[str, Any] = json.loads(signed)
    items = manifest.get("evidence", [])  # dossiers of format 1 had none
    faults = [*_file_faults(files, manifest["files"]), *_evidence_faults(items, manifest["files"])]
    if not faults and _zip(files) != content:
        faults.append("the archive around the files was altered")
    return Verdict(tuple(faults), manifest, tuple(lacking_of(items)))


def lacking_of(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each file of evidence that an archive does not hold."""
    return [
        f"evidence {item['evidence_id']} ({item['kind']} of {item['taken_at']}, SHA-256 {item['sha256']}) "
        f"{_LACKS[item['standing']]}"
        for item in items
        if item["standing"] != "whole"
    ]


def _evidence_faults(items: Sequence[Mapping[str, Any]], told: Mapping[str, Any]) -> list[str]:
    """Files of evidence that are not the ones recorded when they were taken, whoever signed for them."""
    return [
        f"evidence {item['evidence_id']} is not the file that was recorded when it was taken"
        for item in items
        if item["standing"] == "whole" and told.get(item["file"], {}).get("sha256") != item["sha256"]
    ]


def _file_faults(files: Mapping[str, bytes], told: Mapping[str, Any]) -> list[str]:
    found = {name: content for name, content in files.items() if name not in {_MANIFEST, _SIGNATURE}}
    missing = [f"{name} is missing" for name in told.keys() - found.keys()]
    added = [f"{name} was added" for name in found.keys() - told.keys()]
    altered = [
        f"{name} was altered" for name in told.keys() & found.keys() if _digest(found[name]) != told[name]["sha256"]
    ]
    return sorted([*missing, *added, *altered])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _zip(files: Mapping[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content)
    return held.getvalue()
