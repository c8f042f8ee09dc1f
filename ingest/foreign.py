"""The registry of foreign formats: how a source's messages are read, what a decoder may ask, and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from ingest.decoders import (
    alink,
    chirpstack,
    cjt188,
    ctwing,
    dsmr,
    iotda,
    onenet,
    senml_cbor,
    senml_json,
    sparkplug,
    things_stack,
    wmbusmeters,
)
from ingest.decoders.flat_fields import ProfileOf, not_declared
from ingest.decoders.lorawan import FAMILY as LORAWAN
from ingest.decoders.lorawan import CodecOf, not_registered
from ingest.decoders.model import Sample, Understood


@dataclass(frozen=True, slots=True)
class Hints:
    """What a decoder may ask: the codec of a registered device, the declared profile of a platform's product."""

    codec_of: CodecOf = not_registered
    profile_of: ProfileOf = not_declared


@dataclass(frozen=True, slots=True)
class ForeignFormat:
    """One foreign format.

    `registers` are the sender's names of registers that are the meter's without being chosen in the registry;
    `passed_over` are registers of which a meter has another beside it that is. `names_gateway`: whether its messages
    name who relayed them. `has_profiles`: whether its fields are declared for each product.
    """

    name: str
    family: str
    topic_filters: tuple[str, ...]
    decode: Callable[[str, bytes, Hints], Understood]
    samples: tuple[Sample, ...]
    registers: frozenset[str] = frozenset()
    passed_over: frozenset[str] = frozenset()
    names_gateway: bool = True
    has_profiles: bool = False


_SPARKPLUG_VERBS = ("NBIRTH/+", "NDEATH/+", "NDATA/+", "DBIRTH/+/+", "DDEATH/+/+", "DDATA/+/+")
# What hosts say of themselves is heard, commands to nodes (our own rebirth requests among them) are not.
_SPARKPLUG_FILTERS = (*(f"spBv1.0/+/{verb}" for verb in _SPARKPLUG_VERBS), "spBv1.0/STATE/+", "STATE/+")


def _plain(module: ModuleType, topic: str, payload: bytes, hints: Hints) -> Understood:  # noqa: ARG001
    found: Understood = module.decode(topic, payload)
    return found


def _of_lorawan(module: ModuleType, topic: str, payload: bytes, hints: Hints) -> Understood:
    found: Understood = module.decode(topic, payload, hints.codec_of)
    return found


def _of_platform(module: ModuleType, topic: str, payload: bytes, hints: Hints) -> Understood:
    found: Understood = module.decode(topic, payload, hints.profile_of)
    return found


def _format(module: ModuleType, decode: Callable[..., Understood] = _plain, **facts: Any) -> ForeignFormat:
    known = {"topic_filters": module.TOPIC_FILTERS} | facts
    return ForeignFormat(module.NAME, module.FAMILY, decode=partial(decode, module), samples=module.SAMPLES, **known)


FOREIGN: Mapping[str, ForeignFormat] = {
    "senml-json": _format(senml_json, registers=frozenset({"volume"}), names_gateway=False),
    "senml-cbor": _format(senml_cbor, registers=frozenset({"volume"}), names_gateway=False),
    "wmbusmeters": _format(wmbusmeters, registers=frozenset({"total"}), passed_over=frozenset({"target"})),
    "dsmr": _format(dsmr, registers=frozenset({"24.2.1", "24.2.3"})),
    "sparkplug": _format(sparkplug, topic_filters=_SPARKPLUG_FILTERS),
    "chirpstack": _format(chirpstack, _of_lorawan, registers=frozenset({"index_tenths"})),
    "things-stack": _format(things_stack, _of_lorawan, registers=frozenset({"index_tenths"})),
    "cjt188": _format(cjt188, registers=frozenset({"901F"})),
    "ctwing": _format(ctwing, _of_platform, has_profiles=True),
    "onenet": _format(onenet, _of_platform, has_profiles=True),
    "iotda": _format(iotda, _of_platform, has_profiles=True),
    "alink": _format(alink, _of_platform, has_profiles=True),
}
"""Foreign formats by the word that settings call them by."""

CODEC_FAMILY = LORAWAN
