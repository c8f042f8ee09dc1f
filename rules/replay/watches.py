"""Answers about devices out of a time that is played again: which are due, who is gone, who is heard again. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from heapq import heappop, heappush
from typing import Any

from rules.replay.desk import Desk
from rules.replay.state import Device, State, arrivals_since
from rules.sight import Watch


class Watches:
    """Who is watched, at the moment to which a state was moved; what looks leave is kept in it."""

    def __init__(self, state: State, desk: Desk) -> None:
        self._state, self._desk = state, desk
        self._due: list[tuple[datetime, int]] = []
        self._folded: dict[str, set[int]] = {}
        self._unwatched = sorted(state.devices)

    async def watch_new_devices(self, now: datetime, count: int) -> int:
        """All devices of the town are watched from the first look on."""
        part, self._unwatched = self._unwatched[:count], self._unwatched[count:]
        for device_id in part:
            self._look_at(device_id, now)
        return len(part)

    def look_at(self, device_ids: Iterable[int], at: datetime) -> None:
        """Let watched devices be looked at, as what was installed just now is."""
        waiting = set(self._unwatched)
        for device_id in device_ids:
            if device_id not in waiting:
                self._look_at(device_id, at)

    def _look_at(self, device_id: int, due_at: datetime) -> None:
        self._state.devices[device_id].due_at = due_at
        heappush(self._due, (due_at, device_id))

    async def due_devices(self, now: datetime, count: int) -> list[dict[str, Any]]:
        """Devices that are due, the longest due first; each is due once until it is saved again."""
        found: list[dict[str, Any]] = []
        while self._due and self._due[0][0] <= now and len(found) < count:
            due_at, device_id = heappop(self._due)
            device = self._state.devices[device_id]
            if device.due_at == due_at:
                device.due_at = None
                found.append(self._row(device))
        return found

    def _row(self, device: Device) -> dict[str, Any]:
        gateway = self._state.gateways[device.facts.gateway_id]
        known = gateway.heard_at is not None
        return _facts_row(device, gateway.facts.area) | {
            "interval_s": device.interval_s,
            "gaps": device.gaps,
            "folded_into": device.folded_into,
            "installed_at": device.installed_at,
            "gateway_state": gateway.state,
            "gateway_state_at": gateway.state_at,
            "placed": known
            and (device.place is not None or (device.heard_at is not None and not device.ever_installed)),
        }

    async def save_watches(self, watches: Sequence[Watch]) -> None:
        """Keep what looks left."""
        for one in watches:
            device = self._state.devices[one.device_id]
            device.interval_s, device.gaps, device.silent_since = one.interval_s, one.gaps, one.silent_since
            self._fold(one.device_id, one.folded_into)
            self._look_at(one.device_id, one.due_at)

    def _fold(self, device_id: int, subject: str | None) -> None:
        device = self._state.devices[device_id]
        if device.folded_into == subject:
            return
        if device.folded_into is not None:
            self._folded[device.folded_into].discard(device_id)
        if subject is not None:
            self._folded.setdefault(subject, set()).add(device_id)
        device.folded_into = subject

    async def fold_watches(self, device_ids: Sequence[int], subject: str) -> None:
        """Note into which incident silent devices are folded."""
        for device_id in device_ids:
            self._fold(device_id, subject)

    async def refold_watches(self, from_subject: str, to_subject: str) -> None:
        """Move what was folded into a small incident to the larger one."""
        for device_id in sorted(self._folded.get(from_subject, ())):
            self._fold(device_id, to_subject)

    async def unfold_watches(self, subject: str, at: datetime) -> None:
        """Let what was folded into an incident be looked at for itself."""
        for device_id in sorted(self._folded.get(subject, ())):
            self._fold(device_id, None)
            self._state.devices[device_id].silent_since = at
            self._look_at(device_id, at)

    async def device_arrivals(self, device_ids: Sequence[int], since: datetime) -> dict[int, list[datetime]]:
        """When messages of devices arrived."""
        found = {device_id: arrivals_since(self._state.devices[device_id], since) for device_id in device_ids}
        return {device_id: arrivals for device_id, arrivals in found.items() if arrivals}

    async def gone_devices(self, rule_id: str, until: datetime, count: int) -> list[dict[str, Any]]:
        """Devices that their platform calls gone."""
        found = [
            _facts_row(device, gateway.facts.area) | {"presence": device.presence, "presence_at": device.presence_at}
            for device in (self._state.devices[device_id] for device_id in self._state.gone)
            if (gateway := self._state.gateways[device.facts.gateway_id]).state != "offline"
            and self._is_gone(rule_id, device, until)
        ]
        return sorted(found, key=lambda row: (row["presence_at"], row["device_id"]))[:count]

    def _is_gone(self, rule_id: str, device: Device, until: datetime) -> bool:
        heard_at, presence_at = device.heard_at, device.presence_at
        if heard_at is None or presence_at is None or presence_at > until or heard_at > presence_at:
            return False
        since = max(heard_at, device.silent_since or heard_at)
        told = self._desk.episodes([rule_id], f"device:{device.facts.device_id}")
        return device.folded_into is None and not any(one.is_open or one.first_at >= since for one in told)

    async def heard_again(self, rule_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Open silences whose device or gateway has been heard since, or whose device was taken out."""
        return [key for key, alert in self._desk.of_rules(set(rule_ids)) if self._is_heard(key[1], alert.first_at)]

    def _is_heard(self, subject: str, since: datetime) -> bool:
        level, _, number = subject.partition(":")
        if level == "device":
            device = self._state.devices[int(number)]
            return any(at is not None and at > since for at in (device.heard_at, device.taken_out_at))
        if level == "gateway":
            gateway = self._state.gateways[int(number)]
            return gateway.heard_at is not None and gateway.heard_at > since and gateway.state != "offline"
        return False


def _facts_row(device: Device, gateway_area: str) -> dict[str, Any]:
    facts, place = device.facts, device.place
    return {
        "device_id": facts.device_id,
        "code": facts.code,
        "device_kind": facts.device_kind,
        "meter_class": facts.meter_class,
        "user_class": place.user_class if place else None,
        "area": place.area if place else gateway_area,
        "expected_interval_s": facts.expected_interval_s,
        "gateway_id": facts.gateway_id,
        "heard_at": device.heard_at,
        "silent_since": device.silent_since,
        "building_id": place.building_id if place else None,
        "compound_id": place.compound_id if place else None,
        "district_id": place.district_id if place else None,
    }
