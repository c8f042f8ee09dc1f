"""Words of a dossier on paper, English and Chinese, from summary_words.toml. Pure."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from inspections.printing.words import Language

_FILE = Path(__file__).with_name("summary_words.toml")


def summary_words(language: Language) -> Mapping[str, str]:
    """Headings by key; both languages have the same keys (a test compares)."""
    return _read()[language]


def value_word(value: object, language: Language, column: str = "") -> str:
    """What a value is called, in this column or in all; one without a word of its own is shown as it is."""
    words, text = _read()[f"values_{language}"], str(value)
    return words.get(f"{column}_{text}", words.get(text, text))


@cache
def _read() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(_FILE.read_text("utf-8"))
