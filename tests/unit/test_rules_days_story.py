"""Rules about days follow the roll-up: any order of arrival and of roll-ups ends in the alerts of a backtest."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rules import evaluation
from rules.backtest import alerts_of
from rules.day_passes import with_today
from rules.evaluation import Found, lookback, rounds
from rules.frames import DAYS_BACK
from rules.model import Rule
from rules.spans import REACH_MAX, plan_spans
from rules.windows import DAYS, Window
from tests.unit.test_rules_same_story import Desk, Reading, facts_of
from tests.unit.window_rows import RULES, START

DAYS_TOLD = 22
END = START + timedelta(days=DAYS_TOLD)
DAY = timedelta(days=1)
LITRES = {"usual": 25.0, "more": 40.0, "loud": 300.0, "none": 0.0}
Batch = tuple[list[Reading], int]

STORY = st.lists(
    st.tuples(
        st.sampled_from(["usual", "usual", "more", "loud", "none", "none", "missing", "filled", "short"]),
        st.sampled_from([1, 1, 2, 3, 5]),
    ),
    min_size=DAYS_TOLD,
    max_size=DAYS_TOLD,
).map(lambda parts: [word for word, count in parts for _ in range(count)][:DAYS_TOLD])
LOUD_AND_QUIET = [*["usual"] * 7, "loud", "loud", "loud", "short", *["none"] * 5, "usual", *["none"] * 5]


def rule_of(clears: str) -> dict[str, Rule]:
    """Unusual use that a week of history judges, and no use for three days."""
    changes = {"unusual_use": {"days_known": 7.0, "observed_share_min": 0.5}, "long_no_use": {"days": 3.0}}
    return {
        name: replace(RULES[name], clears=clears, parameters={**RULES[name].parameters, **values})
        for name, values in changes.items()
    }


def told(device_id: int, story: Sequence[str]) -> list[Reading]:
    """Registers of every second hour, a word for each day; marked ones are unknown, a short day ends at ten."""
    rows: list[Reading] = []
    index_ml = 50_000_000
    for number in range(0, DAYS_TOLD * 24, 2):
        word = story[number // 24]
        index_ml += round(LITRES.get(word, 25.0) * 2000)
        if word != "missing" and not (word == "short" and number % 24 > 10):
            at = START + timedelta(hours=number)
            rows.append((device_id, at, index_ml, 1 if word == "filled" else 0, None, None))
    return rows


class DaysDesk(Desk):
    """The live service with its roll-up between arrival and judgement, without its database."""

    def __init__(self, rules: dict[str, Rule]) -> None:
        super().__init__(rules)
        self.rolled: dict[tuple[int, datetime], int] = {}
        self.waiting: list[Sequence[Reading]] = []

    def arrive(self, batch: Sequence[Reading], now: datetime = END) -> None:
        """Store a batch; it waits for the roll-up."""
        self.rows |= {(row[0], row[1]): row for row in batch if (row[0], row[1]) not in self.rows}
        self.waiting.append(batch)
        del now

    def roll_up(self, count: int, now: datetime = END) -> None:
        """Compute the days anew that the next batches lie in, and judge what these touched."""
        batches, self.waiting = self.waiting[:count], self.waiting[count:]
        dated = {(row[0], day_of(row[1])) for batch in batches for row in batch}
        for (device_id, at), (_, _, index_ml, flags, _, _) in sorted(self.rows.items()):
            if (device_id, day_of(at)) in dated and not flags:
                self.rolled[device_id, day_of(at)] = index_ml or 0
        touched = [(sorted({r[0] for r in b}), min(r[1] for r in b), max(r[1] for r in b)) for b in batches]
        self.judge(with_today(touched, now), now)

    def judge(self, touched: Sequence[tuple[Sequence[int], datetime, datetime]], now: datetime) -> None:
        """What the pass over days does."""
        earliest = {one: min(first for ids, first, _ in touched if one in ids) for ids, _, _ in touched for one in ids}
        reach = {
            int(alert.subject.removeprefix("device:")): alert.first_at
            for alert in self.open.values()
            if earliest.get(int(alert.subject.removeprefix("device:")), END) <= alert.last_at
        }
        rules = list(self.rules.values())
        for span in plan_spans(touched, lookback(rules), now, 2000, reach):
            window = self.window(span.device_ids, span.since, span.until)
            for part in rounds(evaluation.evaluate(rules, window, self.closings(), self.standing())):
                self.step(part, now)

    def window(self, device_ids: Sequence[int], since: datetime | None, until: datetime) -> Window:
        """The window with the days that are rolled up."""
        rows = [
            (device_id, day, last_ml)
            for (device_id, day), last_ml in self.rolled.items()
            if device_id in device_ids and day < until and (since is None or day >= since - DAYS_BACK)
        ]
        seen = super().window(device_ids, since, until)
        return replace(seen, days=pl.DataFrame(rows, schema=DAYS, orient="row"))


def day_of(at: datetime) -> datetime:
    return at.replace(hour=0)


def whole(rules: dict[str, Rule], rows: Sequence[Reading]) -> DaysDesk:
    """Everything arrived and rolled up at once."""
    desk = DaysDesk(rules)
    desk.arrive(rows)
    desk.roll_up(1)
    return desk


def tried(rules: dict[str, Rule], rows: Sequence[Reading]) -> list[tuple[object, ...]]:
    """What a backtest says of the same."""
    desk = whole(rules, rows)
    found: list[Found] = evaluation.evaluate(list(rules.values()), desk.window([1, 2], None, END), {})
    return facts_of(alerts_of(rules, found))


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(STORY, min_size=2, max_size=2),
    st.lists(st.integers(0, 5), min_size=2 * DAYS_TOLD, max_size=2 * DAYS_TOLD),
    st.lists(st.integers(0, 3), min_size=6, max_size=6),
    st.permutations(range(6)),
)
@example([LOUD_AND_QUIET] * 2, [number % 6 for number in range(2 * DAYS_TOLD)], [0, 1, 0, 2, 0, 1], [5, 2, 0, 3, 1, 4])
def test_any_order_of_arrival_and_roll_up_ends_in_the_same_alerts(
    stories: list[list[str]], part_of: list[int], roll_ups: list[int], order: list[int]
) -> None:
    """Days of two homes dealt out to six batches, shuffled, one repeated, rolled up now and then."""
    rules = rule_of("by_person")
    rows = [row for device_id, story in enumerate(stories, start=1) for row in told(device_id, story)]
    parts: dict[int, list[Reading]] = {}
    for row in rows:
        parts.setdefault(part_of[(row[0] - 1) * DAYS_TOLD + (row[1] - START) // DAY], []).append(row)
    live = DaysDesk(rules)
    for number, count in zip(order, roll_ups, strict=True):
        if number in parts:
            live.arrive(parts[number])
        live.roll_up(count)
    if rows:
        live.arrive(rows[:100])
    live.roll_up(len(live.waiting))
    assert live.facts() == whole(rules, rows).facts()
    assert live.facts() == tried(rules, rows)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(STORY)
@example(LOUD_AND_QUIET)
def test_day_after_day_a_backtest_ends_in_the_alerts_of_the_live_service(story: list[str]) -> None:
    """The rule as it ships, which telemetry ends: each day judged when it is rolled up, or months at once."""
    rules = rule_of("by_telemetry")
    rows = told(1, story)
    live = DaysDesk(rules)
    for number in range(DAYS_TOLD):
        now = START + (number + 1) * DAY
        batch = [row for row in rows if now - DAY <= row[1] < now]
        if batch:
            live.arrive(batch, now)
            live.roll_up(1, now)
    assert live.facts() == tried(rules, rows)


def test_the_story_of_the_proofs_is_found() -> None:
    """So that they are about something: two loud days after seven usual ones, and two times without use, one over."""
    rules = rule_of("by_telemetry")
    found = [one for one in tried(rules, told(1, LOUD_AND_QUIET)) if one[0] == "long_no_use"]
    assert [(one[2], one[-1]) for one in found] == [(START + 12 * DAY, False), (START + 17 * DAY, True)]
    (loud,) = [one for one in tried(rules, told(1, LOUD_AND_QUIET)) if one[0] == "unusual_use"]
    assert (loud[2], loud[3]) == (START + 7 * DAY, START + 9 * DAY)


def test_days_of_long_ago_have_the_present_judged_anew() -> None:
    """An import of last year says what is usual now; an hour that is a day late does not need it."""
    old, fresh = END - REACH_MAX - DAY, END - DAY
    assert with_today([([1, 2], old, old), ([3], fresh, END)], END) == [
        ([1, 2], old, old),
        ([3], fresh, END),
        ([1, 2], END, END),
    ]
