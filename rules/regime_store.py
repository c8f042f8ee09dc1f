"""Which regime is in force: a row, so that every process goes by the same one and history tells when which held."""

from datetime import datetime

import asyncpg

from rules.regimes import DEFAULT, Regime, default_regimes, regime_of
from sql import queries


async def regime_in_force(conn: asyncpg.Connection) -> Regime:
    """The regime that holds now."""
    row = await conn.fetchrow(*queries["regime_in_force"].bind())
    return default_regimes()[DEFAULT] if row is None else regime_of(row["name"], row["definition"])


async def put_in_force(conn: asyncpg.Connection, regime: Regime, now: datetime) -> bool:
    """Have a regime hold from now on and the clock of every open alert wound by it; False when it holds already.

    Call it in a transaction: a second process that starts waits for it, and then finds it done.
    """
    await conn.execute(*queries["lock_regime"].bind())
    query = queries["put_regime_in_force"]
    added = await conn.fetchval(
        *query.bind(name=regime.name, version=regime.version, definition=regime.definition, in_force_at=now)
    )
    if added is None:
        return False
    await conn.execute(*queries["wake_open_alerts"].bind(now=now))
    return True
