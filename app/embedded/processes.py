"""Server processes of our own: who they run as, which of them are ours, how they are started, awaited and ended."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.embedded.errors import EmbeddedError

_ACCOUNTS = ("gaswarden", "postgres")  # the first is made by scripts/setup
_POLL_FIRST_S = 0.01
_POLL_LAST_S = 0.2
_LOG_SIZE_MAX_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account that servers run as when we are root."""

    uid: int
    gid: int

    @property
    def owner(self) -> tuple[int, int]:
        """(uid, gid), as chown wants it."""
        return self.uid, self.gid


def server_account() -> Account | None:
    """Who the servers run as: None for ourselves, an account of its own when we are root.

    Raises EmbeddedError when we are root and the machine has no such account.
    """
    if os.geteuid() != 0:
        return None
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise EmbeddedError("PostgreSQL refuses to run as root and there is no system user gaswarden; run scripts/setup")


def can_enter(account: Account | None, directory: Path) -> bool:
    """Whether the account can reach the directory through all its parents."""
    if account is None:
        return True
    return run(["test", "-x", str(directory)], account, check=False).returncode == 0


def make_directory(directory: Path, account: Account | None, mode: int = 0o750) -> None:
    """Make a directory that belongs to the account."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(mode)
    if account is not None:
        os.chown(directory, *account.owner)


def run(command: Sequence[str], account: Account | None, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command to its end as the account; with `check`, failing raises EmbeddedError with what it printed."""
    done = subprocess.run(
        command, text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL, cwd="/", **_identity(account)
    )
    if check and done.returncode != 0:
        raise EmbeddedError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done


def start(command: Sequence[str], account: Account | None, log: Path) -> subprocess.Popen[bytes]:
    """Start a server apart from our terminal, so that Ctrl-C reaches only us and the server outlives our crash."""
    if log.exists() and log.stat().st_size > _LOG_SIZE_MAX_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            **_identity(account),
        )


def _identity(account: Account | None) -> dict[str, Any]:
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def find(program: str, tokens: Sequence[str]) -> list[int]:
    """Process ids of a program whose command line or title holds one of the tokens; these are ours."""
    return [pid for pid in _process_ids() if is_ours(pid, program, tokens)]


def _process_ids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def is_ours(pid: int, program: str, tokens: Sequence[str]) -> bool:
    """Whether a live process is that program for that directory; a zombie or a recycled id is not."""
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() != program:
            return False
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return any(f"{token} " in f"{command_line} " or f"{token}:" in command_line for token in tokens)


def send(pid: int, number: signal.Signals) -> None:
    """Signal one process; one that is gone already is no error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until the condition holds; False when it did not in time."""
    deadline_s = time.monotonic() + timeout_s
    pause_s = _POLL_FIRST_S
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.3, _POLL_LAST_S)
    return True


def free_port(preferred: int = 0) -> int:
    """Return the preferred loopback port when nobody listens there, else a free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise EmbeddedError("no free loopback port")


def log_tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    if not log.exists():
        return f"({log} was never written)"
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-lines:])


def find_program(name: str) -> str:
    """Path of a server program, also from the directories that are not in an ordinary user's PATH."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise EmbeddedError(f"{name} is not installed; run scripts/setup")
    return found
