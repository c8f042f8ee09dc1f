"""Accounts of people and programs: added, listed, revoked from the command line, every change audited."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

_NAME = re.compile(r"^[\w.@-]{1,64}$")


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored, without its token, of which only the digest is kept."""

    name: str
    role: str
    areas: tuple[str, ...] | None
    inspector_code: str | None
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account to be made: its name, role, districts (None: the whole city) and, for inspectors, whose it is."""

    name: str
    role: str
    areas: tuple[str, ...] | None = None
    inspector_code: str | None = None


def new_token() -> str:
    """A token of 256 random bits; the prefix lets people and scanners recognise it."""
    return f"gsw_{secrets.token_urlsafe(32)}"


def hash_token(token: str) -> bytes:
    """SHA-256 of a token. Tokens are 256 random bits, so a plain digest cannot be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


async def add_account(conn: asyncpg.Connection, new: NewAccount, by: Actor, at: datetime) -> str:
    """Make an account and return its token, which nobody can read again; audited.

    Raises Conflict when the name is taken, does not fit, or the role lacks its inspector, NotFound when an area or
    the inspector does not exist.
    """
    await _check(conn, new)
    token = new_token()
    areas = None if new.areas is None else list(new.areas)
    try:
        async with conn.transaction():
            await conn.execute(
                *queries["add_account"].bind(
                    name=new.name,
                    role=new.role,
                    areas=areas,
                    inspector_code=new.inspector_code,
                    token_hash=hash_token(token),
                    created_at=at,
                )
            )
            details = {"role": new.role, "areas": areas, "inspector": new.inspector_code}
            await audit.record(conn, by, "account.add", f"account:{new.name}", details, at)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"there is an account {new.name} already (a revoked one keeps its name)") from error
    return token


async def _check(conn: asyncpg.Connection, new: NewAccount) -> None:
    if not _NAME.match(new.name):
        raise Conflict("an account's name has 1 to 64 letters, digits, dots, dashes, underscores or @")
    if (new.role == "inspector") != (new.inspector_code is not None):
        raise Conflict("an account of the role inspector, and only such a one, names its inspector")
    unknown = await conn.fetch(*queries["unknown_areas"].bind(areas=list(new.areas or ())))
    if unknown:
        raise NotFound(f"no district has the code {', '.join(row['code'] for row in unknown)}")
    if new.inspector_code and not await conn.fetchval(*queries["inspector_exists"].bind(code=new.inspector_code)):
        raise NotFound(f"no inspector has the code {new.inspector_code}")


async def accounts(conn: asyncpg.Connection) -> list[Account]:
    """Every account, oldest first."""
    rows = await conn.fetch(*queries["accounts"].bind())
    return [Account(**{**row, "areas": None if row["areas"] is None else tuple(row["areas"])}) for row in rows]


async def revoke_account(conn: asyncpg.Connection, name: str, by: Actor, at: datetime) -> None:
    """End an account, from its next request on; audited. Raises NotFound, or Conflict when it is revoked already."""
    async with conn.transaction():
        if await conn.fetchval(*queries["revoke_account"].bind(name=name, at=at)) is None:
            if await conn.fetchrow(*queries["account_revoked_at"].bind(name=name)) is None:
                raise NotFound(f"there is no account {name}")
            raise Conflict(f"account {name} is revoked already")
        await audit.record(conn, by, "account.revoke", f"account:{name}", {}, at)
