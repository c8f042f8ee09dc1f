"""Loads and saves what the evaluator works on; every function takes a connection and joins the caller's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime

import asyncpg

from rules.absence import Outage, Quiet
from rules.assertions import Event
from rules.changes import Change, Key
from rules.evaluation import Standing
from rules.model import Alert, Inspection, Place, Rule, Transition
from rules.outbox import request_notices
from rules.paging import Page
from sql import queries
from sql.errors import NotFound

_ALERT_FIELDS = tuple(one.name for one in fields(Alert))


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
    """The next batches of a slot, with how many events each brought."""
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


async def lock_alert(conn: asyncpg.Connection, alert_id: int) -> tuple[Alert, str]:
    """One alert, locked, and its area; raises NotFound."""
    row = await conn.fetchrow(*queries["lock_alert"].bind(alert_id=alert_id))
    if row is None:
        raise NotFound(f"no alert {alert_id}")
    return alert_of(row), row["area"]


def alert_of(row: Mapping[str, object]) -> Alert:
    """An alert from a row that has its columns."""
    return Alert(**{name: row[name] for name in _ALERT_FIELDS})  # type: ignore[arg-type]


def _split(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    ordered = sorted(set(keys))
    return [rule_id for rule_id, _ in ordered], [subject for _, subject in ordered]


async def save_changes(
    conn: asyncpg.Connection, rules: Mapping[str, Rule], changes: Sequence[Change], now: datetime
) -> tuple[list[int], list[Key]]:
    """Write new and changed alerts with their timelines and tell listeners.

    Returns the alerts written, and the keys that lost a race: somebody opened the same alert meanwhile, so the caller
    must load and step again.
    """
    added = [change for change in changes if change.before is None]
    ids = await _insert(conn, rules, added, now) if added else {}
    lost = [change.key for change in added if change.key not in ids]
    ids |= {change.key: _saved_id(change.before) for change in changes if change.before is not None}
    kept = [change for change in changes if change.key in ids]
    await _update(conn, [change.after for change in kept if change.before is not None])
    await _add_steps(conn, [(ids[change.key], change.after, step) for change in kept for step in change.steps], now)
    await request_notices(conn, _pages(ids, kept), now)
    await conn.execute(*queries["notify_alerts"].bind(alert_ids=list(ids.values())))
    return list(ids.values()), lost


def _pages(ids: Mapping[Key, int], changes: Iterable[Change]) -> list[Page]:
    """A page for every new alert that pages: late ones and mere information do not."""
    return [
        Page(ids[change.key], "raised")
        for change in changes
        if change.before is None and change.after.is_open and not change.after.late and change.after.severity != "info"
    ]


async def save_transition(conn: asyncpg.Connection, transition: Transition, now: datetime) -> None:
    """Write one transition of a saved alert with its timeline row and tell listeners."""
    alert = transition.alert
    assert alert is not None
    await _update(conn, [alert])
    await _add_steps(conn, [(_saved_id(alert), alert, transition)], now)
    await conn.execute(*queries["notify_alerts"].bind(alert_ids=[_saved_id(alert)]))


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
    rows = [_row(change.after) | asdict(places[change.after.subject]) for change in added]
    found = await conn.fetch(*queries["insert_alerts"].bind(rows=rows))
    return {(row["rule_id"], row["subject"]): row["alert_id"] for row in found}


async def _update(conn: asyncpg.Connection, alerts: Sequence[Alert]) -> None:
    if alerts:
        await conn.execute(*queries["update_alerts"].bind(rows=[_row(alert) for alert in alerts]))


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


def _row(alert: Alert) -> dict[str, object]:
    """An alert's columns as JSON values (moments as ISO 8601, which PostgreSQL reads back exactly)."""
    values = {name: getattr(alert, name) for name in _ALERT_FIELDS}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


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
    for alert in alerts:
        kind, _, number = alert.subject.partition(":")
        wanted[kind][int(number)] = alert.last_at
    found: dict[str, Place] = {}
    found |= await device_places(conn, wanted["device"])
    for kind, query in _PLACED.items():
        found |= await _places(conn, kind, query, list(wanted[kind]))
    return found


_PLACED = {
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


async def silent_gateways(
    conn: asyncpg.Connection,
    rule: Rule,
    now: datetime,
    observed_from: datetime,
    count: int,
    cell_rule_ids: Sequence[str],
) -> list[Quiet]:
    """Gateways that may be silent and have no alert for it."""
    query = queries["silent_gateways"]
    rows = await conn.fetch(
        *query.bind(
            rule_id=rule.rule_id,
            now=now,
            intervals_missed=rule["intervals_missed"],
            offline_min_s=rule["offline_min_s"],
            observed_from=observed_from,
            count=count,
            cell_rule_ids=cell_rule_ids,
        )
    )
    return [Quiet(**row) for row in rows]


async def gateway_outages(
    conn: asyncpg.Connection, gateway_ids: Sequence[int], since: datetime, rule_ids: Sequence[str], now: datetime
) -> dict[int, list[Outage]]:
    """Times in which gateways were away, by gateway."""
    query = queries["gateway_outages"]
    rows = await conn.fetch(*query.bind(gateway_ids=gateway_ids, since=since, rule_ids=rule_ids, now=now))
    found: dict[int, list[Outage]] = {}
    for row in rows:
        if row["away"]:
            found.setdefault(row["gateway_id"], []).append(Outage(row["from_at"], row["to_at"]))
    return found


async def heard_again(conn: asyncpg.Connection, rule_ids: Sequence[str]) -> list[Key]:
    """Open silences whose device or gateway has been heard since."""
    rows = await conn.fetch(*queries["heard_again"].bind(rule_ids=rule_ids))
    return [(row["rule_id"], row["subject"]) for row in rows]


async def quiet_buildings(conn: asyncpg.Connection, rule_ids: Sequence[str], leak_rule_ids: Sequence[str]) -> list[Key]:
    """Open building alerts of which no detector's alarm is firing any more."""
    rows = await conn.fetch(*queries["quiet_buildings"].bind(rule_ids=rule_ids, leak_rule_ids=leak_rule_ids))
    return [(row["rule_id"], row["subject"]) for row in rows]


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
