"""Answers about places out of a time that is played again: how much is overdue there, which incidents stand. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from rules.replay.desk import Desk
from rules.replay.state import Device, State, spots_around
from rules.topology import Count, Spot


class Places:
    """Buildings, compounds and districts, at the moment to which a state was moved."""

    def __init__(self, state: State, desk: Desk) -> None:
        self._state, self._desk = state, desk

    async def watched_places(
        self, spots: Sequence[Spot], overdue_intervals: float, now: datetime, gateway_rule_ids: Sequence[str]
    ) -> dict[Spot, Count]:
        """How much is watched and overdue in some buildings and compounds."""
        found: dict[Spot, Count] = {}
        for spot in spots:
            if spot[0] != "district" and (count := self._count(spot, overdue_intervals, now, gateway_rule_ids)):
                found[spot] = count
        return found

    def _count(
        self, spot: Spot, overdue_intervals: float, now: datetime, gateway_rule_ids: Sequence[str]
    ) -> Count | None:
        spoken: dict[int, bool] = {}
        watched = overdue = 0
        newest_at: datetime | None = None
        name = ""
        for device in self._installed(spot):
            gateway_id = device.facts.gateway_id
            if gateway_id not in spoken:
                spoken[gateway_id] = self._desk.standing(gateway_rule_ids, f"gateway:{gateway_id}") is None
            if device.heard_at is None or device.place is None or not spoken[gateway_id]:
                continue
            name = device.place.building if spot[0] == "building" else device.place.compound
            allowed_s = overdue_intervals * (device.interval_s or device.facts.expected_interval_s)
            watched += 1
            overdue += device.heard_at < now - timedelta(seconds=allowed_s)
            newest_at = max(newest_at or device.heard_at, device.heard_at)
        return None if newest_at is None else Count(watched, overdue, newest_at, name)

    def _installed(self, spot: Spot) -> Iterable[Device]:
        return (self._state.devices[device_id] for device_id in sorted(self._state.within.get(spot, ())))

    async def compounds_of_districts(
        self, district_ids: Sequence[int]
    ) -> tuple[dict[Spot, list[Spot]], dict[Spot, str]]:
        """The compounds of districts in which anything is installed, and the districts' names."""
        below: dict[Spot, list[Spot]] = {}
        names: dict[Spot, str] = {}
        for district_id in district_ids:
            spot = ("district", district_id)
            compounds = {one.place.compound_id for one in self._installed(spot) if one.place}
            if compounds:
                below[spot] = [("compound", number) for number in sorted(compounds)]
                names[spot] = self._state.districts[district_id]
        return below, names

    async def open_cells(self, rule_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Incidents of silent places that are open."""
        return [self._cell(*key) for key, _ in self._desk.of_rules(set(rule_ids))]

    def _cell(self, rule_id: str, subject: str) -> dict[str, Any]:
        level, _, number = subject.partition(":")
        place_id = int(number)
        district_id, compound_id = self._state.around.get((level, place_id), (None, None))
        return {
            "rule_id": rule_id,
            "subject": subject,
            "level": level,
            "place_id": place_id,
            "district_id": place_id if level == "district" else district_id,
            "compound_id": compound_id,
        }

    async def silences_within(self, rule_ids: Sequence[str], spot: Spot) -> list[dict[str, Any]]:
        """Open alerts of single devices that lay in a place when they were raised."""
        found = []
        for key, _ in self._desk.of_rules(set(rule_ids)):
            rule_id, subject = key
            device_id = int(subject.partition(":")[2])
            lay = self._desk.places[key]
            if lay is not None and spot in spots_around(lay):
                found.append({"rule_id": rule_id, "subject": subject, "device_id": device_id})
        return found
