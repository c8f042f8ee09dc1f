"""The demonstration for a person: tables of what came in, what was raised, who goes where, and what to try."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.demo.verdict import Judgement
from simulator.score import Score

_SHOWN_VISITS = 12
_SHOWN_ALIKE = 5
_ORDER = ("critical", "major", "minor", "info")


def show_ledger(console: Console, ledger: Mapping[str, Any]) -> None:
    """What became of the messages, by gateway and in all."""
    table = Table(title="Messages received and what became of them", title_justify="left")
    kinds = ("received", "stored", "late", "duplicate", "conflict", "quarantined")
    table.add_column("gateway")
    for kind in kinds:
        table.add_column(kind, justify="right")
    sums: dict[str, Counter[str]] = {}
    for line in ledger["items"]:
        sums.setdefault(line["gateway"], Counter()).update({kind: line[kind] for kind in kinds})
    for gateway, counts in sorted(sums.items()):
        table.add_row(gateway, *(f"{counts[kind]:,}" for kind in kinds))
    table.add_section()
    total = sum(sums.values(), Counter[str]())
    table.add_row("all", *(f"{total[kind]:,}" for kind in kinds), style="bold")
    console.print(table)
    console.print(
        "late: history played now that happened more than 48 hours ago; stored, and it pages no one.\n"
        f"never arrived, by sequence number: {sum(line['missing'] for line in ledger['missing'])} messages "
        "(the simulator loses some on purpose)",
        style="dim",
    )


def show_alerts(console: Console, alerts: Iterable[Mapping[str, Any]], truth: Mapping[str, Any]) -> None:
    """Every alert with the planted fault it is; of those that nobody planted the first few of each rule."""
    planted = {(fault["rule"], fault["subject"]["code"]): fault for fault in truth["faults"]}
    table = Table(title="Alerts raised", title_justify="left")
    for column in ("id", "severity", "rule", "subject", "what was found", "planted fault"):
        table.add_column(column, overflow="fold")
    ranked = sorted(alerts, key=lambda alert: (_ORDER.index(alert["severity"]), alert["rule_id"], alert["alert_id"]))
    alike: Counter[str] = Counter()
    for alert in ranked:
        code = subject_code(alert)
        fault = planted.get((alert["rule_id"], code))
        name = Text(fault["name"] if fault else "")
        if not (fault and fault["alert"]):
            judged = alert["rule_id"] in truth["rules"]
            name = Text("none: false alert?", "yellow") if judged else Text("not judged", "dim")
            alike[alert["rule_id"]] += not judged
            if not judged and alike[alert["rule_id"]] > _SHOWN_ALIKE:
                continue
        cells = (str(alert["alert_id"]), alert["severity"], alert["rule_id"], code, alert["sentence"])
        table.add_row(*(Text(cell) for cell in cells), name)
    for rule_id, count in sorted(alike.items()):
        if count > _SHOWN_ALIKE:
            table.add_row("", "", rule_id, "", f"and {count - _SHOWN_ALIKE} more", Text("not judged", "dim"))
    console.print(table)
    console.print(
        "not judged: chance found it, nobody planted it (a detector past its life, a habit of the simulated home).\n",
        style="dim",
    )


def subject_code(alert: Mapping[str, Any]) -> str:
    """The code of an alert's subject."""
    kind = str(alert["subject"]).partition(":")[0]
    named = alert[kind]
    return str(named["code"] if isinstance(named, Mapping) else named)


def show_score(console: Console, score: Score) -> None:
    """Found and missed by rule."""
    table = Table(title="Planted faults", title_justify="left")
    table.add_column("rule")
    for column in ("planted", "found", "false alerts"):
        table.add_column(column, justify="right")
    for rule in score.rules:
        table.add_row(rule.rule, str(rule.planted), str(rule.found), str(len(rule.false)))
    console.print(table)


def show_roster(console: Console, roster: Mapping[str, Any], zone: tzinfo) -> None:
    """The first visits of one inspector, each with its reasons."""
    visits: Sequence[Mapping[str, Any]] = roster["visits"]
    title = (
        f"Roster of {roster['name']} ({roster['inspector']}) for {roster['day']}: {len(visits)} visits, "
        f"{_clock(roster['leave_at'], zone)} to {_clock(roster['return_at'], zone)}, "
        f"{roster['travel_s'] / 60:.0f} minutes of travel"
    )
    table = Table(title=title, title_justify="left")
    for column in ("from", "to", "door", "must", "why"):
        table.add_column(column, overflow="fold")
    for visit in visits[:_SHOWN_VISITS]:
        door = f"{visit['building']}, {visit['unit']}"
        table.add_row(
            _clock(visit["arrive_at"], zone),
            _clock(visit["leave_at"], zone),
            Text(door),
            "must" if visit["mandatory"] else "",
            Text("; ".join(visit["reasons"])),
        )
    if len(visits) > _SHOWN_VISITS:
        table.add_row("", "", f"and {len(visits) - _SHOWN_VISITS} more", "", "")
    console.print(table)


def _clock(moment: str, zone: tzinfo) -> str:
    return datetime.fromisoformat(moment).astimezone(zone).strftime("%H:%M")


def show_judgements(console: Console, judgements: Iterable[Judgement]) -> None:
    """Every judgement with its fact."""
    for one in judgements:
        mark = Text("ok     " if one.ok else "FAILED ", style="green" if one.ok else "bold red")
        console.print(mark, Text(f"{one.name}: {one.fact}"), sep="", soft_wrap=True)


def show_doors(console: Console, facts: Mapping[str, str], lines: Iterable[str]) -> None:
    """Addresses, tokens, and lines to paste."""
    console.print()
    for name, fact in facts.items():
        console.print(Text(f"{name:<22}", style="bold"), Text(fact), sep="", soft_wrap=True)
    console.print("\nTry:", style="bold")
    for line in lines:
        console.print(Text(line), soft_wrap=True)
