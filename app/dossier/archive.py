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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = "gaswarden dossier 1"
_MANIFEST, _SIGNATURE = "manifest.json", "manifest.sig"
_DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error)
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class About:
    """What a dossier is about, who made it and when."""

    kind: str
    subject: str
    made_at: datetime
    made_by: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying found: faults in words, none when all is whole and signed; the manifest once it is trusted."""

    faults: tuple[str, ...]
    manifest: Mapping[str, Any]


def build_archive(about: About, files: Mapping[str, bytes], key: Ed25519PrivateKey) -> bytes:
    """The signed archive of these files."""
    manifest = {
        "format": FORMAT,
        "kind": about.kind,
        "subject": about.subject,
        "made_at": about.made_at.isoformat(),
        "made_by": about.made_by,
        "key_sha256": hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest(),
        "files": {name: {"sha256": _digest(content), "bytes": len(content)} for name, content in sorted(files.items())},
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
    faults = [*_file_faults(files, manifest["files"])]
    if not faults and _zip(files) != content:
        faults.append("the archive around the files was altered")
    return Verdict(tuple(faults), manifest)


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
