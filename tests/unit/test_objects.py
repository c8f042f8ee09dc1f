"""Where evidence is kept: a folder that can be written, asked without making it."""

from pathlib import Path

from inspections.objects import EvidenceParams, unwritable


def test_folder_that_can_be_made_is_fine_and_is_not_made(tmp_path: Path) -> None:
    """Asking makes nothing; what lies below a file can never be a folder; a bucket needs none."""
    assert unwritable(EvidenceParams(folder=tmp_path / "a" / "b")) is None
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert unwritable(EvidenceParams(folder=tmp_path / "file" / "a")) == tmp_path / "file" / "a"
    assert unwritable(EvidenceParams(folder=tmp_path / "file")) == tmp_path / "file"
    assert unwritable(EvidenceParams(folder=tmp_path / "file", s3_bucket="evidence")) is None
