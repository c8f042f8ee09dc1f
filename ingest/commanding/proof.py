"""What a device's own words and its register say about a command: answered, proved, contradicted, or nothing yet."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from ingest.commanding.model import Command, Evidence, Json, Limits, Reason, Said, Sample, Target

PULSES_OF_A_LIE = 2
"""Pulses with the valve closed that count as flow (gas-meter firmware specification citing CJ/T 449-2014, unofficial
text), and at least VOLUME_OF_A_LIE_ML for meters that count finely (ours: no source found; below any use)."""

VOLUME_OF_A_LIE_ML = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """`answered_at`: since when the device says to be where it was told. `ends_in`: proved, failed, None undecided."""

    reason: Reason
    answered_at: datetime | None = None
    ends_in: str | None = None
    facts: Json | None = None


def judge(command: Command, target: Target, evidence: Evidence, limits: Limits) -> Finding:
    """Judge a sent command by all that arrived since; the order of arrival does not matter, only the device's time.

    Opened: the device says so. Closed: it says so and, for a meter, nothing flows after it.
    """
    if evidence.said and evidence.said[-1].valve == "fault":
        return Finding(Reason.VALVE_FAULT, None, "failed", _facts(evidence.said[-1]))
    answered_at = answered_since(evidence.said, command.position)
    if answered_at is None:
        if command.answered_at is not None and any(one.at > command.answered_at for one in evidence.said):
            return Finding(Reason.MOVED_BACK, None, "failed", _facts(evidence.said[-1]))
        return Finding(Reason.NOTHING)
    if command.valve == "open" or target.kind != "meter":
        return Finding(Reason.VALVE_THERE, answered_at, "proved", _facts(evidence.said[-1]))
    return _judge_flow(answered_at, target, evidence.samples, limits)


def answered_since(said: tuple[Said, ...], position: str) -> datetime | None:
    """Since when a device has said, without a contradiction, that its valve is where it was told."""
    since = None
    for one in reversed(said):
        if one.valve != position:
            break
        since = one.at
    return since


def _judge_flow(closed_at: datetime, target: Target, samples: tuple[Sample, ...], limits: Limits) -> Finding:
    settled = closed_at + timedelta(seconds=limits.settle_s)
    after = [sample for sample in samples if sample.at >= settled]
    if (flow := _flow(after, target, limits)) is not None:
        return Finding(Reason.FLOW_THROUGH_CLOSED_VALVE, closed_at, "failed", flow)
    if (rest := _rest(after, target, limits)) is not None:
        return Finding(Reason.CLOSED_AND_NO_FLOW, closed_at, "proved", rest)
    return Finding(Reason.SAYS_SO, closed_at)


def _flow(after: list[Sample], target: Target, limits: Limits) -> Json | None:
    """Flow past a closed valve: an instantaneous flow, or a register that moved more than a swing of its counter."""
    flowing = next((one for one in after if one.flow_lh is not None and one.flow_lh >= limits.flow_lh), None)
    if flowing is not None:
        return {"at": flowing.at.isoformat(), "flow_lh": flowing.flow_lh}
    counted = [(one.at, one.index_ml) for one in after if one.index_ml is not None]
    grown_ml = sum(max(0, later - earlier) for (_, earlier), (_, later) in pairwise(counted))
    if grown_ml >= max(VOLUME_OF_A_LIE_ML, PULSES_OF_A_LIE * (target.pulse_ml or 1)):
        span = {"from": counted[0][0].isoformat(), "to": counted[-1][0].isoformat()}
        return {**span, "index_from_ml": counted[0][1], "index_to_ml": counted[-1][1], "grown_ml": grown_ml}
    return None


def _rest(after: list[Sample], target: Target, limits: Limits) -> Json | None:
    """No flow: the newest flow is zero, or the register stood still long enough for a pulse at Qmin to show."""
    flows = [one for one in after if one.flow_lh is not None]
    if flows and flows[-1].flow_lh == 0:
        return {"at": flows[-1].at.isoformat(), "flow_lh": 0.0}
    counted = [(one.at, one.index_ml) for one in after if one.index_ml is not None]
    if not counted:
        return None
    last_at, last_ml = counted[-1]
    still = [at for at, index_ml in counted if index_ml == last_ml]
    if (last_at - still[0]).total_seconds() < max(quiet_s(target, limits), 1.0):
        return None
    return {"from": still[0].isoformat(), "to": last_at.isoformat(), "index_ml": last_ml}


def quiet_s(target: Target, limits: Limits) -> float:
    """How long a register must stand still to prove no flow: at least as long as one pulse at Qmin takes."""
    if not target.pulse_ml or not target.qmin_lh:
        return limits.quiet_s
    return max(limits.quiet_s, target.pulse_ml / 1000.0 / target.qmin_lh * 3600.0)


def _facts(said: Said) -> Json:
    return {"valve": said.valve, "at": said.at.isoformat(), "source": said.source}
