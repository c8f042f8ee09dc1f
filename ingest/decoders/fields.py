"""Looking into JSON that others wrote: each look says which field broke which rule; what is absent stays unknown."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingest.decoders.jsontext import read_object
from ingest.decoders.model import Undecodable

IDENTITY_CHARACTERS_MAX = 64
KEY_CHARACTERS_MAX = 128
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM, _MILLISECONDS_BEFORE = 10**12, 10**13  # 13 digits: 2001 to 2286
_DIGITS_MAX = 40


def identity(text: str, field: str) -> str:
    """Return a device or gateway identity as it is: text of 1 to 64 printable characters, never a number."""
    if not 1 <= len(text) <= IDENTITY_CHARACTERS_MAX or not text.isprintable():
        raise Undecodable(field, f"an identity is text of 1 to {IDENTITY_CHARACTERS_MAX} printable characters")
    return text


def shown(text: str) -> str:
    """Give a sender's word as it can be shown and stored: cut to 64 characters, anything unprintable escaped."""
    return text[:IDENTITY_CHARACTERS_MAX] if text.isprintable() else ascii(text[:IDENTITY_CHARACTERS_MAX])


def to_decimal(value: object) -> Decimal | None:
    """Give a JSON number, or a number written as text, as an exact Decimal of sane size; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        number = Decimal(value)
    except ArithmeticError:
        return None
    sane = number.is_finite() and abs(number.adjusted()) <= _DIGITS_MAX and len(number.as_tuple().digits) <= _DIGITS_MAX
    return number if sane else None


def instant(text: str, field: str) -> datetime | None:
    """Read an ISO 8601 moment with a zone, separators or none, cut to microseconds; year 1 (Go's zero) is unset."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Undecodable(field, "a moment without a zone")
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Undecodable(field, "is not an ISO 8601 moment") from None
    return None if moment.year == 1 else moment


def epoch_ms(value: object) -> datetime | None:
    """Read Unix milliseconds of 13 digits (2001 to 2286); None for other counts of digits: a guess."""
    number = to_decimal(value)
    if number is None or not _MILLISECONDS_FROM <= number < _MILLISECONDS_BEFORE or number % 1:
        return None
    return _EPOCH + timedelta(milliseconds=int(number))


def from_base64(text: str, field: str) -> bytes:
    """Decode standard base64; raises Undecodable when it is not."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Undecodable(field, "is not base64") from None


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object and its place in the message, so that a complaint names the field in full."""

    body: Mapping[str, Any]
    path: str = ""

    def name(self, key: str) -> str:
        """Name a field in full."""
        return f"{self.path}.{shown(key)}" if self.path else shown(key)

    def refuse(self, key: str, rule: str) -> Undecodable:
        """Build the complaint about a field."""
        return Undecodable(self.name(key), rule)

    def text(self, key: str) -> str | None:
        """Give a text, None when absent or null."""
        value = self.body.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self.refuse(key, "must be text")

    def key(self, key: str) -> str | None:
        """Give a key that tells messages or sessions apart, None when absent or empty."""
        value = self.text(key)
        if value and (len(value) > KEY_CHARACTERS_MAX or not value.isprintable()):
            raise self.refuse(key, f"a key is text of at most {KEY_CHARACTERS_MAX} printable characters")
        return value or None

    def needed_text(self, key: str) -> str:
        """Give a text that must be there."""
        value = self.text(key)
        if not value:
            raise self.refuse(key, "is missing")
        return value

    def identity(self, key: str) -> str:
        """Give an identity that must be there. Some senders write it as a JSON number: its digits are the text."""
        value = self.body.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**_DIGITS_MAX:
            value = str(value)
        if not isinstance(value, str) or not value:
            raise self.refuse(key, "is missing or not text")
        return identity(value, self.name(key))

    def whole(self, key: str, low: int, high: int) -> int | None:
        """Give a whole number within bounds, None when absent or null. 12.0 is 12: some write only floats."""
        value = self.body.get(key)
        if value is None:
            return None
        number = None if isinstance(value, str) else to_decimal(value)
        if number is None or number != number.to_integral_value() or not low <= number <= high:
            raise self.refuse(key, f"must be a whole number {low}..{high}")
        return int(number)

    def number(self, key: str) -> Decimal | None:
        """Give an exact number, None when absent or null."""
        value = self.body.get(key)
        if value is None:
            return None
        number = None if isinstance(value, str) else to_decimal(value)
        if number is None:
            raise self.refuse(key, "must be a number")
        return number

    def flag(self, key: str) -> bool | None:
        """Give true or false, None when absent or null."""
        value = self.body.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self.refuse(key, "must be true or false")

    def inner(self, key: str) -> "Fields | None":
        """Give the object inside a field, None when absent or null."""
        value = self.body.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.refuse(key, "must be an object")
        return Fields(value, self.name(key))

    def needed(self, key: str) -> "Fields":
        """Give the object inside a field that must be there."""
        value = self.inner(key)
        if value is None:
            raise self.refuse(key, "is missing")
        return value

    def objects(self, key: str) -> "tuple[Fields, ...]":
        """Give the objects of a list, none when absent or null."""
        value = self.body.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self.refuse(key, "must be a list of objects")
        return tuple(Fields(one, f"{self.name(key)}[{i}]") for i, one in enumerate(value))

    def instant(self, key: str) -> datetime | None:
        """Give an ISO 8601 moment in UTC, None when absent, null, empty or the unset moment."""
        value = self.text(key)
        return instant(value, self.name(key)) if value else None


def parse_object(payload: bytes) -> Fields:
    """Parse a message that must be one JSON object."""
    return Fields(read_object(payload))
