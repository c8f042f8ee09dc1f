"""Bytes -> JSON value without losing anything: numbers as int or Decimal, no contradictions, no NaN, no surprises."""

import json
from decimal import Decimal
from typing import Any, NoReturn

from ingest.decoders.model import Undecodable

BYTES_MAX = 65_536


def read_json(payload: bytes) -> Any:
    """The JSON value of a payload; numbers are int or Decimal, exactly as written.

    Raises Undecodable naming `payload` when it is not one JSON text in UTF-8 (a byte order mark is forgiven), repeats a
    key in an object, or holds NaN or Infinity, which JSON does not know.
    """
    if len(payload) > BYTES_MAX:
        raise Undecodable("payload", f"at most {BYTES_MAX} bytes, not {len(payload)}")
    try:
        return json.loads(
            payload.decode("utf-8-sig"),
            parse_float=Decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_repeats,
        )
    except UnicodeDecodeError as error:
        raise Undecodable("payload", "must be UTF-8") from error
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise Undecodable("payload", f"must be one JSON text: {str(error)[:120]}") from error


def read_object(payload: bytes) -> dict[str, Any]:
    """The JSON object of a payload; raises Undecodable as `read_json` does, and when it is anything but an object."""
    value = read_json(payload)
    if not isinstance(value, dict):
        raise Undecodable("payload", "must be a JSON object")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) and any(found[key] != value for key, value in pairs):
        raise ValueError("an object repeats a key with another value")
    return found
