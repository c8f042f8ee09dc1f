"""One LoRaWAN uplink as a device codec sees it, and what the codec makes of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ingest.decoders.model import Asserted, Clock, Measured, Moment, Observation, Undecodable


@dataclass(frozen=True, slots=True)
class Reading:
    """What a codec read: observations, and the names of what it saw and has no place for or does not understand."""

    observations: tuple[Observation, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Uplink:
    """An uplink. `at` is the network server's time in UTC; `profile` is how that server calls the device's type."""

    device: str
    at: datetime | None
    data: bytes = b""
    port: int | None = None
    seq: int | None = None
    signal_dbm: int | None = None
    simulated: bool = False
    profile: str | None = None

    def moment(self, before_s: int = 0) -> Moment:
        """Give the uplink's moment, or one so many seconds before it; without its time, counted from arrival."""
        if self.at is None:
            return Moment(Clock.ARRIVAL, offset_s=-float(before_s))
        try:
            return Moment(Clock.GATEWAY, self.at - timedelta(seconds=before_s))
        except OverflowError:
            raise Undecodable("data", "dated back beyond any calendar") from None

    def measured(self, moment: Moment | None = None, **values: Any) -> Measured:
        """Build a measurement of this uplink; one of another moment does not carry the uplink's signal strength."""
        signal = self.signal_dbm if moment is None or moment == self.moment() else None
        bare = Measured(self.device, moment or self.moment(), seq=self.seq, signal_dbm=signal, simulated=self.simulated)
        return replace(bare, **values)

    def asserted(self, kind: str, state: str, cause: str | None = None) -> Asserted:
        """Build an assertion of this uplink. The detectors we read tell no level and no concentration."""
        return Asserted(self.device, self.moment(), kind, state, cause=cause, seq=self.seq, simulated=self.simulated)

    def take(self, start: int, count: int, field: str) -> bytes:
        """Give so many bytes of the data; raises Undecodable when they are not all there."""
        part = self.data[start : start + count]
        if len(part) < count:
            raise Undecodable(f"data[{start}]", f"{field} takes {count} bytes, {len(part)} are left: cut off")
        return part


@dataclass(frozen=True, slots=True)
class Codec:
    """A device type's own bytes: `read` raises Undecodable; `profiles` are words of network servers' profile names.

    The words have letters and digits only, in lower case.
    """

    name: str
    profiles: tuple[str, ...]
    port: int
    read: Callable[[Uplink], Reading]
