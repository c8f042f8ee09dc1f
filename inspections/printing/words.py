"""Words of notices and cards, English and Chinese, from notice_words.toml."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

Language = Literal["en", "zh"]
_FILE = Path(__file__).with_name("notice_words.toml")


@cache
def words_of(language: Language) -> Mapping[str, str]:
    """The words of a language by key; both languages have the same keys (a test compares)."""
    words: Mapping[str, str] = _read()[language]
    return words


def hazard_title(code: str, title: str, language: Language) -> str:
    """What a hazard is called; one that has no Chinese title keeps that of its catalogue."""
    return _read()["titles_zh"].get(code, title) if language == "zh" else title


@cache
def _read() -> dict[str, dict[str, str]]:
    return tomllib.loads(_FILE.read_text("utf-8"))
