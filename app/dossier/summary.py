"""A dossier to read: one page of HTML that loads nothing from elsewhere. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from app.dossier.archive import About, Item

_ROWS_SHOWN = 500
_STYLE = (
    "body{font:14px sans-serif;margin:2em;color:#1e1e1e}"
    "table{border-collapse:collapse;margin-bottom:1.5em;font-size:12px}"
    "th,td{border:1px solid #ccc;padding:3px 6px;text-align:left;"
    "vertical-align:top;max-width:28em;overflow-wrap:anywhere}"
    "th{background:#e8e8e8}h2{margin-top:1.5em}p{color:#666}"
)


def summary_page(about: About, parts: Mapping[str, Sequence[Mapping[str, Any]]], evidence: Sequence[Item] = ()) -> str:
    """Every part as a table; a long one is cut, and says so: the JSON beside holds all of it."""
    title = escape(f"Dossier: {about.kind} {about.subject}")
    made = escape(f"made at {about.made_at.isoformat(timespec='seconds')} by {about.made_by}; times in UTC")
    body = "".join(_part(name, rows) for name, rows in parts.items())
    if evidence:
        body = _part("files_of_evidence", [asdict(item) for item in evidence]) + body
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1><p>{made}</p>{body}</body></html>"
    )


def _part(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    heading = f"<h2>{escape(name.replace('_', ' '))} ({len(rows)})</h2>"
    if not rows:
        return f"{heading}<p>none</p>"
    columns = [column for column in rows[0] if any(row.get(column) is not None for row in rows)]
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{_cell(row.get(column))}</td>" for column in columns) + "</tr>"
        for row in rows[:_ROWS_SHOWN]
    )
    cut = (
        f"<p>the first {_ROWS_SHOWN} of {len(rows)}; all are in data/{escape(name)}.json</p>"
        if len(rows) > _ROWS_SHOWN
        else ""
    )
    return f"{heading}<table><tr>{head}</tr>{lines}</table>{cut}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
