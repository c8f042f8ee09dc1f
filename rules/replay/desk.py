"""The alerts of a time that is played again: they stand here instead of in the database. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from rules import changes
from rules.changes import Key
from rules.evaluation import Found, rounds
from rules.model import Alert, Rule
from rules.replay.model import Place


class Desk:
    """Alerts that stand and that were closed; findings step them through the live lifecycle.

    Nobody acts: with `answered_after`, an alert that does not fire any more and that only a person may end is closed so
    long after its condition. `where` says where a subject lies now; `places` where it lay when its alert was raised.
    """

    def __init__(
        self, rules: Mapping[str, Rule], where: Callable[[str], Place | None], answered_after: timedelta | None = None
    ) -> None:
        self._rules = rules
        self._where = where
        self.places: dict[Key, Place | None] = {}
        self._answered_after = answered_after
        self._open: dict[Key, Alert] = {}
        self._closed: dict[Key, list[Alert]] = {}
        self._waits = any(rule.clears == "by_person" for rule in rules.values())

    def step(self, found: Sequence[Found], now: datetime) -> None:
        """Step findings and clears in their order."""
        for part in rounds(found):
            for change in changes.apply(self._rules, self._open, self._closed, part, now):
                if change.before is None:
                    self.places[change.key] = self._where(change.key[1])
                if change.after.is_open:
                    self._open[change.key] = change.after
                else:
                    self._close(change.key, change.after)

    def answer(self, now: datetime) -> None:
        """Close what was answered by now."""
        if self._answered_after is None or not self._waits:
            return
        for key, alert in list(self._open.items()):
            if not alert.firing and now > alert.last_at + self._answered_after:
                self._close(key, alert.changed(state="verified", closed_at=alert.last_at + self._answered_after))

    def _close(self, key: Key, alert: Alert) -> None:
        self._open.pop(key, None)
        self._closed.setdefault(key, []).append(alert)

    def standing(self, rule_ids: Iterable[str], subject: str) -> Alert | None:
        """The open alert of any of some rules about a subject."""
        return next((self._open[key] for rule_id in rule_ids if (key := (rule_id, subject)) in self._open), None)

    def of_rules(self, rule_ids: Collection[str]) -> Iterator[tuple[Key, Alert]]:
        """The open alerts of some rules, in the order of their raising."""
        return ((key, alert) for key, alert in list(self._open.items()) if key[0] in rule_ids)

    def episodes(self, rule_ids: Iterable[str], subject: str) -> list[Alert]:
        """All alerts of some rules about a subject, closed ones included."""
        found: list[Alert] = []
        for rule_id in rule_ids:
            key = (rule_id, subject)
            found += self._closed.get(key, ())
            found += [self._open[key]] if key in self._open else ()
        return found

    def everything(self) -> list[Alert]:
        """Every alert there ever was."""
        return [one for episodes in self._closed.values() for one in episodes] + list(self._open.values())
