"""LoRaWAN behind its network server: the codec that reads a device's bytes, whichever server relayed them.

Identity is the DevEUI as 16 lower-case hexadecimal digits (ChirpStack writes it in lower case, The Things Stack in
upper case), in the family `lorawan`. Time is the network server's (Clock.GATEWAY): these devices send no clock of
their own.
"""

import re
from collections.abc import Callable, Iterable, Mapping

from ingest.decoders import fludia_fm432g, milesight_gs101, watteco_pulse
from ingest.decoders.fields import Fields, identity, shown, to_decimal
from ingest.decoders.model import Measured, Observation, Undecodable
from ingest.decoders.uplink import Codec, Reading, Uplink

FAMILY = "lorawan"
DATA_BYTES_MAX = 256

CodecOf = Callable[[str], str | None]
"""DevEUI -> name of the codec that its registered type asks for; None: the registry does not know the device."""

_EUI = re.compile(r"[0-9A-Fa-f]{16}")


_CODECS = (milesight_gs101.CODEC, watteco_pulse.CODEC, fludia_fm432g.CODEC)
CODECS: Mapping[str, Codec] = {codec.name: codec for codec in _CODECS}


def not_registered(device: str) -> None:
    """Know no device: codecs are then chosen by port and profile name."""


def dev_eui(text: str, field: str) -> str:
    """Give a DevEUI in lower case; text that is no EUI (a device of an old network without one) stays as it is."""
    return text.lower() if _EUI.fullmatch(text) else identity(text, field)


def best_rssi(receptions: Iterable[Fields]) -> int | None:
    """Give the strongest reception of an uplink in dBm; what is no number, as some gateways send, is passed over."""
    heard = [to_decimal(one.body.get("rssi")) for one in receptions]
    sane = [value for value in heard if value is not None and -200 <= value <= 50]
    return round(max(sane)) if sane else None


def observe(uplink: Uplink, codec_of: CodecOf) -> tuple[tuple[Observation, ...], tuple[str, ...]]:
    """Give what an uplink says, and what was not understood; one without bytes says that the device was heard.

    Raises Undecodable when no codec is known for the device, or its codec refuses the bytes: the message is kept in
    quarantine and can be read once the device's type is registered.
    """
    reading = _codec(uplink, codec_of).read(uplink) if uplink.data else Reading()
    observations = reading.observations
    if not any(isinstance(one, Measured) and one.moment == uplink.moment() for one in observations):
        observations = (*observations, uplink.measured())
    return observations, reading.unread


def _codec(uplink: Uplink, codec_of: CodecOf) -> Codec:
    """Choose the registered type's codec; for an unregistered device the one its profile's name and port fit."""
    if len(uplink.data) > DATA_BYTES_MAX:
        raise Undecodable("data", f"{len(uplink.data)} bytes; a LoRaWAN uplink has at most {DATA_BYTES_MAX}")
    name = codec_of(uplink.device)
    if name is not None:
        if name in CODECS:
            return CODECS[name]
        raise Undecodable("device type", f"no codec is called {name}; there are {', '.join(CODECS)}")
    profile = re.sub(r"[^a-z0-9]", "", (uplink.profile or "").casefold())
    fitting = [
        codec
        for codec in _CODECS
        if uplink.port in (None, codec.port) and any(word in profile for word in codec.profiles)
    ]
    if len(fitting) != 1:
        seen = f"profile {shown(uplink.profile or 'unnamed')}, port {uplink.port}"
        raise Undecodable("device type", f"no codec for an unregistered device of {seen}: register its type")
    return fitting[0]
