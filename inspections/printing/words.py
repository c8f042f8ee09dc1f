"""Words of notices, cards and rosters, English and Chinese, from notice_words.toml and roster_words.toml."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from inspections.answers import VisitAnswer
from inspections.hazards import load_hazards

Language = Literal["en", "zh"]
_FILE = Path(__file__).with_name("notice_words.toml")
_ROSTER_FILE = Path(__file__).with_name("roster_words.toml")
LANGUAGES: Mapping[str, tuple[Language, ...]] = {"en": ("en",), "zh": ("zh",), "both": ("zh", "en")}


@cache
def words_of(language: Language) -> Mapping[str, str]:
    """The words of a language by key; both languages have the same keys (a test compares)."""
    words: Mapping[str, str] = _read()[language]
    return words


def hazard_title(code: str, title: str, language: Language) -> str:
    """What a hazard is called; one that has no Chinese title keeps that of its catalogue."""
    return _read()["titles_zh"].get(code, title) if language == "zh" else title


def titles_in_chinese() -> Mapping[str, str]:
    """The Chinese titles of the packaged hazards by their English ones."""
    kinds = load_hazards().kinds
    return {kinds[code].title: title for code, title in _read()["titles_zh"].items() if code in kinds}


def roster_words(language: Language) -> Mapping[str, str]:
    """The labels of a roster in a language; both languages have the same keys (a test compares)."""
    return _read_roster()[language]


def side_by_side(key: str, languages: Sequence[Language]) -> str:
    """A label of a roster in each language."""
    return " ".join(roster_words(language)[key] for language in languages)


@cache
def _read_roster() -> dict[str, dict[str, str]]:
    return tomllib.loads(_ROSTER_FILE.read_text("utf-8"))


@cache
def _read() -> dict[str, dict[str, str]]:
    return tomllib.loads(_FILE.read_text("utf-8"))


def place_of(visit: VisitAnswer) -> str:
    """Compound, building and flat in words; a building that is called after its compound names it once."""
    named = visit.building.startswith(visit.compound)
    return ", ".join([visit.building] if named else [visit.compound, visit.building]) + f", {visit.unit}"
