"""Sets of rules: uploaded as drafts, checked, put in force by an administrator; and which one is in force."""

from collections.abc import Collection, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from rules.catalog import Catalog, default_catalog, parse_files, shipped_text, widened
from rules.fitness import refuse_unfit, scope_words, strangers
from rules.model import InvalidRule
from sql import audit, queries
from sql.actor import Actor
from sql.errors import NotFound

log = structlog.get_logger()


def read_files(path: Path) -> dict[str, str]:
    """The rules files at a path, by name: one file, or every `.toml` file of a folder; raises InvalidRule."""
    files = sorted(path.glob("*.toml")) if path.is_dir() else [path]
    try:
        texts = {file.name: file.read_text("utf-8") for file in files}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRule(f"cannot read the rules: {error}") from error
    if not texts:
        raise InvalidRule(f"no rules file in {path}: their names end in .toml")
    return texts


def catalog_at(path: Path | None) -> Catalog:
    """The catalogue of the files at a path, or the packaged one; raises InvalidRule, also if it may not be in force."""
    return default_catalog() if path is None else refuse_unfit(parse_files(read_files(path)))


async def across_districts(conn: asyncpg.Connection | asyncpg.Pool, catalog: Catalog) -> Catalog:
    """The catalogue with the districts below the areas of its scopes; raises InvalidRule where rules then overlap."""
    return widened(catalog, await _districts_below(conn, catalog))


async def _districts_below(conn: asyncpg.Connection | asyncpg.Pool, catalog: Catalog) -> dict[str, frozenset[str]]:
    """The districts below each area that a rule names, by its code; a code without a district has none."""
    everything = (*catalog.rules.values(), *catalog.disabled.values())
    codes = sorted({area for rule in everything for area in rule.scope.areas})
    found: dict[str, set[str]] = {}
    for row in await conn.fetch(*queries["districts_within"].bind(codes=codes)) if codes else ():
        found.setdefault(row["asked"], set()).add(row["code"])
    return {asked: frozenset(within) for asked, within in found.items()}


async def upload(conn: asyncpg.Connection, files: Mapping[str, str], note: str, actor: Actor, now: datetime) -> Catalog:
    """Check a set and keep it as a draft; raises InvalidRule. Runs in the caller's transaction."""
    catalog = parse_files(files)
    await across_districts(conn, catalog)
    await conn.execute(
        *queries["add_rule_set"].bind(digest=catalog.digest, files=dict(files), note=note, actor=actor.name, at=now)
    )
    await audit.record(conn, actor, "rules.upload", f"rule_set:{catalog.digest}", {"note": note}, now)
    return catalog


async def activate(conn: asyncpg.Connection, digest: str | None, note: str, actor: Actor, now: datetime) -> None:
    """Put a set in force (None: the packaged catalogue) and tell the services; raises NotFound or InvalidRule.

    The set is checked again: another version of the program may have kept it, and districts may have moved since. One
    without a rule for leak alarms is refused. Runs in the caller's transaction.
    """
    if digest is not None:
        refuse_unfit(await across_districts(conn, await stored(conn, digest)))
    await conn.execute(*queries["activate_rule_set"].bind(digest=digest, actor=actor.name, at=now, note=note))
    await audit.record(conn, actor, "rules.activate", f"rule_set:{digest or 'packaged'}", {"note": note}, now)
    await conn.execute(*queries["notify_rules"].bind())


async def stored(conn: asyncpg.Connection, digest: str) -> Catalog:
    """An uploaded set; raises NotFound, or InvalidRule when this version of the program does not accept it."""
    row = await conn.fetchrow(*queries["rule_set"].bind(digest=digest))
    if row is None:
        raise NotFound(f"no set of rules {digest}")
    return parse_files(row["files"])


async def files_in_force(conn: asyncpg.Connection) -> dict[str, str] | None:
    """The files of the activated set, by name; None: the rules of the settings or the program are in force."""
    row = await conn.fetchrow(*queries["rule_set_in_force"].bind())
    return None if row is None or row["digest"] is None else dict(row["files"])


def with_shipped(files: Mapping[str, str], rule_ids: Collection[str], *, enabled: bool = True) -> dict[str, str]:
    """Files of a set and one more that has rules which ship with the program, word for word."""
    names = (f"shipped-{number}.toml" for number in count(1))
    return {**files, next(name for name in names if name not in files): shipped_text(rule_ids, enabled=enabled)}


async def refuse_unregistered(
    conn: asyncpg.Connection | asyncpg.Pool, areas: Collection[str], devices: Collection[str]
) -> None:
    """Raises NotFound that names the first district or device which nobody registered."""
    query = queries["unregistered_words"].bind(areas=list(areas), devices=list(devices), meter_classes=[])
    for row in await conn.fetch(*query):
        raise NotFound(f"{row['key']}: no {'district' if row['key'] == 'areas' else 'device'} {row['word']}")


async def unregistered(conn: asyncpg.Connection | asyncpg.Pool, catalog: Catalog) -> list[str]:
    """What rules look for and the registry does not know, one sentence each."""
    words = {key: sorted(found) for key, found in scope_words(catalog).items()}
    rows = await conn.fetch(*queries["unregistered_words"].bind(**words))
    return strangers(catalog, {(row["key"], row["word"]) for row in rows})


async def mistakes_in_force(conn: asyncpg.Connection | asyncpg.Pool, packaged: Catalog) -> tuple[str, list[str]]:
    """Which set is in force, in words, and what is wrong with it for this program and this registry."""
    row = await conn.fetchrow(*queries["rule_set_in_force"].bind())
    digest = None if row is None else row["digest"]
    try:
        catalog = packaged if row is None or digest is None else parse_files(row["files"])
        await across_districts(conn, refuse_unfit(catalog))
    except InvalidRule as error:
        return f"set {digest}" if digest else "the settings' rules", [str(error)]
    words = f"set {digest}" if digest else f"no set is activated, so {packaged.digest} of the settings or the program"
    return words, await unregistered(conn, catalog)


class InForce:
    """The set of rules in force: the newest one activated, before the first the packaged one (or the settings' own)."""

    def __init__(self, packaged: Catalog) -> None:
        self._packaged = packaged
        self._known: tuple[str | None, Catalog] = None, packaged
        self._wide: tuple[Catalog, Mapping[str, frozenset[str]], Catalog] = packaged, {}, packaged

    async def current(self, conn: asyncpg.Connection | asyncpg.Pool) -> Catalog:
        """The set in force now, its areas with the districts below them as they are now.

        One that this version of the program does not accept any more is logged, and the packaged catalogue is used: no
        leak may go unseen because of it.
        """
        row = await conn.fetchrow(*queries["rule_set_in_force"].bind())
        digest = None if row is None else row["digest"]
        if self._known[0] != digest:
            self._known = digest, self._packaged if row is None or digest is None else self._parsed(row)
        return await self._across_districts(conn, self._known[1])

    async def _across_districts(self, conn: asyncpg.Connection | asyncpg.Pool, catalog: Catalog) -> Catalog:
        """The catalogue widened, once per catalogue and shape of the districts; as written where rules overlap."""
        below = await _districts_below(conn, catalog)
        if self._wide[0] is not catalog or self._wide[1] != below:
            self._wide = catalog, below, _widened_or_written(catalog, below)
        return self._wide[2]

    def _parsed(self, row: Mapping[str, Any]) -> Catalog:
        try:
            return parse_files(row["files"])
        except InvalidRule as error:
            log.error("rules: the set in force is not accepted, the packaged one is used", error=str(error))
            return self._packaged


def _widened_or_written(catalog: Catalog, below: Mapping[str, frozenset[str]]) -> Catalog:
    try:
        return widened(catalog, below)
    except InvalidRule as error:
        log.error("rules: districts moved and rules overlap, areas are taken as written", error=str(error))
        return catalog
