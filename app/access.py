"""Who is calling: bearer token -> account -> Actor with its areas opened out; and may this role do that."""

import asyncpg
from aiohttp import web

from app.accounts import hash_token
from app.problems import Problem
from sql import queries
from sql.actor import Actor

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="gaswarden"'}
_REFUSED_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="gaswarden", error="invalid_token"'}


def read_token(request: web.Request) -> str:
    """The bearer token of a request; raises Problem 401 when there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem(401, "Send your token in the header Authorization: Bearer <token>.", headers=_CHALLENGE)
    return token.strip()


async def account_by_token(conn: asyncpg.Connection, token: str) -> Actor | None:
    """The caller a token belongs to, areas with all their child districts; None when unknown or revoked."""
    row = await conn.fetchrow(*queries["account_by_token"].bind(token_hash=hash_token(token)))
    if row is None:
        return None
    areas = None if row["areas"] is None else frozenset(row["areas"])
    return Actor(row["name"], row["role"], areas, row["inspector_code"])


async def authenticate(pool: asyncpg.Pool, request: web.Request) -> Actor:
    """Identify the caller; raises Problem 401. Revoking an account works from its next request on."""
    token = read_token(request)
    async with pool.acquire() as conn:
        actor = await account_by_token(conn, token)
    if actor is None:
        raise Problem(401, "This token is unknown or revoked.", headers=_REFUSED_CHALLENGE)
    return actor


def require_role(actor: Actor, roles: frozenset[str]) -> None:
    """Raise Problem 403 unless the caller's role is one of `roles`."""
    if actor.role not in roles:
        raise Problem(403, f"The role {actor.role} may not do this; it takes {' or '.join(sorted(roles))}.")
