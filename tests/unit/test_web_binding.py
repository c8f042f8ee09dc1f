"""What a handler's signature must be, said when the program starts and not when somebody calls."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel

from app.binding import BadRoute, bind_route, payload_type
from sql.actor import Actor


class Thing(BaseModel):
    """A thing."""

    name: str


async def good(number: int, query: Thing, body: Thing, actor: Actor) -> Thing:
    """A thing by its number."""
    return Thing(name=f"{number}{query.name}{body.name}{actor.name}")


async def no_annotation(number) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """A path parameter of no type."""


async def odd_type(number: float) -> None:
    """A path parameter of a type that no path has."""


async def stranger(number: int, pool: int) -> None:
    """A parameter from nowhere."""


async def no_model(number: int, body: dict[str, str]) -> None:
    """A body that is no model."""


def not_async(number: int) -> None:
    """A handler that would block."""


BAD: list[tuple[Callable[..., Any], str]] = [
    (no_annotation, "the parameter number has no annotation"),
    (odd_type, "the path parameter number must be int, str, date or UUID"),
    (stranger, "the parameter pool is neither in the path nor query, body or actor"),
    (no_model, "body must be annotated with a pydantic model"),
    (not_async, "the handler is not an async function"),
]


@pytest.mark.parametrize(("handler", "rule"), BAD, ids=lambda value: getattr(value, "__name__", ""))
def test_bad_signature(handler: Callable[..., Awaitable[Any]], rule: str) -> None:
    """A signature that cannot be bound is refused with route, parameter and rule."""
    with pytest.raises(BadRoute) as caught:
        bind_route(("GET", "/things/{number}", frozenset({"officer"}), handler))
    assert str(caught.value) == f"GET /things/{{number}}: {rule}"


def test_path_parameter_without_argument() -> None:
    """A path may not name what the handler does not take."""
    with pytest.raises(BadRoute, match="takes no parameter day"):
        bind_route(("GET", "/things/{number}/{day}", frozenset({"officer"}), good))


@pytest.mark.parametrize("roles", [frozenset[str](), frozenset({"king"}), frozenset({"officer", "king"})])
def test_roles_are_known_and_some(roles: frozenset[str]) -> None:
    """A route open to nobody, or to a role that does not exist, is a mistake."""
    with pytest.raises(BadRoute, match="roles must be some of"):
        bind_route(("GET", "/things/{number}", roles, good))


def test_good_signature() -> None:
    """Everything a handler asks for by name is understood."""
    endpoint = bind_route(("POST", "/things/{number}", frozenset({"officer"}), good))
    assert (endpoint.query, endpoint.body, endpoint.wants_actor) == (Thing, Thing, True)
    assert list(endpoint.path_parameters) == ["number"]


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        (Thing, Thing),
        (list[Thing], list[Thing]),
        (None, None),
        (web.Response, None),
        (web.StreamResponse, None),
        (Thing | web.Response, Thing),
        (Thing | None, Thing),
    ],
)
def test_payload_of_an_answer(answer: object, payload: object) -> None:
    """Of a return annotation the part that becomes JSON is documented and written."""
    assert payload_type(answer) == payload
