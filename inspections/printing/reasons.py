"""Reasons of a visit in the language of whoever reads them: kept in English, told in Chinese by sentence. Pure."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from inspections.printing.words import Language, titles_in_chinese

_FILE = Path(__file__).with_name("reason_words.toml")
_SENTENCES = frozenset({"reason", "duty", "sentence"})
_PART = re.compile(r"\{([a-z_]+)\}")
_LENGTH_MAX = 1000  # a sentence of ours is shorter; what a person wrote is not searched


@dataclass(frozen=True, slots=True)
class _Saying:
    """An English sentence with parts, and the Chinese one."""

    english: re.Pattern[str]
    chinese: str


def reasons_in(languages: Sequence[Language], reasons: Sequence[str]) -> list[str]:
    """Every reason in each language, one after the other; one that reads the same in both stands once."""
    return [line for reason in reasons for line in dict.fromkeys(_in(language, reason) for language in languages)]


def _in(language: Language, reason: str) -> str:
    return in_chinese(reason) if language == "zh" else reason


def in_chinese(reason: str) -> str:
    """A reason in Chinese; what no sentence of `reason_words.toml` fits stays as it is."""
    if len(reason) > _LENGTH_MAX:
        return reason
    sayings, parts = _sayings()
    for saying in sayings:
        found = saying.english.fullmatch(reason)
        if found is not None:
            return saying.chinese.format(**{name: _part(name, text, parts) for name, text in found.groupdict().items()})
    return reason


def _part(name: str, text: str, parts: Mapping[str, Mapping[str, str]]) -> str:
    if name in _SENTENCES:
        return in_chinese(text)
    return parts.get(name, {}).get(text, text)


@cache
def _sayings() -> tuple[tuple[_Saying, ...], Mapping[str, Mapping[str, str]]]:
    read = tomllib.loads(_FILE.read_text("utf-8"))
    tables = {part: dict(read[table]) for part, table in read["parts"].items()}
    tables["title"] |= titles_in_chinese()
    return tuple(_saying(one) for one in read["reason"]), tables


def _saying(said: Mapping[str, str]) -> _Saying:
    """A sentence as a pattern: a part takes what its own key says, or any text, as little as fits."""
    pieces = _PART.split(said["en"])
    pattern = "".join(
        f"(?P<{piece}>{said.get(piece, '.+?')})" if number % 2 else re.escape(piece)
        for number, piece in enumerate(pieces)
    )
    return _Saying(re.compile(pattern), said["zh"])
