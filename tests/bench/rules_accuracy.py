"""Accuracy: a hard city played in simulated time; found, missed and false per rule, and why.

Every message goes through ingest's own decoding and transaction and every pass of the evaluator runs at simulated
moments, so that late data, outages, silence and clearing are what they would be. Nobody closes an alert.
"""

import time
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from app.importer import import_folder
from rules.catalog import Catalog, default_catalog
from simulator.city import build_city
from simulator.faults import Fault, plan_faults, truth_json
from simulator.hard import HARD_NOISE, hard_city, hard_plan
from simulator.messages import messages
from simulator.model import City
from simulator.registry import write_registry
from simulator.score import Raised, RuleScore, Score, score, score_family
from sql.actor import Actor
from tests.bench.rules_feed import Feeder
from tests.bench.rules_stage import Watch, folder_of_run, stage

ZONE = "Asia/Shanghai"
NOW = datetime(2026, 3, 10, 6, 30, tzinfo=UTC)
"""The history ends at the end of a winter: heating, thaw and cold spells lie in it."""


@dataclass(frozen=True)
class Sizes:
    """Homes, days of history, and how much denser than the base rates faults are planted."""

    homes: int
    days: int
    dense: float = 1.0


QUICK = Sizes(1_000, 30, 3.0)
FULL = Sizes(10_000, 60)


@dataclass(frozen=True)
class Accuracy:
    """What a run came to."""

    sizes: Sizes
    scored: Score
    family: RuleScore
    family_rules: tuple[str, ...]
    false_by_cause: dict[str, int]
    missed_by_plant: dict[str, tuple[int, int]]
    where_false: dict[str, int]
    where_family_false: dict[str, int]
    messages: int
    rows: int
    refused: int
    seconds: float

    @property
    def weeks_1000(self) -> float:
        """Thousands of homes times weeks."""
        return self.sizes.homes / 1000 * self.sizes.days / 7

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        rules = [asdict(one) | _figures(one) for one in (*self.scored.rules, self.family)]
        return {
            "homes": self.sizes.homes,
            "days": self.sizes.days,
            "rules": rules,
            "unjudged": dict(self.scored.others),
            "family_rules": list(self.family_rules),
            "false_per_1000_homes_week": round(len(self.scored.false) / self.weeks_1000, 3),
            "family_false_per_1000_homes_week": round(len(self.family.false) / self.weeks_1000, 3),
            "false_by_cause": self.false_by_cause,
            "found_of_planted_by_plant": self.missed_by_plant,
            "false_by_user_class": self.where_false,
            "family_false_by_user_class": self.where_family_false,
            "messages": self.messages,
            "rows": self.rows,
            "quarantined": self.refused,
            "seconds": round(self.seconds, 1),
        }


def _figures(one: RuleScore) -> dict[str, Any]:
    return {"recall": one.recall, "precision": one.precision, "median_detect_s": one.median_detect_s}


async def measure(sizes: Sizes, seed: int, console: Console, url: str | None = None) -> Accuracy:
    """Play and score one city."""
    began = time.perf_counter()
    city = build_city(hard_city(NOW, seed, sizes.homes, sizes.days))
    plan = hard_plan(sizes.homes, sizes.days, sizes.dense)
    faults = plan_faults(city, NOW, seed, sizes.days, plan)
    catalog, said = default_catalog(), Console(stderr=True)
    async with stage(url, durable=False) as (pool, _):
        await registered(pool, city)
        feeder = Feeder(pool, Watch(pool, catalog, ZONE))
        played = messages(city, faults, NOW, sizes.days, seed, HARD_NOISE)
        with console.status("playing") as status:

            def told(at: datetime) -> None:
                status.update(f"playing {at:%Y-%m-%d}, {feeder.messages:,} messages")
                if not console.is_terminal:
                    said.print(f"{time.perf_counter() - began:.0f} s: played until {at:%Y-%m-%d}, {feeder.messages:,}")

            await feeder.play(played, NOW, told)
        async with pool.acquire() as conn:
            raised = await alerts_of(conn)
    truth = truth_json(city, faults, NOW, seed, sizes.days)
    seconds = time.perf_counter() - began
    counts = feeder.messages, feeder.rows, feeder.refused
    return judged(sizes, city, catalog, faults, truth, raised, counts, seconds)


async def registered(pool: asyncpg.Pool, city: City) -> None:
    """Import the registry of a city, as its operator would; raises RuntimeError when a row is refused."""
    folder = folder_of_run()
    write_registry(city, folder)
    async with pool.acquire() as conn:
        report = await import_folder(conn, folder, Actor("bench", "administrator"), NOW, strict=True)
    if report.bad:
        raise RuntimeError(f"the registry is refused: {report.bad[0]}")


async def alerts_of(conn: asyncpg.Connection) -> tuple[Raised, ...]:
    """All alerts with the code of their subject."""
    codes: dict[str, str] = {}
    for kind in ("device", "gateway", "building", "compound", "district", "premises"):
        rows = await conn.fetch(f"SELECT {kind}_id AS id, code FROM {kind}")  # noqa: S608 - the names stand above
        codes |= {f"{kind}:{row['id']}": row["code"] for row in rows}
    rows = await conn.fetch("SELECT rule_id, subject, first_at, raised_at FROM alert ORDER BY alert_id")
    return tuple(
        Raised(row["rule_id"], _named(row["subject"], codes), row["first_at"], row["raised_at"]) for row in rows
    )


def _named(subject: str, codes: dict[str, str]) -> tuple[str, str]:
    kind, _, number = subject.partition(":")
    return ("area" if kind == "district" else kind), codes.get(subject, number)


def judged(
    sizes: Sizes,
    city: City,
    catalog: Catalog,
    faults: Sequence[Fault],
    truth: dict[str, Any],
    raised: Sequence[Raised],
    counts: tuple[int, int, int],
    seconds: float,
) -> Accuracy:
    """What was raised beside what is true; `counts` are messages, rows and refusals."""
    scored = score(truth, raised)
    known = set(truth["rules"])
    leaking = tuple(sorted(rule.rule_id for rule in catalog.rules.values() if rule.leak and rule.rule_id in known))
    family = score_family(truth, raised, leaking, "leak family")
    return Accuracy(
        sizes, scored, family, leaking, *_causes(city, scored), _by_plant(faults, scored, known),
        _user_classes(city, scored.false), _user_classes(city, family.false), *counts, seconds,
    )  # fmt: skip


def _causes(city: City, scored: Score) -> tuple[dict[str, int]]:
    """False alerts by rule and by what the home is like, or the harmless plant it fell for."""
    places, fitted = city.places(), city.fitted()
    pulse_l = {device.code: device.pulse_ml / 1000 for device in city.devices if device.pulse_ml}
    found: Counter[str] = Counter()
    for rule in scored.rules:
        for false in rule.false:
            subject, _, plant = false.partition(" ")
            kind, _, code = subject.partition(":")
            why = plant.strip("()")
            if not why and kind == "device":
                place = places[fitted[code].premises]
                habits = city.habits[place.code]
                why = "pilot never out" if habits.pilot_never_off else "pilot flame" if habits.pilot_lh else ""
                why = (
                    why
                    or ("night work" if habits.night_shift else "")
                    or (f"heating {habits.heating}" if habits.heating != "none" else place.user_class)
                )
            counts = f", {pulse_l[code]:g} L pulses" if code in pulse_l else ""
            found[f"{rule.rule}: {why or kind}{counts}"] += 1
    return (dict(found.most_common()),)


def _by_plant(faults: Sequence[Fault], scored: Score, rules: Container[str]) -> dict[str, tuple[int, int]]:
    """Found and planted by plant, of those that one of some rules must find."""
    planted = Counter(fault.name for fault in faults if fault.alert and fault.rule in rules)
    missed: Counter[str] = Counter()
    for rule in scored.rules:
        for one in rule.missed:
            missed[one.partition("(")[2].rstrip(")") or rule.rule] += 1
    return {name: (count - missed[name], count) for name, count in sorted(planted.items())}


def _user_classes(city: City, false_alerts: Sequence[str]) -> dict[str, int]:
    """Where false alerts of devices are: in homes or in kitchens."""
    places, fitted = city.places(), city.fitted()
    found: Counter[str] = Counter()
    for false in false_alerts:
        kind, _, code = false.split(" ")[1].partition(":")
        found[places[fitted[code].premises].user_class if kind == "device" else kind] += 1
    return dict(found)


def report(result: Accuracy, catalog: Catalog, console: Console) -> None:
    """The table, then what was missed and what was false."""
    title = (
        f"{result.sizes.homes:,} homes x {result.sizes.days} days, {result.messages:,} messages, {result.seconds:.0f} s"
    )
    table = Table(
        "rule", "planted", "found", "recall", "false", "precision", "median to detect", "false/1000 homes/week"
    )
    table.title = title
    for one in (*result.scored.rules, result.family):
        known = one is result.family or one.rule in catalog.rules
        detect = "" if one.median_detect_s is None else f"{one.median_detect_s / 3600:.1f} h"
        table.add_row(
            one.rule if known else f"{one.rule} (no such rule)", str(one.planted), str(one.found), _share(one.recall),
            str(len(one.false)), _share(one.precision), detect, f"{len(one.false) / result.weeks_1000:.2f}",
            end_section=one is result.scored.rules[-1],
        )  # fmt: skip
    console.print(table)
    for heading, rows in (
        ("false by cause", [f"{cause}: {count}" for cause, count in result.false_by_cause.items()]),
        ("found of planted", [f"{name} {a}/{b}" for name, (a, b) in result.missed_by_plant.items()]),
        ("false alerts are at", [f"{where}: {count}" for where, count in result.where_false.items()]),
        ("those of the leak family", [f"{where}: {count}" for where, count in result.where_family_false.items()]),
        ("rules the truth does not know", [f"{rule}: {count}" for rule, count in result.scored.others.items()]),
    ):
        console.print(f"{heading}: " + (", ".join(rows) or "none"), soft_wrap=True)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
