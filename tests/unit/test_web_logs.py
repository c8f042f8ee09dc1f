"""Logs: what is masked, in which form, and what a request's line holds."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import asyncpg
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from app.http_params import HttpParams
from app.logs import LogParams, configure_logging, mask_text
from app.web import Web


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Logging is set for a whole process; put it back."""
    root = logging.getLogger()
    handlers, level, configuration = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configuration)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked(form: Literal["json", "console"]) -> None:
    """Neither a secret's name nor its place in a URL, a header or a trace lets it into the log."""
    stream = io.StringIO()
    configure_logging(LogParams(form=form), stream)
    log = structlog.get_logger()
    log.info("a", password="geheim", token="geheim", url="postgresql://u:geheim@h/db", key=SecretStr("geheim"))
    try:
        mask_text(str(1 / 0) + "mqtt://u:geheim@h")
    except ZeroDivisionError:
        log.exception("b")
    logging.getLogger("aiohttp.server").error("Authorization: Bearer geheim")
    assert "geheim" not in stream.getvalue()
    assert "postgresql://u:***@h/db" in stream.getvalue()
    assert "Traceback" in stream.getvalue()
    assert "Authorization" in stream.getvalue()


def test_level_is_obeyed() -> None:
    """Below the level nothing is written; ours and the libraries' lines have one form."""
    stream = io.StringIO()
    configure_logging(LogParams(level="warning", form="json"), stream)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    logging.getLogger("x").info("quiet")
    logging.getLogger("x").warning("loud %s", "too")
    assert [line["event"] for line in lines(stream)] == ["loud", "loud too"]
    assert {line["level"] for line in lines(stream)} == {"warning"}


@pytest.mark.parametrize("text", ["nothing secret", "http://host/a:b@c", "time 10:16 at a@b"])
def test_leaves_other_text_alone(text: str) -> None:
    """What is no secret is not touched."""
    assert mask_text(text) == text


async def nothing() -> web.Response:
    """Nothing."""
    return web.Response(text="")


async def test_database_away_is_503_and_one_line() -> None:
    """Without a database the answer is 503 with Retry-After; the log has a line, and no token, query or trace."""
    stream = io.StringIO()
    configure_logging(LogParams(form="json"), stream)
    pool = asyncpg.create_pool("postgresql://u:geheim@127.0.0.1:1/x", min_size=0, max_size=1)
    async with pool:
        served = Web(pool, HttpParams(), [("GET", "/nothing", frozenset({"officer"}), nothing)], None)
        headers = {"Authorization": "Bearer geheim", "X-Request-Id": "r-1"}
        async with (
            TestClient(TestServer(served.application)) as client,
            client.get("/api/v1/nothing?phone=geheim", headers=headers) as response,
        ):
            assert (response.status, response.headers["Retry-After"]) == (503, "2")
            assert (await response.json())["request_id"] == "r-1"
            assert response.headers["Server"] == "gaswarden"
    refused, request = lines(stream)
    assert (refused["event"], request["event"]) == ("request refused", "request")
    assert (request["path"], request["status"], request["request_id"]) == ("/api/v1/nothing", 503, "r-1")
    assert "geheim" not in stream.getvalue()
    assert "Traceback" not in stream.getvalue()
