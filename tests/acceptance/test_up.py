"""`scripts/up` as a stranger would run it: set-up, demonstration, the lines it says to try, Ctrl-C."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.embedded.processes import free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 180


@pytest.fixture
def stranger(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has nothing of ours: own servers and port of this test, no other settings."""
    ours = ("GASWARDEN_", "DATABASE_URL", "ADMIN_DATABASE_URL", "MQTT_URL")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"GASWARDEN_VAR": str(tmp_path / "var"), "GASWARDEN_HTTP__PORT": str(free_port())}


@dataclass
class Serving:
    """A running `scripts/up` that has shown everything; `said` is what it printed so far."""

    process: subprocess.Popen[str]
    said: str

    def line_with(self, words: str) -> str:
        """The line of its output that holds these words."""
        return next(line for line in self.said.splitlines() if words in line)


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[Serving]:
    """Start `scripts/up` and wait until it serves; ended by Ctrl-C."""
    process = subprocess.Popen(
        ["scripts/up"], cwd=ROOT, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    said, deadline = "", time.monotonic() + START_TIMEOUT_S
    try:
        for line in process.stdout:
            said += line
            if line.startswith("Serving"):
                break
            assert time.monotonic() < deadline, said
        assert "Serving" in said, said
        yield Serving(process, said)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            process.stdout.close()


@pytest.mark.timeout(300)
def test_check_proves_the_demonstration_and_says_so_to_scripts(stranger: dict[str, str]) -> None:
    """`scripts/up --check --json` exits 0, finds every planted fault, tells its officer, and every proof holds."""
    done = subprocess.run(
        ["scripts/up", "--check", "--json"],
        cwd=ROOT,
        env=stranger,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(done.stdout)
    found = {rule["rule"] for rule in document["rules"] if rule["found"] == rule["planted"] > 0}
    window = {"flow_valve_closed", "micro_leak", "index_backwards"}
    assert found == {"leak_alarm", "building_leaks", "device_silent", "gateway_silent"} | window
    assert all(one["ok"] for one in document["judgements"]), document["judgements"]
    assert 0 < document["leak_to_notice_ms"] < 30_000


@pytest.mark.timeout(300)
def test_the_lines_it_prints_work_as_pasted_and_it_starts_again_in_seconds(stranger: dict[str, str]) -> None:
    """A leak sent by the printed mosquitto_pub line is among the printed curl line's alerts; Ctrl-C ends it all."""
    with serving(stranger) as first:
        publish, alerts, roster = (first.line_with(words) for words in ("mosquitto_pub ", "/alerts?", "format=csv"))
        detector = re.search(r'"device":"([^"]+)"', publish)
        assert detector is not None
        subprocess.run(["bash", "-c", publish], check=True, timeout=20)
        deadline = time.monotonic() + 10
        while detector[1] not in (answer := _output(alerts)):
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)
        assert "reason" in _output(roster).splitlines()[0]
    assert first.process.returncode == 0
    begun = time.monotonic()
    with serving(stranger) as second:
        assert time.monotonic() - begun < 60
        assert detector[1] in _output(second.line_with("/alerts?"))
    assert second.process.returncode == 0


def _output(line: str) -> str:
    """What a printed line prints when it is pasted into a shell; it must not fail."""
    return subprocess.run(["bash", "-c", line], check=True, timeout=20, capture_output=True, text=True).stdout


def test_the_readme_names_only_commands_that_exist() -> None:
    """Every script and every `gaswarden` command that the README shows is there and has a help text."""
    text = (ROOT / "README.md").read_text("utf-8")
    shown = {match for match in re.findall(r"\bscripts/[a-z]+", text) if match != "scripts/"}
    assert {"scripts/up", "scripts/test"} <= shown
    for script in shown:
        assert os.access(ROOT / script, os.X_OK), script
    for command in sorted(set(re.findall(r"`gaswarden ([a-z]+)", text))):
        done = subprocess.run(
            [*shlex.split("python -m app"), command, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=30,
            env=os.environ | {"PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
