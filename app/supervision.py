"""Runs services side by side until a signal: one failure, or one quiet return, stops them all."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import structlog

log = structlog.get_logger()

Service = Callable[[], Awaitable[None]]


class CannotListen(Exception):
    """The address cannot be listened on; the message names it and why."""


class ServiceStopped(Exception):
    """A service returned by itself, which none may; the message names it."""


async def supervise(services: Mapping[str, Service], *, drain_s: float = 30.0) -> None:
    """Run every service until SIGTERM or SIGINT, let them drain, and return.

    Raises an ExceptionGroup when a service failed or returned by itself, also while draining; each failure is logged
    with the service's name. Services that have not drained `drain_s` after the signal are abandoned and the process
    ends with code 1: what they had not acknowledged comes again.
    """
    stopping = asyncio.Event()

    async def guard(name: str, run: Service) -> None:
        try:
            await run()
            if not stopping.is_set():
                raise ServiceStopped(f"{name} returned, and a service works until it is stopped")  # noqa: TRY301
        except Exception as error:
            expected = isinstance(error, (ServiceStopped, CannotListen))
            log.error("service failed", service=name, error=str(error), exc_info=None if expected else error)
            raise

    with _stopped_by_signals(stopping, drain_s):
        try:
            async with asyncio.TaskGroup() as group:
                for name, run in services.items():
                    group.create_task(guard(name, run), name=name)
        except asyncio.CancelledError:
            if not stopping.is_set():
                raise
            _current_task().uncancel()


@contextmanager
def _stopped_by_signals(stopping: asyncio.Event, drain_s: float) -> Iterator[None]:
    """Let SIGTERM and SIGINT cancel the current task, once; later signals change nothing, the deadline runs."""
    loop, task = asyncio.get_running_loop(), _current_task()
    deadline: list[asyncio.TimerHandle] = []

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            log.info("already stopping", signal=number.name)
            return
        log.info("stopping", signal=number.name)
        stopping.set()
        deadline.append(loop.call_later(drain_s, _abandon, drain_s))
        task.cancel()

    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for timer in deadline:
            timer.cancel()
        for number in signals:
            loop.remove_signal_handler(number)


def _abandon(drain_s: float) -> None:
    running = sorted(task.get_name() for task in asyncio.all_tasks() if not task.done())
    log.error("not drained in time, giving up", drain_s=drain_s, running=running)
    os._exit(1)


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task
