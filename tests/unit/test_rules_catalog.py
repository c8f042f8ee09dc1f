"""Rule files: what is accepted, and the exact sentence for everything that is not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from rules.catalog import KINDS, default_catalog, parse_catalog, parse_files, widened
from rules.detectors import WINDOW_DETECTORS, in_scope
from rules.gate import admit
from rules.model import Finding, InvalidRule, Rule
from rules.schedule import first_within
from rules.windows import DEVICES

FOLDER = Path(__file__).parents[1] / "data" / "rules"
BAD = sorted((FOLDER / "bad").glob("*.toml"))


def test_a_good_file_becomes_rules() -> None:
    """Words, scope and numbers arrive as written."""
    rule = parse_catalog((FOLDER / "good.toml").read_text("utf-8")).rules["drip"]
    assert (rule.family, rule["days"], rule.severity_high) == ("window", 3.0, "major")
    assert rule.scope.areas == frozenset({"D01"})


@pytest.mark.parametrize("path", BAD, ids=[path.stem for path in BAD])
def test_a_mistake_is_named_with_rule_and_key(path: Path) -> None:
    """The first line of each bad file is the message it must get; "..." stands for what may grow."""
    text = path.read_text("utf-8")
    with pytest.raises(InvalidRule) as refused:
        parse_catalog(text)
    expected, more, _ = text.split("\n", 1)[0].removeprefix("# ").partition("...")
    assert str(refused.value).startswith(expected)
    assert more or str(refused.value) == expected


def test_the_shipped_catalogue_is_valid_and_uses_every_kind() -> None:
    """Every kind the program knows has a rule, and every window kind a detector."""
    rules = default_catalog().rules.values()
    assert {rule.kind for rule in rules} == set(KINDS)
    assert {kind for kind, one in KINDS.items() if one.family == "window"} == set(WINDOW_DETECTORS)


def test_the_version_follows_the_definition() -> None:
    """The same words in another order are the same version; another number is another."""
    text = (FOLDER / "good.toml").read_text("utf-8")
    turned = text.replace("days = 3\ngap_min = 60\n", "gap_min = 60\ndays = 3\n")
    changed = text.replace("days = 3", "days = 4")
    one, same, other = (parse_catalog(version).rules["drip"].version for version in (text, turned, changed))
    assert one == same != other


def test_scope_leaves_out_what_is_unknown() -> None:
    """A device of unknown class is not inside a scope that names classes."""
    text = (FOLDER / "good.toml").read_text("utf-8").replace('areas = ["D01"]', 'meter_classes = ["G4"]')
    rule = parse_catalog(text).rules["drip"]
    assert rule.covers("meter", "G4", None, "D07")
    assert not rule.covers("meter", None, None, "D07")
    assert not rule.covers("detector", "G4", None, "D07")


WORDS = """title = "t"
severity = "minor"
visit = "none"
clears = "by_person"
why = "w"
what_to_do = "d"
source = "no source found"
"""
AT = datetime(2026, 11, 2, 3, 0, tzinfo=UTC)  # a Monday


def rules_of(text: str) -> dict[str, Rule]:
    """The rules of a text in which WORDS stands for the keys every rule must have."""
    return dict(parse_catalog(text.replace("WORDS", WORDS)).rules)


def finding(value: float | None = 1.0, minutes: float = 0, **changes: object) -> Finding:
    one = Finding("r", "device:1", AT, AT + timedelta(minutes=minutes), "minor", "s", {}, value)
    return replace(one, **changes)  # type: ignore[arg-type]


def test_a_parameter_that_is_left_out_has_the_kinds_default() -> None:
    """The default becomes part of the definition, so that the version changes when a default does."""
    rule = rules_of('[rule.drip]\nkind = "micro_leak"\nWORDS')["drip"]
    assert rule["days"] == KINDS["micro_leak"].parameters["days"].default
    assert rule.definition["parameters"] == dict(rule.parameters)


def test_every_default_lies_in_its_range_and_is_explained() -> None:
    """A kind whose own defaults break its ranges could not be used as it is."""
    for kind in KINDS.values():
        for one in kind.parameters.values():
            assert one.least <= one.default <= one.most
            assert one.unit
            assert one.explanation
        for low, high in kind.ordered:
            assert kind.parameters[low].default < kind.parameters[high].default


def test_rules_of_one_kind_may_share_the_city() -> None:
    """Scopes that cannot meet need no word about one another."""
    two = '[rule.{0}]\nkind = "micro_leak"\nWORDS[rule.{0}.scope]\nmeter_classes = ["{1}"]\n'
    assert set(rules_of(two.format("small", "G2.5") + two.format("large", "G4"))) == {"small", "large"}


def test_an_overriding_rule_takes_its_devices_away_from_the_other() -> None:
    """The meter M-7 is looked at by its own rule alone, every other one by the general rule alone."""
    rules = rules_of(
        '[rule.every]\nkind = "micro_leak"\nWORDS'
        '[rule.one]\nkind = "micro_leak"\noverrides = "every"\nWORDS[rule.one.scope]\ndevices = ["M-7"]\n'
    )
    about = ("meter", "G4", "household", "D01")
    assert [rules["every"].covers(*about, code) for code in ("M-6", "M-7")] == [True, False]
    assert [rules["one"].covers(*about, code) for code in ("M-6", "M-7")] == [False, True]
    rows = [(number, f"M-{number}", *about, 10, None, 4000.0, None, None, None) for number in (6, 7)]
    devices = pl.DataFrame(rows, schema=DEVICES, orient="row")
    assert in_scope(rules["every"], devices).to_list() == [6]
    assert in_scope(rules["one"], devices).to_list() == [7]


def test_overriding_reaches_through() -> None:
    """A rule that overrides the one that overrides the general one needs to name only the nearer."""
    text = '[rule.{0}]\nkind = "micro_leak"\nWORDS{1}'
    rules = rules_of(
        text.format("every", "")
        + text.format("area", 'overrides = "every"\n[rule.area.scope]\nareas = ["D01"]\n')
        + text.format("one", 'overrides = "area"\n[rule.one.scope]\nareas = ["D01"]\ndevices = ["M-7"]\n')
    )
    about = ("meter", "G4", "household", "D01", "M-7")
    assert [name for name, rule in rules.items() if rule.covers(*about)] == ["one"]


def test_an_area_takes_in_the_districts_below_it() -> None:
    """A rule for a city looks at its districts, one that overrides it there alone at its own; versions stay."""
    text = '[rule.{0}]\nkind = "micro_leak"\nWORDS{1}[rule.{0}.scope]\nareas = ["{2}"]\n'.replace("WORDS", WORDS)
    written = parse_catalog(text.format("city", "", "D0") + text.format("old_town", 'overrides = "city"\n', "D01"))
    wide = widened(written, {"D0": frozenset({"D0", "D01", "D02"}), "D01": frozenset({"D01"})})
    seen = {area: [name for name, one in wide.rules.items() if one.covers("meter", None, None, area)]
            for area in ("D0", "D01", "D02", "D1")}  # fmt: skip
    assert seen == {"D0": ["city"], "D01": ["old_town"], "D02": ["city"], "D1": []}
    assert wide.digest == written.digest
    assert wide.rules["city"].version == written.rules["city"].version


def test_areas_that_meet_in_a_district_below_are_refused() -> None:
    """Both rules and the district are named; a rule may not override one that it does not meet there either."""
    text = '[rule.{0}]\nkind = "micro_leak"\nWORDS{1}[rule.{0}.scope]\nareas = ["{2}"]\n'.replace("WORDS", WORDS)
    two = parse_catalog(text.format("city", "", "D0") + text.format("old_town", "", "D01"))
    with pytest.raises(InvalidRule, match=r"rules city and old_town: .*overlap \(scope.areas = D01\)"):
        widened(two, {"D0": frozenset({"D0", "D01"})})
    assert len(widened(two, {"D0": frozenset({"D0", "D02"})}).rules) == 2
    apart = parse_catalog(text.format("city", "", "D0") + text.format("old_town", 'overrides = "city"\n', "D01"))
    with pytest.raises(InvalidRule, match="rule old_town: overrides = 'city': their scopes have no device in common"):
        widened(apart, {"D0": frozenset({"D0", "D02"})})


def test_a_disabled_rule_is_as_if_it_were_not_there() -> None:
    """It neither fires nor overlaps nor overrides, and is still shown."""
    catalog = parse_catalog(
        (
            '[rule.every]\nkind = "micro_leak"\nWORDS'
            '[rule.off]\nkind = "micro_leak"\nenabled = false\noverrides = "every"\nWORDS'
            '[rule.off.scope]\ndevices = ["M-7"]\n'
        ).replace("WORDS", WORDS)
    )
    assert (list(catalog.rules), list(catalog.disabled)) == (["every"], ["off"])
    assert catalog.rules["every"].covers("meter", None, None, "D01", "M-7")


def test_files_are_one_catalogue() -> None:
    """A rule may stand once, in whichever file; the set has a version of its own."""
    text = '[rule.{0}]\nkind = "{1}"\nWORDS'.replace("WORDS", WORDS)
    one, two = text.format("drip", "micro_leak"), text.format("back", "index_backwards")
    assert parse_files({"a": one, "b": two}).digest == parse_files({"a": two, "b": one}).digest
    assert parse_files({"a": one, "b": two}).digest != parse_files({"a": one}).digest
    with pytest.raises(InvalidRule, match="rule drip: stands twice, the second time in b"):
        parse_files({"a": one, "b": one})


def test_the_ladder_gives_each_value_its_rung() -> None:
    """Below the first rung the rule's own severity; from each threshold on, that rung."""
    rule = rules_of('[rule.r]\nkind = "index_backwards"\nWORDS[rule.r.ladder]\nmajor = 10\ncritical = 100\n')["r"]
    values = (None, 9.9, 10.0, 99.0, 100.0)
    severities = [admit(rule, [finding(value)])[0].severity for value in values]
    assert severities == ["minor", "minor", "major", "major", "critical"]


def test_a_least_duration_counts_observed_time() -> None:
    """Two hours of which only 50 minutes were observed are not an hour."""
    rule = rules_of('[rule.r]\nkind = "micro_leak"\nminimum_observed_min = 60\nWORDS')["r"]
    assert admit(rule, [finding(minutes=120, observed_s=3000.0)]) == []
    assert len(admit(rule, [finding(minutes=120, observed_s=3600.0)])) == 1


def test_a_schedule_lets_through_what_reaches_into_it() -> None:
    """03:00 UTC on Monday is 11:00 in Shanghai; from 12:00 on, an hour later, the finding shows from there."""
    keys = 'zone = "Asia/Shanghai"\ndays = ["mon"]\nfrom = "12:00"\nuntil = "18:00"\n'
    rule = rules_of(f'[rule.r]\nkind = "index_backwards"\nWORDS[rule.r.schedule]\n{keys}')["r"]
    assert admit(rule, [finding()]) == []
    (late,) = admit(rule, [finding(minutes=90, shown_at=AT)])
    assert late.known_at == AT + timedelta(hours=1)


def test_a_schedule_may_run_past_midnight() -> None:
    """From 22:00 until 06:00 on Sundays reaches into Monday morning, and ends there."""
    keys = 'zone = "UTC"\ndays = ["sun"]\nfrom = "22:00"\nuntil = "06:00"\n'
    schedule = rules_of(f'[rule.r]\nkind = "index_backwards"\nWORDS[rule.r.schedule]\n{keys}')["r"].schedule
    assert schedule is not None
    assert first_within(schedule, AT, AT) == AT
    assert first_within(schedule, AT + timedelta(hours=3), AT + timedelta(days=5)) is None
