"""Plays arrivals again in their order and lets the absence rules look as often as live would. Pure.

The rules are those of the service (rules/watching.py); only who answers them differs (rules/replay/sight.py).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from rules import absence, watching
from rules.absence import Outage
from rules.catalog import Catalog
from rules.model import Alert, Cleared, Finding, Rule
from rules.replay.desk import Desk
from rules.replay.model import Known, Town, Word
from rules.replay.sight import ReplayedSight
from rules.replay.state import State

_T = TypeVar("_T")


def _absence_rules(catalog: Catalog) -> dict[str, Rule]:
    return {rule.rule_id: rule for rule in catalog.of_family("absence")}


class Unguarded:
    """Runs detectors as they are: a mistake in one ends the backtest."""

    def run(self, _rule: Rule, detector: Callable[[], _T], _otherwise: _T) -> _T:
        """What the detector returns."""
        return detector()


class Replay:
    """The absence rules of one catalogue over a town, from a moment on, looking every so often.

    `gaps`: times in which no batch at all arrived, long enough to be our own outages.
    """

    def __init__(
        self,
        catalog: Catalog,
        town: Town,
        known: Known,
        gaps: Iterable[tuple[datetime, datetime]],
        begin: datetime,
        every: timedelta,
        answered_after: timedelta | None,
    ) -> None:
        self._catalog, self._town = replace(catalog, rules=_absence_rules(catalog)), town
        self._state = State(town, known)
        self._desk = Desk(self._catalog.rules, self._state.where, answered_after)
        self._sight = ReplayedSight(self._state, self._desk)
        self._gaps = sorted(gaps)
        self._next, self._every = begin, every

    async def play(self, words: Iterable[Word], until: datetime) -> None:
        """Go on with what arrived up to a moment, in order of arrival, looking whenever a look is due."""
        for word in words:
            await self._look_until(word.arrived_at)
            self._state.say(word)
        await self._look_until(until, including=True)

    def alerts(self) -> list[Alert]:
        """All alerts that were raised."""
        return self._desk.everything()

    async def _look_until(self, at: datetime, *, including: bool = False) -> None:
        while self._next < at or (including and self._next == at):
            await self.look(self._next)
            self._next += self._every

    async def look(self, now: datetime) -> None:
        """One look, as rules/passes.py has it: who is heard again, floods, who is silent."""
        self._sight.look_at(self._state.settle(now), now)
        self._desk.answer(now)
        self._desk.step(await watching.heard_again(self._sight, self._catalog, now), now)
        self._desk.step(await watching.floods(self._sight, self._catalog, now, Unguarded()), now)
        observed_from = self._town.observed_from
        if observed_from is None or observed_from > now:
            return
        ours = self._ours(now)
        while await self._find(ours, now, observed_from):
            self._desk.step(await watching.heard_again(self._sight, self._catalog, now), now)

    def _ours(self, now: datetime) -> list[Outage]:
        """Our own outages as they were known then: those that were over, and the one that went on."""
        over = [gap for gap in self._gaps if gap[1] <= now]
        going_on = [begun for begun, end in self._gaps if begun <= now < end]
        newest_at = going_on[0] if going_on else min(now, self._town.listened_until or now)
        return absence.outages(over, now, newest_at, absence.own_gap_s(self._town.shortest_interval_s))

    async def _find(self, ours: Sequence[Outage], now: datetime, observed_from: datetime) -> bool:
        async def save(found: Sequence[Finding | Cleared]) -> None:
            self._desk.step(found, now)

        return await watching.find_silences(self._sight, self._catalog, ours, observed_from, now, Unguarded(), save)
