"""Ports and passwords of the embedded servers: made once, kept across starts in one file only its owner may read."""

import base64
import json
import os
import re
import secrets
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from app.dossier.keys import new_signing_key
from app.embedded.errors import EmbeddedError

INGEST_ACCOUNT = "ingest"
COMMANDS_ACCOUNT = "commands"
_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def new_password() -> str:
    """A password of 192 random bits, safe in URLs, files and shells."""
    return secrets.token_hex(24)


def new_key() -> str:
    """A key of 256 random bits in URL-safe base64, as Fernet takes it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(slots=True)
class Secrets:
    """What the servers of one directory were set up with; `gateways` maps gateway id to its password.

    An empty password means that the account was ended.
    """

    postgres_port: int = 0  # 0: chosen at the first start
    mosquitto_port: int = 0
    mosquitto_tls_port: int = 0
    tls: bool = False  # whether the broker also listens with TLS ...
    client_certificates: bool = False  # ... and takes there only clients whose certificate names their account
    plain: bool = True  # whether the port without TLS is open
    superuser_password: str = field(default_factory=new_password, repr=False)
    owner_password: str = field(default_factory=new_password, repr=False)
    app_password: str = field(default_factory=new_password, repr=False)
    ingest_password: str = field(default_factory=new_password, repr=False)
    commands_password: str = field(default_factory=new_password, repr=False)
    contact_key: str = field(default_factory=new_key, repr=False)  # seals the addresses of contacts
    dossier_key: str = field(default_factory=new_signing_key, repr=False)  # signs dossiers
    gateways: dict[str, str] = field(default_factory=dict, repr=False)


def checked_gateway_name(name: str) -> str:
    """Return a gateway id that may be a user name and a topic level; raises EmbeddedError on any other."""
    if not _ACCOUNT_NAME.fullmatch(name) or name in {INGEST_ACCOUNT, COMMANDS_ACCOUNT}:
        raise EmbeddedError(f"{name!r} cannot be a gateway's account: letters, digits, '.', '_', '-', at most 64")
    return name


def dump(kept: Secrets) -> str:
    """Secrets as TOML."""
    lines = ["# Ports and passwords of the embedded servers. Keep it: the database cluster knows these passwords only."]
    lines += [f"{name} = {_quoted(getattr(kept, name))}" for name in sorted(Secrets.__slots__) if name != "gateways"]
    lines += ["", "[gateways]"]
    lines += [f"{_quoted(name)} = {_quoted(password)}" for name, password in kept.gateways.items()]
    return "\n".join(lines) + "\n"


def _quoted(value: str | int) -> str:
    return json.dumps(value, ensure_ascii=False)


def parse(text: str) -> Secrets:
    """Secrets from TOML; raises EmbeddedError on anything that `dump` did not write."""
    try:
        return Secrets(**tomllib.loads(text))
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise EmbeddedError(f"the secrets file of the embedded servers cannot be read: {error}") from error


def load(path: Path) -> Secrets | None:
    """Read the file, or None when there is none yet."""
    return parse(path.read_text("utf-8")) if path.exists() else None


def complete(path: Path, kept: Secrets) -> None:
    """Keep the secrets that a file of an older version lacks and that were made when it was read."""
    if dump(kept) != path.read_text("utf-8"):
        save(path, kept)


def save(path: Path, kept: Secrets) -> None:
    """Replace the file at once, readable by its owner only."""
    replace_file(path, dump(kept), mode=0o600)


def replace_file(path: Path, text: str, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Write a file whole or not at all; `owner` is (uid, gid) when it shall not be ours."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        if owner is not None:
            os.fchown(descriptor, *owner)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
