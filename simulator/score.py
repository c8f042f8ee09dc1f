"""Scores alerts against the planted truth: found and missed per rule, false alerts by subject, time to detect. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple


class Raised(NamedTuple):
    """An alert as far as scoring goes: rule, (kind, code) of its subject, device time of its first finding."""

    rule: str
    subject: tuple[str, str]
    first_at: datetime


@dataclass(frozen=True, slots=True)
class RuleScore:
    """One rule: faults planted and found, the subjects missed, and alerts on subjects without that fault.

    `detect_s` holds, per fault found, the seconds from its start to the device time of the alert's first finding.
    """

    rule: str
    planted: int
    found: int
    missed: tuple[str, ...]
    false: tuple[str, ...]
    detect_s: tuple[float, ...]

    @property
    def recall(self) -> float | None:
        """Found of planted; None when nothing was planted."""
        return self.found / self.planted if self.planted else None

    @property
    def precision(self) -> float | None:
        """Faults found among all that alerted; None when nothing alerted."""
        alerted = self.found + len(self.false)
        return self.found / alerted if alerted else None

    @property
    def median_detect_s(self) -> float | None:
        """The middle time to detect; None when nothing was found."""
        return median(self.detect_s) if self.detect_s else None


@dataclass(frozen=True, slots=True)
class Score:
    """All rules of a truth; `others` counts alerts of rules that the truth says nothing about."""

    rules: tuple[RuleScore, ...]
    homes: int
    days: int
    others: Mapping[str, int]

    @property
    def planted(self) -> int:
        """Faults that had to be found."""
        return sum(rule.planted for rule in self.rules)

    @property
    def found(self) -> int:
        """Faults that were found."""
        return sum(rule.found for rule in self.rules)

    @property
    def false(self) -> tuple[str, ...]:
        """False alerts as `rule kind:code`, with the harmless plant they fell for."""
        return tuple(f"{rule.rule} {subject}" for rule in self.rules for subject in rule.false)

    @property
    def false_per_1000_homes_week(self) -> float:
        """False alerts of all rules per 1,000 homes and week."""
        return len(self.false) / (self.homes / 1000) / (self.days / 7)


def score(truth: Mapping[str, Any], alerts: Iterable[Raised]) -> Score:
    """Score alerts against a truth as `truth_json` writes it; several alerts on one fault count once."""
    alerted: dict[str, dict[tuple[str, str], datetime]] = defaultdict(dict)
    for alert in alerts:
        known = alerted[alert.rule].get(alert.subject)
        alerted[alert.rule][alert.subject] = min(alert.first_at, known) if known else alert.first_at
    rules = tuple(_score_rule(rule, truth["faults"], alerted.get(rule, {})) for rule in truth["rules"])
    others = {rule: len(subjects) for rule, subjects in alerted.items() if rule not in truth["rules"]}
    return Score(rules, int(truth["homes"]), int(truth["days"]), others)


def _score_rule(
    rule: str, faults: Sequence[Mapping[str, Any]], alerted: Mapping[tuple[str, str], datetime]
) -> RuleScore:
    planted = {_subject(fault): fault for fault in faults if fault["rule"] == rule and fault["alert"]}
    excused = {_subject(fault) for fault in faults if rule in fault["also"]}
    harmless = {_subject(fault): fault["name"] for fault in faults if not fault["alert"]}
    found = [subject for subject in planted if subject in alerted]
    return RuleScore(
        rule,
        len(planted),
        len(found),
        tuple(":".join(subject) for subject in planted if subject not in alerted),
        tuple(
            ":".join(subject) + (f" ({harmless[subject]})" if subject in harmless else "")
            for subject in alerted
            if subject not in planted and subject not in excused
        ),
        tuple(
            (alerted[subject] - datetime.fromisoformat(planted[subject]["start"])).total_seconds() for subject in found
        ),
    )


def _subject(fault: Mapping[str, Any]) -> tuple[str, str]:
    return fault["subject"]["kind"], fault["subject"]["code"]


def alerts_from_json(document: Any) -> tuple[Raised, ...]:
    """Alerts out of the HTTP list (or a list of its items).

    An item tells `rule_id`, `first_at`, and its subject as `subject` = "kind:id" with the code under `kind` (a text, or
    an object with `code`). Raises ValueError naming the item that lacks one of these.
    """
    items = document["items"] if isinstance(document, Mapping) else document
    return tuple(_raised(number, item) for number, item in enumerate(items))


def _raised(number: int, item: Mapping[str, Any]) -> Raised:
    try:
        kind = str(item["subject"]).partition(":")[0]
        named = item[kind]
        code = named["code"] if isinstance(named, Mapping) else named
        return Raised(item["rule_id"], (kind, str(code)), datetime.fromisoformat(item["first_at"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"alert {number}: {error} is missing") from error
