"""Gateways that send faster than their limit: which messages are held back, and when they take their turn.

Pure: `now_s` is any monotonic clock, in seconds. Held messages are kept by the database (ingest/holding.py); here is
only how many wait. While any of a gateway wait, all that follow are held behind them, so that its order is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

TURN_MESSAGES = 500
_GATEWAYS_REMEMBERED = 100_000


class RateParams(BaseModel):
    """How fast one gateway may send before its messages are held back; none is ever refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    messages_per_s: float | None = Field(
        1_000.0, gt=0, le=1_000_000, description="Messages a second of one gateway that are stored at once."
    )
    burst: int = Field(
        20_000, ge=1, le=10_000_000, description="Messages that a gateway may send beyond that before any is held back."
    )


@dataclass(slots=True)
class _Allowance:
    """What a gateway may send now, as of `at_s`; `held` of its messages wait, `kept` of them in the database."""

    tokens: float
    at_s: float
    held: int = 0
    kept: int = 0
    flooding: bool = False


@dataclass
class Floods:
    """The allowance of each gateway of a writer.

    A flood starts with the first message held back, and ends when none waits and the gateway has half its burst again.
    """

    params: RateParams
    started: list[str] = field(default_factory=list)
    _known: dict[str, _Allowance] = field(default_factory=dict)
    _flooding: dict[str, _Allowance] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """Messages that wait for their turn."""
        return sum(one.held for one in self._flooding.values())

    @property
    def flooding(self) -> tuple[str, ...]:
        """Gateways whose flood goes on."""
        return tuple(self._flooding)

    def restore(self, held: Mapping[str, int], now_s: float) -> None:
        """What an earlier worker left waiting, by gateway."""
        for gateway, messages in held.items():
            one = self._known[gateway] = _Allowance(0.0, now_s, messages, messages, flooding=True)
            self._flooding[gateway] = one

    def must_hold(self, gateway: str, now_s: float) -> bool:
        """Whether a message that arrives now is held back; it is counted either way."""
        rate = self.params.messages_per_s
        if rate is None:
            before = self._flooding.get(gateway)
            return before is not None and before.held > 0 and self._hold(gateway, before)
        one = self._known.get(gateway)
        if one is None:
            if len(self._known) >= _GATEWAYS_REMEMBERED:
                self._known = dict(self._flooding)
            one = self._known[gateway] = _Allowance(float(self.params.burst), now_s)
        if one.held == 0:
            self._refill(one, now_s)
            if one.tokens >= 1.0:
                one.tokens -= 1.0
                return False
        return self._hold(gateway, one)

    def kept(self, gateway: str, messages: int) -> None:
        """So many of the held messages are in the database now."""
        self._flooding[gateway].kept += messages

    def gone(self, gateway: str) -> None:
        """What was kept of the gateway's messages is not there any more."""
        one = self._flooding[gateway]
        one.held -= one.kept
        one.kept = 0

    def due(self, now_s: float) -> str | None:
        """A gateway whose oldest kept messages may take their turn now, the one that waited longest first."""
        for gateway, one in self._flooding.items():
            self._refill(one, now_s)
            if one.kept and one.tokens >= self._turn(one):
                return gateway
        return None

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until a turn, or the end of a flood; None when there is neither to wait for."""
        rate = self.params.messages_per_s or 1e9
        waits_s = []
        for one in self._flooding.values():
            self._refill(one, now_s)
            if one.kept or not one.held:
                wanted = self._turn(one) if one.kept else self.params.burst / 2
                waits_s.append(max(0.0, (wanted - one.tokens) / rate))
        return min(waits_s, default=None)

    def released(self, gateway: str, messages: int, now_s: float) -> None:
        """So many messages of the gateway took their turn; it stands at the end of the line now."""
        one = self._flooding.pop(gateway)
        self._refill(one, now_s)
        one.tokens -= messages
        one.held -= messages
        one.kept -= messages
        self._flooding[gateway] = one

    def take_ended(self, now_s: float) -> list[str]:
        """Gateways whose flood ended; each is told once."""
        ended = []
        for gateway, one in list(self._flooding.items()):
            self._refill(one, now_s)
            if not one.held and one.tokens >= self.params.burst / 2:
                one.flooding = False
                del self._flooding[gateway]
                ended.append(gateway)
        return ended

    def take_started(self) -> list[str]:
        """Gateways whose flood started; each is told once."""
        taken, self.started = self.started, []
        return taken

    def _hold(self, gateway: str, one: _Allowance) -> bool:
        one.held += 1
        if not one.flooding:
            one.flooding = True
            self._flooding[gateway] = one
            self.started.append(gateway)
        return True

    def _turn(self, one: _Allowance) -> float:
        return float(min(TURN_MESSAGES, one.kept, self.params.burst))

    def _refill(self, one: _Allowance, now_s: float) -> None:
        rate = self.params.messages_per_s
        full = float(self.params.burst)
        one.tokens = full if rate is None else min(full, one.tokens + (now_s - one.at_s) * rate)
        one.at_s = now_s
