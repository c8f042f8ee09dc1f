"""The two jobs of the queue: `page` chooses who is told, `send` hands one notice to a channel.

`claim -> is it still needed -> [commit] -> hand over -> [one transaction: what became of it, what follows]`. A worker
that dies in between leaves the notice `sending`; its job is taken up again and the notice sent again: at least once,
never lost.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import structlog
from prometheus_client import Counter, Histogram

from rules.catalog import Catalog
from rules.notices import delivery, store, wording
from rules.notices.channels import Channels
from rules.notices.model import Attempt, Chosen, Facts, NotOpened, Person, Standing, Words
from rules.notices.params import NoticeParams
from rules.notices.seal import Seal
from rules.notices.store import Asked
from rules.notices.wording import Setting
from rules.paging import DEADLINES
from rules.rule_sets import InForce
from rules.silence_store import silences_covering
from rules.silences import sentence, silenced_by
from rules.store import lock_alert
from sql import audit, queries
from sql.actor import Actor

log = structlog.get_logger()
NOTICES = Actor("notices", "service")

ENDED = Counter("gaswarden_notices_total", "Notices that ended", ["channel", "state"])
ATTEMPTS = Counter("gaswarden_notice_attempts_total", "Attempts to hand a notice over", ["channel", "result"])
FALLBACKS = Counter("gaswarden_notice_fallback_total", "Pages for which nobody was on duty", ["recipients"])
HAND_OVER_SECONDS = Histogram(
    "gaswarden_notice_hand_over_seconds",
    "From the request of a page to the notice taken by its channel",
    ["purpose"],
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
)

DESK_KINDS = frozenset({"channel_dead", "rota_gap", "duty_unreachable"})
"""Kinds of rules about the desk's own working: administrators are told."""

_PERSONAL = frozenset({"officer", "administrator"})
_BURST = timedelta(minutes=10)
_WHEN_BUSY = timedelta(seconds=1)
_TOGETHER_MAX = 1000


class TryAgain(Exception):
    """A job comes back at `at`; raised for the queue, no failure of ours."""

    def __init__(self, at: datetime) -> None:
        super().__init__(f"again at {at.isoformat()}")
        self.at = at


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A message about to leave: the notice that is claimed, all it stands for, and the words."""

    notice: Mapping[str, Any]
    notice_ids: list[int]
    words: Words
    address: str


def _word(attempt: Attempt) -> str:
    return "handed_over" if attempt.handed_over else "busy" if attempt.busy else "failed"


class Sending:
    """What the worker of the queue does; every method may run again for the same job."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        catalog: Catalog,
        params: NoticeParams,
        zone: ZoneInfo,
        clock: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._book = InForce(catalog)
        self._params = params
        self._zone = zone
        self._clock = clock
        self._channels = Channels(params)
        self._seal = Seal(params.contact_key)

    async def page(self, page_id: int) -> None:
        """Choose who is told of a page, and write a notice for each; a page that was resolved is left alone."""
        now = self._clock()
        async with self._pool.acquire() as conn, conn.transaction():
            page = await store.lock_page(conn, page_id)
            if page is None:
                return
            crew = await store.load_crew(conn, page, self._params.dead_after, now)
            rule = (await self._book.current(conn)).rules.get(page["rule_id"])
            of_the_desk = rule is not None and rule.kind in DESK_KINDS
            for_administrators = of_the_desk or page["purpose"] == "channel_dead"
            chosen = delivery.choose(
                page["purpose"], page["level"], crew, page["area"], for_administrators=for_administrators
            )
            await store.resolve_page(conn, page_id, now, chosen.how, chosen.reason)
            await self._ask(conn, page, chosen, now)
        if chosen.how in {"everybody", "nobody"}:
            FALLBACKS.labels(chosen.how).inc()
            log.error("page without anybody on duty", alert_id=page["alert_id"], told=chosen.how, reason=chosen.reason)

    async def _ask(
        self,
        conn: asyncpg.Connection,
        page: Mapping[str, Any],
        chosen: Chosen,
        now: datetime,
        follows: int | None = None,
    ) -> None:
        """Write a notice for the first contact of each person; persons without any are passed over for others, once."""
        asked = [self._first(person, page["urgency"], chosen.reason, follows) for person in chosen.people]
        added = await store.add_notices(conn, page, asked, now, page["requested_at"] + DEADLINES[page["purpose"]])
        if added and all(row["state"] == "failed" for row in added):
            await self._ask_others(conn, page, now, added[0]["notice_id"])

    @staticmethod
    def _first(person: Person, severity: str, reason: str, follows: int | None) -> Asked:
        if not person.contacts:
            return Asked(person, None, "has no contact", "failed", follows)
        contact = delivery.next_contact(person, severity, ())
        if contact is None:
            return Asked(person, None, f"wants no notices of severity {severity}", "not_needed", follows)
        return Asked(person, contact, reason, None, follows)

    async def send(self, notice_id: int) -> None:
        """Hand one notice to its channel, or record why not; raises TryAgain."""
        claimed = await self._claim(notice_id)
        if claimed is None:
            return
        contact_id, channel = claimed.notice["contact_id"], claimed.notice["channel"]
        severity, urgent = claimed.notice["severity"], claimed.notice["urgency"] == "critical"
        attempt = await self._channels.hand_over(contact_id, claimed.address, claimed.words, severity, urgent=urgent)
        ATTEMPTS.labels(channel, _word(attempt)).inc()
        again_at = await self._settle(claimed, attempt)
        if again_at is not None:
            raise TryAgain(again_at)

    async def _claim(self, notice_id: int) -> _Claimed | None:
        """Look again whether it is needed, and write down that an attempt begins; None: the notice has ended."""
        now = self._clock()
        async with self._pool.acquire() as conn, conn.transaction():
            notice = await store.lock_notice(conn, notice_id)
            if notice is None:
                return None
            reason = self._reason_to_stop(notice) or await self._silenced(conn, notice, now)
            if reason is not None:
                await self._end(conn, [notice_id], "not_needed", now, reason)
                return None
            if now > notice["deadline_at"]:
                await self._end(conn, [notice_id], "failed", now, "nothing took it before its deadline")
                return None
            try:
                address = self._seal.open(notice["sealed"])
            except NotOpened as error:
                await store.mark_error(conn, [notice_id], str(error))
                await store.contact_failed(conn, notice["contact_id"], now, str(error))
                await self._end(conn, [notice_id], "failed", now, str(error))
                await self._fall_over(conn, notice, now)
                return None
            notice_ids, words = await self._message(conn, notice, now)
            await store.begin_attempt(conn, notice_ids, now)
            return _Claimed(notice, notice_ids, words, address)

    @staticmethod
    def _reason_to_stop(notice: Mapping[str, Any]) -> str | None:
        if not notice["usable"]:
            return "the contact was removed or switched off"
        standing = Standing(
            is_open=notice["alert_state"] not in {"verified", "dismissed"},
            state=notice["alert_state"],
            owner=notice["owner"],
            moved_step=notice["moved_step"],
            moved_by=notice["moved_by"],
        )
        return delivery.not_needed(notice["purpose"], standing)

    @staticmethod
    async def _silenced(conn: asyncpg.Connection, notice: Mapping[str, Any], now: datetime) -> str | None:
        """The silence that came after the page and keeps its notice back until it ends, in words; None: none does."""
        if notice["purpose"] == "closed":
            return None
        covering = await silences_covering(conn, [notice["alert_id"]], now)
        if notice["alert_id"] not in covering:
            return None
        alert, _ = await lock_alert(conn, notice["alert_id"])
        silence = silenced_by(alert, covering[notice["alert_id"]], now)
        if silence is None:
            return None
        await conn.execute(*queries["hold_notices"].bind(alert_ids=[notice["alert_id"]], untils=[silence.until_at]))
        return sentence(silence)

    async def _message(
        self, conn: asyncpg.Connection, notice: Mapping[str, Any], now: datetime
    ) -> tuple[list[int], Words]:
        """The notices that leave as one message, and its words: one, unless a flood that can wait is told together."""
        rows: Sequence[Mapping[str, Any]] = [notice]
        if notice["urgency"] != "critical" and await self._in_burst(conn, notice, now):
            together_at = notice["requested_at"] + timedelta(seconds=self._params.together_after_s)
            if now < together_at:
                raise TryAgain(together_at)
            rows = await store.waiting_for_contact(conn, notice["contact_id"], _TOGETHER_MAX) or rows
            rows = rows if any(row["notice_id"] == notice["notice_id"] for row in rows) else [notice]
        facts = await store.notice_facts(conn, rows)
        return [row["notice_id"] for row in rows], self._written(facts, notice)

    async def _in_burst(self, conn: asyncpg.Connection, notice: Mapping[str, Any], now: datetime) -> bool:
        return await store.recent_notices(conn, notice["contact_id"], now - _BURST) >= self._params.burst_max

    def _written(self, facts: Sequence[Facts], notice: Mapping[str, Any]) -> Words:
        personal = notice["role"] in _PERSONAL
        setting = Setting(self._zone, self._params.public_url, self._params.alert_link, personal)
        if len(facts) == 1:
            return wording.write(facts[0], notice["language"], setting)
        return wording.write_together(facts, notice["language"], setting)

    async def _settle(self, claimed: _Claimed, attempt: Attempt) -> datetime | None:
        """Write down what became of an attempt; returns when the next one is due."""
        notice, notice_ids = claimed.notice, claimed.notice_ids
        now = self._clock()
        async with self._pool.acquire() as conn, conn.transaction():
            if attempt.handed_over:
                await store.contact_worked(conn, notice["contact_id"], now)
                await self._end(conn, notice_ids, "handed_over", now)
                return None
            if attempt.busy:
                await store.attempt_not_made(conn, notice_ids)
                return now + _WHEN_BUSY
            error = attempt.error or "unknown"
            await store.contact_failed(conn, notice["contact_id"], now, error)
            return await self._after_failure(conn, notice, notice_ids, error, now)

    async def _after_failure(
        self,
        conn: asyncpg.Connection,
        notice: Mapping[str, Any],
        notice_ids: Sequence[int],
        error: str,
        now: datetime,
    ) -> datetime | None:
        failed = notice["attempts"] + 1
        again_at = self._next_attempt_at(failed, now, notice["deadline_at"])
        await store.attempt_failed(conn, notice_ids, error)
        patience = 1 if notice["urgency"] == "critical" else self._params.fail_over_after
        if failed >= patience:
            await self._fall_over(conn, notice, now)
        if again_at is None:
            await self._end(conn, notice_ids, "failed", now, f"nothing took it before its deadline: {error}")
        return again_at

    async def _fall_over(self, conn: asyncpg.Connection, notice: Mapping[str, Any], now: datetime) -> None:
        """A notice does not get through: the person's next contact, else the next person, is asked; once."""
        if not await store.fell_over(conn, notice["notice_id"]):
            return
        page = await store.page_of_notice(conn, notice["page_id"])
        crew = await store.load_crew(conn, page, self._params.dead_after, now)
        asked = await store.asked_on_page(conn, notice["page_id"])
        duty = (one for level in crew.on_duty.values() for one in level)
        owner = (crew.owner,) if crew.owner else ()
        everybody = (*crew.officers, *crew.administrators, *duty, *crew.told_before, *owner)
        person = next((one for one in everybody if one.account == notice["account"]), None)
        contact = person and delivery.next_contact(person, page["urgency"], asked.get(notice["account"], ()))
        if person and contact:
            reason = f"{notice['channel']} did not take it: the next contact of {person.account}"
            one = Asked(person, contact, reason, None, notice["notice_id"])
            deadline_at = page["requested_at"] + DEADLINES[page["purpose"]]
            await store.add_notices(conn, page, [one], now, deadline_at)
        else:
            await self._ask_others(conn, page, now, notice["notice_id"])

    async def _ask_others(self, conn: asyncpg.Connection, page: Mapping[str, Any], now: datetime, follows: int) -> None:
        crew = await store.load_crew(conn, page, self._params.dead_after, now)
        asked = await store.asked_on_page(conn, page["page_id"])
        chosen = delivery.next_people(crew, page["level"], asked)
        if chosen.people:
            await self._ask(conn, page, chosen, now, follows)
        else:
            log.error("notice reaches nobody", alert_id=page["alert_id"], purpose=page["purpose"])

    async def _end(
        self, conn: asyncpg.Connection, notice_ids: Sequence[int], state: str, now: datetime, reason: str | None = None
    ) -> None:
        """Notices end, audited each with its alert."""
        for row in await store.end_notices(conn, notice_ids, state, now, reason):
            ENDED.labels(row["channel"] or "none", state).inc()
            if state == "handed_over":
                HAND_OVER_SECONDS.labels(row["purpose"]).observe((now - row["requested_at"]).total_seconds())
            details = {"notice": row["notice_id"], "account": row["account"], "channel": row["channel"],
                       "purpose": row["purpose"], "reason": reason}  # fmt: skip
            await audit.record(conn, NOTICES, f"notice.{state}", f"alert:{row['alert_id']}", details, now)

    async def reach(self, test_id: int) -> None:
        """Send one message of the nightly test; raises TryAgain until its deadline."""
        now = self._clock()
        async with self._pool.acquire() as conn, conn.transaction():
            test = await conn.fetchrow(*queries["lock_reach_test"].bind(test_id=test_id))
            if test is None:
                return
            await conn.execute(*queries["begin_reach_attempt"].bind(test_id=test_id))
        attempt = await self._reach_attempt(test, now)
        ATTEMPTS.labels(test["channel"], _word(attempt)).inc()
        now = self._clock()
        async with self._pool.acquire() as conn, conn.transaction():
            if attempt.handed_over:
                await store.contact_worked(conn, test["contact_id"], now)
                await conn.execute(*queries["reach_handed_over"].bind(test_id=test_id, at=now))
                return
            error = attempt.error or "unknown"
            if not attempt.busy:
                await store.contact_failed(conn, test["contact_id"], now, error)
            await conn.execute(*queries["reach_failed"].bind(test_id=test_id, error=error))
        if again_at := self._next_attempt_at(test["attempts"] + 1, now, test["deadline_at"]):
            raise TryAgain(again_at)

    async def _reach_attempt(self, test: Mapping[str, Any], now: datetime) -> Attempt:
        try:
            address, code = self._seal.open(test["sealed"]), self._seal.open(test["sealed_code"])
        except NotOpened as error:
            return Attempt(False, str(error))
        since = test["duty_from"] if test["duty_from"] > now else None
        setting = Setting(self._zone, self._params.public_url, self._params.alert_link)
        words = wording.write_reach_test(test["account"], code, since, test["deadline_at"], test["language"], setting)
        return await self._channels.hand_over(test["contact_id"], address, words, "info")

    def _next_attempt_at(self, failed: int, now: datetime, deadline_at: datetime) -> datetime | None:
        back_off_s, longest_s = self._params.back_off_s, self._params.back_off_max_s
        return delivery.next_attempt_at(failed, now, deadline_at, back_off_s, longest_s, random.random())

    async def end_overdue(self, conn: asyncpg.Connection, now: datetime) -> None:
        """End notices whose job was lost: nobody looked at them before their deadline."""
        overdue = await store.overdue_notices(conn, now, 1000)
        await self._end(conn, overdue, "failed", now, "nothing took it before its deadline")
