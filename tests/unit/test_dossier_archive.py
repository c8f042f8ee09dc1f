"""A dossier's archive: whole and signed, or every altered byte is found."""

import io
import json
import zipfile
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from app.dossier.archive import About, build_archive, verify_archive
from app.dossier.keys import DossierParams, NoKey, new_signing_key, public_pem, read_public
from app.dossier.summary import summary_page
from sql.errors import Conflict

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
ABOUT = About("premises", "H-001", datetime(2026, 11, 20, tzinfo=UTC), "console:test")
FILES = {"data/alerts.json": b'[{"alert_id": 7}]', "summary.html": b"<p>7</p>"}
ARCHIVE = build_archive(ABOUT, FILES, KEY)


def repacked(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def contents() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(ARCHIVE)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_whole_archive_is_told_so_with_its_manifest() -> None:
    """No fault; the manifest names subject, maker and each file; the same content gives the same bytes."""
    verdict = verify_archive(ARCHIVE, PUBLIC)
    assert verdict.faults == ()
    assert (verdict.manifest["subject"], verdict.manifest["made_by"]) == ("H-001", "console:test")
    assert set(verdict.manifest["files"]) == set(FILES)
    assert build_archive(ABOUT, FILES, KEY) == ARCHIVE


@pytest.mark.parametrize("change", [1, 0x20, 0x80, 0xFF])
def test_every_altered_byte_is_found(change: int) -> None:
    """Whichever byte of the archive is altered, in a file, the manifest, the signature or the zip around them."""
    for place in range(len(ARCHIVE)):
        altered = bytearray(ARCHIVE)
        altered[place] ^= change
        assert verify_archive(bytes(altered), PUBLIC).faults, f"byte {place}"


@given(st.binary(max_size=60))
def test_what_is_added_at_either_end_is_found(more: bytes) -> None:
    """Nothing may be put before or behind."""
    assert verify_archive(ARCHIVE + more, PUBLIC).faults == () or more
    if more:
        assert verify_archive(ARCHIVE + more, PUBLIC).faults
        assert verify_archive(more + ARCHIVE, PUBLIC).faults
        assert verify_archive(more, PUBLIC).faults


def test_faults_name_the_file() -> None:
    """A file altered, added or missing is named; a manifest rewritten to fit is not signed."""
    files = contents()
    assert verify_archive(repacked(files | {"summary.html": b"x"}), PUBLIC).faults == ("summary.html was altered",)
    assert verify_archive(repacked(files | {"more.json": b"x"}), PUBLIC).faults == ("more.json was added",)
    assert verify_archive(repacked({k: v for k, v in files.items() if k != "summary.html"}), PUBLIC).faults == (
        "summary.html is missing",
    )
    manifest = json.loads(files["manifest.json"]) | {"subject": "H-002"}
    forged = repacked(files | {"manifest.json": json.dumps(manifest).encode()})
    assert "not signed by this key" in verify_archive(forged, PUBLIC).faults[0]


def test_another_key_does_not_verify() -> None:
    """An archive that somebody else signed is refused, whatever key it brings along."""
    other = build_archive(ABOUT, FILES, Ed25519PrivateKey.generate())
    assert "not signed by this key" in verify_archive(other, PUBLIC).faults[0]


def test_keys_as_settings_and_files() -> None:
    """A new key is taken as a setting, its public half survives PEM; rubbish is refused; without a key none is made."""
    params = DossierParams(signing_key=SecretStr(new_signing_key()))
    key = params.key()
    assert read_public(public_pem(key)).public_bytes_raw() == key.public_key().public_bytes_raw()
    with pytest.raises(ValidationError, match="is no key"):
        DossierParams(signing_key=SecretStr("rubbish"))
    with pytest.raises(NoKey):
        read_public(b"rubbish")
    with pytest.raises(Conflict, match="new-key"):
        DossierParams().key()


def test_summary_shows_text_as_text() -> None:
    """What a resident wrote is no markup; an empty part says none; a long one says that it is cut."""
    rows = [{"note": "<script>alert(1)</script>", "empty": None}]
    page = summary_page(ABOUT, {"requests": rows, "cases": [], "events": [{"at": n} for n in range(501)]})
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<th>empty</th>" not in page
    assert "cases (0)</h2><p>none</p>" in page
    assert "the first 500 of 501" in page
