"""The embedded servers of one directory as one thing: opened, started, given accounts, stopped, destroyed."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from app.embedded import mosquitto, postgres, secrets
from app.embedded.errors import EmbeddedError
from app.embedded.processes import Account, can_enter, make_directory, server_account

_FALLBACK = Path("/var/lib/gaswarden")


def default_directory() -> Path:
    """Where the servers of this clone live: GASWARDEN_VAR, else var/ beside the packages."""
    return Path(os.environ.get("GASWARDEN_VAR") or Path(__file__).parents[2] / "var").absolute()


def server_directory(directory: Path, account: Account | None, fallback: Path = _FALLBACK) -> Path:
    """Where the servers' own files go: the directory, or one that their unprivileged account can reach."""
    if can_enter(account, directory):
        return directory
    return fallback / sha256(str(directory).encode()).hexdigest()[:16]


class EmbeddedServers:
    """A private PostgreSQL with TimescaleDB and a private Mosquitto, on loopback ports of their own.

    One program at a time starts and stops them (a lock says so); others may open them to learn the addresses.
    A program that dies leaves them running, and the next start takes them over.
    """

    def __init__(
        self,
        directory: Path,
        kept: secrets.Secrets,
        account: Account | None,
        *,
        durable: bool,
        parts: tuple[bool, bool],
    ) -> None:
        self.directory = directory
        self.servers_directory = server_directory(directory, account)
        self._secrets = kept
        self._account = account
        self._lock: TextIO | None = None
        self._wants_postgres, self._wants_mosquitto = parts
        self._logs = directory / "log"
        self.postgres = postgres.PostgresCluster(self.servers_directory, self._logs, kept, account, durable=durable)
        self.mosquitto = mosquitto.MosquittoBroker(self.servers_directory, self._logs, kept, account)

    @classmethod
    def open(
        cls, directory: Path | None = None, *, durable: bool = True, postgres: bool = True, mosquitto: bool = True
    ) -> Self:
        """Open the servers of a directory (default: this clone's), making passwords the first time.

        Nothing is started. `durable=False` is for tests. Raises EmbeddedError when the directory's cluster is there
        but its passwords are not.
        """
        directory = (directory or default_directory()).absolute()
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "secrets.toml"
        kept = secrets.load(path)
        servers = cls(
            directory, kept or secrets.Secrets(), server_account(), durable=durable, parts=(postgres, mosquitto)
        )
        if kept is None:
            if servers.postgres.exists:
                raise EmbeddedError(
                    f"{path} is missing, and with it the passwords of the cluster in {servers.postgres.data}; "
                    f"bring it back, or move the cluster away to start afresh"
                )
            secrets.save(path, servers._secrets)
        else:
            secrets.complete(path, kept)
        return servers

    @property
    def moved(self) -> bool:
        """Whether the servers' files are elsewhere, because their account cannot reach the directory."""
        return self.servers_directory != self.directory

    @property
    def database_url(self) -> str:
        """For the services: the role that may only do what sql/grants.sql grants."""
        return self.postgres.url(postgres.APPLICATION)

    @property
    def admin_database_url(self) -> str:
        """For migrations and administration: the role that owns the database."""
        return self.postgres.url(postgres.OWNER)

    @property
    def superuser_database_url(self) -> str:
        """For making databases (tests, restores); no service uses it."""
        return self.postgres.url(postgres.SUPERUSER, "postgres")

    @property
    def mqtt_url(self) -> str:
        """For the ingest workers: the account that may read every gateway's topics."""
        return self.mosquitto.url

    @property
    def commands_mqtt_url(self) -> str:
        """For the dispatcher of commands: the account that may write what gateways hear, and nothing else."""
        return self.mosquitto.commands_url

    @property
    def contact_key(self) -> str:
        """What seals the addresses of contacts."""
        return self._secrets.contact_key

    @property
    def dossier_key(self) -> str:
        """What signs dossiers."""
        return self._secrets.dossier_key

    @property
    def notices_directory(self) -> Path:
        """Where contacts local://NAME write."""
        return self.directory / "notices"

    @property
    def evidence_directory(self) -> Path:
        """Where photos of visits are kept, wherever the program is started from."""
        return self.directory / "evidence"

    def set_listeners(self, *, tls: bool, client_certificates: bool = False, plain: bool = True) -> None:
        """Which ports the broker has from its next start on: with TLS, with required client certificates, without TLS.

        Raises EmbeddedError when none would be left.
        """
        if not plain and not tls:
            raise EmbeddedError("the broker would have no port: leave the plain one open or add TLS")
        kept = self._secrets
        kept.tls, kept.client_certificates, kept.plain = tls, tls and client_certificates, plain
        self._save()

    @property
    def mqtt_tls_port(self) -> int | None:
        """The broker's port with TLS; None when it has none."""
        return self._secrets.mosquitto_tls_port if self._secrets.tls else None

    def gateway_certificate(self, name: str, *, renew: bool = False) -> tuple[Path, Path]:
        """(certificate, key) by which a gateway proves who it is; made when there is none, or when asked to renew."""
        name = secrets.checked_gateway_name(name)
        if renew:
            self.mosquitto.authority.forget_client(name)
        return self.mosquitto.authority.client(name)

    def drop_gateway(self, name: str) -> bool:
        """End a gateway's account at once; tells whether it had one.

        Its password is refused and its connection ended; what still comes in by its certificate may neither speak nor
        hear anything.
        """
        if not self._secrets.gateways.get(name):
            return False
        self._secrets.gateways[name] = ""
        self._save()
        self.mosquitto.write_accounts()
        self.mosquitto.reload()
        return True

    @property
    def gateway_accounts(self) -> frozenset[str]:
        """The gateways that have an account."""
        return frozenset(name for name, password in self._secrets.gateways.items() if password)

    @property
    def mqtt_host(self) -> str:
        """The broker's address."""
        return mosquitto.HOST

    @property
    def mqtt_port(self) -> int:
        """The broker's port; 0 before the first start."""
        return self._secrets.mosquitto_port

    def credentials(self, account: str) -> tuple[str, str]:
        """(user name, password) of a gateway or of "ingest"; raises EmbeddedError for one that was never added."""
        if account == secrets.INGEST_ACCOUNT:
            return account, self._secrets.ingest_password
        if not self._secrets.gateways.get(account):
            raise EmbeddedError(f"gateway {account} has no account at the embedded broker")
        return account, self._secrets.gateways[account]

    def add_gateway(self, name: str) -> str:
        """Give one gateway an account, or a new password; return it."""
        return self.rotate_gateways([name])[name]

    def add_gateways(self, names: Iterable[str]) -> dict[str, str]:
        """Give every gateway an account that has none; return the passwords of all of them."""
        names = list(names)
        missing = [name for name in names if not self._secrets.gateways.get(name)]
        if missing:
            self.rotate_gateways(missing)
        return {name: self._secrets.gateways[name] for name in names}

    def rotate_gateways(self, names: Iterable[str]) -> dict[str, str]:
        """Give every gateway a new password, make a running broker know them, return them."""
        fresh = {secrets.checked_gateway_name(name): secrets.new_password() for name in names}
        if fresh:
            self._secrets.gateways.update(fresh)
            self._save()
            self._make_directories()
            self.mosquitto.write_accounts()
            self.mosquitto.reload()
            self.mosquitto.await_account(next(reversed(fresh)))
        return fresh

    def start(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Start what is not running and wait until both answer; `say` gets a sentence when files had to move.

        Raises EmbeddedError, with the end of the log, when a server does not start or another program runs them.
        """
        with ExitStack() as undo:
            self.hold()
            undo.callback(self._release_lock)
            self._make_directories()
            if self.moved:
                say(f"{self.directory} is closed to the servers' account: their files are in {self.servers_directory}")
            if self._wants_postgres:
                undo.callback(self.postgres.stop)
                self.postgres.start()
            if self._wants_mosquitto:
                undo.callback(self.mosquitto.stop)
                self.mosquitto.start()
            self._save()
            undo.pop_all()

    def dead(self) -> list[str]:
        """The names of the servers that should run and do not."""
        servers = (
            ("PostgreSQL", self._wants_postgres, self.postgres),
            ("Mosquitto", self._wants_mosquitto, self.mosquitto),
        )
        return [name for name, wanted, server in servers if wanted and not server.alive]

    def hold(self) -> None:
        """Keep other programs from running the servers until `stop`; raises EmbeddedError when one does."""
        if self._lock is None:
            self._take_lock()

    def stop(self) -> None:
        """Stop both servers cleanly and let another program have them."""
        with ExitStack() as steps:
            steps.callback(self._release_lock)
            steps.callback(self.postgres.stop)
            steps.callback(self.mosquitto.stop)

    def destroy(self) -> None:
        """Stop the servers and delete everything they had."""
        self.stop()
        shutil.rmtree(self.servers_directory, ignore_errors=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def _make_directories(self) -> None:
        """Ours are the directory, its secrets and its logs; the servers own one directory each."""
        make_directory(self.servers_directory, None, 0o755)
        make_directory(self._logs, None, 0o750)
        make_directory(self.mosquitto.directory, self._account)

    def _save(self) -> None:
        secrets.save(self.directory / "secrets.toml", self._secrets)

    def _take_lock(self) -> None:
        lock = (self.directory / "servers.lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another program"
            lock.close()
            raise EmbeddedError(f"the servers in {self.directory} are already run by process {holder}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            fcntl.flock(self._lock, fcntl.LOCK_UN)  # a child that is just being started may hold a copy of the file
            self._lock.close()
            self._lock = None
