"""An alert as a row of its table and back. Pure."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime

from rules.model import Alert

_FIELDS = tuple(one.name for one in fields(Alert))


def alert_of(row: Mapping[str, object]) -> Alert:
    """An alert from a row that has its columns."""
    return Alert(**{name: row[name] for name in _FIELDS})  # type: ignore[arg-type]


def listed(row: Mapping[str, object]) -> Alert:
    """An alert from a row of a list, which leaves out what no list shows (rule version, evidence ...): that is None."""
    return Alert(**{**dict.fromkeys(_FIELDS), **{name: row[name] for name in _FIELDS if name in row.keys()}})  # type: ignore[arg-type]  # noqa: SIM118 - a record of asyncpg looks for values


def row_of(alert: Alert) -> dict[str, object]:
    """An alert's columns as JSON values (moments as ISO 8601, which PostgreSQL reads back exactly)."""
    values = {name: getattr(alert, name) for name in _FIELDS}
    values["worst_severity"] = alert.worst
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
