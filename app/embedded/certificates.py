"""A certificate authority of our own: for the broker's TLS port, and for gateways that prove who they are.

Made with the openssl command: the keys never leave the directory but for the one file that a gateway is given.
"""

import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from app.embedded import processes
from app.embedded.errors import EmbeddedError

_AUTHORITY_DAYS = 3650
_CERTIFICATE_DAYS = 825
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """`ca.crt` and `ca.key` of one directory, and what they sign; made when first asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.certificate = directory / "ca.crt"
        self._key = directory / "ca.key"

    def prepare(self) -> None:
        """Make the authority unless it is there. Raises EmbeddedError when openssl is missing or fails."""
        if self.certificate.exists() and self._key.exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        extensions = [
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]
        self._openssl(
            "req", "-x509", *_CURVE, "-keyout", str(self._key), "-out", str(self.certificate),
            "-days", str(_AUTHORITY_DAYS), "-subj", "/CN=Gaswarden authority", *extensions,
        )  # fmt: skip

    def server(self, hosts: Sequence[str]) -> tuple[Path, Path]:
        """(certificate, key) of a server that is reached under these names and addresses; made when it is not there."""
        alternatives = ",".join(f"{'IP' if _is_address(host) else 'DNS'}:{host}" for host in hosts)
        return self._issue("server", hosts[0], f"subjectAltName={alternatives}", "serverAuth")

    def client(self, name: str) -> tuple[Path, Path]:
        """(certificate, key) of a client whose common name is its account; a second call gives the same."""
        return self._issue(f"client-{name}", name, f"subjectAltName=DNS:{name}", "clientAuth")

    def forget_client(self, name: str) -> None:
        """Delete a client's files, so that the next call of `client` makes new ones."""
        for kind in ("crt", "key"):
            (self.directory / f"client-{name}.{kind}").unlink(missing_ok=True)

    def _issue(self, stem: str, common_name: str, alternatives: str, usage: str) -> tuple[Path, Path]:
        certificate, key = self.directory / f"{stem}.crt", self.directory / f"{stem}.key"
        if certificate.exists() and key.exists():
            return certificate, key
        self.prepare()
        request, extensions = self.directory / f"{stem}.csr", self.directory / f"{stem}.ext"
        extensions.write_text(f"basicConstraints=CA:FALSE\n{alternatives}\nextendedKeyUsage={usage}\n")
        self._openssl("req", *_CURVE, "-keyout", str(key), "-out", str(request), "-subj", f"/CN={common_name}")
        self._openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.certificate), "-CAkey", str(self._key),
            "-set_serial", f"0x{os.urandom(16).hex()}", "-out", str(certificate), "-days", str(_CERTIFICATE_DAYS),
            "-sha256", "-extfile", str(extensions),
        )  # fmt: skip
        request.unlink()
        extensions.unlink()
        return certificate, key

    @staticmethod
    def _openssl(*words: str) -> None:
        processes.run([processes.find_program("openssl"), *words], None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def read_pair(pair: tuple[Path, Path]) -> str:
    """A certificate and its key as one PEM text. Raises EmbeddedError when they cannot be read."""
    try:
        return "".join(path.read_text() for path in pair)
    except OSError as error:
        raise EmbeddedError(str(error)) from None
