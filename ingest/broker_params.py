"""The settings of a connection to the broker, and the URL they can be read from."""

from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

_TLS_FILES = ("ca_file", "certificate_file", "key_file")


class BrokerParams(BaseModel):
    """Where the broker is and how a connection to it behaves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hostname: str = Field("127.0.0.1", min_length=1, description="Name or IPv4 address of the broker.")
    port: int = Field(1883, ge=1, le=65_535, description="TCP port of the broker.")
    username: str | None = Field(None, description="Account of the ingest workers.")
    password: SecretStr | None = Field(None, description="Its password.")
    tls: bool = Field(False, description="Whether the port speaks TLS.")
    ca_file: str | None = Field(None, description="Certificates to trust instead of the system's.")
    certificate_file: str | None = Field(None, description="Our own certificate, where the broker asks for one.")
    key_file: str | None = Field(None, description="Its key; unset: in the same file.")
    connect_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Limit for reaching the port, and for the handshake."
    )
    subscribe_timeout_s: float = Field(
        30.0, gt=0, le=600, description="Limit for a subscription's answer, which comes after thousands that waited."
    )
    keep_alive_s: int = Field(15, ge=1, le=600, description="A silent broker is given up after 1.5 times this long.")
    session_expiry_s: int = Field(
        7 * 86_400, ge=60, le=2**32 - 2, description="The broker keeps messages for an absent worker this long."
    )
    receive_maximum: int = Field(
        10_000,
        ge=1,
        le=65_535,
        description="Messages delivered and not yet acknowledged, at most: the in-flight bound.",
    )
    retry_min_s: float = Field(0.2, gt=0, le=60, description="First pause after a lost connection.")
    retry_max_s: float = Field(10.0, gt=0, le=600, description="Longest pause between attempts.")

    @classmethod
    def from_url(cls, url: str, **others: object) -> Self:
        """Parameters from `mqtt://user:password@host:port` or `mqtts://`; raises ValueError on another scheme.

        The files of TLS may follow as a query: `?ca_file=PATH&certificate_file=PATH&key_file=PATH`.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
            raise ValueError("MQTT_URL must look like mqtt://user:password@host:1883 (or mqtts://)")
        tls = parts.scheme == "mqtts"
        found: dict[str, object] = {
            "hostname": parts.hostname,
            "port": parts.port or (8883 if tls else 1883),
            "tls": tls,
        }
        if parts.username:
            found["username"] = unquote(parts.username)
        if parts.password:
            found["password"] = unquote(parts.password)
        found |= {name: value for name, value in parse_qsl(parts.query) if name in _TLS_FILES}
        return cls.model_validate(found | others)
