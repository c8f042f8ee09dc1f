"""Residents' requests and complaints: categories with deadlines, and what a step does to a request. Pure."""

import tomllib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from inspections.last_good import LastGood

_PACKAGED = Path(__file__).with_name("requests.toml")

Channel = Literal["hotline", "app", "counter", "patrol", "letter"]
RequestState = Literal["open", "replied", "closed", "withdrawn"]
RequestStep = Literal["assign", "door", "reply", "close", "withdraw", "rate", "note"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)


class InvalidRequests(Exception):
    """The categories file contradicts itself; the message names the rule."""


class WrongRequestStep(Exception):
    """A step does not fit the request; names the field and the rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class Category(BaseModel):
    """What is asked for: deadlines from its arrival, and whether a visit follows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z_]{1,32}$")
    title: str = Field(min_length=1)
    reply_minutes: int = Field(ge=1, le=60 * 24 * 60)
    settle_hours: int = Field(ge=1, le=24 * 365)
    visit: Literal["none", "normal", "mandatory"]
    source: str = Field(min_length=1)


class RequestCatalogue(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    poor_rating: int = Field(ge=0, le=5)
    call_hours: int = Field(ge=1, le=24 * 60)
    remind_every_hours: int = Field(ge=1, le=24 * 60)
    category: tuple[Category, ...]

    def of(self, code: str) -> Category:
        """A category by code; raises WrongRequestStep naming the field."""
        found = next((one for one in self.category if one.code == code), None)
        if found is None:
            known = ", ".join(one.code for one in self.category)
            raise WrongRequestStep("category", f"{code} is not in the catalogue; there are {known}")
        return found


@lru_cache(maxsize=4)
def parse_requests(text: str) -> RequestCatalogue:
    """Read a categories file; raises InvalidRequests, or pydantic's ValidationError naming the key."""
    catalogue = RequestCatalogue.model_validate(tomllib.loads(text))
    codes = [one.code for one in catalogue.category]
    if not codes:
        raise InvalidRequests("the file has no category")
    if twice := next((code for code in codes if codes.count(code) > 1), None):
        raise InvalidRequests(f"category {twice} is there twice")
    return catalogue


_FILES = LastGood[RequestCatalogue]("requests", _PACKAGED, (InvalidRequests,))


def load_requests(path: Path | None = None) -> RequestCatalogue:
    """The categories of a file, or the packaged ones."""
    return _FILES.read(path, parse_requests)


@dataclass(frozen=True, slots=True)
class ResidentRequest:
    """A request as far as its life goes."""

    request_id: int
    category: str
    state: RequestState
    received_at: datetime
    reply_by: datetime
    settle_by: datetime
    owner: str | None = None
    reply: str | None = None
    replied_at: datetime | None = None
    closed_at: datetime | None = None
    rating: int | None = None
    call_by: datetime | None = None
    reminders: int = 0
    reminded_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.state in {"open", "replied"} or self.call_by is not None

    def overdue_since(self, now: datetime) -> tuple[datetime, str] | None:
        """The latest deadline that has passed unmet, and which it is; None when all is in time."""
        waits = (
            (self.reply_by, "reply") if self.state == "open" else None,
            (self.settle_by, "settlement") if self.state in {"open", "replied"} else None,
            (self.call_by, "call after a poor rating") if self.call_by is not None else None,
        )
        passed = [wait for wait in waits if wait is not None and wait[0] < now]
        return max(passed) if passed else None


@dataclass(frozen=True, slots=True)
class AskedStep:
    """A step that a person takes on a request."""

    step: RequestStep
    actor: str
    note: str | None = None
    owner: str | None = None
    rating: int | None = None
    premises: str | None = None


def deadlines(category: Category, received_at: datetime) -> tuple[datetime, datetime]:
    """By when to answer and by when to settle what arrived at a moment."""
    reply_by = received_at + timedelta(minutes=category.reply_minutes)
    return reply_by, max(reply_by, received_at + timedelta(hours=category.settle_hours))


def take_step(
    request: ResidentRequest, asked: AskedStep, catalogue: RequestCatalogue, now: datetime
) -> ResidentRequest:
    """The request after a step; raises WrongRequestStep.

    `open -> replied -> closed`, or `withdrawn`; closing without a reply is refused: whoever asked is answered. A poor
    rating of a closed request asks for a call, which a note ends.
    """
    match asked.step:
        case "assign":
            return _assigned(request, asked)
        case "door":
            _must_be(request, asked, ("open", "replied"))
            if not (asked.premises or "").strip():
                raise WrongRequestStep("premises", "door needs the code of the door that it is about")
            return request
        case "reply":
            return _replied(request, asked, now)
        case "close":
            return _closed(request, asked, now)
        case "withdraw":
            _must_be(request, asked, ("open", "replied"))
            _needs_note(asked, "why the resident no longer wants it")
            return replace(request, state="withdrawn", closed_at=now)
        case "rate":
            return _rated(request, asked, catalogue, now)
        case "note":
            _needs_note(asked, "what there is to say")
            return replace(request, call_by=None) if request.state == "closed" else request


def _must_be(request: ResidentRequest, asked: AskedStep, states: tuple[RequestState, ...]) -> None:
    if request.state not in states:
        raise WrongRequestStep(
            "step", f"the request is {request.state}: {asked.step} takes one that is {' or '.join(states)}"
        )


def _needs_note(asked: AskedStep, what: str) -> None:
    if not (asked.note or "").strip():
        raise WrongRequestStep("note", f"{asked.step} needs a note: {what}")


def _assigned(request: ResidentRequest, asked: AskedStep) -> ResidentRequest:
    _must_be(request, asked, ("open", "replied"))
    if not (asked.owner or "").strip():
        raise WrongRequestStep("owner", "assign needs the name of the one who takes care of it")
    return replace(request, owner=asked.owner)


def _replied(request: ResidentRequest, asked: AskedStep, now: datetime) -> ResidentRequest:
    _must_be(request, asked, ("open", "replied"))
    _needs_note(asked, "what the resident was told")
    first = request.replied_at or now
    return replace(request, state="replied", reply=asked.note, replied_at=first, owner=request.owner or asked.actor)


def _closed(request: ResidentRequest, asked: AskedStep, now: datetime) -> ResidentRequest:
    _must_be(request, asked, ("replied",))
    return replace(request, state="closed", closed_at=now)


def _rated(request: ResidentRequest, asked: AskedStep, catalogue: RequestCatalogue, now: datetime) -> ResidentRequest:
    _must_be(request, asked, ("closed",))
    if asked.rating is None or not 1 <= asked.rating <= 5:
        raise WrongRequestStep("rating", "rate needs a rating from 1 to 5")
    poor = asked.rating <= catalogue.poor_rating
    return replace(request, rating=asked.rating, call_by=now + timedelta(hours=catalogue.call_hours) if poor else None)


def wants_reminder(request: ResidentRequest, catalogue: RequestCatalogue, now: datetime) -> str | None:
    """Why a reminder is due now, in words; None when nothing is overdue or it was reminded of recently."""
    overdue = request.overdue_since(now)
    if overdue is None:
        return None
    since, what = overdue
    every = timedelta(hours=catalogue.remind_every_hours)
    if request.reminded_at is not None and request.reminded_at >= since and now - request.reminded_at < every:
        return None
    hours = (now - since).total_seconds() / 3600
    return f"{what} overdue for {hours:,.1f} h" + ("" if request.owner else "; nobody takes care of it")
