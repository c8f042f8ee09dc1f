"""A private Mosquitto: its configuration, its accounts, its life."""

import base64
import hashlib
import secrets as random_source
import signal
import socket
import subprocess
from pathlib import Path

from app.embedded import processes
from app.embedded.errors import EmbeddedError
from app.embedded.processes import Account
from app.embedded.secrets import COMMANDS_ACCOUNT, INGEST_ACCOUNT, Secrets, replace_file

HOST = "127.0.0.1"
_PBKDF2_ROUNDS = 101  # Mosquitto's own number; our passwords are 192 random bits, so stretching adds nothing
_QUEUE_BUDGET_BYTES = 2_000_000_000  # a day of reports of the whole city while ingest is down
_PACKET_SIZE_MAX_BYTES = 1_048_576
_SAVE_INTERVAL_S = 2

ACCESS_RULES = f"""\
# A gateway signs in by its id and publishes under its own name only, whatever the area; it hears its own commands.
pattern write gas/v1/+/%u/readings
pattern write gas/v1/+/%u/events
pattern write gas/v1/+/%u/status
pattern read gas/v1/+/%u/commands

# The ingest workers hear everything but what is said to gateways.
user {INGEST_ACCOUNT}
topic deny gas/v1/+/+/commands
topic read gas/v1/#

# The dispatcher of commands speaks to gateways, and hears nothing.
user {COMMANDS_ACCOUNT}
topic write gas/v1/+/+/commands
"""


def configuration(directory: Path, port: int) -> str:
    """mosquitto.conf for a broker that loses as little as Mosquitto can.

    Its defaults lose data: at most 1000 queued and 20 in-flight messages, nothing on disk. Here a queue is bounded
    by bytes alone (when they are used up it drops, and tells MQTT 5 publishers). What remains is that persistence is
    a snapshot: killed with -9 or without power, the broker loses what it acknowledged since the last one; a clean stop
    loses nothing. A snapshot holds the broker up while it is written: measured on two cores, 60 to 85 ms for 100,000
    waiting messages (45 MB), nothing worth naming when none wait. Taken every 1000 changes instead of by time, it
    made publishing those messages four times slower (2.1 s against 0.5 s). Hence by time, every two seconds.
    """
    return f"""\
listener {port} {HOST}
allow_anonymous false
password_file {directory}/accounts
acl_file {directory}/access
persistence true
persistence_location {directory}/
autosave_on_changes false
autosave_interval {_SAVE_INTERVAL_S}
persistent_client_expiration 14d
max_queued_messages 0
max_queued_bytes {_QUEUE_BUDGET_BYTES}
max_inflight_messages 0
max_packet_size {_PACKET_SIZE_MAX_BYTES}
upgrade_outgoing_qos true
set_tcp_nodelay true
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information
log_timestamp_format %Y-%m-%dT%H:%M:%S
connection_messages false
"""


def account_line(name: str, password: str, salt: bytes) -> str:
    """One line of the password file, as mosquitto_passwd writes it ($7$: PBKDF2 with SHA-512).

    Made here because mosquitto_passwd takes a process, or a file of plain passwords, for what is one library call.
    """
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _PBKDF2_ROUNDS)
    return f"{name}:$7${_PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n"


def connect_packet(user: str, password: str) -> bytes:
    """An MQTT 3.1.1 CONNECT with a clean session and no client id, to ask whether an account may sign in."""

    def text(value: str) -> bytes:
        encoded = value.encode()
        return len(encoded).to_bytes(2, "big") + encoded

    clean_with_user_and_password = 0b1100_0010
    body = text("MQTT") + bytes([4, clean_with_user_and_password, 0, 10]) + text("") + text(user) + text(password)
    if len(body) > 127:
        return bytes([0x10, len(body) % 128 | 0x80, len(body) // 128]) + body
    return bytes([0x10, len(body)]) + body


def may_sign_in(port: int, user: str, password: str, timeout_s: float = 2.0) -> bool:
    """Whether the broker answers and accepts the account right now."""
    try:
        with socket.create_connection((HOST, port), timeout_s) as link:
            link.sendall(connect_packet(user, password))
            accepted = link.recv(4) == b"\x20\x02\x00\x00"
            link.sendall(b"\xe0\x00")
            return accepted
    except OSError:
        return False


class MosquittoBroker:
    """One broker in `directory/mosquitto`, its log in `logs/mosquitto.log`."""

    def __init__(self, directory: Path, logs: Path, secrets: Secrets, account: Account | None) -> None:
        self.directory = directory / "mosquitto"
        self.log = logs / "mosquitto.log"
        self._configuration = self.directory / "mosquitto.conf"
        self._secrets = secrets
        self._account = account
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Connection URL of the ingest account."""
        return f"mqtt://{INGEST_ACCOUNT}:{self._secrets.ingest_password}@{HOST}:{self._secrets.mosquitto_port}"

    @property
    def commands_url(self) -> str:
        """Connection URL of the account that may speak to gateways."""
        return f"mqtt://{COMMANDS_ACCOUNT}:{self._secrets.commands_password}@{HOST}:{self._secrets.mosquitto_port}"

    def start(self, timeout_s: float = 30.0) -> None:
        """Start the broker unless it runs, and wait until the ingest account can sign in.

        Raises EmbeddedError with the end of the broker's log.
        """
        program = processes.find_program("mosquitto")
        self.write_accounts()
        self._write("access", ACCESS_RULES)
        self._reap()
        if self.pid() is None:
            self._secrets.mosquitto_port = processes.free_port(self._secrets.mosquitto_port)
            self._write("mosquitto.conf", configuration(self.directory, self._secrets.mosquitto_port))
            self._child = processes.start([program, "-c", str(self._configuration)], self._account, self.log)
        else:
            self._adopt_port()
            self.reload()
        ingest = self._secrets.ingest_password
        processes.wait_until(lambda: self._reap() or self._accepts(INGEST_ACCOUNT, ingest), timeout_s)
        if not self._accepts(INGEST_ACCOUNT, ingest):
            raise EmbeddedError(f"Mosquitto did not start\n--- {self.log}\n{processes.log_tail(self.log)}")

    def stop(self, timeout_s: float = 60.0) -> None:
        """Stop; the broker writes its sessions and queues out. Raises EmbeddedError when it does not stop in time."""
        pid = self.pid()
        if pid is not None:
            processes.send(pid, signal.SIGTERM)
            if not processes.wait_until(lambda: self._reap() or self.pid() is None, timeout_s):
                raise EmbeddedError(f"Mosquitto (process {pid}) did not stop in {timeout_s:g} s")
        self._forget_child()

    def kill(self) -> None:
        """End the broker as kill -9 would, for fault drills."""
        pid = self.pid()
        if pid is None:
            raise EmbeddedError("Mosquitto does not run")
        processes.send(pid, signal.SIGKILL)
        processes.wait_until(lambda: self._reap() or self.pid() is None, 10.0)
        self._forget_child()

    def forget(self) -> None:
        """Delete a stopped broker's sessions, queues and retained messages."""
        (self.directory / "mosquitto.db").unlink(missing_ok=True)

    def pid(self) -> int | None:
        """The broker's process id, None when it does not run."""
        return next(iter(processes.find("mosquitto", [str(self._configuration)])), None)

    def write_accounts(self) -> None:
        """Write the password file from the secrets: the services' accounts and every gateway."""
        accounts = {
            INGEST_ACCOUNT: self._secrets.ingest_password,
            COMMANDS_ACCOUNT: self._secrets.commands_password,
            **self._secrets.gateways,
        }
        lines = [account_line(name, password, random_source.token_bytes(12)) for name, password in accounts.items()]
        self._write("accounts", "".join(lines))

    def reload(self) -> None:
        """Have a running broker read its accounts and access rules again; connections stay."""
        pid = self.pid()
        if pid is not None:
            processes.send(pid, signal.SIGHUP)

    def await_account(self, name: str, timeout_s: float = 10.0) -> None:
        """Wait until a running broker knows a gateway's present password."""
        if self.pid() is not None and not processes.wait_until(
            lambda: self._accepts(name, self._secrets.gateways[name]), timeout_s
        ):
            raise EmbeddedError(f"Mosquitto did not take the account {name} over\n{processes.log_tail(self.log)}")

    def _accepts(self, user: str, password: str) -> bool:
        return may_sign_in(self._secrets.mosquitto_port, user, password)

    def _adopt_port(self) -> None:
        """A broker that outlived its program runs on the port of the configuration it was started with."""
        first_line = self._configuration.read_text().split("\n", 1)[0]
        self._secrets.mosquitto_port = int(first_line.split()[1])

    def _write(self, name: str, text: str) -> None:
        owner = None if self._account is None else self._account.owner
        replace_file(self.directory / name, text, mode=0o600, owner=owner)

    def _forget_child(self) -> None:
        """Take leave of a child that is ending: it may be past its last breath and not yet to be reaped."""
        if self._child is not None:
            self._child.wait(10.0)
            self._child = None

    def _reap(self) -> bool:
        """True when the broker was our child and has ended."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
            return True
        return False
