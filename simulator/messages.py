"""Days x devices -> what the gateways publish, in the order they publish it (docs/payloads.md).

A meter reports once a day, some time after local midnight, the 24 frozen registers of the day before and its present
register; a detector says once a day that it lives; events go at once. Reports are sent again when an acknowledgement
is slow, some arrive days late, few never.
"""

import heapq
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from simulator.model import City, Message
from simulator.occurrence import Occurrence
from simulator.occurrences import VALVE_CLOSED, closed_spans, occurrences
from simulator.outages import FLOOD_S, Clock, away, clocks
from simulator.planter import Fault
from simulator.registers import Registers, read_registers
from simulator.sayings import STATUS_BITS
from simulator.usage import hours_until

BACKFILLED: Final = 512
BATTERY_LOW: Final = 4
BATTERY_DROP_MV: Final = 450
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Noise:
    """What goes wrong by itself, as shares of all reports: sent twice, a day or more late, never, an hour unknown."""

    sent_again: float = 0.01
    late: float = 0.003
    lost: float = 0.0005
    hour_unknown: float = 0.002


class _Draft(NamedTuple):
    """A message before it has a number; `fate` is how it travels."""

    at: datetime
    device: str
    kind: str
    body: dict[str, Any]
    fate: str = "prompt"
    delay: timedelta = timedelta(0)


def messages(
    city: City, faults: Iterable[Fault], now: datetime, days: int, seed: int, noise: Noise | None = None
) -> Iterator[Message]:
    """All that the gateways do in `days` local days and the begun one, up to `now`, in order of sending.

    The first of every gateway is its birth. The same arguments give the same bytes.
    """
    faults = tuple(faults)
    hours = hours_until(now, days, city.utc_offset_h)
    desk = _Desk(city, faults, read_registers(city, faults, hours, seed), now, seed, noise or Noise())
    waiting: list[tuple[datetime, int, Message]] = list(desk.births_and_losses())
    heapq.heapify(waiting)
    for day in range(days + 1):
        for message in desk.post(desk.drafts(day)):
            heapq.heappush(waiting, (message.sent_at, next(desk.order), message))
        until = min(now, hours.at((day + 1) * 24) if day < days else now)
        while waiting and waiting[0][0] <= until:
            yield heapq.heappop(waiting)[2]


class _Desk:
    """Writes and numbers the messages of a day; holds the counters of devices."""

    def __init__(
        self, city: City, faults: tuple[Fault, ...], registers: Registers, now: datetime, seed: int, noise: Noise
    ) -> None:
        self.city, self.registers, self.hours, self.now, self.noise = city, registers, registers.hours, now, noise
        self.rng = np.random.default_rng([seed, 7])
        self.order = iter(range(2**62))
        self.device = {device.code: device for device in city.devices}
        self.area = {gateway.code: gateway.area for gateway in city.gateways}
        self.faults = faults
        self.seq = {device.code: int(self.rng.integers(0, 2**16)) for device in city.devices}
        self.report_s = self.rng.integers(5 * 60, 4 * 3600, len(registers.meters))
        self.rsrp = self.rng.integers(-112, -84, len(registers.meters))
        self.battery = self.rng.integers(3450, 3640, len(registers.meters))
        self.detectors = tuple(device for device in city.devices if device.kind == "detector")
        self.beat_s = self.rng.integers(60, 86_000, len(self.detectors))
        self.closed = closed_spans(faults, frozenset(device.code for device in registers.meters))
        self.silent = _silences(faults)
        self.gone = {fault.subject[1]: fault.start for fault in faults if fault.name == "gateway_silent"}
        self.row = {meter.code: row for row, meter in enumerate(registers.meters)}
        self.away = away(faults)
        self.clocks = clocks(faults)
        self.right = Clock()
        self.bits = _status_bits(faults)
        fitted = city.fitted()
        self.tells_pressure = [city.habits[fitted[m.code].premises].tells_pressure for m in registers.meters]
        self.odd = {(fault.devices[0], int(fault.values["day"])): fault for fault in faults if "day" in fault.values}
        self.occurring: dict[int, list[Occurrence]] = defaultdict(list)
        for occurrence in occurrences(faults, city, now, seed):
            self.occurring[self.hours.index(occurrence.at) // 24].append(occurrence)

    def births_and_losses(self) -> Iterator[tuple[datetime, int, Message]]:
        """Every gateway's birth at the start, and the moments a gateway's connection breaks."""
        start = self.hours.start
        for number, gateway in enumerate(self.city.gateways):
            at = start if gateway.code in self.gone else self.now
            session = f"{int(self.now.timestamp()):x}-{number:x}"
            body = {"state": "online", "session": session, "at": stamp(at), "firmware": "sim-1"}
            yield start, next(self.order), Message(gateway.code, gateway.area, "status", encode(body), "", 0, at, start)
        for fault in self.faults:
            if fault.name in ("gateway_silent", "gateway_flap"):
                code = fault.subject[1]
                at = fault.start
                yield at, next(self.order), Message(code, self.area[code], "lost", b"", "", 0, at, at)
        for code, outages in self.away.items():
            for number, (start, end) in enumerate(outages):
                yield start, next(self.order), Message(code, self.area[code], "lost", b"", "", 0, start, start)
                body = {"state": "online", "session": f"{code}-{number}", "at": stamp(end), "firmware": "sim-1"}
                yield end, next(self.order), Message(code, self.area[code], "status", encode(body), "", 0, end, end)

    def drafts(self, day: int) -> list[_Draft]:
        """What the devices say on a local day, in the order of their clocks; silent devices say nothing."""
        said = [*self._reports(day), *self._beats(day), *self._occurred(day)]
        heard = [draft for draft in said if draft.at < self.now and not self._is_silent(draft)]
        heard.sort(key=lambda draft: (draft.at, draft.device))
        return heard

    def post(self, drafts: Iterable[_Draft]) -> Iterator[Message]:
        """Number the drafts and send each once, twice, late or never."""
        for draft in drafts:
            seq = self.seq[draft.device]
            self.seq[draft.device] = (seq + 1) % 2**16
            if draft.fate == "lost":
                continue
            body = draft.body | ({"reason": "retry"} if draft.fate == "late" else {})
            told_at = draft.at - self.clocks.get(draft.device, self.right).behind(draft.at)
            payload = encode({"device": draft.device, "seq": seq, "at": stamp(told_at), **body})
            gateway = self.device[draft.device].gateway
            message = Message(
                gateway, self.area[gateway], draft.kind, payload, draft.device, seq, told_at,
                draft.at + timedelta(seconds=1) + draft.delay, draft.body.get("index_ml"),
            )  # fmt: skip
            copies = [message]
            if draft.fate == "again":
                copies.append(message._replace(sent_at=message.sent_at + timedelta(seconds=40)))
            if gateway in self.away:
                copies = [copy._replace(sent_at=self._held(gateway, copy.sent_at)) for copy in copies]
            gone = self.gone.get(gateway)
            yield from (copy for copy in copies if gone is None or copy.sent_at < gone)

    def _held(self, gateway: str, sent_at: datetime) -> datetime:
        """When a message leaves a gateway that may be away: in a flood, in its order, when it is back."""
        for start, end in self.away[gateway]:
            if start <= sent_at < end:
                return end + timedelta(seconds=2 + FLOOD_S * ((sent_at - start) / (end - start)))
        return sent_at

    def _reports(self, day: int) -> Iterator[_Draft]:
        """Reports of the day before, from every meter in place."""
        if day == 0:
            return
        meters, registers = self.registers.meters, self.registers
        jitter = self.rng.integers(15, 44, len(meters))
        at_s = self.report_s + jitter
        at_s += at_s % 3600 == 0
        hour = day * 24 + at_s // 3600
        known = hour < self.hours.count
        shown = registers.shown((day - 1) * 24 + 1, day * 24)
        present = registers.shown_at(np.minimum(hour, self.hours.count - 1), (at_s % 3600) / 3600)
        fates = self._fates(len(meters))
        unknown = self.rng.random(len(meters)) < self.noise.hour_unknown
        signal = self.rsrp + self.rng.integers(-4, 5, len(meters))
        midnight, frozen_from = self.hours.at(day * 24), stamp(self.hours.at((day - 1) * 24))
        for row in np.flatnonzero(known & (registers.first < day * 24) & (registers.last >= hour)).tolist():
            code = meters[row].code
            hourly: list[int | None] = shown[row].tolist()
            before = int(registers.first[row]) - (day - 1) * 24
            if registers.first[row] > 0 and before > 0:
                hourly[:before] = [None] * before
            if code in self.clocks:
                hourly = self._wrong_hours(code, row, day)
            if unknown[row]:
                hourly[int(at_s[row]) % 24] = None
            at = midnight + timedelta(seconds=int(at_s[row]))
            body: dict[str, Any] = {
                "reason": "timed",
                "index_ml": int(present[row]),
                "status": VALVE_CLOSED if self._is_closed(code, at) else 0,
                "battery_mv": int(self.battery[row]) - day // 8,
                "rsrp_dbm": int(signal[row]),
                "hourly": {"from": frozen_from, "index_ml": hourly},
            }
            if code in self.bits:
                body["status"] |= self._bits(code, at)
                if body["status"] & BATTERY_LOW:
                    body["battery_mv"] -= BATTERY_DROP_MV
            if self.tells_pressure[row]:
                body["pressure_pa"] = 2_000 + (int(signal[row]) * 37 + day * 13) % 121 - 60
            fate, delay = fates[row]
            odd = self.odd.get((code, day - 1))
            if odd is not None:
                fate, delay = _distort(odd, body)
            yield _Draft(at, code, "readings", body, fate, delay)

    def _wrong_hours(self, code: str, row: int, day: int) -> list[int | None]:
        """The frozen registers of the day before by a clock that is wrong."""
        ends = [(day - 1) * 24 + number for number in range(1, 25)]
        behind_s = [self.clocks[code].behind(self.hours.at(end)).total_seconds() for end in ends]
        return self.registers.told(row, np.array(ends) + np.array(behind_s) / 3600).tolist()  # type: ignore[no-any-return]

    def _bits(self, code: str, at: datetime) -> int:
        return sum({bit for start, end, bit in self.bits[code] if start <= at < end})

    def _fates(self, count: int) -> list[tuple[str, timedelta]]:
        draws, delays = self.rng.random(count), self.rng.integers(1, 4, count)
        again, late = self.noise.sent_again, self.noise.sent_again + self.noise.late
        lost = late + self.noise.lost
        return [
            ("again", timedelta(0)) if draw < again
            else ("late", timedelta(days=int(delay), seconds=90)) if draw < late
            else ("lost", timedelta(0)) if draw < lost
            else ("prompt", timedelta(0))
            for draw, delay in zip(draws.tolist(), delays.tolist(), strict=True)
        ]  # fmt: skip

    def _beats(self, day: int) -> Iterator[_Draft]:
        """A detector's daily sign of life: concentration with its background noise, and status."""
        noise = np.abs(self.rng.normal(0, 0.4, len(self.detectors)))
        battery = self.rng.integers(2950, 3000, len(self.detectors))
        for row, detector in enumerate(self.detectors):
            at = self.hours.at(day * 24) + timedelta(seconds=int(self.beat_s[row]))
            lel_pct = round(min(float(noise[row]), 2.0), 1)
            status = self._bits(detector.code, at) if detector.code in self.bits else 0
            body = {"reason": "timed", "lel_pct": lel_pct, "status": status, "battery_mv": int(battery[row])}
            yield _Draft(at, detector.code, "readings", body)

    def _occurred(self, day: int) -> Iterator[_Draft]:
        for occurrence in self.occurring[day]:
            body = dict(occurrence.body)
            if "index_ml" in body:
                hour = (occurrence.at - self.hours.start) / timedelta(hours=1)
                body["index_ml"] = int(self.registers.told(self.row[occurrence.device], np.array([hour]))[0])
            yield _Draft(occurrence.at, occurrence.device, occurrence.kind, body)

    def _is_silent(self, draft: _Draft) -> bool:
        return any(start <= draft.at < end for start, end in self.silent.get(draft.device, ()))

    def _is_closed(self, code: str, at: datetime) -> bool:
        return any(start <= at < end for start, end in self.closed.get(code, ()))


def _silences(faults: Iterable[Fault]) -> dict[str, list[tuple[datetime, datetime]]]:
    silent: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for fault in faults:
        if fault.name in ("device_silent", "gateway_silent", "dark_building"):
            for code in fault.devices:
                silent[code].append((fault.start, fault.end + timedelta(seconds=1)))
    return silent


def _status_bits(faults: Iterable[Fault]) -> dict[str, list[tuple[datetime, datetime, int]]]:
    bits: dict[str, list[tuple[datetime, datetime, int]]] = defaultdict(list)
    for fault in faults:
        if fault.name in STATUS_BITS:
            bits[fault.devices[0]].append((fault.start, fault.end + timedelta(seconds=1), STATUS_BITS[fault.name]))
    return bits


def _distort(odd: Fault, body: dict[str, Any]) -> tuple[str, timedelta]:
    """Make a day's report odd in its planted way; returns how it travels."""
    hourly = body["hourly"]["index_ml"]
    hour, length = int(odd.values["hour"]), int(odd.values["hours"])
    match odd.name:
        case "power_loss":
            hourly[hour : hour + length] = [hourly[hour + length]] * length
            body["status"] |= BACKFILLED
        case "past_memory":
            hourly[:length] = [0] * length
        case "late_day":
            return "late", timedelta(days=odd.values["delay_d"], seconds=90)
        case "lost_day":
            return "lost", timedelta(0)
        case "retransmission":
            return "again", timedelta(0)
    return "prompt", timedelta(0)


def encode(body: dict[str, Any]) -> bytes:
    """A body as the bytes a gateway sends: JSON without blanks."""
    return json.dumps(body, separators=(",", ":")).encode()


def stamp(at: datetime) -> str:
    """A moment as RFC 3339 in UTC, to the second or finer when it has microseconds."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
