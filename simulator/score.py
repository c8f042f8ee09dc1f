"""Scores alerts against the planted truth: found and missed per rule, false alerts by subject, time to detect. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, NamedTuple


class Raised(NamedTuple):
    """An alert as far as scoring goes: rule, (kind, code) of its subject, device time of its first finding.

    `raised_at`, where it is known, is when officers could see it: an alert raised before a fault began did not find it,
    and the time to detect runs until then.
    """

    rule: str
    subject: tuple[str, str]
    first_at: datetime
    raised_at: datetime | None = None

    @property
    def seen_at(self) -> datetime:
        """When it was raised, or else the device time of its first finding."""
        return self.raised_at or self.first_at


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
    alerted: dict[str, list[Raised]] = defaultdict(list)
    for alert in alerts:
        alerted[alert.rule].append(alert)
    rules = tuple(_score_rule(rule, truth["faults"], alerted.get(rule, [])) for rule in truth["rules"])
    others = {
        rule: len({one.subject for one in subjects}) for rule, subjects in alerted.items() if rule not in truth["rules"]
    }
    return Score(rules, int(truth["homes"]), int(truth["days"]), others)


def score_family(truth: Mapping[str, Any], alerts: Iterable[Raised], rules: Iterable[str], name: str) -> RuleScore:
    """Score several rules as one: a fault of any of them is found by an alert of any of them on its subject."""
    family, alerts = set(rules), tuple(alerts)
    planted = [fault for fault in truth["faults"] if fault["rule"] in family and fault["alert"]]
    ours = [alert for alert in alerts if alert.rule in family]
    found = {number: hit for number, fault in enumerate(planted) if (hit := _first(fault, ours, family)) is not None}
    by_rule = (_score_rule(rule, truth["faults"], [one for one in ours if one.rule == rule]) for rule in sorted(family))
    return RuleScore(
        name,
        len(planted),
        len(found),
        tuple(_told(fault) for number, fault in enumerate(planted) if number not in found),
        tuple(f"{score.rule} {false}" for score in by_rule for false in score.false),
        tuple((hit.seen_at - _moment(planted[number]["start"])).total_seconds() for number, hit in found.items()),
    )


def _score_rule(rule: str, faults: Sequence[Mapping[str, Any]], alerted: Sequence[Raised]) -> RuleScore:
    planted = [fault for fault in faults if fault["rule"] == rule and fault["alert"]]
    found = {number: hit for number, fault in enumerate(planted) if (hit := _first(fault, alerted, {rule})) is not None}
    excused = _excused(rule, faults)
    harmless = {_subject(fault): fault["name"] for fault in faults if not fault["alert"]}
    false = [alert for alert in alerted if not _is_rightful(alert, excused)]
    return RuleScore(
        rule,
        len(planted),
        len(found),
        tuple(_told(fault) for number, fault in enumerate(planted) if number not in found),
        tuple(
            ":".join(subject) + (f" ({harmless[subject]})" if subject in harmless else "")
            for subject in (alert.subject for alert in false)
        ),
        tuple((hit.seen_at - _moment(planted[number]["start"])).total_seconds() for number, hit in found.items()),
    )


def _first(fault: Mapping[str, Any], alerts: Iterable[Raised], rules: set[str]) -> Raised | None:
    """The first alert of some rules that found a fault: on its subject, and not raised before it began.

    Where the fault's own rule may rightly name another place, there is as good.
    """
    start, subjects = _moment(fault["start"]), {_subject(fault)}
    if fault["rule"] in fault["also"]:
        subjects |= {(one[0], one[1]) for one in fault.get("others") or ()}
    hits = [one for one in alerts if one.subject in subjects and one.rule in rules and _after(one, start)]
    return min(hits, key=lambda one: one.seen_at, default=None)


def _after(alert: Raised, start: datetime) -> bool:
    return alert.raised_at is None or alert.raised_at >= start


def _excused(rule: str, faults: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], datetime]:
    """Subjects on which the rule may rightly fire, with the moment from which it may."""
    found: dict[tuple[str, str], datetime] = {}
    for fault in faults:
        real = fault["alert"] or fault.get("undetectable")
        if (fault["rule"] == rule and real) or rule in fault["also"]:
            for subject in (_subject(fault), *((one[0], one[1]) for one in fault.get("others") or ())):
                found[subject] = min(found.get(subject, _moment(fault["start"])), _moment(fault["start"]))
    return found


def _is_rightful(alert: Raised, excused: Mapping[tuple[str, str], datetime]) -> bool:
    start = excused.get(alert.subject)
    return start is not None and _after(alert, start)


def _told(fault: Mapping[str, Any]) -> str:
    name = "" if fault["name"] == fault["rule"] else f" ({fault['name']})"
    return ":".join(_subject(fault)) + name


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


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
