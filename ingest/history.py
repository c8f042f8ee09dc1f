"""Import of old readings: file -> blocks -> [one transaction each: readings, conflicts, ledger, batch, position].

One row that names a registered device, a moment and a volume is one received message of slot `import` and has one
disposition: stored, late (older than 48 hours, as most are), duplicate or conflict. Rows that cannot be read are not
received: they are told by line and reason, and the file stays with whoever imports it. An interrupted import goes on
where its last transaction ended; a finished file is not read again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import asyncpg
import polars as pl

from ingest import store
from ingest.history_file import HistoryRefused, Progress, Sniffed, blocks, file_digest
from ingest.history_marks import mark_rows
from ingest.history_rows import HistoryOptions, HistoryState, Parsed, parse_block, sum_intervals
from ingest.model import LATE_AFTER, UNKNOWN_VALUE, Device, Disposition
from sql import queries

SLOT = "import"
ROWS_AT_ONCE = 50_000
_COLUMNS = ("device_id", "at", "index_ml", "flags", "batch_id")
_STAGED = ("ordinal", "device_id", "at", "index_ml", "flags")
_KINDS = tuple(kind.value for kind in Disposition if kind is not Disposition.QUARANTINED)

Bad = tuple[int, str]


@dataclass(slots=True)
class HistoryReport:
    """What became of a file. Counts are of this run; `resumed_at` rows were done before it began.

    `left_out` rows have other values than those asked for; they are in no other figure.
    """

    name: str
    state: Literal["imported", "already"] = "imported"
    rows: int = 0
    resumed_at: int = 0
    refused: int = 0
    left_out: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    first_at: datetime | None = None
    last_at: datetime | None = None

    def add(self, rows: pl.DataFrame) -> None:
        """Count rows that were written, with their dispositions."""
        self.counts.update(dict(rows["disposition"].value_counts().iter_rows()))
        if len(rows):
            first, last = rows["at"].min(), rows["at"].max()
            assert isinstance(first, datetime)
            assert isinstance(last, datetime)
            self.first_at = first if self.first_at is None else min(first, self.first_at)
            self.last_at = last if self.last_at is None else max(last, self.last_at)


async def import_file(
    conn: asyncpg.Connection,
    path: Path,
    sniffed: Sniffed,
    options: HistoryOptions,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    on_bad: Callable[[Bad], None] = lambda _bad: None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    rows_at_once: int = ROWS_AT_ONCE,
) -> HistoryReport:
    """Import one file, from where an earlier run ended. Raises HistoryRefused, before anything is written.

    `on_bad` is told every row that is not imported, (line, reason), also those of blocks done before.
    """
    digest = await asyncio.to_thread(file_digest, path)
    report = HistoryReport(path.name)
    known = await _begin(conn, digest, path, sniffed, options, clock())
    if known["finished_at"] is not None:
        report.state, report.rows = "already", known["rows_done"]
        return report
    report.resumed_at = known["rows_done"]
    run = _Run(conn, options, digest)
    bases = await _interval_bases(run, path, sniffed, rows_at_once, clock()) if options.kind == "interval" else {}
    progress = Progress()
    for block, short in blocks(path, sniffed, rows_at_once, progress):
        size = len(block.lines) + len(short)
        parsed = await run.read(parse_block(block, options, run.state, clock()), bases)
        for bad in sorted([*short, *parsed.bad]):
            on_bad(bad)
        report.refused += len(short) + len(parsed.bad)
        if report.rows + size > report.resumed_at:
            report.add(await run.write(parsed.rows, report.rows, size, len(short) + len(parsed.bad), clock()))
        report.rows += size
        report.left_out = progress.left_out
        on_progress(progress)
    await conn.execute(*queries["finish_history"].bind(digest=digest, finished_at=clock()))
    return report


async def _begin(
    conn: asyncpg.Connection, digest: bytes, path: Path, sniffed: Sniffed, options: HistoryOptions, now: datetime
) -> asyncpg.Record:
    """The file's row in history_file; refuses to go on with other options than the import began with.

    An import of which no row was stored is none: it begins again, with whatever options.
    """
    columns = sniffed.columns
    meaning: dict[str, Any] = asdict(options) | {"columns": [columns.device, *columns.times, columns.value]}
    if columns.one_device is not None or columns.only:
        meaning |= {"device": columns.one_device, "only": [list(one) for one in columns.only]}
    await conn.execute(*queries["begin_history"].bind(digest=digest, options=meaning, name=path.name, started_at=now))
    await conn.execute(*queries["restart_empty_history"].bind(digest=digest, options=meaning, started_at=now))
    known = await conn.fetchrow(*queries["history_file"].bind(digest=digest))
    if known["options"] != meaning and known["rows_done"]:
        other = ", ".join(
            f"{name} {known['options'].get(name)}"
            for name in {**known["options"], **meaning}
            if known["options"].get(name) != meaning.get(name)
        )
        raise HistoryRefused(
            f"{path.name} was imported to row {known['rows_done']} with other options ({other}); use the same"
        )
    return known


async def _interval_bases(
    run: "_Run", path: Path, sniffed: Sniffed, rows_at_once: int, now: datetime
) -> dict[str, int | None]:
    """Where each device's register stood before the file's first interval; None where stored values contradict it.

    Attached to the last register stored before the file, else so that it arrives at the first one stored after it,
    else from zero: a register that begins with the file.
    """
    first = _Run(run.conn, run.options, run.digest)
    firsts: dict[str, datetime] = {}
    for block, _ in blocks(path, sniffed, rows_at_once, Progress()):
        rows = (await first.read(parse_block(block, run.options, first.state, now), {}, attach=False)).rows
        for device, at in rows.group_by("device").agg(pl.col("at").min()).iter_rows():
            firsts.setdefault(device, at)
    names = list(firsts)
    lasts = [datetime.fromtimestamp(first.state.totals[name][0] / 1_000_000, UTC) for name in names]
    ids = [first.device(name).device_id for name in names]
    found = await run.conn.fetch(
        *queries["interval_anchors"].bind(device_ids=ids, firsts=[firsts[name] for name in names], lasts=lasts)
    )
    anchors = {row["device_id"]: (row["before_ml"], row["after_ml"]) for row in found}
    return {name: _base(*anchors[one], first.state.totals[name][1]) for name, one in zip(names, ids, strict=True)}


def _base(before_ml: int | None, after_ml: int | None, total_ml: int) -> int | None:
    if before_ml is not None:
        return before_ml
    if after_ml is None:
        return 0
    return after_ml - total_ml if after_ml >= total_ml else None


class _Run:
    """One pass over a file: what it remembers between blocks, and the transaction of each block."""

    def __init__(self, conn: asyncpg.Connection, options: HistoryOptions, digest: bytes) -> None:
        self.conn = conn
        self.options = options
        self.digest = digest
        self.state = HistoryState()
        self._devices: dict[str, Device | None] = {}
        self._expect_repeats = False

    def device(self, name: str) -> Device:
        """A device that was looked up before and is registered."""
        found = self._devices[name]
        assert found is not None
        return found

    async def read(self, parsed: Parsed, bases: dict[str, int | None], *, attach: bool = True) -> Parsed:
        """Add device ids, registers and flags to the rows of registered devices; refuse the others."""
        rows, bad = parsed.rows, list(parsed.bad)
        await self._look_up(rows["device"].unique().to_list())
        unknown = [name for name in rows["device"].unique() if self._devices[name] is None]
        if unknown:
            strange = pl.col("device").is_in(unknown)
            bad += [
                (line, f"device {name} is not registered in family {self.options.family}")
                for line, name in rows.filter(strange).select("line", "device").iter_rows()
            ]
            rows = rows.filter(~strange)
        if self.options.kind == "interval":
            rows, out_of_order = sum_intervals(rows, self.state)
            bad += out_of_order
            if attach:
                rows, contradicted = _attach(rows, bases)
                bad += contradicted
        devices = {name: self.device(name) for name in rows["device"].unique()}
        ids = {name: one.device_id for name, one in devices.items()}
        gateways = {name: one.gateway_id for name, one in devices.items()}
        rows = rows.with_columns(
            device_id=pl.col("device").replace_strict(ids, return_dtype=pl.Int32),
            gateway_id=pl.col("device").replace_strict(gateways, return_dtype=pl.Int32),
            flags=mark_rows(rows, devices, self.state),
        )
        return Parsed(rows, bad)

    async def _look_up(self, names: Sequence[str]) -> None:
        fresh = [name for name in names if name not in self._devices]
        if fresh:
            found = dict(await store.devices_by_identity(self.conn, [(self.options.family, name) for name in fresh]))
            self._devices |= {name: found.get((self.options.family, name)) for name in fresh}

    async def write(self, rows: pl.DataFrame, before: int, size: int, refused: int, now: datetime) -> pl.DataFrame:
        """Commit a block: its rows, and that the import is `size` lines further than `before`."""
        async with self.conn.transaction():
            await store.lock_slot(self.conn, SLOT)
            batch_id = await store.next_batch_id(self.conn)
            rows = (
                await self._store(rows, batch_id, now) if len(rows) else rows.with_columns(disposition=pl.lit("stored"))
            )
            counts = Counter(dict(rows["disposition"].value_counts().iter_rows()))
            moved = await self.conn.fetchval(
                *queries["advance_history"].bind(
                    digest=self.digest,
                    rows_before=before,
                    rows_done=before + size,
                    refused=refused,
                    **{kind: counts[kind] for kind in _KINDS},
                )
            )
            if moved is None:
                raise HistoryRefused("another process imports the same file; nothing of this part was written twice")
            if len(rows):
                await self._account(rows, batch_id, counts, now)
        return rows

    async def _store(self, rows: pl.DataFrame, batch_id: int, now: datetime) -> pl.DataFrame:
        """Write the rows that are new and keep conflicts; returns the rows with their dispositions."""
        rows = rows.with_columns(
            disposition=pl.when(pl.col("at") < now - LATE_AFTER).then(pl.lit("late")).otherwise(pl.lit("stored"))
        )
        columns = [rows[name].to_list() for name in ("device_id", "at", "value_ml", "flags")]
        if not self._expect_repeats:
            try:
                async with self.conn.transaction():
                    records = zip(*columns, repeat(batch_id), strict=False)
                    await self.conn.copy_records_to_table("reading", records=records, columns=_COLUMNS)
                return rows
            except asyncpg.UniqueViolationError:
                pass
        await self.conn.execute(*queries["create_history_staging"].bind())
        records = zip(range(len(rows)), *columns, strict=True)
        await self.conn.copy_records_to_table("staged_history", records=records, columns=_STAGED)
        await self.conn.execute(*queries["insert_staged_history"].bind(batch_id=batch_id))
        judged = await self.conn.fetch(
            *queries["judge_staged_history"].bind(
                batch_id=batch_id, first_at=min(columns[1]), last_at=max(columns[1]), device_ids=sorted(set(columns[0]))
            )
        )
        self._expect_repeats = bool(judged)
        words = rows["disposition"].to_list()
        for row in judged:
            words[row["ordinal"]] = "conflict" if row["conflict"] else "duplicate"
        return rows.with_columns(disposition=pl.Series(words, dtype=pl.String))

    async def _account(self, rows: pl.DataFrame, batch_id: int, counts: Counter[str], now: datetime) -> None:
        """Ledger, device states and the batch's own row."""
        added = rows.filter(pl.col("disposition").is_in(["stored", "late"]))
        by_gateway = rows.group_by("gateway_id").agg(
            pl.len().alias("received"), *((pl.col("disposition") == kind).sum().alias(kind) for kind in _KINDS)
        )
        ledger = {name: by_gateway[name].to_list() for name in ("received", *_KINDS)}
        await self.conn.execute(
            *queries["add_history_to_ledger"].bind(
                day=now.astimezone(UTC).date(), slot=SLOT, gateway_ids=by_gateway["gateway_id"].to_list(), **ledger
            )
        )
        believed = added.filter((pl.col("flags") & int(UNKNOWN_VALUE)) == 0)
        newest = (
            believed.sort("at")
            .group_by("device_id")
            .agg(pl.col("at").last(), pl.col("value_ml").last())
            .sort("device_id")
        )
        await self.conn.execute(
            *queries["advance_imported_index"].bind(
                device_ids=newest["device_id"].to_list(),
                ats=newest["at"].to_list(),
                indexes=newest["value_ml"].to_list(),
            )
        )
        span = (added["at"].min(), added["at"].max()) if len(added) else None
        dispositions = Counter({Disposition(kind): counts[kind] for kind in _KINDS})
        device_ids = sorted(added["device_id"].unique().to_list())
        received = [now] * len(rows)
        await store.insert_batch(
            self.conn,
            batch_id,
            SLOT,
            received,
            dispositions,
            (len(added), 0, 0),
            device_ids,
            span,  # type: ignore[arg-type]
        )


def _attach(rows: pl.DataFrame, bases: dict[str, int | None]) -> tuple[pl.DataFrame, list[Bad]]:
    """Add each device's register before the file to its running sums; refuse devices that stored values contradict."""
    table = pl.DataFrame(list(bases.items()), schema={"device": pl.String, "base": pl.Int64}, orient="row")
    joined = rows.join(table, on="device", how="left", maintain_order="left")
    contradicted = joined.filter(pl.col("base").is_null())
    bad = [
        (line, f"device {name}: its volumes sum to more than the register stored after them")
        for line, name in contradicted.select("line", "device").iter_rows()
    ]
    good = joined.filter(pl.col("base").is_not_null()).with_columns(value_ml=pl.col("value_ml") + pl.col("base"))
    return good.drop("base"), bad
