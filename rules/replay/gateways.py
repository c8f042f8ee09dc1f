"""Answers about gateways out of a time that is played again: which are silent, were away, or flood. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from rules.absence import Outage, Quiet
from rules.flooding import Flooding
from rules.model import Rule
from rules.replay.desk import Desk
from rules.replay.state import State, away


class Gateways:
    """What is known of gateways, at the moment to which a state was moved."""

    def __init__(self, state: State, desk: Desk) -> None:
        self._state, self._desk = state, desk

    async def gateways_passed_on(self, gateway_ids: Sequence[int], _count: int) -> dict[int, datetime]:
        """Up to when gateways passed on what any of their devices told."""
        known = {gateway_id: self._state.gateways[gateway_id].passed_on for gateway_id in gateway_ids}
        return {gateway_id: at for gateway_id, at in known.items() if at is not None}

    async def silent_gateways(
        self, rule: Rule, now: datetime, observed_from: datetime, count: int, cell_rule_ids: Sequence[str]
    ) -> list[Quiet]:
        """Gateways that may be silent."""
        gone_until = now - timedelta(seconds=rule["offline_min_s"])
        found = []
        for gateway in self._state.gateways.values():
            facts, heard_at = gateway.facts, gateway.heard_at or observed_from
            offline_at = gateway.last_received_at if gateway.state == "offline" else None
            overdue = heard_at < now - timedelta(seconds=rule["intervals_missed"] * facts.expected_interval_s)
            if not overdue and (offline_at is None or offline_at >= gone_until):
                continue
            ended = self._desk.episodes(cell_rule_ids, f"district:{facts.district_id}")
            alone_since = max((one.closed_at for one in ended if one.closed_at is not None), default=None)
            since = max(heard_at, alone_since or heard_at)
            told = self._desk.episodes([rule.rule_id], f"gateway:{facts.gateway_id}")
            if any(one.is_open or one.first_at >= since for one in told):
                continue
            known = (facts.gateway_id, facts.code, heard_at, float(facts.expected_interval_s))
            found.append(Quiet(*known, area=facts.area, offline_at=offline_at, alone_since=alone_since))
        return sorted(found, key=lambda one: (one.heard_at, one.subject_id))[:count]

    async def gateway_outages(
        self, gateway_ids: Sequence[int], since: datetime, rule_ids: Sequence[str], now: datetime
    ) -> dict[int, list[Outage]]:
        """Times in which gateways were away."""
        found: dict[int, list[Outage]] = {}
        for gateway_id in gateway_ids:
            gateway = self._state.gateways[gateway_id]
            outages = [Outage(begun, end) for begun, end in away(gateway, since, now)]
            for subject in (f"gateway:{gateway_id}", f"district:{gateway.facts.district_id}"):
                told = self._desk.episodes(rule_ids, subject)
                outages += [Outage(one.first_at, one.closed_at or now) for one in told]
            if outages:
                found[gateway_id] = outages
        return found

    async def gateways_of_areas(self, areas: Sequence[str], rule_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Districts with the gateways that were ever heard there, and which of them have an open alert of silence."""
        found = []
        for area in areas:
            heard = [one for one in self._state.gateways.values() if one.facts.area == area and one.heard_at]
            if not heard:
                continue
            silent = [
                one.facts.gateway_id
                for one in heard
                if self._desk.standing(rule_ids, f"gateway:{one.facts.gateway_id}") is not None
            ]
            facts = heard[0].facts
            found.append(
                {
                    "district_id": facts.district_id,
                    "area": area,
                    "name": facts.district,
                    "gateways": len(heard),
                    "newest_at": max(one.heard_at for one in heard if one.heard_at),
                    "silent_ids": silent,
                }
            )
        return found

    async def flooding_gateways(self, rule_id: str) -> list[Flooding]:
        """Gateways that flood at this moment and have no open alert for it; `held` counts to the end of the flood."""
        found = []
        for gateway_id, floods in sorted(self._state.flooding().items()):
            if self._desk.standing([rule_id], f"gateway:{gateway_id}") is not None:
                continue
            facts = self._state.gateways[gateway_id].facts
            limits = [one.limit_per_s for one in floods if one.limit_per_s is not None]
            started_at, held = min(one.started_at for one in floods), sum(one.held for one in floods)
            limit_per_s = max(limits, default=None)
            found.append(Flooding(gateway_id, facts.code, facts.area, started_at, held, limit_per_s))
        return found

    async def floods_over(self, rule_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Open alerts about floods of gateways of which none goes on."""
        going_on = {f"gateway:{gateway_id}" for gateway_id in self._state.flooding()}
        return [key for key, _ in self._desk.of_rules(set(rule_ids)) if key[1] not in going_on]
