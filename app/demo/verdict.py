"""What `scripts/up --check` decides, and why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.score import Score


@dataclass(frozen=True, slots=True)
class Judgement:
    """One thing that had to be true: whether it is, and the fact behind it."""

    name: str
    ok: bool
    fact: str


def judge(
    score: Score, ledger: Mapping[str, Any], acknowledged: int, roster_faults: Sequence[str] | None
) -> tuple[Judgement, ...]:
    """Judge a demonstration.

    `acknowledged` is what the broker acknowledged to the gateways since the district was begun; `roster_faults` are the
    sentences of the independent checker over the roster as stored, None when there is no roster.
    """
    return (
        _found(score),
        _no_false(score),
        _balances(ledger),
        _received(ledger, acknowledged),
        _roster(roster_faults),
    )


def _found(score: Score) -> Judgement:
    missed = [f"{rule.rule} {subject}" for rule in score.rules for subject in rule.missed]
    fact = f"{score.found} of {score.planted}" + (f"; missed {', '.join(missed)}" if missed else "")
    return Judgement("planted faults found", not missed and score.planted > 0, fact)


def _no_false(score: Score) -> Judgement:
    fact = f"{len(score.false)}" + (f": {', '.join(score.false)}" if score.false else "")
    return Judgement("false alerts", not score.false, fact)


def _balances(ledger: Mapping[str, Any]) -> Judgement:
    by_kind = ", ".join(f"{kind} {count}" for kind, count in ledger["by_disposition"].items())
    fact = f"received {ledger['received']} = {by_kind}"
    if ledger["faults"]:
        fact += f"; {'; '.join(ledger['faults'])}"
    return Judgement("ledger balances", bool(ledger["balances"]), fact)


def _received(ledger: Mapping[str, Any], acknowledged: int) -> Judgement:
    """At least once: a redelivery may be received twice, but nothing acknowledged may be missing."""
    fact = f"{ledger['received']} received for {acknowledged} acknowledged to the gateways"
    return Judgement("nothing acknowledged is missing", ledger["received"] >= acknowledged > 0, fact)


def told(after_ms: float | None) -> Judgement:
    """Judge whether the officer on duty was told of the leak that was played as it happened."""
    if after_ms is None:
        return Judgement("the officer on duty was told of the live leak", ok=False, fact="no channel took a notice")
    return Judgement(
        "the officer on duty was told of the live leak",
        ok=True,
        fact=f"{after_ms:,.0f} ms after the alarm its notice was handed to a channel",
    )


def _roster(faults: Sequence[str] | None) -> Judgement:
    if faults is None:
        return Judgement("roster obeys its checker", ok=False, fact="there is no roster")
    fact = "no rule broken" if not faults else "; ".join(faults)
    return Judgement("roster obeys its checker", not faults, fact)
