"""Accounts of gateways at a broker that is not ours: files of a Mosquitto, commands for a RabbitMQ.

A gateway signs in by its code, publishes under its own name only and hears its own commands, at either broker. Its MQTT
client id is its code as well, so that no gateway can take over a session that is not its own.
"""

import base64
import hashlib
import os
import re
import secrets as random_source
import shlex
import signal
import stat
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path

from app.embedded import processes
from app.embedded.mosquitto import account_line
from app.embedded.secrets import replace_file

_KINDS = "(readings|events|status)"
_EXCHANGE = "amq.topic"
# As a host of Sparkplug the workers ask nodes for births, and say that they are there (docs/formats.md). RabbitMQ
# exchanges '.' and '/': the topic spBv1.0/STATE/gaswarden is the routing key spBv1/0.STATE.gaswarden.
_SPARKPLUG_HOST = r"^spBv1/0\.([^.]+\.NCMD\.[^.]+|STATE\.[^.]+)$"


class AccountFileError(Exception):
    """An account or access file cannot be used; the message names it and why."""


def set_account(path: Path, name: str, password: str) -> None:
    """Add or renew one line of a Mosquitto password file; other lines, mode and owner stay. Raises AccountFileError."""
    line = account_line(name, password, random_source.token_bytes(12))
    _rewrite(path, [*_others(_lines(path), name), line.rstrip("\n")])


def account_names(path: Path) -> frozenset[str]:
    """The accounts of a Mosquitto password file."""
    return frozenset(line.split(":", 1)[0] for line in _lines(path) if ":" in line)


def drop_account(path: Path, name: str) -> bool:
    """Take one account out of a Mosquitto password file; tells whether it was there."""
    lines = _lines(path)
    kept = _others(lines, name)
    if len(kept) == len(lines):
        return False
    _rewrite(path, kept)
    return True


def set_access(path: Path, name: str) -> None:
    """Allow one gateway its topics in a Mosquitto access file; the lines of others stay. Raises AccountFileError."""
    kept = _without_block(_lines(path), name)
    _rewrite(path, [*kept, f"user {name}", *(f"topic {one}" for one in gateway_topics(name)), ""])


def drop_access(path: Path, name: str) -> bool:
    """Take one gateway's block out of a Mosquitto access file; tells whether it was there."""
    lines = _lines(path)
    kept = _without_block(lines, name)
    if len(kept) == len(lines):
        return False
    _rewrite(path, kept)
    return True


def gateway_topics(name: str) -> list[str]:
    """Access rules of one gateway, as Mosquitto writes them after `topic`."""
    written = [f"write gas/v1/+/{name}/{kind}" for kind in ("readings", "events", "status")]
    return [*written, f"read gas/v1/+/{name}/commands"]


def reload_broker(pid_file: Path) -> None:
    """Have the Mosquitto of a pid file read its files again (SIGHUP). Raises AccountFileError."""
    try:
        os.kill(int(pid_file.read_text().strip()), signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise AccountFileError(f"{pid_file}: {error}") from None


@dataclass(frozen=True, slots=True)
class Call:
    """One call of rabbitmqctl. It holds a salted digest, never a password: lists of processes show it to everybody."""

    words: tuple[str, ...]

    def shown(self) -> str:
        """The call as a line for a shell."""
        return shlex.join(self.words)

    def run(self) -> None:
        """Do it here. Raises EmbeddedError with what rabbitmqctl said."""
        processes.run([processes.find_program(self.words[0]), *self.words[1:]], None)


def rabbitmq_digest(password: str, salt: bytes) -> str:
    """A password as RabbitMQ keeps it: four bytes of salt, then the SHA-256 of salt and password, in base 64."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def rabbitmq_gateway(name: str, password: str, vhost: str = "/") -> list[Call]:
    """Calls that make one gateway's account; its MQTT client id must be its code."""
    word = re.escape(name)
    own = re.escape(name.replace(".", "/"))  # the MQTT plugin exchanges '.' and '/' between topic and routing key
    written, heard = f"^gas\\.v1\\.[^.]+\\.{own}\\.{_KINDS}$", f"^gas\\.v1\\.[^.]+\\.{own}\\.commands$"
    return _rabbitmq_account(name, password, vhost, f"mqtt-subscription-{word}qos[01]", written, heard)


def rabbitmq_worker(name: str, password: str, vhost: str = "/") -> list[Call]:
    """Calls that make the account of the ingest workers: sessions of their own, deaf to what gateways are told."""
    session = "mqtt-subscription-gaswarden-ingest-[A-Za-z0-9_-]+qos[01]"
    return _rabbitmq_account(name, password, vhost, session, _SPARKPLUG_HOST, r"^(?!gas\.v1\..*\.commands$).*")


def rabbitmq_password(name: str, password: str, vhost: str = "/") -> list[Call]:
    """Calls that make the account anew with another password; its session stays (change_password takes no digest)."""
    return [Call(("rabbitmqctl", "delete_user", name)), *rabbitmq_gateway(name, password, vhost)]


def rabbitmq_end(name: str) -> list[Call]:
    """The calls that end an account and the connections it has."""
    reason = "the account was revoked"
    return [
        Call(("rabbitmqctl", "delete_user", name)),
        Call(("rabbitmqctl", "close_all_user_connections", name, reason)),
    ]


def _rabbitmq_account(name: str, password: str, vhost: str, session: str, written: str, heard: str) -> list[Call]:
    digest = rabbitmq_digest(password, random_source.token_bytes(4))
    use = f"^(amq\\.topic|{session})$"
    return [
        Call(("rabbitmqctl", "add_user", name, digest, "--pre-hashed-password")),
        Call(("rabbitmqctl", "set_permissions", "-p", vhost, name, f"^{session}$", use, use)),
        Call(("rabbitmqctl", "set_topic_permissions", "-p", vhost, name, _EXCHANGE, written, heard)),
    ]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines() if path.exists() else []
    except OSError as error:
        raise AccountFileError(str(error)) from None


def _others(lines: list[str], name: str) -> list[str]:
    return [line for line in lines if line.split(":", 1)[0] != name]


def _without_block(lines: list[str], name: str) -> list[str]:
    """The lines but those from `user NAME` to the next block; general rules before the first block are kept.

    A remark among a block's rules is the block's; one that stands before the next block, or at the end, is that one's.
    """
    kept: list[str] = []
    remarks: list[str] = []
    inside = False
    for line in lines:
        words = line.split()
        if words and words[0] in {"user", "pattern"}:
            kept += remarks if not kept or kept[-1].strip() else _without_leading_blanks(remarks)
            remarks = []
            inside = words == ["user", name]
        if inside and (not words or words[0].startswith("#")):
            remarks.append(line)
        elif inside:
            remarks = []
        else:
            kept.append(line)
    return kept + [line for line in remarks if line.strip()]


def _without_leading_blanks(lines: list[str]) -> list[str]:
    return list(dropwhile(lambda line: not line.strip(), lines))


def _rewrite(path: Path, lines: list[str]) -> None:
    """Replace a file whole, with the mode and the owner it had; a new one is for its owner only."""
    try:
        mode, owner = 0o600, None
        if path.exists():
            found = path.stat()
            mode, owner = stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
        replace_file(path, "\n".join(lines) + "\n", mode=mode, owner=owner)
    except OSError as error:
        raise AccountFileError(str(error)) from None
