"""Calls people out for steps of alerts: asks for notices, or writes down that a silence kept them back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from rules.callout import Callout, callout_for, pages_of
from rules.model import Alert, Reason, Transition
from rules.outbox import request_notices
from rules.regimes import Regime
from rules.silence_store import silences_covering
from rules.silences import sentence
from sql import queries


@dataclass(frozen=True, slots=True)
class Told:
    """One step of a saved alert: what it was before (None: new) and the step, whose alert carries its id."""

    before: Alert | None
    transition: Transition

    @property
    def after(self) -> Alert:
        """The alert after the step."""
        assert self.transition.alert is not None
        return self.transition.alert

    @property
    def alert_id(self) -> int:
        """The alert's id."""
        assert self.after.alert_id is not None
        return self.after.alert_id


async def call_out(
    conn: asyncpg.Connection, told: Sequence[Told], regime: Regime, now: datetime
) -> list[tuple[int, Alert, Transition]]:
    """Ask for the notices that steps call for, in the caller's transaction.

    Returns the timeline rows to write for notices that a silence kept back (alert id, alert, step): they are looked at
    again when it ends.
    """
    plain = [
        (one, callout_for(one.before, one.after, one.transition, regime.limits_of(one.after), (), now)) for one in told
    ]
    wanted = [one for one, callout in plain if callout.purpose is not None]
    if not wanted:
        return []
    covering = await silences_covering(conn, sorted({one.alert_id for one in wanted}), now)
    decided = [
        (
            one,
            callout_for(
                one.before, one.after, one.transition, regime.limits_of(one.after), covering.get(one.alert_id, ()), now
            ),
        )
        for one in wanted
    ]
    pages = [page for one, callout in decided for page in pages_of(one.alert_id, one.after, one.transition, callout)]
    await request_notices(conn, pages, now)
    held = [(one, callout) for one, callout in decided if callout.silence is not None and one.after.is_open]
    if held:
        await _hold(conn, held)
    return [(one.alert_id, one.after, _suppressed(one.after, callout)) for one, callout in held]


async def _hold(conn: asyncpg.Connection, held: Sequence[tuple[Told, Callout]]) -> None:
    untils = {one.alert_id: callout.silence.until_at for one, callout in held if callout.silence is not None}
    await conn.execute(*queries["hold_notices"].bind(alert_ids=list(untils), untils=list(untils.values())))


def _suppressed(alert: Alert, callout: Callout) -> Transition:
    silence = callout.silence
    assert silence is not None
    evidence = {
        "silence_id": silence.silence_id,
        "purpose": callout.purpose,
        "level": callout.level,
        "until": silence.until_at.isoformat(),
    }
    return Transition(alert, Reason.SUPPRESSED, "suppressed", alert.state, note=sentence(silence), evidence=evidence)
