"""What tests of an alert's life share: an alert of minute 0, steps on it, and its story as its clock is looked at."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rules import folding, lifecycle
from rules.awaiting import PlannedVisit, awaited
from rules.catalog import default_catalog
from rules.clocks import Fired, elapsed, wound
from rules.model import Alert, Finding, OfficerStep, Reason, Transition
from rules.regimes import Regime, default_regimes
from rules.silences import Silence

RULES = default_catalog().rules
CHINA, UK = default_regimes()["china"], default_regimes()["uk"]
T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PROOF = ({"kind": "instrument", "instrument": "GT-44", "value": 0.0, "unit": "ppm"},)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def found(minute: float = 0, severity: str = "critical", rule_id: str = "leak_alarm", **values: object) -> Finding:
    sample = [at(minute).isoformat(), severity]
    given_values: dict[str, object] = {"value": 30.0, "unit": "%LEL", **values}
    return Finding(rule_id, "device:1", at(minute), at(minute), severity, "seen", {"samples": [sample]}, **given_values)  # type: ignore[arg-type]


def raised(regime: Regime = CHINA, severity: str = "critical", rule_id: str = "leak_alarm", **values: object) -> Alert:
    """An alert of minute 0, wound."""
    alert = folding.raise_or_fold(RULES[rule_id], None, [], found(0, severity, rule_id), at(0)).alert
    assert alert is not None
    return wound(alert.changed(alert_id=1, **values), regime)


def stepped(alert: Alert, step: str, minute: float, regime: Regime = CHINA, actor: str = "olga") -> Alert:
    asked = OfficerStep(step, actor, note="shut at the riser", evidence=PROOF, cause="cooking")
    after = lifecycle.officer_step("by_person", alert, asked, at(minute)).alert
    assert after is not None
    return wound(after, regime)


@dataclass
class Story:
    """An alert whose clock is looked at again and again; remembers what its timeline tells."""

    alert: Alert
    regime: Regime = CHINA
    steps: list[Transition] = field(default_factory=list)

    def look(self, minute: float, *visits: PlannedVisit, reported: str | None = None) -> list[str]:
        """The reasons of the steps that a look at a minute makes; `visits` are planned at the door then."""
        visit = awaited(self.alert, visits, reported, self.regime, at(minute))
        assert visit.alert is not None
        self.alert, new = elapsed(visit.alert, self.regime, self.told(), at(minute))
        new = [visit, *new] if visit.step else new
        self.steps += new
        return [step.reason.value for step in new]

    def told(self) -> set[Fired]:
        return {fired(step) for step in self.steps if step.reason is Reason.ESCALATED}


def fired(step: Transition) -> Fired:
    assert step.evidence is not None
    return str(step.evidence["stage"]), str(step.evidence["due_at"]), int(str(step.evidence["level"]))


def silence(**values: object) -> Silence:
    """A silence of one person that covers everything around minute 0, changed as said."""
    plain: dict[str, object] = {
        "silence_id": 1,
        "kind": "silence",
        "from_at": at(-10),
        "until_at": at(100),
        "author": "olga",
        "reason": "works",
        "leaks": False,
    }
    return Silence(**{**plain, **values})  # type: ignore[arg-type]


TWO: dict[str, object] = {"leaks": True, "approved_by": "oleg"}
"""What makes it a silence of two persons, leaks included."""
