"""What ingest knows of the registry, in memory: learned on first need, forgotten when the registry changes."""

from collections.abc import Iterable

from ingest.model import Device, Event, Foreign, Gateway, Message, Rejected, Report

_ABSENT_MAX = 200_000

Identity = tuple[str, str]


class Directory:
    """Registered gateways by code and devices by (family, code), and which of both were looked for in vain.

    It asks nobody: `missing` says what to look up, `learn` takes the answer. What was not found is not looked for
    again for `recheck_s` seconds, so that a flood of unknown devices costs one look-up each. `now_s` is any
    monotonic clock. `edition` counts how often everything was forgotten: an answer of an earlier one is not whole.
    """

    def __init__(self, recheck_s: float) -> None:
        self.edition = 0
        self._recheck_s = recheck_s
        self._gateways: dict[str, Gateway] = {}
        self._devices: dict[Identity, Device] = {}
        self._absent: dict[str | Identity, float] = {}

    def gateway(self, code: str) -> Gateway | None:
        """The registered gateway of this code."""
        return self._gateways.get(code)

    def device(self, family: str, code: str) -> Device | None:
        """The registered device of this identity."""
        return self._devices.get((family, code))

    def missing(self, messages: Iterable[Message], now_s: float) -> tuple[set[str], set[Identity]]:
        """Gateways and devices that these messages name and that are worth a look-up now."""
        gateways: set[str] = set()
        devices: set[Identity] = set()
        for message in messages:
            content = message.content
            if isinstance(content, Foreign):
                _add_foreign(message.topic, content, gateways, devices)
                continue
            if isinstance(content, Rejected):
                gateways |= {code for code in (gateway_named(message.topic, content),) if code is not None}
                continue
            if content.gateway not in self._gateways:
                gateways.add(content.gateway)
            for item in content.items:
                if isinstance(item, Report | Event) and (content.family, item.device) not in self._devices:
                    devices.add((content.family, item.device))
        wanted_gateways = {key for key in gateways if key not in self._gateways and self._due(key, now_s)}
        wanted_devices = {key for key in devices if key not in self._devices and self._due(key, now_s)}
        return wanted_gateways, wanted_devices

    def learn(
        self,
        gateways: Iterable[Gateway],
        devices: Iterable[tuple[Identity, Device]],
        asked: tuple[set[str], set[Identity]],
        now_s: float,
    ) -> None:
        """Take the answer to a look-up; what was asked for and is not in it is absent for a while."""
        for gateway in gateways:
            self._gateways[gateway.code] = gateway
        self._devices.update(devices)
        if len(self._absent) > _ABSENT_MAX:
            self._absent.clear()
        for code in asked[0]:
            self._note(code, code in self._gateways, now_s)
        for identity in asked[1]:
            self._note(identity, identity in self._devices, now_s)

    def forget(self) -> None:
        """The registry changed: learn everything afresh."""
        self.edition += 1
        self._gateways.clear()
        self._devices.clear()
        self._absent.clear()

    def _due(self, key: str | Identity, now_s: float) -> bool:
        since = self._absent.get(key)
        return since is None or now_s - since >= self._recheck_s

    def _note(self, key: str | Identity, present: bool, now_s: float) -> None:
        if present:
            self._absent.pop(key, None)
        else:
            self._absent[key] = now_s


def gateway_named(topic: str, content: Rejected) -> str | None:
    """The gateway that a message which cannot be read came through: its source says, or a native topic."""
    if content.gateway is not None:
        return content.gateway
    parts = topic.split("/", 4)
    return parts[3] if len(parts) > 3 and topic.startswith("gas/v1/") else None


def _add_foreign(topic: str, content: Foreign, gateways: set[str], devices: set[Identity]) -> None:
    """Add whom a foreign message names, and whose type its decoder wants to know."""
    source, understood = content.source, content.understood
    family = source.device_family()
    devices |= {(family, code) for code in content.asked}
    name = source.gateway_name(topic, understood.gateway if understood else None)
    code = source.gateway_code(name) if name is not None else None
    if code is not None:
        gateways.add(code)
    if understood is not None:
        devices |= {(family, one.device) for one in understood.observations if one.device is not None}
