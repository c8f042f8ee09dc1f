"""Watches over the desk itself: dead channels, gaps in the rota, people not reached. Each is an alert of its own."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import structlog
from prometheus_client import Gauge

from rules import passes
from rules.catalog import Catalog
from rules.model import Cleared, Finding, Rule
from rules.notices import store
from rules.notices.params import NoticeParams
from rules.notices.seal import Seal
from rules.notices.sending import NOTICES, Sending
from rules.rota import reach
from rules.rota import store as rota
from rules.rota.model import Gap
from rules.rule_sets import InForce
from sql import queries
from sql.pool import DATABASE_LOST

log = structlog.get_logger()

DEAD_CHANNELS = Gauge("gaswarden_notice_contacts_dead", "Contacts whose channel failed too often in a row")
GAPS = Gauge("gaswarden_rota_gaps", "Gaps in the on-duty rota within the time that is warned of")
OVERDUE = Gauge("gaswarden_rota_handovers_overdue", "Shifts that ended and were not handed over")
UNREACHED = Gauge("gaswarden_rota_unreached", "People on duty who did not confirm their newest test")
WAITING = Gauge("gaswarden_notices_waiting", "Notices that wait for their channel")
WAITING_PAST_TIME = Gauge("gaswarden_desk_overdue", "Residents' requests and cases that wait past their time", ["kind"])
OLDEST_SECONDS = Gauge("gaswarden_notices_oldest_seconds", "How long the oldest waiting notice has waited")


class Watch:
    """Looks every few seconds; one process at a time. `catalog` is in force until a set of rules is activated."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        catalog: Catalog,
        params: NoticeParams,
        sending: Sending,
        zone: ZoneInfo,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._book = InForce(catalog)
        self._params = params
        self._sending = sending
        self._zone = zone
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled; a database that is away is waited for."""
        while True:
            try:
                await self.look(self._clock())
            except DATABASE_LOST as error:
                log.debug("notices: watch has no database", error=str(error))
            await asyncio.sleep(self._params.tick_s)

    async def look(self, now: datetime) -> tuple[int, ...]:
        """Begin and judge tests, end lost notices, raise and clear the desk's own alerts; returns those written."""
        async with self._pool.acquire() as conn, conn.transaction():
            if not await conn.fetchval(*queries["claim_watch"].bind()):
                return ()
            await self._sending.end_overdue(conn, now)
            await self._begin_night(conn, now)
            await conn.execute(*queries["judge_reach_tests"].bind(now=now))
            catalog = await self._book.current(conn)
            found = await self._problems(conn, catalog, now)
            waiting = await store.notices_waiting(conn)
            WAITING.set(waiting["waiting"])
            OLDEST_SECONDS.set((now - waiting["oldest_at"]).total_seconds() if waiting["oldest_at"] else 0)
            return await passes.save_found(conn, catalog, found, now)

    async def _begin_night(self, conn: asyncpg.Connection, now: datetime) -> None:
        """Begin the nightly test once its local time has come; one missed by more than six hours waits for the next."""
        local = now.astimezone(self._zone)
        due = datetime.combine(local.date(), self._params.reach_test_at, self._zone)
        if not due <= local < due + timedelta(hours=6) or self._params.contact_key is None:
            return
        night: date = local.date()
        if await rota.rota_is_used(conn) and await rota.last_reach_round(conn, night) == 0:
            seal = Seal(self._params.contact_key)
            await reach.begin_round(conn, night, seal, now, self._params.reach_confirm_min, NOTICES)

    async def _problems(self, conn: asyncpg.Connection, catalog: Catalog, now: datetime) -> list[Finding | Cleared]:
        """What is wrong and has no alert yet, and the ends of alerts whose cause is gone."""
        wrong: dict[tuple[str, str], Finding] = {}
        for kind, look in (
            ("channel_dead", self._dead_channels),
            ("rota_gap", self._gaps),
            ("duty_unreachable", self._unreached),
            ("request_unanswered", self._overdue),
            ("request_unsettled", self._overdue),
            ("case_overdue", self._overdue),
        ):
            for rule in catalog.of_kind(kind):
                wrong |= {(one.rule_id, one.subject): one for one in await look(conn, rule, now)}
        rule_ids = [one.rule_id for one in catalog.rules.values() if one.kind in _KINDS]
        rows = await conn.fetch(*queries["open_desk_alerts"].bind(rule_ids=rule_ids))
        firing = {(row["rule_id"], row["subject"]) for row in rows}
        fresh: list[Finding | Cleared] = [one for key, one in wrong.items() if key not in firing]
        return fresh + [Cleared(*key, now) for key in sorted(firing - wrong.keys())]

    async def _dead_channels(self, conn: asyncpg.Connection, rule: Rule, now: datetime) -> list[Finding]:
        rows = await store.dead_contacts(conn, self._params.dead_after)
        DEAD_CHANNELS.set(len(rows))
        return [_dead_channel(rule, row, now) for row in rows]

    async def _gaps(self, conn: asyncpg.Connection, rule: Rule, now: datetime) -> list[Finding]:
        if not await rota.rota_is_used(conn):
            return []
        until = now + timedelta(hours=self._params.gap_warn_h)
        found = await rota.gaps_between(conn, now, until, self._params.rota_levels)
        GAPS.set(len(found))
        shifts = await rota.shifts_between(conn, now, now + timedelta(seconds=1))
        late_by = timedelta(minutes=self._params.handover_late_min)
        OVERDUE.set(sum(1 for one in shifts if one.overdue(now - late_by)))
        levels = sorted({gap.level for gap in found})
        return [_gap(rule, level, [gap for gap in found if gap.level == level], self._zone, now) for level in levels]

    async def _unreached(self, conn: asyncpg.Connection, rule: Rule, now: datetime) -> list[Finding]:
        rows = await conn.fetch(*queries["unreached_people"].bind(now=now))
        UNREACHED.set(len(rows))
        return [_unreached(rule, row, now) for row in rows]

    async def _overdue(self, conn: asyncpg.Connection, rule: Rule, now: datetime) -> list[Finding]:
        rows = await conn.fetch(*queries["overdue_by_district"].bind(now=now))
        found = [row for row in rows if _WAITS[row["what"]].kind == rule.kind]
        WAITING_PAST_TIME.labels(rule.kind).set(sum(row["waiting"] for row in found))
        return [overdue_finding(rule, row, self._zone, now) for row in found]


_KINDS = frozenset(
    {"channel_dead", "rota_gap", "duty_unreachable", "request_unanswered", "request_unsettled", "case_overdue"}
)


def _dead_channel(rule: Rule, row: Mapping[str, object], now: datetime) -> Finding:
    since = row["failing_since"]
    assert isinstance(since, datetime)
    sentence = f"{row['account']} cannot be reached by {row['channel']}: {row['failures']} attempts failed in a row"
    evidence = {name: row[name] for name in ("account", "channel", "contact_id", "failures", "last_error")}
    return Finding(
        rule.rule_id, f"channel:{row['contact_id']}", since, now, rule.severity, sentence, evidence,
        value=float(str(row["failures"])), unit="attempts",
    )  # fmt: skip


def _gap(rule: Rule, level: int, found: list[Gap], zone: ZoneInfo, now: datetime) -> Finding:
    first = found[0]
    starts, ends = (at.astimezone(zone).strftime("%Y-%m-%d %H:%M") for at in (first.starts_at, first.ends_at))
    where = ", ".join(first.areas[:5]) + (f" and {len(first.areas) - 5} more" if len(first.areas) > 5 else "")
    begun = first.starts_at <= now
    severity = rule.severity_high if begun else rule.severity
    more = f"; {len(found) - 1} more gaps" if len(found) > 1 else ""
    sentence = f"nobody is on duty at level {level} for {where} from {starts} to {ends}{more}"
    evidence = {
        "level": level, "starts": starts, "ends": ends, "areas": list(first.areas),
        "gaps": [{"areas": list(one.areas), "starts_at": one.starts_at.isoformat(), "ends_at": one.ends_at.isoformat()}
                 for one in found[:50]],
    }  # fmt: skip
    return Finding(rule.rule_id, f"rota:{level}", now, now, severity, sentence, evidence)


def _unreached(rule: Rule, row: Mapping[str, object], now: datetime) -> Finding:
    how = "has no contact" if not row["contacts"] else (
        f"{row['handed_over']} of {row['contacts']} messages were handed over and none was confirmed"
    )  # fmt: skip
    sentence = f"{row['account']} is on duty now or within a day and did not confirm the test: {how}"
    evidence = {name: row[name] for name in ("account", "contacts", "handed_over")}
    return Finding(rule.rule_id, f"account:{row['account_id']}", now, now, rule.severity, sentence, evidence)


@dataclass(frozen=True, slots=True)
class Wait:
    """What may wait past its time: the kind of rule that says so, and how a person says it."""

    kind: str
    things: str
    thing: str
    how: str


_WAITS = {
    "unanswered": Wait("request_unanswered", "requests", "request", "wait for a first answer"),
    "unsettled": Wait("request_unsettled", "requests", "request", "are not settled"),
    "case": Wait("case_overdue", "cases", "case", "lack a plan or an end"),
}


def overdue_finding(rule: Rule, row: Mapping[str, Any], zone: ZoneInfo, now: datetime) -> Finding:
    """What waits in a district, as one finding; no word of the residents is in it."""
    since = row["since"].astimezone(zone).strftime("%Y-%m-%d %H:%M")
    wait = _WAITS[row["what"]]
    oldest = f"{row['waiting']}, the oldest ({wait.thing} {row['oldest']}) since {since}"
    nobody = f"; nobody takes care of {row['unowned']} of them" if row["unowned"] else ""
    sentence = f"{wait.things} in {row['area']} {wait.how} past their time: {oldest}{nobody}"
    evidence = {"waiting": row["waiting"], "unowned": row["unowned"], "oldest": row["oldest"], "since": since}
    return Finding(
        rule.rule_id, f"district:{row['district_id']}", row["since"], now, rule.severity, sentence, evidence,
        value=float(row["waiting"]), unit=wait.things,
    )  # fmt: skip
