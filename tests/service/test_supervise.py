"""Supervision in a process of its own: signals drain, failures and quiet returns end it with code 1."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

PROGRAM = """
import asyncio, sys
from app.logs import LogParams, configure_logging
from app.supervision import supervise

async def works():
    print("working", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        print("drained", flush=True)

async def swallows():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("left", flush=True)

async def fails():
    await asyncio.sleep(0)
    raise ValueError("the reason")

async def returns():
    await asyncio.sleep(0)

async def fails_draining():
    try:
        await asyncio.Event().wait()
    finally:
        raise ValueError("lost it")

async def hangs():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("hanging", flush=True)

configure_logging(LogParams(form="json"))
names = sys.argv[1:]
try:
    asyncio.run(supervise({name: globals()[name] for name in names}, drain_s=0.2))
except BaseExceptionGroup:
    sys.exit(1)
"""


@asynccontextmanager
async def process(*services: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The program above with some services; killed when a test leaves it running."""
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *services,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def line_of(started: asyncio.subprocess.Process) -> str:
    """The next line a process prints."""
    assert started.stdout is not None
    return (await asyncio.wait_for(started.stdout.readline(), 20)).decode().strip()


async def rest_of(started: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """The exit code of a process and what it still said."""
    out, err = await asyncio.wait_for(started.communicate(), 20)
    return started.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_drains_and_exits_0(number: signal.Signals) -> None:
    """A signal lets every service finish its work, then the process ends with 0."""
    async with process("works", "swallows") as started:
        assert await line_of(started) == "working"
        started.send_signal(number)
        code, out, err = await rest_of(started)
    assert (code, sorted(out.split())) == (0, ["drained", "left"])
    assert f'"signal": "{number.name}"' in err


async def test_failure_stops_the_others_with_code_1() -> None:
    """One service fails: the others finish their work, the log names it and its reason, the exit code is 1."""
    async with process("works", "fails") as started:
        code, out, err = await rest_of(started)
    assert (code, out.split()) == (1, ["working", "drained"])
    assert '"service": "fails"' in err
    assert "the reason" in err


async def test_quiet_return_is_a_failure() -> None:
    """A service that merely returns ends the process with code 1, by name."""
    async with process("works", "returns") as started:
        code, out, err = await rest_of(started)
    assert (code, out.split()) == (1, ["working", "drained"])
    assert "returns returned, and a service works until it is stopped" in err


async def test_failure_while_draining_is_told() -> None:
    """Work lost after the signal is not a clean end."""
    async with process("works", "fails_draining") as started:
        assert await line_of(started) == "working"
        started.terminate()
        code, _, err = await rest_of(started)
    assert code == 1
    assert "lost it" in err


async def test_second_signal_does_not_cut_the_drain_short() -> None:
    """A second signal changes nothing; the deadline ends what hangs, with code 1 and its name."""
    async with process("hangs", "works") as started:
        assert await line_of(started) == "working"
        started.terminate()
        assert sorted([await line_of(started), await line_of(started)]) == ["drained", "hanging"]
        started.terminate()
        code, out, err = await rest_of(started)
    assert (code, out) == (1, "")
    assert "not drained in time" in err
    assert '"hangs"' in err
