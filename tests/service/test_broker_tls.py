"""The embedded broker's TLS port: who is let in, under which name, and what a client certificate is worth."""

import ssl
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import create_connection
from urllib.parse import quote_plus

import pytest

from app.embedded import EmbeddedError, EmbeddedServers
from app.embedded.certificates import Authority
from app.embedded.processes import wait_until
from ingest.broker_params import BrokerParams
from ingest.client import ConnectionLost, connect
from tests.publisher import _length, _text
from tests.servers import throwaway_servers

_NOT_AUTHORIZED = 0x87


@pytest.fixture
def servers() -> Iterator[EmbeddedServers]:
    with throwaway_servers(postgres=False) as started:
        yield started


def _restart(servers: EmbeddedServers, *, certificates: bool = False, plain: bool = True) -> None:
    servers.mosquitto.stop()
    servers.set_listeners(tls=True, client_certificates=certificates, plain=plain)
    servers.mosquitto.start()


class Link:
    """One MQTT 5 connection over TLS; `publish` tells the reason code of the broker's answer."""

    def __init__(
        self, servers: EmbeddedServers, account: tuple[str, str], pair: tuple[Path, Path] | None, client_id: str = ""
    ) -> None:
        context = ssl.create_default_context(cafile=servers.mosquitto.authority.certificate)
        if pair is not None:
            context.load_cert_chain(*pair)
        assert servers.mqtt_tls_port is not None
        plain = create_connection((servers.mqtt_host, servers.mqtt_tls_port), 5)
        self._link = context.wrap_socket(plain, server_hostname=servers.mqtt_host)
        body = _text("MQTT") + bytes([5, 0b1100_0010]) + struct.pack(">H", 0) + b"\0"
        body += _text(client_id or account[0]) + _text(account[0]) + _text(account[1])
        try:
            self._link.sendall(b"\x10" + _length(len(body)) + body)
            self.answer = self._packet()[1]
        except (OSError, EOFError):
            self._link.close()
            raise

    def publish(self, topic: str) -> int:
        body = _text(topic) + struct.pack(">H", 1) + b"\0" + b"{}"
        self._link.sendall(b"\x32" + _length(len(body)) + body)
        kind, body = self._packet()
        assert kind == 0x40
        return body[2] if len(body) > 2 else 0

    def is_open(self) -> bool:
        self._link.settimeout(2)
        try:
            self._link.sendall(b"\xc0\0")
            return self._packet()[0] == 0xD0
        except (OSError, EOFError):
            return False

    def close(self) -> None:
        self._link.close()

    def _packet(self) -> tuple[int, bytes]:
        head = self._exactly(2)
        return head[0], self._exactly(head[1])

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            if not (more := self._link.recv(size - len(data))):
                raise EOFError
            data += more
        return data


async def _signs_in(url: str) -> None:
    async with connect(BrokerParams.from_url(url), "gaswarden-ingest-0"):
        pass


async def test_a_worker_trusts_our_authority_and_no_other(servers: EmbeddedServers, tmp_path: Path) -> None:
    """With our CA the worker connects; with another's, or with a file that is not there, it does not and says why."""
    _restart(servers, plain=False)
    assert servers.mqtt_url.startswith("mqtts://")
    await _signs_in(servers.mqtt_url)
    other = Authority(tmp_path / "other")
    other.prepare()
    mine = str(servers.mosquitto.authority.certificate)
    with pytest.raises(ConnectionLost, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
        await _signs_in(_with_authority(servers.mqtt_url, mine, str(other.certificate)))
    with pytest.raises(ConnectionLost, match="No such file"):
        await _signs_in(_with_authority(servers.mqtt_url, mine, str(tmp_path / "absent.crt")))


def _with_authority(url: str, old: str, new: str) -> str:
    return url.replace(quote_plus(old), quote_plus(new))


async def test_the_plain_port_is_shut_when_told_so(servers: EmbeddedServers) -> None:
    """After `plain=False` nobody listens on the old port any more; without TLS beside it, that is refused."""
    port = servers.mqtt_port
    _restart(servers, plain=False)
    with pytest.raises(ConnectionRefusedError):
        create_connection((servers.mqtt_host, port), 2)
    with pytest.raises(EmbeddedError, match="no port"):
        servers.set_listeners(tls=False, plain=False)


def test_a_certificate_names_the_gateway_whatever_it_says(servers: EmbeddedServers) -> None:
    """Gateway A with its certificate and B's name and password publishes as A: B's topics are closed to it."""
    passwords = servers.add_gateways(["A", "B"])
    _restart(servers, certificates=True)
    with closing(Link(servers, ("B", passwords["B"]), servers.gateway_certificate("A"))) as link:
        assert link.publish("gas/v1/D01/A/readings") != _NOT_AUTHORIZED
        assert link.publish("gas/v1/D01/B/readings") == _NOT_AUTHORIZED


def test_without_a_certificate_of_ours_nobody_comes_in(servers: EmbeddedServers, tmp_path: Path) -> None:
    """No certificate, or one of another authority: the connection ends, even with the right password."""
    passwords = servers.add_gateways(["A"])
    _restart(servers, certificates=True)
    for pair in (None, Authority(tmp_path / "other").client("A")):
        with pytest.raises((ssl.SSLError, OSError, EOFError)):
            Link(servers, ("A", passwords["A"]), pair)


def test_a_gateway_cannot_push_another_session_out(servers: EmbeddedServers) -> None:
    """On the TLS port the client id is the account: one who says he is somebody else's client does not end that one."""
    passwords = servers.add_gateways(["A", "B"])
    _restart(servers)
    with (
        closing(Link(servers, ("B", passwords["B"]), None, "B")) as victim,
        closing(Link(servers, ("A", passwords["A"]), None, "B")) as intruder,
    ):
        assert intruder.is_open()
        assert victim.is_open()


def test_an_ended_account_is_out_at_once(servers: EmbeddedServers) -> None:
    """A revoked password ends the connection it opened; a revoked gateway's certificate may say nothing any more."""
    passwords = servers.add_gateways(["A"])
    _restart(servers)
    with closing(Link(servers, ("A", passwords["A"]), None)) as link:
        assert link.is_open()
        assert servers.drop_gateway("A")
        assert wait_until(lambda: not link.is_open(), 5.0)
    assert not servers.drop_gateway("A")
    servers.add_gateways(["A"])
    _restart(servers, certificates=True)
    with closing(Link(servers, ("A", ""), servers.gateway_certificate("A"))) as link:
        assert link.publish("gas/v1/D01/A/readings") != _NOT_AUTHORIZED
    servers.drop_gateway("A")
    servers.mosquitto.stop()
    servers.mosquitto.start()
    with closing(Link(servers, ("A", ""), servers.gateway_certificate("A"))) as link:
        assert link.publish("gas/v1/D01/A/readings") == _NOT_AUTHORIZED
