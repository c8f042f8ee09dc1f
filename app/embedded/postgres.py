"""A private PostgreSQL cluster with TimescaleDB: made, started, adopted after a crash, stopped."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from app.embedded import processes
from app.embedded.errors import EmbeddedError
from app.embedded.processes import Account
from app.embedded.secrets import Secrets, replace_file

HOST = "127.0.0.1"
DATABASE = "gaswarden"
SUPERUSER = "gaswarden_superuser"
OWNER = "gaswarden_owner"
APPLICATION = "gaswarden_app"
_INSTALLATIONS = Path("/usr/lib/postgresql")
_EXTENSIONS = Path("/usr/share/postgresql")


def find_programs(environ: Mapping[str, str] = os.environ, installations: Path = _INSTALLATIONS) -> Path:
    """Directory of the server's programs: GASWARDEN_PG_BIN, else Debian's newest version that has TimescaleDB.

    PATH is not asked: what lies there may be another version than the extension was built for.
    """
    if chosen := environ.get("GASWARDEN_PG_BIN"):
        return Path(chosen)
    versions = [path for path in installations.glob("*") if path.name.isdigit() and (path / "bin/postgres").exists()]
    for version in sorted(versions, key=lambda path: int(path.name), reverse=True):
        if (_EXTENSIONS / version.name / "extension" / "timescaledb.control").exists():
            return version / "bin"
    raise EmbeddedError("no PostgreSQL with TimescaleDB is installed; run scripts/setup")


def configuration(port: int, cluster_name: str, *, durable: bool, memory_bytes: int) -> str:
    """postgresql.conf for one server that shares two cores with the program.

    Durable keeps every promise of a commit. Otherwise (tests) a crash of the *machine* may lose data, and no
    background job of TimescaleDB runs behind a test's back.
    """
    megabyte = 1024 * 1024
    settings: dict[str, str | int] = {
        "listen_addresses": HOST,
        "port": port,
        "unix_socket_directories": "",
        "cluster_name": cluster_name,
        "max_connections": 200,
        "shared_preload_libraries": "timescaledb",
        "timescaledb.telemetry_level": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "log_line_prefix": "%m [%p] %u@%d ",
        "log_min_duration_statement": "2s",
        "log_checkpoints": "off",
        "password_encryption": "scram-sha-256",
        "jit": "off",
        "random_page_cost": "1.1",
        "work_mem": "16MB",
        "max_locks_per_transaction": 256,  # one per chunk that a query touches
        "max_worker_processes": 16,
        "max_parallel_workers": 2,
        "max_parallel_workers_per_gather": 1,
        "idle_in_transaction_session_timeout": "10min",
    }
    if durable:
        settings |= {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            # an eighth of memory: the program, the broker and the page cache want the rest
            "shared_buffers": f"{min(max(memory_bytes // 8 // megabyte, 128), 4096)}MB",
            "maintenance_work_mem": "256MB",
            "effective_cache_size": f"{max(memory_bytes // 2 // megabyte, 256)}MB",
            # a day of the whole city is some ten gigabytes of WAL: checkpoint by time, not by size
            "max_wal_size": "4GB",
            "min_wal_size": "512MB",
            "wal_compression": "on",
            "checkpoint_timeout": "15min",
            "timescaledb.max_background_workers": 8,
        }
    else:
        settings |= {
            "fsync": "off",
            "synchronous_commit": "on",  # a kill of the server loses no commit, as drills expect
            "full_page_writes": "off",
            "shared_buffers": "128MB",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "max_wal_size": "512MB",
            "autovacuum": "off",
            "timescaledb.max_background_workers": 0,
        }
    return "".join(f"{name} = '{value}'\n" for name, value in settings.items())


class PostgresCluster:
    """One cluster in `directory/postgres`, its log in `logs/postgres.log`."""

    def __init__(
        self, directory: Path, logs: Path, secrets: Secrets, account: Account | None, *, durable: bool
    ) -> None:
        self.data = directory / "postgres"
        self.log = logs / "postgres.log"
        self._secrets = secrets
        self._account = account
        self._durable = durable
        # part of the title of every process of the cluster: tells ours from the machine's
        self._cluster_name = f"gaswarden-{sha256(str(self.data).encode()).hexdigest()[:12]}"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def exists(self) -> bool:
        """Whether the cluster was made."""
        return (self.data / "PG_VERSION").exists()

    def url(self, role: str, database: str = DATABASE) -> str:
        """Connection URL of one of the three roles."""
        password = {
            SUPERUSER: self._secrets.superuser_password,
            OWNER: self._secrets.owner_password,
            APPLICATION: self._secrets.app_password,
        }[role]
        return f"postgresql://{role}:{password}@{HOST}:{self._secrets.postgres_port}/{database}"

    def start(self, timeout_s: float = 120.0) -> None:
        """Make the cluster if needed, start it unless it runs, wait until it answers, and see to roles and database.

        The time-out is long because a server that was killed replays its log first.
        Raises EmbeddedError with the end of the server's log.
        """
        programs = find_programs()
        if not self.exists:
            self._create(programs)
        self._check_version(programs)
        self._reap()
        if self.postmaster_pid() is None:
            self._end_orphans()
            self._forget_stale_pid()
            self._secrets.postgres_port = processes.free_port(self._secrets.postgres_port)
            self._configure()
            self._child = processes.start([str(programs / "postgres"), "-D", str(self.data)], self._account, self.log)
        else:
            self._adopt_port()
        self._wait_ready(timeout_s)
        self._ensure_roles()

    def stop(self, timeout_s: float = 60.0) -> None:
        """End sessions, write everything out, stop. Raises EmbeddedError when it does not stop in time."""
        pid = self.postmaster_pid()
        if pid is not None:
            processes.send(pid, signal.SIGINT)
            if not processes.wait_until(lambda: self._reap() or self.postmaster_pid() is None, timeout_s):
                raise EmbeddedError(f"PostgreSQL (process {pid}) did not stop in {timeout_s:g} s")
        self._forget_child()

    def kill(self) -> None:
        """End the server as kill -9 would, for fault drills; the next start recovers."""
        pid = self.postmaster_pid()
        if pid is None:
            raise EmbeddedError("PostgreSQL does not run")
        processes.send(pid, signal.SIGKILL)
        processes.wait_until(lambda: self._reap() or self.postmaster_pid() is None, 10.0)
        self._forget_child()

    @property
    def alive(self) -> bool:
        """Whether the server runs; one that was our child and died is taken leave of."""
        self._reap()
        return self.postmaster_pid() is not None

    def postmaster_pid(self) -> int | None:
        """The server's process id; None when the one on file is dead, or by now somebody else's."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if processes.is_ours(pid, "postgres", [str(self.data)]) else None

    def _create(self, programs: Path) -> None:
        """Make the cluster aside and move it into place, so that a half-made one is never taken for real."""
        fresh = self.data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        processes.make_directory(fresh, self._account, 0o700)
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, prefix=".pw") as password:
            password.write(self._secrets.superuser_password)
            password.flush()
            if self._account is not None:
                os.chown(password.name, *self._account.owner)
            command = [str(programs / "initdb"), "-D", str(fresh), "-U", SUPERUSER, f"--pwfile={password.name}"]
            command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
            processes.run(command if self._durable else [*command, "--no-sync"], self._account)
        fresh.rename(self.data)

    def _configure(self) -> None:
        memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        text = configuration(
            self._secrets.postgres_port, self._cluster_name, durable=self._durable, memory_bytes=memory_bytes
        )
        text = f"# Written at every start; put changes into postgresql.auto.conf (ALTER SYSTEM).\n{text}"
        owner = None if self._account is None else self._account.owner
        replace_file(self.data / "postgresql.conf", text, mode=0o600, owner=owner)

    def _check_version(self, programs: Path) -> None:
        made_with = (self.data / "PG_VERSION").read_text().strip()
        found = processes.run([str(programs / "postgres"), "--version"], self._account).stdout
        if f" {made_with}." not in found:
            raise EmbeddedError(
                f"the cluster in {self.data} was made by PostgreSQL {made_with}, but this machine has {found.strip()}; "
                f"set GASWARDEN_PG_BIN to the old version's programs, or move the directory away to start afresh"
            )

    def _end_orphans(self) -> None:
        """Wait for the children of a killed server: they hold its shared memory until they notice."""
        tokens = [str(self.data), self._cluster_name]
        if processes.wait_until(lambda: not processes.find("postgres", tokens), 5.0):
            return
        for pid in processes.find("postgres", tokens):
            processes.send(pid, signal.SIGKILL)
        if not processes.wait_until(lambda: not processes.find("postgres", tokens), 5.0):
            raise EmbeddedError(f"processes of a killed PostgreSQL still use {self.data}")

    def _forget_stale_pid(self) -> None:
        """Drop the pid file of a dead server: after a reboot its number may be somebody else's."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _adopt_port(self) -> None:
        """A server that outlived its program runs on the port it wrote down (line 4 of its pid file)."""
        self._secrets.postgres_port = int((self.data / "postmaster.pid").read_text().split("\n")[3])

    def _wait_ready(self, timeout_s: float) -> None:
        from app.embedded.roles import refusal  # noqa: PLC0415 - who asks for an address only does without a driver

        problem = ""

        def settled() -> bool:
            nonlocal problem
            problem = refusal(self.url(SUPERUSER, "postgres"))
            return not problem or self._reap() or "password authentication failed" in problem

        if not processes.wait_until(settled, timeout_s) or problem:
            raise EmbeddedError(f"PostgreSQL did not start: {problem}\n--- {self.log}\n{processes.log_tail(self.log)}")

    def _ensure_roles(self) -> None:
        """Two roles and one database, with the passwords we know."""
        from app.embedded.roles import ensure_roles  # noqa: PLC0415 - as above

        passwords = {OWNER: self._secrets.owner_password, APPLICATION: self._secrets.app_password}
        ensure_roles(self.url(SUPERUSER, "postgres"), DATABASE, passwords)

    def _forget_child(self) -> None:
        """Take leave of a child that is ending: it may be past its last breath and not yet to be reaped."""
        if self._child is not None:
            self._child.wait(10.0)
            self._child = None

    def _reap(self) -> bool:
        """True when the server was our child and has ended."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
            return True
        return False
