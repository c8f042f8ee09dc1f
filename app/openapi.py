"""The OpenAPI 3.1 document, generated from the bound endpoints, and a page that shows it and loads nothing."""

import html
import inspect
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from app.binding import Endpoint
from app.problems import ProblemBody

_REF = "#/components/schemas/{model}"
_REFUSALS = ("400", "401", "403", "404", "409", "413", "415", "422", "500", "503")
_Key = tuple[str, str]
_Schemas = dict[_Key, dict[str, Any]]
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f4f4f2;padding:.7rem;overflow:auto}
details{border-top:1px solid #ddd;padding:.4rem 0}summary{cursor:pointer}
b.m{display:inline-block;width:4.2rem}small{color:#666}
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head><body>
<h1>{title} <small>{version}</small></h1>
<p>Send <code>Authorization: Bearer &lt;token&gt;</code>. The same as data: <a href="openapi.json">openapi.json</a>.</p>
{operations}
<h2>Schemas</h2>
{schemas}
</body></html>
"""


def document(endpoints: Sequence[Endpoint], *, title: str, version: str, prefix: str) -> dict[str, Any]:
    """The OpenAPI document of these endpoints, their paths relative to the server `prefix`."""
    schemas, definitions = _schemas(endpoints)
    names = Counter(endpoint.call.__name__ for endpoint in endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        name = endpoint.call.__name__
        operation = _operation(endpoint, schemas, definitions)
        operation["operationId"] = name if names[name] == 1 else f"{endpoint.owner}_{name}"
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": prefix}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": {"Problem": _problem_response(schemas)},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas(endpoints: Sequence[Endpoint]) -> tuple[_Schemas, dict[str, Any]]:
    """Every schema by endpoint and part, and the definitions they refer to; pydantic keeps equal names apart."""
    wanted: list[tuple[_Key, JsonSchemaMode, TypeAdapter[Any]]] = [
        (("", "problem"), "serialization", TypeAdapter(ProblemBody))
    ]
    for endpoint in endpoints:
        place = f"{endpoint.method} {endpoint.path}"
        parts = {"query": endpoint.query, "body": endpoint.body}
        wanted += [((place, part), "validation", TypeAdapter(model)) for part, model in parts.items() if model]
        if endpoint.answer is not None:
            wanted.append(((place, "answer"), "serialization", endpoint.answer))
    found, rest = TypeAdapter.json_schemas(wanted, ref_template=_REF)
    return {key: schema for (key, _), schema in found.items()}, rest.get("$defs", {})


def _problem_response(schemas: _Schemas) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": schemas["", "problem"]}}
    return {"description": "A refusal as RFC 9457 has it; `errors` names the fields", "content": content}


def _operation(endpoint: Endpoint, schemas: _Schemas, definitions: dict[str, Any]) -> dict[str, Any]:
    place = f"{endpoint.method} {endpoint.path}"
    lines = (inspect.getdoc(endpoint.call) or endpoint.call.__name__).splitlines()
    roles = sorted(endpoint.roles)
    may = "Needs no account." if endpoint.public else f"Roles: {', '.join(roles)}."
    operation: dict[str, Any] = {
        "tags": [endpoint.owner],
        "summary": lines[0],
        "description": "\n".join([*lines[1:], "", may]).strip(),
        "x-roles": roles,
        "parameters": [*_path_parameters(endpoint), *_query_parameters(schemas.get((place, "query")), definitions)],
        "responses": _responses(schemas.get((place, "answer"))),
    }
    if endpoint.public:
        operation["security"] = []
    if endpoint.wants_upload:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    if endpoint.body is not None:
        content = {"application/json": {"schema": schemas[place, "body"]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": adapter.json_schema()}
        for name, adapter in endpoint.path_parameters.items()
    ]


def _query_parameters(schema: dict[str, Any] | None, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if schema is None:
        return []
    model = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return [
        {
            "name": name,
            "in": "query",
            "required": name in model.get("required", []),
            "description": field.get("description", ""),
            "schema": {key: value for key, value in field.items() if key != "description"},
        }
        for name, field in model.get("properties", {}).items()
    ]


def _responses(schema: dict[str, Any] | None) -> dict[str, Any]:
    refusals = {status: {"$ref": "#/components/responses/Problem"} for status in _REFUSALS}
    if schema is None:
        return {"2XX": {"description": "See the description"}} | refusals
    return {"200": {"description": "Success", "content": {"application/json": {"schema": schema}}}} | refusals


def page(described: dict[str, Any]) -> str:
    """The document as one self-contained HTML page."""
    operations = [
        _show_operation(method, path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = [
        f"<details><summary><code>{html.escape(name)}</code></summary>{_pre(schema)}</details>"
        for name, schema in sorted(described["components"]["schemas"].items())
    ]
    info = described["info"]
    return _PAGE.format(
        title=html.escape(info["title"]),
        version=html.escape(info["version"]),
        style=_STYLE,
        operations="\n".join(operations),
        schemas="\n".join(schemas),
    )


def _show_operation(method: str, path: str, operation: dict[str, Any]) -> str:
    shown = {key: operation[key] for key in ("parameters", "requestBody", "responses") if operation.get(key)}
    return (
        f"<details><summary><b class=m>{method.upper()}</b> <code>{html.escape(path)}</code> "
        f"{html.escape(operation['summary'])}</summary>"
        f"<p>{html.escape(operation['description'])}</p>{_pre(shown)}</details>"
    )


def _pre(value: object) -> str:
    return f"<pre>{html.escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
