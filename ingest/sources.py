"""Sources: where foreign messages come from and what they are read by. The native format needs none."""

import re
from collections.abc import Iterable, Mapping
from itertools import combinations

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ingest.decoders.flat_fields import Profile
from ingest.foreign import FOREIGN, ForeignFormat
from ingest.local_time import ZoneName

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NATIVE = "gas/v1/#"


class SourceParams(BaseModel):
    """One source: a format on some topics, and the registered gateways its messages come through."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = Field(description=f"One of {', '.join(FOREIGN)}.")
    topics: tuple[str, ...] = Field((), description="MQTT topic filters; none: the format's usual ones.")
    area: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Area in which its gateways are registered.")
    gateway: str | None = Field(
        None, pattern=f"^{_CODE.pattern}$", description="The one gateway all of it comes through; unset: as it says."
    )
    gateway_segment: int | None = Field(
        None, ge=1, le=64, description="Which part of the topic names the gateway, from 1; unset: the message does."
    )
    gateways: Mapping[str, str] = Field(
        default_factory=dict, description="Registered codes of gateways whose own names are no codes."
    )
    family: str | None = Field(
        None, min_length=1, max_length=64, description="Family of its devices' identities; unset: the format's."
    )
    site_zone: ZoneName | None = Field(
        None, description="IANA zone of its meters' clocks that tell none, where the device has none registered."
    )
    profiles: Mapping[str, Profile] = Field(
        default_factory=dict, description="What the fields of a platform's product mean, by product."
    )

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in FOREIGN:
            raise ValueError(f"{value!r} is no format; there are {', '.join(FOREIGN)}")
        return value

    @field_validator("topics")
    @classmethod
    def _are_filters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not is_filter(one):
                raise ValueError(f"{one!r} is no MQTT topic filter")
        return value

    @field_validator("gateways")
    @classmethod
    def _are_codes(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for code in value.values():
            if not _CODE.fullmatch(code):
                raise ValueError(f"{code!r} is no gateway code")
        return value

    @model_validator(mode="after")
    def _fits_the_format(self) -> "SourceParams":
        if self.gateway is not None and (self.gateway_segment is not None or self.gateways):
            raise ValueError("gateway is one name: with it neither gateway_segment nor gateways")
        if not self.form.names_gateway and self.gateway is None and self.gateway_segment is None:
            raise ValueError(f"messages of {self.format} name no gateway: set gateway or gateway_segment")
        if self.profiles and not self.form.has_profiles:
            raise ValueError(f"{self.format} has no profiles of products")
        return self

    @property
    def form(self) -> ForeignFormat:
        """The format."""
        return FOREIGN[self.format]

    @property
    def filters(self) -> tuple[str, ...]:
        """Its topic filters, the format's usual ones when none are set."""
        return self.topics or self.form.topic_filters

    def device_family(self) -> str:
        """The family of its devices' identities."""
        return self.family or self.form.family

    def gateway_name(self, topic: str, named: str | None) -> str | None:
        """What the relaying gateway calls itself: the one of the source, of the topic, or as the message says."""
        if self.gateway is not None:
            return self.gateway
        if self.gateway_segment is None:
            return named
        parts = topic.split("/")
        return parts[self.gateway_segment - 1] if self.gateway_segment <= len(parts) else None

    def gateway_code(self, name: str) -> str | None:
        """The registered code of a gateway's name; None when it is no code and `gateways` does not have it.

        A slash becomes a colon: Sparkplug's `group/edge node` is registered as `group:edge node`.
        """
        code = self.gateways.get(name, name.replace("/", ":"))
        return code if _CODE.fullmatch(code) else None

    def __str__(self) -> str:
        return f"{self.format} on {' '.join(self.filters)} in {self.area}"


def is_filter(text: str) -> bool:
    """Whether a text is an MQTT topic filter, other than one of the broker's own topics or a shared one."""
    parts = text.split("/")
    whole = all(part in {"+", "#"} or not {"+", "#", "\0"} & set(part) for part in parts)
    return bool(text) and whole and "#" not in parts[:-1] and not text.startswith("$") and len(text) <= 1_000


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic is one that a filter asks for."""
    wanted, parts = topic_filter.split("/"), topic.split("/")
    for position, part in enumerate(wanted):
        if part == "#":
            return True
        if position >= len(parts) or part not in {"+", parts[position]}:
            return False
    return len(wanted) == len(parts)


def overlap(first: str, second: str) -> bool:
    """Whether a topic can be one that both filters ask for."""
    ours, theirs = first.split("/"), second.split("/")
    for position in range(max(len(ours), len(theirs))):
        here = ours[position] if position < len(ours) else None
        there = theirs[position] if position < len(theirs) else None
        if "#" in {here, there}:
            return True
        if here is None or there is None or (here != there and "+" not in {here, there}):
            return False
    return True


def check_sources(sources: tuple[SourceParams, ...]) -> tuple[SourceParams, ...]:
    """The sources as they are; raises ValueError when a topic could be of two filters."""
    filters = [(one, number) for number, source in enumerate(sources, 1) for one in source.filters]
    for one, number in filters:
        if overlap(one, _NATIVE):
            raise ValueError(f"source {number}: {one} would take native messages ({_NATIVE})")
    for (one, number), (other, place) in combinations(filters, 2):
        if overlap(one, other):
            raise ValueError(f"sources {number} and {place}: {one} and {other} share topics")
    return sources


def source_of(sources: Iterable[SourceParams], topic: str) -> SourceParams | None:
    """The source whose topic this is."""
    for source in sources:
        if any(matches(one, topic) for one in source.filters):
            return source
    return None
