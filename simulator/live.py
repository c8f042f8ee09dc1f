"""Goes on where a played history ended: single readings and heartbeats in real time, and a leak on demand. No clock."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from simulator.faults import Fault
from simulator.messages import encode, stamp
from simulator.model import City, Device, Message
from simulator.occurrences import VALVE_CLOSED, leak
from simulator.usage import COOKING, HOT_WATER


class Spoken(NamedTuple):
    """The last thing a device said."""

    at: datetime
    seq: int
    index_ml: int | None


class Followed:
    """Messages passed through, remembering the last of every device in `last`."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self._messages = messages
        self.last: dict[str, Spoken] = {}

    def __iter__(self) -> Iterator[Message]:
        """The messages, unchanged."""
        for message in self._messages:
            known = self.last.get(message.device)
            if message.device and (known is None or message.at >= known.at):
                self.last[message.device] = Spoken(message.at, message.seq, message.index_ml)
            yield message


class Live:
    """Devices that spoke in the history and show no planted fault, speaking on."""

    def __init__(self, city: City, faults: Iterable[Fault], last: Mapping[str, Spoken], seed: int) -> None:
        faults = tuple(faults)
        faults = tuple(faults)
        faulty = {code for fault in faults if fault.alert for code in fault.devices}
        self._shut = {code for fault in faults if fault.name == "valve_closed_idle" for code in fault.devices}
        self._rng = np.random.default_rng([seed, 9])
        self._area = {gateway.code: gateway.area for gateway in city.gateways}
        self._offset_h = city.utc_offset_h
        self._last = dict(last)
        places, fitted = city.places(), city.fitted()
        self._building = {d.code: places[fitted[d.code].premises].building for d in city.devices}
        self._leaking = {self._building[fault.devices[0]] for fault in faults if fault.name == "leak_alarm"}
        removed = {fitting.device for fitting in city.installations if fitting.removed_at}
        silent = {
            code for fault in faults if fault.name in ("device_silent", "gateway_silent") for code in fault.devices
        }
        self.heard = [d for d in city.devices if d.code in last and d.code not in removed | silent]
        sound = [device for device in self.heard if device.code not in faulty]
        self.meters = [device for device in sound if device.kind == "meter"]
        self.detectors = [device for device in sound if device.kind == "detector"]

    @property
    def last(self) -> Mapping[str, Spoken]:
        """The last thing every device said, to go on from later."""
        return self._last

    def tick(self, at: datetime) -> Message:
        """A single reading of some meter, or now and then a detector's heartbeat, at this moment."""
        if self.detectors and self._rng.random() < 0.2:
            return self._heartbeat(self.detectors[int(self._rng.integers(len(self.detectors)))], at)
        return self._reading(self.meters[int(self._rng.integers(len(self.meters)))], at)

    def _heartbeat(self, detector: Device, at: datetime) -> Message:
        lel_pct = round(float(abs(self._rng.normal(0, 0.4))), 1)
        return self._say(detector, at, "readings", {"lel_pct": lel_pct, "status": 0})

    def _reading(self, meter: Device, at: datetime) -> Message:
        """The register moved on since the meter last spoke, at most by the flow it shows now."""
        hour = (at + timedelta(hours=self._offset_h)).hour
        shut = meter.code in self._shut
        burning = not shut and self._rng.random() < COOKING[hour] + HOT_WATER[hour]
        flow_lh = round(float(self._rng.uniform(40, 600)), 1) if burning else 0.0
        last = self._last[meter.code]
        pulse_ml = meter.pulse_ml or 1
        elapsed_h = min((at - last.at).total_seconds() / 3600, 0.5)
        index_ml = (last.index_ml or 0) + round(flow_lh * 1000 * max(elapsed_h, 0.0)) // pulse_ml * pulse_ml
        body = {"index_ml": index_ml, "flow_lh": flow_lh, "pressure_pa": int(self._rng.integers(1_950, 2_080))}
        if meter.has_valve:
            body["status"] = VALVE_CLOSED if shut else 0
        return self._say(meter, at, "readings", body)

    def everyone(self, at: datetime) -> Iterator[Message]:
        """One message of every device that is not planted silent: how a district comes back after a pause.

        Sound meters tell a reading and sound detectors a heartbeat; those with a fault only that they live.
        """
        meters, detectors = ({device.code for device in sound} for sound in (self.meters, self.detectors))
        for device in self.heard:
            if device.code in meters:
                yield self._reading(device, at)
            elif device.code in detectors:
                yield self._heartbeat(device, at)
            else:
                yield self._say(device, at, "readings", {"battery_mv": 3_500 if device.kind == "meter" else 2_980})

    def leak(self, at: datetime, detector: str | None = None) -> list[Message]:
        """A leak: rising, low alarm and high alarm, the last of them at `at`.

        At a detector by its code, or at some detector of a building where nothing leaks.
        Raises ValueError when no such detector spoke in the history.
        """
        chosen = [device for device in self.detectors if device.code == detector] if detector else self._alone()
        if not chosen:
            raise ValueError(f"no sound detector {detector or ''} in the history")
        device = chosen[int(self._rng.integers(len(chosen)))]
        self._leaking.add(self._building[device.code])
        start, values = at - timedelta(seconds=25), {"level": 2.0, "peak_lel_pct": float(self._rng.uniform(22, 45))}
        fault = Fault("leak_alarm", "leak_alarm", True, ("device", device.code), start, at, (device.code,), values)
        said = [
            occurrence for occurrence in leak(fault, device, self._rng) if occurrence.body.get("state") != "cleared"
        ]
        return [self._say(device, occurrence.at, occurrence.kind, occurrence.body) for occurrence in said]

    def _alone(self) -> list[Device]:
        """Sound detectors in buildings where nothing leaks."""
        return [device for device in self.detectors if self._building[device.code] not in self._leaking]

    def _say(self, device: Device, at: datetime, kind: str, body: dict[str, Any]) -> Message:
        before = self._last[device.code]
        seq, index_ml = (before.seq + 1) % 2**16, body.get("index_ml", before.index_ml)
        self._last[device.code] = Spoken(at, seq, index_ml)
        payload = encode({"device": device.code, "seq": seq, "at": stamp(at), **body})
        area = self._area[device.gateway]
        return Message(device.gateway, area, kind, payload, device.code, seq, at, at, index_ml)
