"""The words of notices: a person and their contacts, what is told of, what became of an attempt. All frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

LANGUAGES = ("en", "zh")


class RefusedAddress(Exception):
    """A contact's address may not be used; the message says why, without the address's secrets."""


class NotOpened(Exception):
    """A sealed address cannot be opened with the keys there are."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One way to reach a person, without its address. `dead`: it failed so often that others are tried before it."""

    contact_id: int
    channel: str
    language: str
    position: int
    severity_min: str
    dead: bool


@dataclass(frozen=True, slots=True)
class Person:
    """An account that may be told, with its enabled contacts in the order in which they are tried."""

    account: str
    role: str
    contacts: tuple[Contact, ...] = ()


@dataclass(frozen=True, slots=True)
class Crew:
    """Who could be told of an alert: by level of the rota, and the others that some purposes or an empty rota need."""

    on_duty: dict[int, tuple[Person, ...]]
    owner: Person | None
    told_before: tuple[Person, ...]
    officers: tuple[Person, ...]
    administrators: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who is told, how they were chosen (a word of `page.recipients`), and why in a sentence."""

    people: tuple[Person, ...]
    how: str
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How an alert stands when a notice is about to leave; `moved_*`: the newest step a person took since the page."""

    is_open: bool
    state: str
    owner: str | None
    moved_step: str | None = None
    moved_by: str | None = None
    silenced: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a notice tells of: the alert, its rule's words, and the place. `address` is personal data."""

    alert_id: int
    rule_id: str
    subject: str
    rule_title: str
    what_to_do: str
    purpose: str
    level: int
    severity: str
    state: str
    owner: str | None
    sentence: str
    raised_at: datetime
    first_at: datetime
    last_at: datetime
    closed_at: datetime | None
    unit: str | None
    first_value: float | None
    last_value: float | None
    worst_value: float | None
    count: int
    area: str
    area_name: str | None
    device: str | None
    gateway: str | None
    building: str | None
    premises: str | None
    address: str | None
    evidence: Mapping[str, object] = field(default_factory=dict)
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A notice in one language: a title of one line, the whole body, and a form short enough for a text message."""

    title: str
    body: str
    short: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one attempt to hand a notice to a channel; `error` is for a person and names no secret.

    `busy`: it was not made, because others wait for the same channel.
    """

    handed_over: bool
    error: str | None = None
    busy: bool = False
