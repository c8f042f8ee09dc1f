"""One evaluator: any order of arrival ends in the same findings and alerts, and a backtest in those of live data."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules import changes, detectors, evaluation
from rules.backtest import alerts_of
from rules.changes import Key
from rules.evaluation import Found, lookback, rounds
from rules.model import Alert, Cleared, Finding, Rule
from rules.revision import is_withdrawn
from rules.spans import plan_spans
from rules.standing import Standing
from rules.windows import BOUNDARIES, DEVICES, READINGS, VALVES, Window, pairs_of, prepare
from tests.unit.window_rows import RULES, START

HOURS = 24 * 11
END = START + timedelta(hours=HOURS)
BY_PERSON = ("micro_leak", "index_backwards", "index_step", "load_exceeded", "flow_valve_closed")
BY_TELEMETRY = ("continuous_use_small", "continuous_use_medium", "night_flow")
Reading = tuple[int, datetime, int | None, int, int | None, float | None]
Story = list[tuple[str, int]]


def rules_of(names: Sequence[str]) -> dict[str, Rule]:
    return {name: RULES[name] for name in names}


def told(story: Story, device_id: int) -> list[Reading]:
    """The readings of one meter whose hours go by the parts of a story, again and again."""
    litres = {"quiet": 0.0, "leak": 8.0, "burner": 120.0, "stove": 500.0, "burst": 9000.0}
    rows: list[Reading] = []
    index_ml, number = 50_000_000, 0
    while number < HOURS:
        for what, count in story:
            for _ in range(count):
                index_ml += round(litres.get(what, 30.0) * 1000)
                if what == "backwards" and rows:
                    index_ml -= 40_000
                flags = 1 if what == "filled" else 0
                status = 1 if what == "closed" else 0
                if what != "missing" and number <= HOURS:
                    rows.append((device_id, START + timedelta(hours=number), index_ml, flags, status, None))
                number += 1
    return rows


PARTS = st.tuples(
    st.sampled_from(
        ["quiet", "leak", "leak", "burner", "stove", "burst", "missing", "filled", "backwards", "closed", "use"]
    ),
    st.sampled_from([1, 2, 5, 9, 14, 30, 130]),
)
STORIES = st.lists(st.lists(PARTS, min_size=1, max_size=5), min_size=3, max_size=3)


class Desk:
    """The live service without its database: readings arrive, windows are evaluated, alerts stand."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        self.rules = rules
        self.rows: dict[tuple[int, datetime], Reading] = {}
        self.open: dict[Key, Alert] = {}
        self.closed: dict[Key, list[Alert]] = {}

    def arrive(self, batch: Sequence[Reading], now: datetime = END) -> None:
        """Store a batch (a repeat is stored once) and evaluate what it touched."""
        self.rows |= {(row[0], row[1]): row for row in batch if (row[0], row[1]) not in self.rows}
        devices, ats = sorted({row[0] for row in batch}), [row[1] for row in batch]
        touched = [(devices, min(ats), max(ats))]
        reach = {
            int(alert.subject.removeprefix("device:")): alert.first_at
            for alert in self.open.values()
            if min(ats) <= alert.last_at
        }
        for span in plan_spans(touched, lookback(self.rules.values()), now, 2000, reach):
            window = self.window(span.device_ids, span.since, span.until)
            found = evaluation.evaluate(list(self.rules.values()), window, self.closings(), self.standing())
            for part in rounds(found):
                self.step(part, now)

    def window(self, device_ids: Sequence[int], since: datetime | None, until: datetime) -> Window:
        """What the loader of the service would load."""
        rows = [row for row in self.rows.values() if row[0] in device_ids and row[1] <= until]
        cut = [row for row in rows if since is None or row[1] > since]
        window = replace(_prepared(cut, device_ids), since=since)
        wanted = detectors.beginnings_wanted(self.rules.values(), window)
        if not wanted:
            return window
        first = pl.DataFrame([row for row in rows if row[0] in wanted], schema=READINGS, orient="row")
        return replace(
            window, beginnings=pairs_of(first.sort("device_id", "at"), window.devices, BOUNDARIES.to_frame())
        )

    def standing(self) -> list[Standing]:
        return [
            Standing(rule_id, subject, int(subject.removeprefix("device:")), one.first_at, one.last_at, one.firing)
            for (rule_id, subject), one in self.open.items()
        ]

    def closings(self) -> dict[str, pl.DataFrame]:
        schema = {"device_id": pl.Int32(), "closed_at": pl.Datetime("us", "UTC")}
        found = {}
        for rule_id in self.rules:
            rows = [
                (int(subject.removeprefix("device:")), max(one.cleared_at or one.last_at for one in episodes))
                for (rule, subject), episodes in self.closed.items()
                if rule == rule_id
            ]
            found[rule_id] = pl.DataFrame(rows, schema=schema, orient="row")
        return found

    def step(self, found: Sequence[Found], now: datetime) -> None:
        for change in changes.apply(self.rules, self.open, self.closed, found, now):
            if change.after.is_open:
                self.open[change.key] = change.after
            else:
                self.open.pop(change.key, None)
                self.closed.setdefault(change.key, []).append(change.after)

    def facts(self) -> list[tuple[object, ...]]:
        """What must not depend on the order of arrival."""
        everything = [*self.open.values(), *(one for episodes in self.closed.values() for one in episodes)]
        return facts_of(one for one in everything if not is_withdrawn(one))


def _prepared(rows: Sequence[Reading], device_ids: Sequence[int]) -> Window:
    facts = ("meter", "G2.5", "household", "D01", 10, None, 4000.0, None, ["hob"], None)
    devices = pl.DataFrame([(one, f"M-{one}", *facts) for one in device_ids], schema=DEVICES, orient="row")
    readings = pl.DataFrame(list(rows), schema=READINGS, orient="row")
    return prepare(readings, devices, VALVES.to_frame(), BOUNDARIES.to_frame())


def facts_of(alerts: object) -> list[tuple[object, ...]]:
    return sorted(
        (one.rule_id, one.subject, one.first_at, one.last_at, one.severity, one.firing)
        for one in alerts  # type: ignore[attr-defined]
    )


def findings_of(rules: dict[str, Rule], rows: Sequence[Reading]) -> list[Found]:
    """What a backtest finds in the whole history at once."""
    desk = Desk(rules)
    desk.rows = {(row[0], row[1]): row for row in rows}
    window = desk.window(sorted({row[0] for row in rows}), None, END)
    return evaluation.evaluate(list(rules.values()), window, {})


def histories(stories: Sequence[Story]) -> list[Reading]:
    return [row for device_id, story in enumerate(stories, start=1) for row in told(story, device_id)]


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(STORIES, st.lists(st.integers(0, HOURS), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_order_of_arrival_ends_in_the_same_alerts(stories: list[Story], cuts: list[int], chance: object) -> None:
    """Cut anywhere, shuffled, with repeats: what stands at the end is what all data at once would have raised."""
    rows = histories(stories)
    if not rows:
        return
    whole = Desk(rules_of(BY_PERSON))
    whole.arrive(rows)
    parts: list[list[Reading]] = [[] for _ in range(len(cuts) + 1)]
    for row in rows:
        hours = (row[1] - START).total_seconds() / 3600
        parts[sum(hours >= cut for cut in cuts)].append(row)
    parts = [part for part in parts if part]
    parts.append(chance.choice(parts))  # type: ignore[attr-defined]
    chance.shuffle(parts)  # type: ignore[attr-defined]
    pieces = Desk(rules_of(BY_PERSON))
    for part in parts:
        pieces.arrive(part)
    assert pieces.facts() == whole.facts()


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(STORIES)
def test_a_backtest_ends_in_the_alerts_of_the_live_service(stories: list[Story]) -> None:
    """Day after day live, closing what telemetry closes, or months at once: the same alerts of the same spans."""
    rules = rules_of([*BY_PERSON, *BY_TELEMETRY])
    rows = histories(stories)
    live = Desk(rules)
    for day in range(0, HOURS + 24, 24):
        until = START + timedelta(hours=day + 24)
        batch = [row for row in rows if START + timedelta(hours=day) <= row[1] < until]
        if batch:
            live.arrive(batch, until)
    assert facts_of(alerts_of(rules, findings_of(rules, rows))) == live.facts()


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(STORIES)
def test_a_finding_never_rests_on_what_came_after_its_end(stories: list[Story]) -> None:
    """What the data up to a moment show is shown by all data too, if it had ended by then."""
    rules = rules_of([*BY_PERSON, *BY_TELEMETRY])
    rows = histories(stories)
    middle = START + timedelta(hours=HOURS // 2)
    half = findings_of(rules, [row for row in rows if row[1] <= middle])
    whole = {_span(one) for one in findings_of(rules, rows) if isinstance(one, Finding)}
    ended = [one for one in half if isinstance(one, Finding) and not one.ongoing and one.rule_id != "night_flow"]
    assert {_span(one) for one in ended} <= whole
    assert all(one.at <= middle for one in half if isinstance(one, Cleared))


def _span(one: Finding) -> tuple[object, ...]:
    return one.rule_id, one.subject, one.first_at, one.last_at
