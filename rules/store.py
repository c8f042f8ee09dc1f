"""Loads and saves what the evaluator works on; every function takes a connection and joins the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime

import asyncpg

from rules import clocks
from rules.alert_rows import alert_of, row_of
from rules.assertions import Event
from rules.calling import Told, call_out
from rules.changes import Change, Key
from rules.model import Alert, Cleared, Inspection, Place, Rule, Transition
from rules.regime_store import regime_in_force
from rules.regimes import Regime
from rules.standing import Standing
from sql import queries
from sql.errors import NotFound

DESK_SUBJECTS = frozenset({"channel", "rota", "account"})
"""Kinds of subjects of alerts about the desk itself; they stand for the whole city."""


# ---------------------------------------------------------------------------------------------- cursors


async def add_cursors(conn: asyncpg.Connection, stream: str) -> None:
    """Give every slot that ever committed a batch its cursor."""
    await conn.execute(*queries["add_cursors"].bind(stream=stream))


async def waiting_slots(conn: asyncpg.Connection, stream: str) -> list[str]:
    """Slots with batches that a stream has not evaluated."""
    return [row["slot"] for row in await conn.fetch(*queries["waiting_slots"].bind(stream=stream))]


async def claim_cursor(conn: asyncpg.Connection, stream: str, slot: str) -> int | None:
    """The last evaluated batch, locked until the transaction ends; None while another process holds it."""
    found: int | None = await conn.fetchval(*queries["claim_cursor"].bind(stream=stream, slot=slot))
    return found


async def advance_cursor(conn: asyncpg.Connection, stream: str, slot: str, batch_id: int) -> None:
    """Remember how far a stream has evaluated a slot."""
    await conn.execute(*queries["advance_cursor"].bind(stream=stream, slot=slot, batch_id=batch_id))


async def event_batches_after(conn: asyncpg.Connection, slot: str, batch_id: int, count: int) -> list[asyncpg.Record]:
    """The next batches of a slot, with how many events each brought and how many messages it refused."""
    return await conn.fetch(*queries["event_batches_after"].bind(slot=slot, batch_id=batch_id, count=count))  # type: ignore[no-any-return]


async def reading_batches_after(conn: asyncpg.Connection, slot: str, batch_id: int, count: int) -> list[asyncpg.Record]:
    """The next batches of a slot, with the devices and the device time they touched."""
    return await conn.fetch(*queries["reading_batches_after"].bind(slot=slot, batch_id=batch_id, count=count))  # type: ignore[no-any-return]


async def claim_tick(conn: asyncpg.Connection) -> bool:
    """Whether this process may do the tick; held until the transaction ends."""
    return bool(await conn.fetchval(*queries["claim_tick"].bind()))


# ---------------------------------------------------------------------------------------------- events


async def events_of_batches(conn: asyncpg.Connection, batch_ids: Sequence[int], kinds: Sequence[str]) -> list[Event]:
    """Events of some kinds in batches, with their devices and places."""
    rows = await conn.fetch(*queries["events_of_batches"].bind(batch_ids=batch_ids, kinds=kinds))
    return [Event(**row) for row in rows]


async def leak_alarms_in_buildings(
    conn: asyncpg.Connection, building_ids: Sequence[int], since: datetime, until: datetime
) -> list[Event]:
    """Leak alarms raised in some buildings within a time."""
    query = queries["leak_alarms_in_buildings"]
    rows = await conn.fetch(*query.bind(building_ids=building_ids, since=since, until=until))
    return [Event(**row) for row in rows]


# ---------------------------------------------------------------------------------------------- alerts


async def open_alerts(conn: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, Alert]:
    """The open alerts of some rules and subjects, locked."""
    rule_ids, subjects = _split(keys)
    rows = await conn.fetch(*queries["open_alerts"].bind(rule_ids=rule_ids, subjects=subjects))
    return {(row["rule_id"], row["subject"]): alert_of(row) for row in rows}


async def closed_alerts(conn: asyncpg.Connection, keys: Iterable[Key]) -> dict[Key, list[Alert]]:
    """The newest closed episodes of some rules and subjects."""
    rule_ids, subjects = _split(keys)
    found: dict[Key, list[Alert]] = {}
    for row in await conn.fetch(*queries["closed_alerts"].bind(rule_ids=rule_ids, subjects=subjects)):
        found.setdefault((row["rule_id"], row["subject"]), []).append(alert_of(row))
    return found


async def standing_alerts(
    conn: asyncpg.Connection, rule_ids: Sequence[str], device_ids: Sequence[int]
) -> list[Standing]:
    """Open alerts of some rules about some devices, as the evaluator needs them."""
    subjects = [f"device:{device_id}" for device_id in device_ids]
    rows = await conn.fetch(*queries["standing_alerts"].bind(rule_ids=rule_ids, subjects=subjects))
    return [Standing(**row) for row in rows]


async def lock_alert(conn: asyncpg.Connection, alert_id: int) -> tuple[Alert, asyncpg.Record]:
    """One alert, locked, and its row (which has its place, too); raises NotFound."""
    row = await conn.fetchrow(*queries["lock_alert"].bind(alert_id=alert_id))
    if row is None:
        raise NotFound(f"no alert {alert_id}")
    return alert_of(row), row


def _split(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    ordered = sorted(set(keys))
    return [rule_id for rule_id, _ in ordered], [subject for _, subject in ordered]


async def lock_alerts(conn: asyncpg.Connection, alert_ids: Sequence[int]) -> list[tuple[Alert, str]]:
    """Several alerts with their areas, locked; those that do not exist are left out."""
    rows = await conn.fetch(*queries["lock_alerts"].bind(alert_ids=list(alert_ids)))
    return [(alert_of(row), row["area"]) for row in rows]


async def save_changes(
    conn: asyncpg.Connection, rules: Mapping[str, Rule], changes: Sequence[Change], now: datetime
) -> tuple[list[int], list[Key]]:
    """Write new and changed alerts with their timelines, ask for the notices they call for, and tell listeners.

    Returns the alerts written, and the keys that lost a race: somebody opened the same alert meanwhile, so the caller
    must load and step again.
    """
    regime = await regime_in_force(conn)
    changes = [replace(change, after=clocks.wound(change.after, regime)) for change in changes]
    added = [change for change in changes if change.before is None]
    ids = await _insert(conn, rules, added, now) if added else {}
    lost = [change.key for change in added if change.key not in ids]
    ids |= {change.key: _saved_id(change.before) for change in changes if change.before is not None}
    kept = [change for change in changes if change.key in ids]
    await _update(conn, [change.after for change in kept if change.before is not None])
    told = [one for change in kept for one in _told(change, ids[change.key])]
    await _tell(conn, told, regime, now)
    await conn.execute(*queries["notify_alerts"].bind(alert_ids=list(ids.values())))
    return list(ids.values()), lost


async def save_transition(conn: asyncpg.Connection, before: Alert, transition: Transition, now: datetime) -> Alert:
    """Write one transition of a saved alert, as `save_transitions`; return the alert as it was saved."""
    (saved,) = await save_transitions(conn, [(before, [transition])], await regime_in_force(conn), now)
    return saved


async def save_transitions(
    conn: asyncpg.Connection, moved: Sequence[tuple[Alert, Sequence[Transition]]], regime: Regime, now: datetime
) -> list[Alert]:
    """Write what persons, inspections or the clock did to saved alerts (before, its steps in order) with the timelines.

    Notices they call for are asked for in the same transaction. Returns the alerts as saved, their clocks wound.
    """
    saved, told = [], []
    for before, steps in moved:
        current = before
        for step in steps:
            after = step.alert or current
            told.append(Told(current, replace(step, alert=after)))
            current = after
        saved.append(clocks.wound(current, regime))
    await _move(conn, saved)
    await _tell(conn, told, regime, now)
    stepped = {one.alert_id for one in told if one.transition.step}
    if stepped:
        await conn.execute(*queries["notify_alerts"].bind(alert_ids=sorted(stepped)))
    return saved


async def _move(conn: asyncpg.Connection, alerts: Sequence[Alert]) -> None:
    if alerts:
        rows = [{name: value for name, value in row_of(alert).items() if name != "evidence"} for alert in alerts]
        await conn.execute(*queries["move_alerts"].bind(rows=rows))


def _told(change: Change, alert_id: int) -> list[Told]:
    """The steps of a change, each with the alert before it, under the id the alert was saved with."""
    told, current = [], change.before
    for step in change.steps:
        after = (step.alert or change.after).changed(alert_id=alert_id)
        told.append(Told(current, replace(step, alert=after)))
        current = after
    return told


async def _tell(conn: asyncpg.Connection, told: Sequence[Told], regime: Regime, now: datetime) -> None:
    suppressed = await call_out(conn, told, regime, now)
    steps = [(one.alert_id, one.after, one.transition) for one in told]
    await _add_steps(conn, steps + suppressed, now)


def _saved_id(alert: Alert | None) -> int:
    assert alert is not None
    assert alert.alert_id is not None
    return alert.alert_id


async def _insert(
    conn: asyncpg.Connection, rules: Mapping[str, Rule], added: Sequence[Change], now: datetime
) -> dict[Key, int]:
    used = {change.after.rule_id for change in added}
    await remember_rule_versions(conn, [rules[rule_id] for rule_id in sorted(used)], now)
    places = await places_of(conn, [change.after for change in added])
    rows = [row_of(change.after) | asdict(places[change.after.subject]) for change in added]
    found = await conn.fetch(*queries["insert_alerts"].bind(rows=rows))
    return {(row["rule_id"], row["subject"]): row["alert_id"] for row in found}


async def _update(conn: asyncpg.Connection, alerts: Sequence[Alert]) -> None:
    if alerts:
        await conn.execute(*queries["update_alerts"].bind(rows=[row_of(alert) for alert in alerts]))


async def _add_steps(conn: asyncpg.Connection, steps: Sequence[tuple[int, Alert, Transition]], now: datetime) -> None:
    rows = [
        {
            "alert_id": alert_id,
            "at": now.isoformat(),
            "step": step.step,
            "from_state": step.from_state,
            "to_state": (step.alert or alert).state,
            "actor": step.actor,
            "reason": step.reason.value,
            "note": step.note,
            "evidence": step.evidence,
        }
        for alert_id, alert, step in steps
        if step.step
    ]
    if rows:
        await conn.execute(*queries["add_alert_steps"].bind(rows=rows))


async def remember_rule_versions(conn: asyncpg.Connection, rules: Iterable[Rule], now: datetime) -> None:
    """Keep what rules say, word for word, the first time their versions are used."""
    rows = [
        {
            "rule_id": rule.rule_id,
            "version": rule.version,
            "definition": rule.definition,
            "first_used_at": now.isoformat(),
        }
        for rule in rules
    ]
    await conn.execute(*queries["remember_rule_versions"].bind(rows=rows))


# ---------------------------------------------------------------------------------------------- places


async def places_of(conn: asyncpg.Connection, alerts: Iterable[Alert]) -> dict[str, Place]:
    """Where the subjects of alerts are, by subject; a device where it was at the end of what was found."""
    wanted: dict[str, dict[int, datetime]] = {kind: {} for kind in ("device", *_PLACED)}
    found: dict[str, Place] = {}
    for alert in alerts:
        kind, _, number = alert.subject.partition(":")
        if kind in DESK_SUBJECTS:
            found[alert.subject] = Place(await conn.fetchval(*queries["desk_area"].bind()))
        else:
            wanted[kind][int(number)] = alert.last_at
    found |= await device_places(conn, wanted["device"])
    for kind, query in _PLACED.items():
        found |= await _places(conn, kind, query, list(wanted[kind]))
    return found


_PLACED = {
    "premises": "premises_places",
    "building": "building_places",
    "gateway": "gateway_places",
    "compound": "compound_places",
    "district": "district_places",
}


async def _places(conn: asyncpg.Connection, kind: str, query: str, numbers: Sequence[int]) -> dict[str, Place]:
    """The district of some buildings, gateways, compounds or districts, by subject."""
    rows = await conn.fetch(*queries[query].bind(numbers=numbers)) if numbers else []
    return {
        f"{kind}:{row['number']}": Place(**{name: value for name, value in row.items() if name != "number"})
        for row in rows
    }


async def device_places(conn: asyncpg.Connection, wanted: Mapping[int, datetime]) -> dict[str, Place]:
    """Where devices were at a moment; a device never installed is where its gateway is."""
    if not wanted:
        return {}
    rows = await conn.fetch(*queries["device_places"].bind(device_ids=list(wanted), ats=list(wanted.values())))
    return {f"device:{row['device_id']}": Place(**row) for row in rows}


# ---------------------------------------------------------------------------------------------- absence, groups, visits


async def listening_since(conn: asyncpg.Connection) -> asyncpg.Record:
    """Our first and newest batch by our clock."""
    return await conn.fetchrow(*queries["listening_since"].bind())


async def batch_gaps(conn: asyncpg.Connection, since: datetime, gap_s: float) -> list[tuple[datetime, datetime]]:
    """Times longer than `gap_s` seconds in which no batch arrived."""
    rows = await conn.fetch(*queries["batch_gaps"].bind(since=since, gap_s=gap_s))
    return [(row["previous_at"], row["at"]) for row in rows]


async def quiet_buildings(conn: asyncpg.Connection, rule_ids: Sequence[str], leak_rule_ids: Sequence[str]) -> list[Key]:
    """Open building alerts of which no detector's alarm is firing any more."""
    rows = await conn.fetch(*queries["quiet_buildings"].bind(rule_ids=rule_ids, leak_rule_ids=leak_rule_ids))
    return [(row["rule_id"], row["subject"]) for row in rows]


async def not_recurred(conn: asyncpg.Connection, minutes: Mapping[str, float], now: datetime) -> list[Cleared]:
    """The ends of what has not recurred for so many minutes, by rule."""
    query = queries["not_recurred"].bind(
        rule_ids=list(minutes), minutes=[round(one) for one in minutes.values()], now=now
    )
    return [Cleared(row["rule_id"], row["subject"], row["over_at"]) for row in await conn.fetch(*query)]


async def late_findings(conn: asyncpg.Connection, since: datetime) -> list[tuple[int, Inspection]]:
    """Visits for closed alerts that found a hazard (since a moment), reported after the end: alert id, visit."""
    rows = await conn.fetch(*queries["late_findings"].bind(since=since))
    return [
        (
            row["alert_id"],
            Inspection(row["outcome_id"], row["result"], row["at"], row["hazards"], row["hazards_open"], row["note"]),
        )
        for row in rows
    ]


async def alert_inspections(conn: asyncpg.Connection) -> list[tuple[int, Inspection]]:
    """What inspectors found on duties of open alerts and the timeline does not say yet: alert id, visit."""
    rows = await conn.fetch(*queries["alert_inspections"].bind())
    return [
        (
            row["alert_id"],
            Inspection(
                row["outcome_id"],
                row["result"],
                row["at"],
                row["hazards"],
                row["hazards_open"],
                row["note"],
                row["rechecked_at"],
            ),
        )
        for row in rows
    ]
