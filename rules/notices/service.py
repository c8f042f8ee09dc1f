"""The notices service: works the queue off, takes up what a dead worker left, and watches channels and the rota.

The queue is procrastinate's: jobs are fetched with SKIP LOCKED, LISTEN/NOTIFY wakes the worker, a heartbeat tells the
living from the dead. Restarts of the database are survived; SIGTERM lets attempts under way end.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import procrastinate
import psycopg
import psycopg_pool
import structlog
from procrastinate import exceptions, jobs
from prometheus_client import Counter, Gauge

from rules.catalog import Catalog
from rules.notices.channels import load_plugins
from rules.notices.params import NoticeParams
from rules.notices.sending import Sending, TryAgain
from rules.notices.watch import Watch
from sql.pool import DATABASE_LOST

log = structlog.get_logger()

CONNECTED = Gauge("gaswarden_notices_connected", "1 while the worker of notices works the queue off")
TAKEN_UP = Counter("gaswarden_notices_taken_up_total", "Jobs that a dead worker left and that were taken up again")

QUEUE = "notices"
_RESTART_S = 1.0
_JOB_FAILURES_MAX = 20
_LOST = (
    psycopg.Error,
    psycopg_pool.PoolTimeout,
    psycopg_pool.PoolClosed,
    exceptions.ConnectorException,
    *DATABASE_LOST,
)


class _Again(procrastinate.BaseRetryStrategy):
    """When a job comes back: at the moment it asked for; after a fault of ours a while later, not for ever."""

    def get_retry_decision(self, *, exception: BaseException, job: jobs.Job) -> procrastinate.RetryDecision | None:
        """The queue's question after every job that did not return."""
        if isinstance(exception, TryAgain):
            return procrastinate.RetryDecision(retry_at=exception.at)
        if isinstance(exception, asyncio.CancelledError):
            return procrastinate.RetryDecision(retry_in={"seconds": 0})
        if job.attempts >= _JOB_FAILURES_MAX and not isinstance(exception, _LOST):
            log.error("notice job given up", job=job.task_name, arguments=job.task_kwargs, error=repr(exception))
            return None
        if not isinstance(exception, _LOST):
            log.error(
                "notice job failed, again later", job=job.task_name, arguments=job.task_kwargs, exc_info=exception
            )
        return procrastinate.RetryDecision(retry_in={"seconds": min(2**job.attempts, 60)})


async def run(
    pool: asyncpg.Pool,
    catalog: Catalog,
    params: NoticeParams,
    database_url: str,
    zone: ZoneInfo,
    *,
    ready: asyncio.Event | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Work until cancelled. `ready` is set once the queue is worked off.

    `catalog` is in force until a set of rules is activated; each job and look asks which is.
    """
    for name in ("procrastinate", "psycopg.pool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of theirs is said here, once
    if params.contact_key is None:
        log.warning("notices: no contact_key is set, so no contact can be added or reached (docs/notices.md)")
    await asyncio.to_thread(load_plugins)
    sending = Sending(pool, catalog, params, zone, clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(_work(sending, params, database_url, ready), name="notices-work")
        group.create_task(Watch(pool, catalog, params, sending, zone, clock).run(), name="notices-watch")


async def _work(sending: Sending, params: NoticeParams, database_url: str, ready: asyncio.Event | None) -> None:
    """Worker after worker: one ends when the database goes away, the next begins when it is back."""
    lost = False
    while True:
        try:
            async with _queue(sending, params, database_url) as app:
                if lost:
                    log.info("notices: database is back")
                lost = False
                if ready is not None:
                    ready.set()
                await _work_off(app, params)
        except _LOST as error:
            _end_if_cancelled()
            if not lost:
                log.warning("notices: database lost, trying again", error=str(error) or type(error).__name__)
            lost = True
        finally:
            CONNECTED.set(0)
        _end_if_cancelled()
        await asyncio.sleep(_RESTART_S)


def _end_if_cancelled() -> None:
    """A worker that is cancelled while the database is away ends with the database's error: cancelled all the same."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@contextlib.asynccontextmanager
async def _queue(sending: Sending, params: NoticeParams, database_url: str) -> AsyncIterator[procrastinate.App]:
    connector = procrastinate.PsycopgConnector(
        conninfo=database_url,
        min_size=1,
        max_size=params.database_connections_max,
        timeout=5.0,
        kwargs={
            "options": "-c search_path=procrastinate,public -c timezone=UTC -c jit=off",
            "application_name": "gaswarden notices queue",
            "connect_timeout": 5,
        },
    )
    app = procrastinate.App(connector=connector)
    app.task(name="page", queue=QUEUE, retry=_Again())(sending.page)
    app.task(name="send", queue=QUEUE, retry=_Again())(sending.send)
    app.task(name="reach", queue=QUEUE, retry=_Again())(sending.reach)
    async with app.open_async():
        yield app


async def _work_off(app: procrastinate.App, params: NoticeParams) -> None:
    """Run a worker until it ends, and beside it take up again what dead workers left."""
    heartbeat_s = params.stalled_after_s / 4
    taking_up = asyncio.create_task(_take_up(app, params), name="notices-take-up")
    try:
        CONNECTED.set(1)
        await app.run_worker_async(
            queues=[QUEUE],
            concurrency=params.concurrency,
            fetch_job_polling_interval=params.poll_s,
            update_heartbeat_interval=heartbeat_s,
            stalled_worker_timeout=params.stalled_after_s,
            shutdown_graceful_timeout=params.drain_s,
            delete_jobs="successful",
            install_signal_handlers=False,
        )
    finally:
        taking_up.cancel()
        await asyncio.gather(taking_up, return_exceptions=True)


async def _take_up(app: procrastinate.App, params: NoticeParams) -> None:
    """Look for jobs of dead workers; after a pause of our own not at once: it was we who sent no heartbeat."""
    loop = asyncio.get_running_loop()
    looked = loop.time()
    while True:
        late, looked = loop.time() - looked > params.stalled_after_s / 2, loop.time()
        if late:
            await asyncio.sleep(params.stalled_after_s / 2)
            continue
        with contextlib.suppress(*_LOST):
            left = await app.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=params.stalled_after_s)
            for job in left:
                await _take_up_one(app, job)
        await asyncio.sleep(params.stalled_after_s / 4)


async def _take_up_one(app: procrastinate.App, job: jobs.Job) -> None:
    assert job.id is not None
    with contextlib.suppress(exceptions.ConnectorException):  # another process was faster
        await app.job_manager.retry_job_by_id_async(job.id, retry_at=datetime.now(UTC) - timedelta(seconds=1))
        TAKEN_UP.inc()
        log.warning("notices: a worker died, its job is done again", job=job.task_name, arguments=job.task_kwargs)
