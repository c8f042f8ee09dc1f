"""A private Mosquitto: its configuration, its accounts, its life."""

import base64
import hashlib
import re
import secrets as random_source
import signal
import socket
import ssl
import subprocess
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

from app.embedded import processes
from app.embedded.certificates import Authority
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

# The ingest workers hear everything but what is said to gateways: other formats have topics of their own. As a host of
# Sparkplug they ask nodes for births, and say that they are there.
user {INGEST_ACCOUNT}
topic deny gas/v1/+/+/commands
topic read #
topic write spBv1.0/+/NCMD/+
topic write spBv1.0/STATE/+

# The dispatcher of commands speaks to gateways, and hears nothing.
user {COMMANDS_ACCOUNT}
topic write gas/v1/+/+/commands
"""


def listeners(directory: Path, kept: Secrets) -> str:
    """The ports of mosquitto.conf: with TLS, without, or both; raises EmbeddedError when none is left.

    On the TLS port a client's id is its account's name, whatever it says, so that no gateway can take over the session
    of another or of a worker. With TLS only, the workers come in there too, several under one account, and it is not.
    """
    if not kept.plain and not kept.tls:
        raise EmbeddedError("the embedded Mosquitto has neither a plain nor a TLS port")
    text = f"listener {kept.mosquitto_port} {HOST}\n" if kept.plain else ""
    if kept.tls:
        text += f"""\
listener {kept.mosquitto_tls_port} {HOST}
cafile {directory}/ca.crt
certfile {directory}/server.crt
keyfile {directory}/server.key
tls_version tlsv1.2
use_username_as_clientid {str(kept.plain).lower()}
"""
        if kept.client_certificates:
            text += "require_certificate true\nuse_identity_as_username true\n"
    return text


def configuration(directory: Path, ports: str) -> str:
    """mosquitto.conf for a broker that loses as little as Mosquitto can.

    Its defaults lose data: at most 1000 queued and 20 in-flight messages, nothing on disk. Here a queue is bounded
    by bytes alone (when they are used up it drops, and tells MQTT 5 publishers). What remains is that persistence is
    a snapshot: killed with -9 or without power, the broker loses what it acknowledged since the last one; a clean stop
    loses nothing. A snapshot holds the broker up while it is written: measured on two cores, 60 to 85 ms for 100,000
    waiting messages (45 MB), nothing worth naming when none wait. Taken every 1000 changes instead of by time, it
    made publishing those messages four times slower (2.1 s against 0.5 s). Hence by time, every two seconds.
    """
    return f"""\
{ports}allow_anonymous false
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


def may_sign_in(port: int, user: str, password: str, timeout_s: float = 2.0, tls: ssl.SSLContext | None = None) -> bool:
    """Whether the broker answers and accepts the account right now."""
    try:
        with ExitStack() as open_links:
            link = open_links.enter_context(socket.create_connection((HOST, port), timeout_s))
            if tls is not None:
                link = open_links.enter_context(tls.wrap_socket(link, server_hostname=HOST))
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
        self.authority = Authority(directory / "certificates")

    @property
    def url(self) -> str:
        """Connection URL of the ingest account."""
        return self._url(INGEST_ACCOUNT, self._secrets.ingest_password)

    @property
    def commands_url(self) -> str:
        """Connection URL of the account that may speak to gateways."""
        return self._url(COMMANDS_ACCOUNT, self._secrets.commands_password)

    def _url(self, name: str, password: str) -> str:
        kept = self._secrets
        if kept.plain:
            return f"mqtt://{name}:{password}@{HOST}:{kept.mosquitto_port}"
        files = {"ca_file": str(self.authority.certificate)}
        if kept.client_certificates:
            certificate, key = self.authority.client(name)
            files |= {"certificate_file": str(certificate), "key_file": str(key)}
        return f"mqtts://{name}:{password}@{HOST}:{kept.mosquitto_tls_port}?{urlencode(files)}"

    def start(self, timeout_s: float = 30.0) -> None:
        """Start the broker unless it runs, and wait until the ingest account can sign in.

        Raises EmbeddedError with the end of the broker's log.
        """
        program = processes.find_program("mosquitto")
        self.write_accounts()
        self._reap()
        if self.pid() is None:
            self._choose_ports()
            ports = listeners(self.directory, self._secrets)
            self._write("mosquitto.conf", configuration(self.directory, ports))
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

    @property
    def alive(self) -> bool:
        """Whether the broker runs; one that was our child and died is taken leave of."""
        self._reap()
        return self.pid() is not None

    def pid(self) -> int | None:
        """The broker's process id, None when it does not run."""
        return next(iter(processes.find("mosquitto", [str(self._configuration)])), None)

    def write_accounts(self) -> None:
        """Write passwords and access rules from the secrets: the services' accounts and every gateway."""
        accounts = {
            INGEST_ACCOUNT: self._secrets.ingest_password,
            COMMANDS_ACCOUNT: self._secrets.commands_password,
            **self._secrets.gateways,
        }
        lines = [
            account_line(name, password, random_source.token_bytes(12))
            for name, password in accounts.items()
            if password
        ]
        self._write("accounts", "".join(lines))
        ended = [f"\nuser {name}\ntopic deny #\n" for name, password in self._secrets.gateways.items() if not password]
        self._write("access", ACCESS_RULES + "".join(ended))

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

    def _choose_ports(self) -> None:
        kept = self._secrets
        kept.mosquitto_port = processes.free_port(kept.mosquitto_port)
        if kept.tls:
            kept.mosquitto_tls_port = processes.free_port(kept.mosquitto_tls_port)
            certificate, key = self.authority.server([HOST, "localhost", socket.gethostname()])
            self._write("ca.crt", self.authority.certificate.read_text())
            self._write("server.crt", certificate.read_text())
            self._write("server.key", key.read_text())

    def _accepts(self, user: str, password: str) -> bool:
        kept = self._secrets
        if kept.plain:
            return may_sign_in(kept.mosquitto_port, user, password)
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if kept.client_certificates:
            context.load_cert_chain(*self.authority.client(user))
        return may_sign_in(kept.mosquitto_tls_port, user, password, tls=context)

    def _adopt_port(self) -> None:
        """A broker that outlived its program runs on the ports of the configuration it was started with."""
        text = self._configuration.read_text()
        ports = re.findall(r"^listener (\d+) \S+\n(cafile )?", text, re.MULTILINE)
        kept = self._secrets
        kept.plain, kept.tls = any(not tls for _, tls in ports), any(tls for _, tls in ports)
        kept.client_certificates = "\nrequire_certificate true" in text
        for port, tls in ports:
            if tls:
                kept.mosquitto_tls_port = int(port)
            else:
                kept.mosquitto_port = int(port)

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
