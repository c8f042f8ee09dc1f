"""`gaswarden decode`: a payload shown field by field, from a file or the standard input, without any server."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import cli
from app.commands.terminal import WentWrong
from ingest.foreign import FOREIGN

_RUN = CliRunner()


@pytest.mark.parametrize("word", sorted(FOREIGN))
def test_every_sample_is_shown(word: str, tmp_path: Path) -> None:
    """Each sample of each format is shown with every device it names."""
    for number, sample in enumerate(FOREIGN[word].samples):
        if not sample.understood.observations:
            continue
        file = tmp_path / str(number)
        file.write_bytes(sample.payload)
        found = _RUN.invoke(cli, ["decode", "--format", word, "--topic", sample.topic, "--json", str(file)])
        assert found.exit_code == 0, found.output
        shown = json.loads(found.output)
        assert shown["decoder"] == FOREIGN[word].name
        assert shown["gateway"] == sample.understood.gateway
        devices = [one.device for one in sample.understood.observations]
        assert [one.get("device") for one in shown["says"]] == devices


def test_a_frame_on_standard_input() -> None:
    """Hexadecimal text of a meter's frame: its local time is settled by the zone given, and its register shown."""
    text = "68307856341200000081161F9000563412002C000012002C0030080105242000007A16"
    words = ["decode", "--format", "cjt188", "--hex", "--site-zone", "Asia/Shanghai", "-"]
    found = _RUN.invoke(cli, words, input=text)
    assert found.exit_code == 0, found.output
    lines = dict(line.split(":", 1) for line in found.output.splitlines() if ":" in line and "not read" not in line)
    said = {name.strip(): value.strip() for name, value in lines.items()}
    assert said["decoder"] == "cjt188/1"
    assert said["gateway"] == "DTU-17"
    assert said["index_ml"] == "1234560000"
    assert said["at"] == "2024-05-01 08:30:00"
    assert said["settled_at"] == "2024-05-01T00:30:00+00:00"
    assert "not read: settlement_volume" in found.output


def test_what_only_the_registry_knows_is_said_to_be_missing() -> None:
    """A count of pulses is no volume yet, a zone-less time no moment yet."""
    sample = FOREIGN["chirpstack"].samples[1]
    words = ["decode", "--format", "chirpstack", "--topic", sample.topic, "--json", "-"]
    shown = json.loads(_RUN.invoke(cli, words, input=sample.payload).output)
    assert shown["says"][0]["settled_index_ml"] == "720 x pulse_ml of the device"
    frame = FOREIGN["cjt188"].samples[0].payload
    shown = json.loads(_RUN.invoke(cli, ["decode", "--format", "cjt188", "--json", "-"], input=frame).output)
    assert shown["says"][0]["settled_at"] == "local time: needs the site's zone"


def test_native_messages_are_shown_too() -> None:
    """The native format is read as the workers read it."""
    payload = '{"device": "M-1", "seq": 9, "at": "2026-11-20T10:15:00Z", "index_ml": 88010000}'
    found = _RUN.invoke(cli, ["decode", "--format", "native", "--json", "-"], input=payload)
    assert json.loads(found.output)["says"][0]["index_ml"] == 88_010_000


def test_formats_are_listed() -> None:
    """The list names every format with its decoder, family and topics."""
    listed = json.loads(_RUN.invoke(cli, ["decode", "--list", "--json"]).output)
    assert [one["format"] for one in listed] == ["native", *FOREIGN]
    assert {"topics", "family", "decoder", "samples"} <= listed[1].keys()


@pytest.mark.parametrize(
    ("word", "payload", "sentence"),
    [
        ("dsmr", b"not a telegram", "invalid_field: "),
        ("sparkplug", b"\xff\xff", "invalid_field: "),
        ("native", b"[]", "not_json: "),
        ("wmbusmeters", b'{"media":"water","meter":"iperl","id":"1"}', "not_understood: "),
    ],
)
def test_refusals_are_sentences(word: str, payload: bytes, sentence: str) -> None:
    """What cannot be read is refused with the reason that its quarantine would have."""
    found = _RUN.invoke(cli, ["decode", "--format", word, "-"], input=payload)
    assert isinstance(found.exception, WentWrong)
    assert str(found.exception).startswith(sentence)


@pytest.mark.parametrize(
    "words", [["--format", "morse", "-"], ["--format", "dsmr"], ["--codec", "x", "--format", "chirpstack", "-"]]
)
def test_wrong_usage(words: list[str]) -> None:
    """An unknown format or codec, or a missing file, is wrong usage."""
    assert _RUN.invoke(cli, ["decode", *words], input=b"").exit_code == 2
