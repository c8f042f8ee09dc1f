"""Structured logs on stderr: JSON lines for machines, coloured lines on a terminal; secrets never get in."""

import logging
import re
import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from structlog.typing import EventDict, WrappedLogger

_SECRET_KEYS = frozenset({"password", "token", "secret", "authorization", "database_url", "admin_database_url"})
_URL_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@")
_BEARER = re.compile(r"(?i)(bearer\s+)\S+")
MASK = "***"

Level = Literal["debug", "info", "warning", "error"]


class LogParams(BaseModel):
    """How much is logged, and in which form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Level = Field("info", description="Least severe level that is written.")
    form: Literal["auto", "json", "console"] = Field(
        "auto", description="`json` lines, `console` text, or `auto`: console on a terminal, else json."
    )


def mask_text(text: str) -> str:
    """Replace passwords in URLs and bearer tokens within a text by `***`."""
    return _BEARER.sub(rf"\g<1>{MASK}", _URL_PASSWORD.sub(rf"\g<1>:{MASK}@", text))


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask values under secret names, SecretStr values, and passwords inside URLs; a structlog processor."""
    for key, value in event.items():
        if key.lower() in _SECRET_KEYS or isinstance(value, SecretStr):
            event[key] = MASK
        elif isinstance(value, str):
            event[key] = mask_text(value)
    return event


class Unbreakable:
    """A text stream whose reader may go away: then lines are lost, and nobody who logs is hurt by it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose the text when nobody reads any more or the disk is full."""
        with suppress(OSError):
            return self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing when that is impossible."""
        with suppress(OSError):
            self._stream.flush()


def configure_logging(params: LogParams, stream: TextIO | None = None) -> None:
    """Send structlog and the standard library's logging to `stream` (default stderr); call once at the start."""
    stream = stream or sys.stderr
    console = params.form == "console" or (params.form == "auto" and stream.isatty())
    lines = Unbreakable(stream)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]
    level = getattr(logging, params.level.upper())
    structlog.configure(
        processors=[*shared, *_ending(console=console)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", lines)),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=_foreign_ending(console=console)
    )
    handler = logging.StreamHandler(lines)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
    # it tells of every attempt to connect again, with a trace; our services say once that the database is lost
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def _ending(*, console: bool) -> list[structlog.typing.Processor]:
    """Traces become text before masking: what an exception says is masked as well."""
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    if console:
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return [structlog.processors.format_exc_info, mask_secrets, renderer]


def _foreign_ending(*, console: bool) -> list[structlog.typing.Processor]:
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ending(console=console)]
