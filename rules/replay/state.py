"""Who was heard up to a moment, moved on by what arrived, as ingest moves device_state and gateway_state. Pure."""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rules.replay.model import (
    DeviceFacts,
    DeviceTold,
    FloodSpan,
    GatewayFacts,
    GatewayWord,
    Known,
    Place,
    Presence,
    Refused,
    Stay,
    Town,
)

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

ARRIVALS_KEPT = 400
"""Arrivals of a device that are kept before those are dropped from which nothing is learned any more."""


@dataclass(slots=True)
class Device:
    """A device at a moment: where it is, when it was heard, and what the last look at it left.

    `taken_out_at`: since when it is installed nowhere; None while it is somewhere, or never was anywhere.
    `arrivals`: device time of the newest reading and arrival, of each batch with readings of it.
    """

    facts: DeviceFacts
    place: Place | None = None
    installed_at: datetime | None = None
    taken_out_at: datetime | None = None
    ever_installed: bool = False
    heard_at: datetime | None = None
    presence: str | None = None
    presence_at: datetime | None = None
    arrivals: list[tuple[datetime, datetime]] = field(default_factory=list)
    interval_s: float | None = None
    gaps: int | None = None
    due_at: datetime | None = None
    silent_since: datetime | None = None
    folded_into: str | None = None


@dataclass(slots=True)
class Gateway:
    """A gateway at a moment; `passed_on`: up to when it told of any of its devices. `words`: its births and wills."""

    facts: GatewayFacts
    last_received_at: datetime | None = None
    heard_at: datetime | None = None
    passed_on: datetime | None = None
    state: str | None = None
    session: str | None = None
    state_at: datetime | None = None
    words: list[tuple[datetime, str]] = field(default_factory=list)


class State:
    """Devices, gateways and places of a town at the moment to which it was moved."""

    def __init__(self, town: Town, known: Known) -> None:
        self.town = town
        self.devices = {one.device_id: Device(one) for one in town.devices}
        self.gateways = {one.gateway_id: Gateway(one) for one in town.gateways}
        self.behind: dict[int, set[int]] = {}
        for one in town.devices:
            self.behind.setdefault(one.gateway_id, set()).add(one.device_id)
        self.within: dict[tuple[str, int], set[int]] = {}
        self.around: dict[tuple[str, int], tuple[int, int]] = {}
        self.districts = {one.district_id: one.district for one in town.gateways}
        for stay in town.stays:
            place = stay.place
            self.districts[place.district_id] = place.district
            for spot in (("building", place.building_id), ("compound", place.compound_id)):
                self.around[spot] = (place.district_id, place.compound_id)
        self.gone: set[int] = set()
        self.now = _NEVER
        self._moves = sorted(_moves(town.stays), key=lambda move: (move[0], move[2]))
        self._moved = 0
        for device_id, heard_at in known.heard.items():
            self._hear(DeviceTold(heard_at, device_id, heard_at))
        for word in known.words:
            self.say(word)
        for device_id, (told_at, presence) in known.presence.items():
            self.say(Presence(told_at, device_id, told_at, presence))

    def say(self, word: DeviceTold | Presence | GatewayWord | Refused) -> None:
        """Move on by what arrived."""
        if isinstance(word, DeviceTold):
            self._hear(word)
        elif isinstance(word, Presence):
            self._present(word)
        elif word.gateway_id in self.gateways:
            gateway = self.gateways[word.gateway_id]
            if isinstance(word, GatewayWord):
                self._word(gateway, word)
            else:
                _touch(gateway, word.arrived_at, word.arrived_at)

    def where(self, subject: str) -> Place | None:
        """Where the device of a subject lies; None of any other subject."""
        level, _, number = subject.partition(":")
        return self.devices[int(number)].place if level == "device" else None

    def flooding(self) -> dict[int, list[FloodSpan]]:
        """Floods that go on, by gateway."""
        found: dict[int, list[FloodSpan]] = {}
        for one in self.town.floods:
            if one.started_at <= self.now and (one.ended_at is None or one.ended_at > self.now):
                found.setdefault(one.gateway_id, []).append(one)
        return found

    def settle(self, now: datetime) -> list[int]:
        """Move to a moment: what was installed and removed until then is; returns what was installed anew."""
        self.now = now
        installed: list[int] = []
        while self._moved < len(self._moves) and self._moves[self._moved][0] <= now:
            at, stay, comes = self._moves[self._moved]
            self._moved += 1
            device = self.devices.get(stay.device_id)
            if device is None:
                continue
            self._leave(device)
            device.taken_out_at = None if comes else at
            if comes:
                device.place, device.installed_at, device.ever_installed = stay.place, stay.installed_at, True
                for spot in spots_around(stay.place):
                    self.within.setdefault(spot, set()).add(stay.device_id)
                installed.append(stay.device_id)
        return installed

    def _leave(self, device: Device) -> None:
        if device.place is not None:
            for spot in spots_around(device.place):
                self.within[spot].discard(device.facts.device_id)
        device.place = device.installed_at = None

    def _hear(self, word: DeviceTold) -> None:
        device = self.devices.get(word.device_id)
        if device is None:
            return
        device.heard_at = max(device.heard_at or word.heard_at, word.heard_at)
        if word.read_at is not None:
            device.arrivals.append((word.read_at, word.arrived_at))
        gateway = self.gateways[device.facts.gateway_id]
        gateway.passed_on = max(gateway.passed_on or device.heard_at, device.heard_at)
        _touch(gateway, word.arrived_at, word.heard_at)

    def _present(self, word: Presence) -> None:
        device = self.devices.get(word.device_id)
        if device is None:
            return
        if word.presence == "online":
            self._hear(DeviceTold(word.arrived_at, word.device_id, min(word.told_at, word.arrived_at)))
        if device.presence_at is not None and word.told_at < device.presence_at:
            return
        device.presence, device.presence_at = word.presence, word.told_at
        (self.gone.discard if word.presence == "online" else self.gone.add)(word.device_id)

    def _word(self, gateway: Gateway, word: GatewayWord) -> None:
        scope, scoped, _ = word.session.rpartition("@")
        death = bool(scoped) and word.state == "offline"
        told_at = min(word.told_at, word.arrived_at)
        _touch(gateway, word.arrived_at, (gateway.heard_at or told_at) if death else told_at)
        gateway.words.append((word.arrived_at, word.state))
        if word.state == "online":
            if gateway.state_at is None or gateway.state_at <= word.told_at:
                gateway.state, gateway.session, gateway.state_at = "online", word.session, word.told_at
        elif gateway.session == word.session:
            gateway.state = "offline"
        elif death and gateway.state == "online" and (gateway.session or "").startswith(f"{scope}@"):
            gateway.state = "offline"
            for device_id in self.behind.get(gateway.facts.gateway_id, ()):
                if self.devices[device_id].presence == "online":
                    self._present(Presence(word.arrived_at, device_id, word.arrived_at, "offline"))


def arrivals_since(device: Device, since: datetime) -> list[datetime]:
    """When messages of a device arrived that brought readings of after a moment; older ones are forgotten once many."""
    found = [one for one in device.arrivals if one[0] > since]
    if len(device.arrivals) > ARRIVALS_KEPT:
        device.arrivals = found
    return [arrived_at for _, arrived_at in found]


def away(gateway: Gateway, since: datetime, now: datetime) -> Iterable[tuple[datetime, datetime]]:
    """Times from a will to the next birth, of what arrived since a moment."""
    words = gateway.words[bisect_left(gateway.words, (since, "")) :]
    ends = [*(arrived_at for arrived_at, _ in words), now][1:]
    return [(begun, end) for (begun, state), end in zip(words, ends, strict=True) if state == "offline"]


def _touch(gateway: Gateway, arrived_at: datetime, heard_at: datetime) -> None:
    gateway.last_received_at = max(gateway.last_received_at or arrived_at, arrived_at)
    gateway.heard_at = max(gateway.heard_at or heard_at, heard_at)


def _moves(stays: Iterable[Stay]) -> Iterable[tuple[datetime, Stay, bool]]:
    for stay in stays:
        yield stay.installed_at, stay, True
        if stay.removed_at is not None:
            yield stay.removed_at, stay, False


def spots_around(place: Place) -> tuple[tuple[str, int], ...]:
    """The building, compound and district of a place."""
    return ("building", place.building_id), ("compound", place.compound_id), ("district", place.district_id)
