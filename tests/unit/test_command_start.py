"""The command line starts fast: it knows its commands without loading them."""

import subprocess
import sys

from typer.testing import CliRunner

from app.cli import cli
from app.commands.rows import ROWS

HEAVY = {
    "aiohttp": "serves and asks over HTTP",
    "aiomqtt": "speaks with the broker",
    "app.settings": "knows every package's settings",
    "apprise": "sends notices",
    "asyncpg": "speaks with the database",
    "cryptography": "seals and signs",
    "fpdf": "prints",
    "google.protobuf": "reads Sparkplug",
    "holidays": "knows which days are worked",
    "hypothesis": "is for tests",
    "matplotlib": "draws",
    "numpy": "computes the year",
    "obstore": "keeps evidence",
    "polars": "evaluates windows of readings",
    "procrastinate": "keeps the outbox",
    "prometheus_client": "counts what services do",
    "psycopg": "migrates",
    "pydantic": "checks what comes in",
    "pyvrp": "searches for rosters",
    "structlog": "writes logs",
}
"""What must not be loaded to tell which commands there are, and what it is for."""
OF_FEATURES = HEAVY.keys() - {"app.settings", "asyncpg", "cryptography", "google.protobuf", "pydantic", "structlog"}
"""What must not be loaded to read the settings and to open the database either."""


def _loaded_by(program: str) -> set[str]:
    """Names of the modules that a fresh interpreter has after a program."""
    told = f"{program}\nimport sys\nprint(*sys.modules, sep=chr(10))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_loads_nothing_heavy() -> None:
    """`gaswarden --help` is typer, rich and a table."""
    program = "from app.cli import cli\ntry:\n    cli(['--help'])\nexcept SystemExit:\n    pass"
    loaded = _loaded_by(program)
    assert "typer" in loaded
    assert sorted(loaded & HEAVY.keys()) == [], HEAVY


def test_what_every_command_needs_is_light() -> None:
    """Settings, a connection and tables load no library that only some features work with."""
    loaded = _loaded_by("import app.commands.terminal")
    assert "asyncpg" in loaded
    assert sorted(loaded & OF_FEATURES) == [], HEAVY


def test_help_says_of_each_command_what_the_command_says_itself() -> None:
    """A row has the first paragraph of its command's own help."""
    for row in ROWS:
        own = row.load()
        assert (own.name, own.hidden) == (row.name, row.hidden)
        assert row.words == " ".join(own.help.split("\n\n")[0].split()), row.name


def test_a_mistyped_command_is_answered_with_a_likeness() -> None:
    """Names are known without loading a command."""
    done = CliRunner().invoke(cli, ["alert"])
    assert (done.exit_code, "'alerts'" in done.output) == (2, True), done.output
