"""How two versions of a day differ: added, dropped, moved to another inspector, retimed. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from inspections.changes import Difference, LineAnswer

_RETIMED_S = 300  # a visit that begins less than five minutes earlier or later counts as the same


def differences(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], reasons: Mapping[str, str]
) -> tuple[list[Difference], int]:
    """What differs, by inspector and time of the later version, and how many visits are the same.

    `reasons` says for a door why the later version leaves it out.
    """
    old, new = {row["visit_id"]: row for row in before}, {row["visit_id"]: row for row in after}
    old_doors = {row["premises"]: key for key, row in old.items()}
    for key, row in list(new.items()):  # a plan made anew gives the same door another visit
        twin = old_doors.get(row["premises"])
        if key not in old and twin is not None and twin not in new:
            new[twin] = new.pop(key)
    found = [one for key in old.keys() | new.keys() if (one := _difference(old.get(key), new.get(key), reasons))]
    order = {"added": 0, "moved": 1, "dropped": 2, "retimed": 3}
    return sorted(found, key=lambda one: (order[one.what], one.premises)), len(old.keys() & new.keys()) - sum(
        one.what in {"moved", "retimed"} for one in found
    )


def counted(items: Iterable[Difference]) -> dict[str, int]:
    """How many of each kind, and how many promises are not kept."""
    known = list(items)
    counts = Counter(one.what for one in known)
    broken = sum(one.promise_kept is False for one in known)
    return {what: counts[what] for what in ("added", "moved", "dropped", "retimed")} | {"promises_not_kept": broken}


def _difference(
    old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, reasons: Mapping[str, str]
) -> Difference | None:
    shift = None if old is None or new is None else round((new["arrive_at"] - old["arrive_at"]).total_seconds())
    if old is None and new is not None:
        what, premises = "added", new["premises"]
    elif new is None and old is not None:
        what, premises = "dropped", old["premises"]
    else:
        assert old is not None
        assert new is not None
        assert shift is not None
        premises = new["premises"]
        if old["inspector"] != new["inspector"]:
            what = "moved"
        elif abs(shift) >= _RETIMED_S:
            what = "retimed"
        else:
            return None
    return Difference(
        premises=premises,
        what=what,
        before=_line(old),
        after=_line(new),
        shift_min=None if shift is None else round(shift / 60),
        why=reasons.get(premises, "nothing is open for this door any more") if new is None else None,
        promise_kept=_kept(old, new),
    )


def _line(row: Mapping[str, Any] | None) -> LineAnswer | None:
    return None if row is None else LineAnswer(**{name: row[name] for name in LineAnswer.model_fields})


def _kept(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> bool | None:
    """Whether what the earlier version promised holds in the later one."""
    if old is None or old["promised_from"] is None:
        return None
    return new is not None and bool(old["promised_from"] <= new["arrive_at"] <= old["promised_to"])
