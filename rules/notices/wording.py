"""Writes notices in a person's language. Words and templates are data (`texts/*.toml`)."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

from rules.model import OPEN_STATES
from rules.notices.model import LANGUAGES, Facts, Words

_SHORT_BODY = 500
"""A channel that takes less than this gets the short form."""

_SMS_CHARACTERS, _SMS_WIDE_CHARACTERS = 306, 134
"""What two joined text messages carry: in the GSM alphabet, and in UCS-2 as Chinese needs (3GPP TS 23.038, 23.040)."""

_TITLE_MAX = 120
_LINES_MAX = 20
_ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=False, autoescape=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and for whom it is written: the city's zone, where links lead, and whether addresses may be named."""

    zone: ZoneInfo
    public_url: str | None = None
    alert_link: str | None = None
    personal: bool = False

    def link(self, alert_id: int) -> str | None:
        """Where an alert is seen."""
        if self.alert_link:
            return self.alert_link.replace("{alert_id}", str(alert_id))
        return f"{self.public_url}/api/v1/alerts/{alert_id}" if self.public_url else None


@cache
def texts(language: str) -> Mapping[str, Any]:
    """The words of a language."""
    if language not in LANGUAGES:
        raise ValueError(f"language {language!r} is none of {', '.join(LANGUAGES)}")
    return tomllib.loads(resources.files("rules.notices").joinpath(f"texts/{language}.toml").read_text("utf-8"))


def write(facts: Facts, language: str, setting: Setting) -> Words:
    """A notice of an alert."""
    words = texts(language)
    rule = words.get("rule", {}).get(facts.rule_id, {})
    values = _values(facts, words, setting) | {
        "rule": rule.get("title", facts.rule_title),
        "what_to_do": rule.get("what_to_do", facts.what_to_do),
        "sentence": _sentence(rule.get("sentence"), facts),
    }
    return _written(words["template"], "", values)


def write_together(facts: Sequence[Facts], language: str, setting: Setting) -> Words:
    """One notice of many alerts below critical, the gravest severity in its title."""
    words = texts(language)
    each = [write(one, language, setting).title for one in facts]
    values = {
        "severity": words["severity"][facts[0].severity],
        "count": len(facts),
        "lines": each[:_LINES_MAX],
        "rest": max(len(each) - _LINES_MAX, 0),
        "link": setting.link(facts[0].alert_id),
    }
    title, body = (_render(words["template"][name], values) for name in ("more_title", "more_body"))
    return Words(_line(title), body, _line(title))


def write_reach_test(
    account: str, code: str, since: datetime | None, due_at: datetime, language: str, setting: Setting
) -> Words:
    """The nightly test that somebody can be reached."""
    values = {
        "account": account,
        "code": code,
        "since": _moment(since, setting.zone) if since else None,
        "due": _moment(due_at, setting.zone),
        "due_short": _clock(due_at, setting.zone),
        "link": f"{setting.public_url}/confirm/{code}" if setting.public_url else None,
    }
    return _written(texts(language)["template"], "reach_", values)


def write_contact_test(account: str, language: str) -> Words:
    """What `gaswarden contact test` sends."""
    template = texts(language)["template"]
    title, body = (_render(template[f"test_{part}"], {"account": account}) for part in ("title", "body"))
    return Words(title, body, body)


def fit(words: Words, body_max: int, *, text_message: bool) -> tuple[str, str]:
    """Title and body as a channel takes them: whole, or the short form, cut where even that is too long."""
    if not text_message and body_max >= _SHORT_BODY:
        return words.title, _cut(words.body, body_max)
    wide = not words.short.isascii()
    carried = _SMS_WIDE_CHARACTERS if wide else _SMS_CHARACTERS
    return "", _cut(words.short, carried if text_message else min(body_max, carried))


def _written(template: Mapping[str, str], prefix: str, values: Mapping[str, object]) -> Words:
    title, body, short = (_render(template[f"{prefix}{part}"], values) for part in ("title", "body", "short"))
    return Words(_cut(_line(title), _TITLE_MAX), body, _line(short))


def _values(facts: Facts, words: Mapping[str, Any], setting: Setting) -> dict[str, object]:
    place = facts.building or facts.device or facts.gateway
    door = facts.address if setting.personal and facts.address else facts.premises
    parts = (facts.area_name or facts.area, facts.building, door, facts.device, facts.gateway)
    return {
        "severity": words["severity"][facts.severity],
        "purpose": words["purpose"][facts.purpose],
        "state": words["state"][facts.state],
        "is_open": facts.state in OPEN_STATES,
        "alert_id": facts.alert_id,
        "level": facts.level,
        "count": facts.count,
        "owner": facts.owner,
        "place": place,
        "where": ", ".join(dict.fromkeys(part for part in parts if part)),
        "where_short": door or place or facts.area_name or facts.area,
        "since": _moment(facts.first_at, setting.zone),
        "due": _moment(facts.due_at, setting.zone) if facts.due_at else None,
        "due_short": _clock(facts.due_at, setting.zone) if facts.due_at else None,
        "link": setting.link(facts.alert_id),
    }


def _sentence(template: str | None, facts: Facts) -> str:
    """What was found, in the language; the alert's own words where the language has none for it."""
    if template is None:
        return facts.sentence
    try:
        return _render(template, _figures(facts))
    except UndefinedError:
        return facts.sentence


def _figures(facts: Facts) -> dict[str, object]:
    return {
        "device": facts.device or facts.subject,
        "gateway": facts.gateway or "",
        "building": facts.building or "",
        "unit": facts.unit or "",
        "first": _number(facts.first_value),
        "value": _number(facts.last_value),
        "worst": _number(facts.worst_value),
        "count": facts.count,
        "area": facts.area_name or facts.area,
        "evidence": facts.evidence,
    }


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"


def _render(template: str, values: Mapping[str, object]) -> str:
    return str(_compiled(template).render(values)).strip()


@cache
def _compiled(template: str) -> Any:
    return _ENVIRONMENT.from_string(template)


def _line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).strftime("%H:%M")
