"""Errors as RFC 9457 problem details: the one place where a refusal becomes a status code."""

from collections.abc import Mapping

import asyncpg
from aiohttp import web
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from inspections.objects import ObjectsUnreachable
from rules.model import InvalidRule
from sql.errors import Conflict, NotFound
from sql.pool import UNREACHABLE

_TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Request too large",
    415: "Unsupported media type",
    422: "Invalid value",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}


class FieldError(BaseModel):
    """One field of a request that breaks a rule."""

    field: str = Field(description="Where: `body.note`, `query.limit`, `path.alert_id`.")
    rule: str = Field(description="The rule that refused it.")


class ProblemBody(BaseModel):
    """Problem details as RFC 9457 has them, with the fields at fault and the request's id."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str | None = None
    request_id: str | None = None
    errors: list[FieldError] | None = None


class Problem(Exception):
    """A refusal with its status, its sentence, the fields at fault, and headers the answer must carry."""

    def __init__(
        self, status: int, detail: str, errors: tuple[FieldError, ...] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers


def invalid(where: str, error: ValidationError) -> Problem:
    """Turn what pydantic refused in `where` (body, query, path) into 422, or 400 when it is not JSON at all."""
    faults = tuple(_field_error(where, fault) for fault in error.errors(include_url=False, include_context=False))
    if any(fault["type"] == "json_invalid" for fault in error.errors(include_url=False, include_context=False)):
        return Problem(400, f"The body is not valid JSON: {faults[0].rule}", faults)
    return Problem(422, "; ".join(f"{fault.field}: {fault.rule}" for fault in faults[:5]), faults)


def _field_error(where: str, fault: ErrorDetails) -> FieldError:
    field = ".".join(part for part in (where, *map(str, fault["loc"])) if part)
    rule = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return FieldError(field=field, rule=rule)


def problem_of(error: BaseException) -> Problem | None:
    """The problem that an expected exception stands for; None for everything that would be a fault of ours."""
    match error:
        case Problem():
            return error
        case NotFound():
            return Problem(404, str(error) or "There is no such thing.")
        case Conflict():
            return Problem(409, str(error) or "The present state refuses this.")
        case ValidationError():
            return invalid("", error)
        case InvalidRule():
            return Problem(422, str(error), (FieldError(field="body", rule=str(error)),))
        case asyncpg.DataError():
            # A number beyond the column's range, a NUL in a text: the model at the edge let it through.
            return Problem(
                422, "A value lies outside what can be stored: a number beyond its range, or a NUL in a text."
            )
        case web.HTTPException():
            return _from_aiohttp(error)
        case ObjectsUnreachable():
            return Problem(503, "The store of evidence is not reachable; try again.", headers={"Retry-After": "5"})
        case _ if isinstance(error, UNREACHABLE):
            return Problem(503, "The database is not reachable; try again.", headers={"Retry-After": "2"})
    return None


def _from_aiohttp(error: web.HTTPException) -> Problem:
    match error.status:
        case 404:
            return Problem(404, "There is nothing at this address.")
        case 405:
            allowed = error.headers.get("Allow", "")
            return Problem(405, f"This address takes {allowed}.", headers={"Allow": allowed})
        case 413:
            return Problem(413, "The body is larger than this server takes.")
    return Problem(error.status, error.reason)


def answer(problem: Problem, request: web.Request, request_id: str) -> web.Response:
    """The problem as an `application/problem+json` response."""
    body = ProblemBody(
        title=_TITLES.get(problem.status, "Error"),
        status=problem.status,
        detail=problem.detail,
        instance=request.path,
        request_id=request_id,
        errors=list(problem.errors) or None,
    )
    return web.Response(
        status=problem.status,
        text=body.model_dump_json(exclude_none=True),
        content_type="application/problem+json",
        headers=problem.headers,
    )
