"""A dossier's archive: whole and signed, or every altered byte is found."""

import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import SecretStr, ValidationError

from app.dossier.archive import About, Item, build_archive, verify_archive
from app.dossier.evidence import Kept, judged
from app.dossier.keys import DossierParams, NoKey, new_signing_key, public_pem, read_public
from app.dossier.paper import Printed, summary_pdf
from app.dossier.summary import summary_page
from app.dossier.words import summary_words
from inspections.printing.params import PrintingParams
from sql.errors import Conflict
from tests.unit.test_roster_files import text_of

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


def taken(content: bytes, **changes: Any) -> dict[str, Any]:
    """The row of a photo as a dossier reads it."""
    facts = {"evidence_id": 5, "kind": "photo", "media_type": "image/jpeg", "taken_at": "2026-11-20T02:00:00+00:00"}
    return facts | {"sha256": hashlib.sha256(content).hexdigest()} | changes


def test_evidence_is_signed_with_the_digest_it_was_taken_with() -> None:
    """A whole photo is a file of the archive, and its digest the one recorded when it was taken; another is corrupt."""
    whole, corrupt = judged(taken(b"jpeg"), b"jpeg"), judged(taken(b"jpeg", evidence_id=6), b"jpeg!")
    archive = build_archive(ABOUT, FILES | {"evidence/5-photo.jpg": b"jpeg"}, KEY, [whole, corrupt])
    verdict = verify_archive(archive, PUBLIC)
    assert verdict.faults == ()
    assert verdict.manifest["evidence"][0]["sha256"] == verdict.manifest["files"]["evidence/5-photo.jpg"]["sha256"]
    assert verdict.manifest["evidence"][1]["found_sha256"] == hashlib.sha256(b"jpeg!").hexdigest()
    (lacking,) = verdict.lacking
    assert lacking.startswith("evidence 6 (photo of 2026-11-20")
    assert "is corrupt" in lacking


def test_signer_cannot_pass_another_file_for_the_one_taken() -> None:
    """Signed and whole, but the file is not the one that was recorded: a fault, named."""
    item = judged(taken(b"jpeg"), b"jpeg")
    archive = build_archive(ABOUT, {"evidence/5-photo.jpg": b"other"}, KEY, [item])
    assert verify_archive(archive, PUBLIC).faults == ("evidence 5 is not the file that was recorded when it was taken",)


def test_dossier_from_before_evidence_is_still_verified() -> None:
    """Archives of format 1 name no evidence: none lacks."""
    files = contents()
    manifest = json.loads(files["manifest.json"])
    del manifest["evidence"]
    signed = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
    older = repacked(files | {"manifest.json": signed, "manifest.sig": KEY.sign(signed)})
    verdict = verify_archive(older, PUBLIC)
    assert verdict.lacking == ()
    assert verdict.faults == ("the archive around the files was altered",)  # `repacked` is not canonical


PRINTED = Printed(PrintingParams(), ZoneInfo("Asia/Shanghai"), {"leak": "Gas leak"})
PARTS: dict[str, list[dict[str, Any]]] = {
    "premises": [{"address": "Garden Road 1", "unit": "2", "code": "H-001", "user_class": "commercial"}],
    "hazards": [{"hazard_id": 3, "code": "leak", "grade": 1, "found_at": "2026-11-20T02:00:00+00:00",
                 "due_on": "2026-11-27", "notified_at": None, "closed_at": None}],
    "commands": [{"command_id": 4, "valve": "open", "state": "proved"}],
}  # fmt: skip


def test_paper_summary_says_it_in_both_languages() -> None:
    """A page each; the hazard by its Chinese title, an opened valve as opened; the same rows give the same bytes."""
    made = summary_pdf(ABOUT, PARTS, Kept(), PRINTED)
    assert made.count(b"/Type /Page\n") == 2
    assert set("用户档案商业用户漏气开阀已证实") <= text_of(made)
    assert made == summary_pdf(ABOUT, PARTS, Kept(), PRINTED)
    assert summary_words("en").keys() == summary_words("zh").keys()


def test_paper_summary_shows_photographs_and_survives_what_is_none() -> None:
    """A photo is drawn; one that cannot be drawn leaves its name; one that lacks is named in the table."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "JPEG")
    items = [judged(taken(out.getvalue()), out.getvalue()), judged(taken(b"x", evidence_id=6), b"x")]
    lost = Item(7, "photo", "image/jpeg", "2026-11-20T02:00:00+00:00", "a" * 64, "missing", None)
    kept = Kept((*items, lost), {"evidence/5-photo.jpg": out.getvalue(), "evidence/6-photo.jpg": b"x"})
    made = summary_pdf(ABOUT, PARTS, kept, PRINTED)
    assert made.count(b"/Subtype /Image") == 1
    assert set("缺失MISSING") <= text_of(made)


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
