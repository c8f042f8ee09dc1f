"""The window rules alone on a hard city, whole history at once: the quick way to see what a parameter does.

Messages go through ingest's decoding and marking, and from there into the frames of the pure evaluator, without a
database. What the order of arrival does is left to the accuracy part.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from rich.console import Console

from ingest.binding import bind_message
from ingest.directory import Directory
from ingest.formats import read_message
from ingest.model import Bound, Gateway
from ingest.model import Device as Registered
from ingest.rows import FROZEN_COLUMNS, frozen_copy
from rules import detectors
from rules.catalog import default_catalog
from rules.evaluation import evaluate
from rules.model import Finding, Rule
from rules.windows import BOUNDARIES, DAYS, DEVICES, READINGS, REPORTS, VALVES, Window, prepare
from simulator.city import build_city
from simulator.faults import plan_faults, truth_json
from simulator.hard import HARD_NOISE, hard_city, hard_plan
from simulator.messages import messages
from simulator.model import City, Message
from simulator.score import Raised
from tests.bench.rules_accuracy import NOW, ZONE, Accuracy, Sizes, judged

_AT_ONCE = 20_000
_FROZEN = np.dtype(
    [
        ("fields", ">i2"),
        ("_1", ">i4"), ("device_id", ">i4"),
        ("_2", ">i4"), ("at", ">i8"),
        ("_3", ">i4"), ("index_ml", ">i8"),
        ("_4", ">i4"), ("flags", ">i4"),
        ("_5", ">i4"), ("batch_id", ">i8"),
    ]
)  # fmt: skip
_EPOCH_US = 946_684_800_000_000  # 2000-01-01
assert FROZEN_COLUMNS == ("device_id", "at", "index_ml", "flags", "batch_id")


def measure(sizes: Sizes, seed: int, console: Console) -> Accuracy:
    """Make, decode, evaluate and score one city."""
    began = time.perf_counter()
    city = build_city(hard_city(NOW, seed, sizes.homes, sizes.days))
    faults = plan_faults(city, NOW, seed, sizes.days, hard_plan(sizes.homes, sizes.days, sizes.dense))
    with console.status("making and decoding"):
        window, counts = window_of(city, messages(city, faults, NOW, sizes.days, seed, HARD_NOISE))
    catalog = default_catalog()
    rules = catalog.of_family("window")
    with console.status("evaluating"):
        raised = findings(rules, replace(window, beginnings=_beginnings(rules, window)), city)
    seconds = time.perf_counter() - began
    truth = truth_json(city, faults, NOW, seed, sizes.days)
    truth["rules"] = [rule for rule in truth["rules"] if rule in {one.rule_id for one in rules}]
    return judged(sizes, city, catalog, faults, truth, raised, counts, seconds)


def findings(rules: Iterable[Rule], window: Window, city: City) -> list[Raised]:
    """What the evaluator finds, raised when the samples show it and the day's report has come."""
    codes = dict(enumerate((device.code for device in city.devices), start=1))
    return [
        Raised(
            one.rule_id, ("device", codes[int(one.subject.partition(":")[2])]), one.first_at,
            (one.shown_at or one.last_at) + timedelta(hours=12),
        )
        for one in evaluate(list(rules), window, {})
        if isinstance(one, Finding)
    ]  # fmt: skip


def window_of(city: City, sent: Iterable[Message]) -> tuple[Window, tuple[int, int, int]]:
    """The frames of all that a city said, and how many messages, rows and refusals that were."""
    directory = _directory(city)
    parts: list[pl.DataFrame] = []
    reports: list[tuple[int, datetime, datetime]] = []
    valves: list[tuple[int, datetime, bool, bool]] = []
    bounds: list[Bound] = []
    count = refused = 0
    for message in sent:
        if message.kind in ("lost", "status"):
            continue
        count += 1
        one = bind_message(count, read_message(message.topic, message.payload, message.sent_at), directory)
        if not isinstance(one, Bound):
            refused += 1
            continue
        bounds.append(one)
        valves += [
            (told.device.device_id, told.event.at, told.event.state == "closed", True)
            for told in one.events
            if told.event.kind == "valve" and not told.event.test
        ]
        reports += [(r.device.device_id, r.report.at, message.sent_at) for r in one.reports if r.report.frozen_ml]
        if len(bounds) == _AT_ONCE:
            parts.append(_readings(bounds))
            bounds = []
    parts.append(_readings(bounds))
    readings = pl.concat(parts).unique(["device_id", "at"], keep="first", maintain_order=True)
    window = prepare(readings, _devices(city), pl.DataFrame(valves, VALVES, orient="row"), _boundaries(city))
    heard = pl.DataFrame(reports, REPORTS, orient="row").unique(["device_id", "at"], keep="first")
    window = replace(window, reports=heard, days=_days(readings), zone=ZONE)
    return window, (count, len(readings), refused)


def _directory(city: City) -> Directory:
    gateways = [Gateway(number, one.code, one.area) for number, one in enumerate(city.gateways, start=1)]
    number_of = {one.code: one.gateway_id for one in gateways}
    devices = [
        (
            (one.family, one.code),
            Registered(number, number_of[one.gateway], one.qmax_lh, one.register_wrap_ml, one.has_valve, one.pulse_ml),
        )
        for number, one in enumerate(city.devices, start=1)
    ]
    directory = Directory(0.0)
    directory.learn(gateways, devices, (set(), set()), 0.0)
    return directory


def _readings(bounds: list[Bound]) -> pl.DataFrame:
    copied, count = frozen_copy(bounds, 0)
    rows = np.frombuffer(copied[19:-2], _FROZEN) if count else np.zeros(0, _FROZEN)
    frozen = pl.DataFrame(
        {
            "device_id": rows["device_id"].astype(np.int32),
            "at": rows["at"].astype(np.int64) + _EPOCH_US,
            "index_ml": rows["index_ml"].astype(np.int64),
            "flags": rows["flags"].astype(np.int32),
        }
    ).with_columns(pl.lit(None).alias("status"), pl.lit(None).alias("flow_lh"))
    own = [
        (r.device.device_id, r.report.at, r.report.index_ml, r.flags, r.report.status, r.report.flow_lh)
        for bound in bounds
        for r in bound.reports
    ]
    told = pl.DataFrame(own, READINGS, orient="row")
    return pl.concat([told, frozen.select(list(READINGS)).cast(READINGS)])


def _devices(city: City) -> pl.DataFrame:
    places, fitted = city.places(), city.fitted()
    area = {gateway.code: gateway.area for gateway in city.gateways}
    rows = []
    for number, one in enumerate(city.devices, start=1):
        place = places[fitted[one.code].premises]
        rows.append(
            (
                number, one.code, one.kind, one.meter_class, place.user_class, area[one.gateway], one.pulse_ml,
                one.register_wrap_ml, one.qmax_lh, place.tenure, list(place.appliances), fitted[one.code].installed_at,
            )
        )  # fmt: skip
    return pl.DataFrame(rows, DEVICES, orient="row")


def _boundaries(city: City) -> pl.DataFrame:
    number_of = {one.code: number for number, one in enumerate(city.devices, start=1)}
    edges = [
        (number_of[one.device], at)
        for one in city.installations
        for at in (one.installed_at, one.removed_at)
        if at is not None
    ]
    return pl.DataFrame(edges, BOUNDARIES, orient="row")


def _days(readings: pl.DataFrame) -> pl.DataFrame:
    known = readings.filter(pl.col("index_ml").is_not_null(), pl.col("flags") == 0)
    day = pl.col("at").dt.truncate("1d").alias("day")
    return (
        known.sort("device_id", "at")
        .group_by("device_id", day)
        .agg(pl.col("index_ml").last().alias("last_ml"))
        .cast(DAYS)
    )


def _beginnings(rules: Iterable[Rule], window: Window) -> pl.DataFrame:
    learn = timedelta(days=detectors.learn_days(list(rules)))
    starts = window.pairs.group_by("device_id").agg(pl.col("from_at").min().alias("start_at"))
    first = window.pairs.join(starts, on="device_id").filter(pl.col("at") <= pl.col("start_at") + learn)
    return first.drop("start_at").sort("device_id", "at")
