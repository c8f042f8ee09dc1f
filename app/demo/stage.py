"""The servers and the services of the demonstration: found or started, awaited, stopped."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp

from app.embedded import EmbeddedServers, default_directory
from app.embedded.processes import free_port
from app.services import PROCESSES

_READY_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 40.0


class StageError(Exception):
    """The demonstration cannot go on; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are. `embedded` is None when the environment names both."""

    database_url: str
    admin_database_url: str
    mqtt_url: str
    embedded: EmbeddedServers | None

    def gateway_accounts(self, gateways: list[str]) -> dict[str, tuple[str, str]]:
        """User name and password of every gateway: its own at the embedded broker, MQTT_URL's account at another."""
        if self.embedded is not None and "MQTT_URL" not in os.environ:
            return {code: (code, password) for code, password in self.embedded.add_gateways(gateways).items()}
        parts = urlsplit(self.mqtt_url)
        return dict.fromkeys(gateways, (unquote(parts.username or ""), unquote(parts.password or "")))

    async def keep_alive(self, say: Callable[[str], None], pause_s: float = 1.0) -> None:
        """Look after the embedded servers until cancelled: one that died is started again, with a sentence for each.

        Raises EmbeddedError when it cannot be started.
        """
        while True:
            await asyncio.sleep(pause_s)
            if self.embedded is None:
                continue
            dead = await asyncio.to_thread(self.embedded.dead)
            if dead:
                say(f"{' and '.join(dead)} ended by itself; starting it again")
                await asyncio.to_thread(self.embedded.start)
                say(f"{' and '.join(dead)} is back")

    def environment(self) -> dict[str, str]:
        """What the services are told."""
        told = {
            "DATABASE_URL": self.database_url,
            "ADMIN_DATABASE_URL": self.admin_database_url,
            "MQTT_URL": self.mqtt_url,
        }
        every_day = {  # a demonstration is played on any day, and shows a roster for the next
            "GASWARDEN_ROSTER__CAMPAIGN__WEEKDAYS": "0,1,2,3,4,5,6",
            "GASWARDEN_ROSTER__CAMPAIGN__HOLIDAYS_OF": "",
        }
        told |= {name: value for name, value in every_day.items() if name not in os.environ}
        if self.embedded is not None:
            ours = {
                "GASWARDEN_NOTICES__CONTACT_KEY": self.embedded.contact_key,
                "GASWARDEN_DOSSIER__SIGNING_KEY": self.embedded.dossier_key,
                "GASWARDEN_NOTICES__LOCAL_DIRECTORY": str(self.embedded.notices_directory),
                "GASWARDEN_EVIDENCE__FOLDER": str(self.embedded.evidence_directory),
            }
            if "MQTT_URL" not in os.environ:  # the account of ingest may say nothing to gateways
                ours["GASWARDEN_COMMANDS__BROKER_URL"] = self.embedded.commands_mqtt_url
            told |= {name: value for name, value in ours.items() if name not in os.environ}
        return told


def directory() -> Path:
    """Where the demonstration keeps its registry, truth and tokens."""
    return default_directory() / "demo"


@contextmanager
def open_servers(say: Callable[[str], None], *, fresh: bool) -> Iterator[Servers]:
    """The servers of DATABASE_URL and MQTT_URL, and embedded ones for what these do not name; stopped at the end.

    `fresh` deletes the embedded servers with all their data first. Raises EmbeddedError.
    """
    database_url, mqtt_url = os.environ.get("DATABASE_URL"), os.environ.get("MQTT_URL")
    if database_url and mqtt_url:
        yield Servers(database_url, os.environ.get("ADMIN_DATABASE_URL") or database_url, mqtt_url, None)
        return
    embedded = _open(database_url, mqtt_url)
    if fresh:
        embedded.hold()
        embedded.destroy()
        embedded = _open(database_url, mqtt_url)
    embedded.start(say)
    try:
        yield Servers(
            database_url or embedded.database_url,
            (os.environ.get("ADMIN_DATABASE_URL") or database_url) if database_url else embedded.admin_database_url,
            mqtt_url or embedded.mqtt_url,
            embedded,
        )
    finally:
        embedded.stop()


def _open(database_url: str | None, mqtt_url: str | None) -> EmbeddedServers:
    return EmbeddedServers.open(postgres=not database_url, mosquitto=not mqtt_url)


@asynccontextmanager
async def run_services(
    servers: Servers, port: int, log: Path, services: Sequence[str] = (), probe_port: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`gaswarden run` as a process of its own, of all services or those named, ready to serve; drained at the end.

    A process without `http` needs a `probe_port`. Raises StageError, with the end of its log, when it does not become
    ready.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | servers.environment() | {"GASWARDEN_HTTP__PORT": str(port)}
    if probe_port is not None:
        environment["GASWARDEN_HTTP__PROBE_PORT"] = str(probe_port)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app", "run", *services, env=environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        await _await_ready(process, f"http://127.0.0.1:{probe_port or port}/readyz", log)
        yield process
    finally:
        await _stop(process)


@asynccontextmanager
async def run_as_deployed(servers: Servers, port: int, folder: Path) -> AsyncIterator[None]:
    """The processes of a deployment on one server (app.services.PROCESSES), each with a log of its own in `folder`."""
    async with AsyncExitStack() as stack:
        for name, services in PROCESSES.items():
            await stack.enter_async_context(
                run_services(servers, port, folder / f"{name}.log", services, probe_port=free_port())
            )
        yield


async def _await_ready(process: asyncio.subprocess.Process, url: str, log: Path) -> None:
    """Wait until this very process says that it is ready: its port may be held by another one, which is ready, too."""
    answer = "no answer"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        for _ in range(int(_READY_TIMEOUT_S / 0.1)):
            if process.returncode is not None:
                raise StageError(f"the services stopped with code {process.returncode}:\n{_tail(log)}")
            try:
                async with session.get(url) as response:
                    answer = await response.text()
                    if response.status == 200 and _said_by(answer) == process.pid:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.1)
    raise StageError(f"the services are not ready after {_READY_TIMEOUT_S:.0f} s ({answer}):\n{_tail(log)}")


def _said_by(answer: str) -> object:
    """The number of the process whose readiness this is; None when it is no readiness at all."""
    try:
        said = json.loads(answer)
    except ValueError:
        return None
    return said.get("process") if isinstance(said, dict) else None


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
