"""Answers the absence rules out of the database and keeps what they note, in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from rules.absence import Outage, Quiet
from rules.flooding import Flooding
from rules.model import Rule
from rules.sight import Watch
from rules.topology import Count, Spot
from sql import queries


async def watch_missed_devices(conn: asyncpg.Connection, now: datetime) -> None:
    """Watch every device that is not watched yet."""
    await conn.execute(*queries["watch_missed_devices"].bind(now=now))


async def shortest_interval(conn: asyncpg.Connection) -> float | None:
    """The shortest interval at which anything should be heard, in seconds."""
    found: float | None = await conn.fetchval(*queries["shortest_interval"].bind())
    return found


class StoredSight:
    """Who was heard and who is watched, as the database has it now (rules/sight.py)."""

    def __init__(self, conn: asyncpg.Connection) -> None:
        self._conn = conn

    async def watch_new_devices(self, now: datetime, count: int) -> int:
        """Watch devices registered since the last look; returns how many."""
        found: int = await self._conn.fetchval(*queries["watch_new_devices"].bind(now=now, count=count))
        return found

    async def due_devices(self, now: datetime, count: int) -> list[asyncpg.Record]:
        """Watched devices that are due, locked."""
        return await self._conn.fetch(*queries["due_devices"].bind(now=now, count=count))  # type: ignore[no-any-return]

    async def gateways_passed_on(self, gateway_ids: Sequence[int], count: int) -> dict[int, datetime]:
        """Up to when gateways passed on what any of their devices told."""
        rows = await self._conn.fetch(*queries["gateways_passed_on"].bind(gateway_ids=gateway_ids, count=count))
        return {row["gateway_id"]: row["heard_at"] for row in rows if row["heard_at"] is not None}

    async def device_arrivals(self, device_ids: Sequence[int], since: datetime) -> dict[int, list[datetime]]:
        """When messages of devices arrived, by device."""
        found: dict[int, list[datetime]] = {}
        for row in await self._conn.fetch(*queries["device_arrivals"].bind(device_ids=device_ids, since=since)):
            found.setdefault(row["device_id"], []).append(row["at"])
        return found

    async def save_watches(self, watches: Sequence[Watch]) -> None:
        """Write what looks at devices left."""
        await self._conn.execute(
            *queries["save_watches"].bind(
                device_ids=[one.device_id for one in watches],
                intervals=[one.interval_s for one in watches],
                gaps=[one.gaps for one in watches],
                dues=[one.due_at for one in watches],
                silents=[one.silent_since for one in watches],
                folded=[one.folded_into for one in watches],
            )
        )

    async def gone_devices(self, rule_id: str, until: datetime, count: int) -> list[asyncpg.Record]:
        """Devices that their platform calls gone and that have no alert for it."""
        return await self._conn.fetch(*queries["gone_devices"].bind(rule_id=rule_id, until=until, count=count))  # type: ignore[no-any-return]

    async def watched_places(
        self,
        spots: Sequence[Spot],
        overdue_intervals: float,
        now: datetime,
        gateway_rule_ids: Sequence[str],
    ) -> dict[Spot, Count]:
        """How much is watched and overdue in some buildings and compounds."""
        found: dict[Spot, Count] = {}
        for level in ("building", "compound"):
            ids = sorted({number for one, number in spots if one == level})
            rows = await self._conn.fetch(
                *queries["watched_places"].bind(
                    level=level,
                    place_ids=ids,
                    overdue_intervals=overdue_intervals,
                    now=now,
                    gateway_rule_ids=gateway_rule_ids,
                )
            )
            for row in rows:
                found[level, row["place_id"]] = Count(row["watched"], row["overdue"], row["newest_at"], row["name"])
        return found

    async def compounds_of_districts(
        self, district_ids: Sequence[int]
    ) -> tuple[dict[Spot, list[Spot]], dict[Spot, str]]:
        """The compounds of districts in which anything is installed, and the districts' names."""
        below: dict[Spot, list[Spot]] = {}
        names: dict[Spot, str] = {}
        for row in await self._conn.fetch(*queries["compounds_of_districts"].bind(district_ids=district_ids)):
            below.setdefault(("district", row["district_id"]), []).append(("compound", row["compound_id"]))
            names["district", row["district_id"]] = row["name"]
        return below, names

    async def open_cells(self, rule_ids: Sequence[str]) -> list[asyncpg.Record]:
        """Incidents of silent places that are open."""
        return await self._conn.fetch(*queries["open_cells"].bind(rule_ids=rule_ids))  # type: ignore[no-any-return]

    async def silences_within(self, rule_ids: Sequence[str], spot: Spot) -> list[asyncpg.Record]:
        """Open alerts of single silent devices in a place."""
        query = queries["silences_within"]
        return await self._conn.fetch(*query.bind(rule_ids=rule_ids, level=spot[0], place_id=spot[1]))  # type: ignore[no-any-return]

    async def gateways_of_areas(self, areas: Sequence[str], rule_ids: Sequence[str]) -> list[asyncpg.Record]:
        """Districts with their gateways, and which of these have an open alert of silence."""
        return await self._conn.fetch(*queries["gateways_of_areas"].bind(areas=areas, rule_ids=rule_ids))  # type: ignore[no-any-return]

    async def fold_watches(self, device_ids: Sequence[int], subject: str) -> None:
        """Note into which incident silent devices are folded."""
        await self._conn.execute(*queries["fold_watches"].bind(device_ids=device_ids, subject=subject))

    async def refold_watches(self, from_subject: str, to_subject: str) -> None:
        """Move what was folded into a small incident to the larger one that took it up."""
        await self._conn.execute(*queries["refold_watches"].bind(from_subject=from_subject, to_subject=to_subject))

    async def unfold_watches(self, subject: str, at: datetime) -> None:
        """Let what was folded into an incident be looked at for itself, now."""
        await self._conn.execute(*queries["unfold_watches"].bind(subject=subject, at=at))

    async def flooding_gateways(self, rule_id: str) -> list[Flooding]:
        """Registered gateways whose flood goes on and that have no open alert for it."""
        return [Flooding(**row) for row in await self._conn.fetch(*queries["flooding_gateways"].bind(rule_id=rule_id))]

    async def floods_over(self, rule_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Rule and subject of open alerts about floods that are over."""
        rows = await self._conn.fetch(*queries["floods_over"].bind(rule_ids=rule_ids))
        return [(row["rule_id"], row["subject"]) for row in rows]

    async def silent_gateways(
        self,
        rule: Rule,
        now: datetime,
        observed_from: datetime,
        count: int,
        cell_rule_ids: Sequence[str],
    ) -> list[Quiet]:
        """Gateways that may be silent and have no alert for it."""
        query = queries["silent_gateways"]
        rows = await self._conn.fetch(
            *query.bind(
                rule_id=rule.rule_id,
                now=now,
                intervals_missed=rule["intervals_missed"],
                offline_min_s=rule["offline_min_s"],
                observed_from=observed_from,
                count=count,
                cell_rule_ids=cell_rule_ids,
            )
        )
        return [Quiet(**row) for row in rows]

    async def gateway_outages(
        self, gateway_ids: Sequence[int], since: datetime, rule_ids: Sequence[str], now: datetime
    ) -> dict[int, list[Outage]]:
        """Times in which gateways were away, by gateway."""
        query = queries["gateway_outages"]
        rows = await self._conn.fetch(*query.bind(gateway_ids=gateway_ids, since=since, rule_ids=rule_ids, now=now))
        found: dict[int, list[Outage]] = {}
        for row in rows:
            if row["away"]:
                found.setdefault(row["gateway_id"], []).append(Outage(row["from_at"], row["to_at"]))
        return found

    async def heard_again(self, rule_ids: Sequence[str]) -> list[tuple[str, str]]:
        """Open silences whose device or gateway has been heard since."""
        rows = await self._conn.fetch(*queries["heard_again"].bind(rule_ids=rule_ids))
        return [(row["rule_id"], row["subject"]) for row in rows]
