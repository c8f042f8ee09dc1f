"""Where evidence is kept: a folder that can be written, asked without making it."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.problems import problem_of
from inspections.evidence_params import EvidenceParams
from inspections.objects import Objects, ObjectsUnreachable, unwritable


def test_folder_that_can_be_made_is_fine_and_is_not_made(tmp_path: Path) -> None:
    """Asking makes nothing; what lies below a file can never be a folder; a bucket needs none."""
    assert unwritable(EvidenceParams(folder=tmp_path / "a" / "b")) is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert unwritable(EvidenceParams(folder=tmp_path / "file" / "a")) == tmp_path / "file" / "a"
    assert unwritable(EvidenceParams(folder=tmp_path / "file")) == tmp_path / "file"
    assert unwritable(EvidenceParams(folder=tmp_path / "file", s3_bucket="evidence")) is None


@pytest.mark.parametrize("kind", ["folder", "bucket"])
async def test_store_out_of_reach_is_told_apart_from_a_missing_file(tmp_path: Path, kind: str) -> None:
    """Soon, as a refusal to be tried again; a file that is not there in a folder that is there is missing."""
    (tmp_path / "file").touch()
    secret = SecretStr("test")
    away = {
        "folder": EvidenceParams(folder=tmp_path / "file"),
        "bucket": EvidenceParams(
            s3_bucket="b", s3_endpoint="http://127.0.0.1:1", s3_access_key_id=secret, s3_secret_access_key=secret
        ),
    }
    with pytest.raises(ObjectsUnreachable, match="cannot be read") as refused:
        await Objects(away[kind]).get("ab/abc")
    with pytest.raises(ObjectsUnreachable, match="cannot be stored"):
        await Objects(away[kind]).put("ab/abc", b"x")
    problem = problem_of(refused.value)
    assert problem is not None
    assert problem.status == 503
    with pytest.raises(FileNotFoundError):
        await Objects(EvidenceParams(folder=tmp_path / "there")).get("ab/abc")
