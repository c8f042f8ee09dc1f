"""What a planned day amounts to: the figures kept with each run, and the omissions of doors it could not consider."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

from inspections.candidates import Choice
from inspections.model import Call, Day, Omission, Plan


def run_figures(whole: Day, choice: Choice, plan: Plan) -> dict[str, Any]:
    """Counts, priority, expected entries, travel and the spread of work of a plan."""
    visits = plan.visits()
    return {
        "inspectors": len(whole.inspectors),
        "candidates": len(whole.calls),
        "considered": len(choice.considered),
        "deferred": len(choice.deferred),
        "visits": len(visits),
        "expected_entries": round(sum(visit.chance for visit in visits), 1),
        "omitted": len(plan.omissions),
        "mandatory": sum(call.mandatory for call in whole.calls),
        "mandatory_served": sum(visit.call.mandatory for visit in visits),
        "promised": sum(call.promised for call in whole.calls),
        "promised_served": sum(visit.call.promised for visit in visits),
        "priority": sum(call.priority for call in choice.considered),
        "priority_served": sum(visit.call.priority for visit in visits),
        "overbooked_s": sum(visit.call.overbooked_s for visit in visits),
        "load_spread_pct": round(100 * load_spread(whole, plan), 1),
        "travel_s": sum(roster.travel_s for roster in plan.rosters),
        "travel": "great circle" if whole.table is None else whole.table.source,
    }


def load_spread(day: Day, plan: Plan) -> float:
    """The largest difference in work and travel between two inspectors of a station, as a share of the shift."""
    worked = {
        roster.inspector.inspector_id: roster.travel_s + sum(visit.leave_s - visit.arrive_s for visit in roster.visits)
        for roster in plan.rosters
    }
    shares: dict[str, list[float]] = defaultdict(list)
    for inspector in day.inspectors:
        shift_s = max(1, inspector.shift_end_s - inspector.shift_start_s - inspector.break_s)
        shares[inspector.station].append(worked.get(inspector.inspector_id, 0) / shift_s)
    return max((max(station) - min(station) for station in shares.values()), default=0.0)


def defer(calls: Sequence[Call], day: date, closed: str | None = None) -> list[Omission]:
    """Doors already due that the day cannot even consider get their omission too; doors due later wait silently.

    `closed`: why the day is not worked, None when it is.
    """
    overdue = [call for call in calls if min(duty.due_on for duty in call.duties) <= day]
    if closed:
        reason = f"the day is {closed}: only what is mandatory or was promised for it is visited"
        return [Omission(call, "calendar", reason, {"priority": call.priority}) for call in overdue]
    reason = f"the day holds far fewer visits than doors are due; {len(calls)} of less weight wait for a later day"
    return [Omission(call, "capacity", reason, {"priority": call.priority}) for call in overdue]
