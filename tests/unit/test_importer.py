"""CSV files as they come: what is read, and what is told about each row that is not."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict
from typer.testing import CliRunner

from app.cli import cli
from app.importer import FILES, BadRow, read_rows


class ThingRow(BaseModel):
    """A row of this test's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    name: str
    floor: int | None = None


def read(tmp_path: Path, raw: bytes) -> tuple[list[tuple[int, dict[str, str]]], list[BadRow]]:
    """Rows by line, and bad rows, of a file with these bytes."""
    path = tmp_path / "things.csv"
    path.write_bytes(raw)
    bad: list[BadRow] = []
    return [(row.line, row.values) for row in read_rows(path, ThingRow, bad)], bad


ONE = [(2, {"code": "A", "name": "阀, B", "floor": "3"})]


@pytest.mark.parametrize(
    "raw",
    [
        'code,name,floor\nA,"阀, B",3\n'.encode(),
        'code,name,floor\r\nA,"阀, B",3\r\n'.encode(),
        'code,name,floor\nA,"阀, B",3'.encode(),
        "code;name;floor\nA;阀, B;3\n".encode(),
        "\ufeffcode;name;floor\nA;阀, B;3\n".encode(),
        ' code , name ,floor\nA,"阀, B",3\n\n,,\n'.encode(),
    ],
)
def test_reads(tmp_path: Path, raw: bytes) -> None:
    """Commas or semicolons, with or without a byte order mark, any line ending, empty lines: the same rows."""
    rows, bad = read(tmp_path, raw)
    assert (rows, [one for one in bad if one.line < 4]) == (ONE, [])


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """After a cell with line breaks in it, rows are still told by the line they start on."""
    rows, _ = read(tmp_path, b'code,name\nA,"two\nlines"\n\nB,b\n')
    assert [line for line, _ in rows] == [2, 5]


WRONG = [
    (b"", 1, "", "has no header"),
    (b"\n", 1, "", "has no header"),
    (b"code,nmae\n", 1, "nmae", "is not a column of this file; those are code, name, floor"),
    (b"code\nA\n", 1, "name", "is missing in the header, and every row needs it"),
    (b"code,name,code\nA,a,B\n", 1, "code", "is there twice"),
    (b"code,name\nA,a\nB\nC,c\n", 3, "", "has 1 fields, the header has 2"),
    (b"code,name\nA,a\nB,b,c\n", 3, "", "has 3 fields, the header has 2"),
    (b"code,name\nA,a\nB,\xff\n", 3, "", "is not UTF-8; nothing of this file was read"),
    (b"code,name\nA,a\nB,b\0\n", 3, "", "holds a NUL character"),
    (b'"code,name\n', 1, "", "is not CSV: unexpected end of data; nothing of this file was read"),
    (b'code,name\nA,a\nB,"b\n', 3, "", "is not CSV: unexpected end of data; nothing after this line was read"),
]


@pytest.mark.parametrize(("raw", "line", "column", "reason"), WRONG)
def test_wrong(tmp_path: Path, raw: bytes, line: int, column: str, reason: str) -> None:
    """What is wrong with a file or a row is told with line, column and reason."""
    assert read(tmp_path, raw)[1][0] == BadRow("things.csv", line, column, reason)


def test_good_rows_around_a_bad_one_are_read(tmp_path: Path) -> None:
    """A row with too few fields costs that row only."""
    rows, bad = read(tmp_path, b"code,name\nA,a\nB\nC,c\n")
    assert ([line for line, _ in rows], len(bad)) == ([2, 4], 1)


def test_files_come_in_the_order_of_their_references() -> None:
    """What others refer to is imported first, whichever package it belongs to."""
    assert [name for name, _, _ in FILES] == [
        "districts.csv",
        "compounds.csv",
        "buildings.csv",
        "premises.csv",
        "gateways.csv",
        "devices.csv",
        "installations.csv",
        "inspectors.csv",
    ]


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["import", "registry", "folder"], "districts.csv"),
        (["import", "folder"], "districts.csv"),
        (["import", "--strict", "folder"], "districts.csv"),
        (["import", "readings", "file.csv"], "CSV or Parquet files"),
        (["import-readings", "file.csv"], "CSV or Parquet files"),
        (["import"], "registry"),
    ],
)
def test_the_words_of_importing(words: list[str], about: str) -> None:
    """Registry and readings are imported by their names, and by the words that were there first."""
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0
    assert about in result.output
