"""Whom messages name is learned from the registry before they are judged: gateways, devices, and their types."""

from collections.abc import Sequence
from dataclasses import replace

import asyncpg

from ingest import store
from ingest.directory import Directory
from ingest.model import Foreign, Message
from ingest.settling import reread


async def learn_named(
    conn: asyncpg.Connection, directory: Directory, messages: Sequence[Message], now_s: float
) -> None:
    """Let the directory learn the gateways and devices that these messages name and it does not know yet.

    A message that can be read only once its device's type is known names its gateway only then: it is looked up in a
    second round. `now_s` is the directory's clock. All of it is asked again when the registry changed meanwhile: what
    was known before is forgotten then, and an answer may be older than the change.
    """
    while True:
        edition = directory.edition
        await _learn_once(conn, directory, messages, now_s)
        if directory.edition == edition:
            return


async def _learn_once(
    conn: asyncpg.Connection, directory: Directory, messages: Sequence[Message], now_s: float
) -> None:
    await _learn(conn, directory, messages, now_s)
    read_now = [
        replace(one, content=content)
        for one in messages
        if isinstance(one.content, Foreign) and (content := reread(one, one.content, directory)) is not None
    ]
    if read_now:
        await _learn(conn, directory, read_now, now_s)


async def _learn(conn: asyncpg.Connection, directory: Directory, messages: Sequence[Message], now_s: float) -> None:
    asked = directory.missing(messages, now_s)
    if asked[0] or asked[1]:
        edition = directory.edition
        gateways = await store.gateways_by_code(conn, asked[0]) if asked[0] else []
        devices = await store.devices_by_identity(conn, asked[1]) if asked[1] else []
        if directory.edition == edition:
            directory.learn(gateways, devices, asked, now_s)
