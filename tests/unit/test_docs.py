"""The documentation names every route, every command and every benchmark there is, and no other."""

import re
from pathlib import Path
from typing import cast

import asyncpg

from app.binding import bind_route
from app.commands.rows import ROWS
from app.services import SERVICES
from app.services.http import feature_routes
from app.settings import load_settings

ROOT = Path(__file__).parents[2]
URLS = {"DATABASE_URL": "postgresql://app:secret@db/gas", "MQTT_URL": "mqtt://ingest:secret@broker:1883"}
ANYBODY = frozenset({"administrator", "inspector", "officer"})


def _routes() -> set[str]:
    """Table rows without what they say: method, path, who may."""
    settings, _ = load_settings(URLS)
    rows = set()
    for route in map(bind_route, feature_routes(settings, cast("asyncpg.Pool", None))):
        who = "everybody" if route.roles == ANYBODY else ", ".join(sorted(route.roles))
        rows.add(f"| `{route.method} {route.path}` | {who} |")
    return rows


def test_http_page_lists_every_route_with_who_may_call_it() -> None:
    """docs/api.md has one row for each operation that the OpenAPI description serves, and none besides."""
    text = (ROOT / "docs/api.md").read_text("utf-8")
    told = set(re.findall(r"^\| `[A-Z]+ /[^`]*` \| [a-z, ]* \|", text, re.MULTILINE))
    assert told == _routes(), "rows to add or take away in docs/api.md"


def _commands() -> dict[str, set[str]]:
    """Every command that help shows, with its subcommands."""
    return {
        row.name: {sub for sub, one in getattr(row.load(), "commands", {}).items() if not one.hidden}
        for row in ROWS
        if not row.hidden
    }


def test_operation_page_lists_every_command() -> None:
    """The table of docs/operations.md names each command of `gaswarden --help` and each of its subcommands."""
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    told: dict[str, set[str]] = {}
    for name, rest in re.findall(r"^\| `gaswarden ([a-z-]+)([^`]*)`", text, re.MULTILINE):
        told.setdefault(name, set()).update(re.findall(r"[a-z-]+", rest))
    commands = _commands()
    assert told.keys() == commands.keys()
    assert {name: subs - told[name] for name, subs in commands.items() if subs - told[name]} == {}


def test_operation_page_lists_every_service() -> None:
    """Somebody who runs one process for each service finds them all, and what each does."""
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    assert re.findall(r"^\| `run ([a-z]+)` \|", text, re.MULTILINE) == list(SERVICES)


def test_readme_leads_to_every_page() -> None:
    """Each page of docs/ is linked from the map."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert [path.name for path in sorted((ROOT / "docs").glob("*.md")) if f"(docs/{path.name})" not in text] == []


def test_bench_names_every_benchmark() -> None:
    """The head of scripts/bench has a line for each module that it can run."""
    text = (ROOT / "scripts/bench").read_text("utf-8")
    told = set(re.findall(r"^#   scripts/bench ([a-z]+) ", text, re.MULTILINE))
    assert told == {path.stem for path in (ROOT / "tests/bench").glob("[a-z]*.py") if "_" not in path.stem}
