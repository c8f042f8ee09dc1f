"""The catalogue files of inspections, read before anything starts: which file, which entry, which rule is broken."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inspections.cases import InvalidCases, load_cases
from inspections.checklists import InvalidChecklists, load_checklists
from inspections.cycle import InvalidCycles, load_cycles
from inspections.hazards import HazardCatalogue, InvalidCatalogue, load_hazards
from inspections.params import RosterParams
from inspections.requests import InvalidRequests, load_requests

_NAMES = ("code", "user_class", "grade")  # what an entry is called by, the first that it has
_CONTRADICTIONS = (InvalidCases, InvalidChecklists, InvalidCycles, InvalidCatalogue, InvalidRequests)


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """One file as it was found: what it holds, or the sentence that says what is wrong with it."""

    name: str
    ok: bool
    fact: str


def catalogue_files(params: RosterParams) -> list[CatalogueFile]:
    """Read every catalogue that the settings name, or the packaged ones."""
    hazards: list[HazardCatalogue] = []

    def of_hazards() -> str:
        hazards.append(load_hazards(params.hazards_file))
        return f"{len(hazards[0].kinds)} hazards"

    def of_checklists() -> str:
        if not hazards:
            return "not looked at: they need the hazards"
        lists = load_checklists(hazards[0], params.checklists_file)
        return f"version {lists.version}, {len(lists.item)} items"

    return [
        _looked_at("hazards", params.hazards_file, of_hazards),
        _looked_at("checklists", params.checklists_file, of_checklists),
        _looked_at("cycles", params.cycles_file, lambda: f"{len(load_cycles(params.cycles_file).cycle)} cycles"),
        _looked_at("requests", params.requests_file, lambda: _categories(params.requests_file)),
        _looked_at("cases", params.cases_file, lambda: f"{len(load_cases(params.cases_file).kind)} kinds"),
    ]


def _categories(path: Path | None) -> str:
    return f"{len(load_requests(path).category)} categories"


def _looked_at(name: str, path: Path | None, read: Callable[[], str]) -> CatalogueFile:
    shown = "packaged" if path is None else str(path)
    try:
        return CatalogueFile(name, ok=True, fact=f"{read()} ({shown})")
    except OSError as error:
        why = f"cannot be read: {error.strerror or type(error).__name__}"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        why = f"is not TOML: {error}"
    except ValidationError as error:
        why = _first_fault(error, path)
    except _CONTRADICTIONS as error:
        why = str(error)
    return CatalogueFile(name, ok=False, fact=f"{shown}: {why}")


def _first_fault(error: ValidationError, path: Path | None) -> str:
    """The first entry and key at fault, with the rule; how many more there are."""
    faults = error.errors(include_url=False, include_context=False)
    first = faults[0]
    where = list(first["loc"])
    entry = _entry(where, path)
    key = ".".join(str(one) for one in where[2 if entry else 0 :])
    given = "" if first["type"] in {"missing", "extra_forbidden"} else f", not {first['input']!r}"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{', '.join(part for part in (entry, key) if part)}: {first['msg']}{given}{more}"


def _entry(where: list[Any], path: Path | None) -> str:
    """What the entry is called by, and its number; empty when the fault lies outside of any."""
    if path is None or len(where) < 2 or not isinstance(where[1], int):
        return ""
    table, number = where[0], where[1]
    entry = tomllib.loads(path.read_text("utf-8"))[table][number]
    name = next((str(entry[one]) for one in _NAMES if isinstance(entry, dict) and one in entry), "")
    return f"{table} {number + 1}" + (f" ({name})" if name else "")
