"""Binds a feature's handler to HTTP by its signature alone.

Path parameters by name (`int`, `str`, `date`, `UUID`), `query: Model` from the query string, `body: Model` from JSON,
`actor: Actor` the caller,
`upload: StreamReader` the raw body, which the handler reads within limits of its own. What the handler returns decides
the answer: a model or a list of models becomes JSON, None an empty 204, a response of its own is sent as it is. A route
of the roles PUBLIC needs no account: it has no caller, and a small body.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from app.problems import FieldError, Problem, invalid
from sql.actor import PUBLIC, Actor

ROLES = frozenset({"officer", "inspector", "administrator"})
Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]

_PARAMETER = re.compile(r"\{(\w+)\}")
_BIGINT_MAX = 2**63 - 1
_PUBLIC_BODY_BYTES_MAX = 4096
_PATH_TYPES: dict[object, TypeAdapter[Any]] = {
    int: TypeAdapter(Annotated[int, Field(ge=-_BIGINT_MAX, le=_BIGINT_MAX)]),
    str: TypeAdapter(str),
    date: TypeAdapter(date),
    UUID: TypeAdapter(UUID),
}


class BadRoute(Exception):
    """A handler cannot be bound; the message names the route, the parameter and the rule."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route whose signature has been understood: everything binding, checking and documenting need."""

    method: str
    path: str
    roles: frozenset[str]
    call: Callable[..., Awaitable[Any]]
    path_parameters: Mapping[str, TypeAdapter[Any]]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    wants_actor: bool
    wants_upload: bool
    answer: TypeAdapter[Any] | None
    answer_type: object

    @property
    def owner(self) -> str:
        """The routes class the handler belongs to, without its suffix; groups the documentation."""
        instance = getattr(self.call, "__self__", None)
        return type(instance).__name__.removesuffix("Routes") if instance is not None else ""

    @property
    def public(self) -> bool:
        """Whether it needs no account."""
        return self.roles == PUBLIC

    async def bind(self, request: web.Request, actor: Actor | None) -> dict[str, Any]:
        """Read the handler's arguments from a request; raises Problem naming the field at fault."""
        arguments: dict[str, Any] = {
            name: _read_path(name, adapter, request) for name, adapter in self.path_parameters.items()
        }
        arguments |= {"actor": actor} if self.wants_actor else {}
        arguments |= {"upload": request.content} if self.wants_upload else {}
        if self.query is not None:
            arguments["query"] = _read_query(self.query, request)
        if self.body is not None:
            if self.public and (request.content_length is None or request.content_length > _PUBLIC_BODY_BYTES_MAX):
                raise Problem(413, f"The body must say its length, of at most {_PUBLIC_BODY_BYTES_MAX} bytes.")
            arguments["body"] = await _read_body(self.body, request)
        return arguments

    def respond(self, result: object) -> web.StreamResponse:
        """Turn what the handler returned into a response."""
        if isinstance(result, web.StreamResponse):
            return result
        if result is None:
            return web.Response(status=204)
        adapter = self.answer or TypeAdapter(type(result))
        return web.Response(body=adapter.dump_json(result), content_type="application/json", charset="utf-8")


def bind_route(route: Route) -> Endpoint:
    """Understand one row of a routes table; raises BadRoute."""
    method, path, roles, call = route
    where = f"{method} {path}"
    if not inspect.iscoroutinefunction(call):
        raise BadRoute(f"{where}: the handler is not an async function")
    if roles != PUBLIC and (not roles or not roles <= ROLES):
        raise BadRoute(f"{where}: roles must be some of {sorted(ROLES)}, got {sorted(roles)}")
    hints = get_type_hints(call, include_extras=True)
    answer_type = hints.pop("return", object)
    names = list(inspect.signature(call).parameters)
    in_path = _PARAMETER.findall(path)
    _check_names(where, names, in_path, hints)
    if roles == PUBLIC and {"actor", "upload"} & set(names):
        raise BadRoute(f"{where}: a public route has no caller and no upload, so its handler takes neither")
    return Endpoint(
        method=method,
        path=path,
        roles=roles,
        call=call,
        path_parameters={name: _path_adapter(where, name, hints[name]) for name in in_path},
        query=hints.get("query"),
        body=hints.get("body"),
        wants_actor="actor" in names,
        wants_upload="upload" in names,
        answer=_answer_adapter(answer_type),
        answer_type=answer_type,
    )


def _check_names(where: str, names: list[str], in_path: list[str], hints: Mapping[str, Any]) -> None:
    for name in in_path:
        if name not in names:
            raise BadRoute(f"{where}: the handler takes no parameter {name}")
    for name in names:
        if name not in {*in_path, "query", "body", "actor", "upload"}:
            raise BadRoute(f"{where}: the parameter {name} is neither in the path nor query, body or actor")
        if name not in hints:
            raise BadRoute(f"{where}: the parameter {name} has no annotation")
    for name in ("query", "body"):
        hint = hints.get(name)
        if hint is not None and not (inspect.isclass(hint) and issubclass(hint, BaseModel)):
            raise BadRoute(f"{where}: {name} must be annotated with a pydantic model")


def _path_adapter(where: str, name: str, hint: object) -> TypeAdapter[Any]:
    try:
        return _PATH_TYPES[hint]
    except (KeyError, TypeError):
        raise BadRoute(f"{where}: the path parameter {name} must be int, str, date or UUID") from None


def payload_type(answer_type: Any) -> Any:
    """The part of a return annotation that becomes JSON; None when there is none."""
    if get_origin(answer_type) in {Union, UnionType}:
        parts = [part for part in map(payload_type, get_args(answer_type)) if part is not None]
        return Union[tuple(parts)] if parts else None  # noqa: UP007 - built at run time
    if answer_type in {object, Any, None, NoneType}:
        return None
    if inspect.isclass(answer_type) and issubclass(answer_type, web.StreamResponse):
        return None
    return answer_type


def _answer_adapter(answer_type: object) -> TypeAdapter[Any] | None:
    kept = payload_type(answer_type)
    return None if kept is None else TypeAdapter(kept)


def _read_path(name: str, adapter: TypeAdapter[Any], request: web.Request) -> object:
    try:
        return adapter.validate_strings(request.match_info[name])
    except ValidationError as error:
        raise invalid(f"path.{name}", error) from None


def _read_query(model: type[BaseModel], request: web.Request) -> BaseModel:
    known = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    values: dict[str, object] = {}
    for name in request.query:
        given = request.query.getall(name)
        if name not in known:
            raise _unfit(f"query.{name}", f"there is no such parameter; known are {', '.join(sorted(known))}")
        if not _takes_many(known[name]) and len(given) > 1:
            raise _unfit(f"query.{name}", "may be given once only")
        values[name] = given if _takes_many(known[name]) else given[0]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid("query", error) from None


def _takes_many(annotation: object) -> bool:
    if get_origin(annotation) in {Union, UnionType}:
        return any(_takes_many(part) for part in get_args(annotation))
    return get_origin(annotation) in {list, tuple, set, frozenset}


async def _read_body(model: type[BaseModel], request: web.Request) -> BaseModel:
    if request.content_type != "application/json":
        raise Problem(415, "The body must be JSON: send the header Content-Type: application/json.")
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        raise invalid("body", error) from None


def _unfit(field: str, rule: str) -> Problem:
    return Problem(422, f"{field}: {rule}", (FieldError(field=field, rule=rule),))
