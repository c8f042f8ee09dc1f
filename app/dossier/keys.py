"""The Ed25519 key that signs dossiers: a setting, made at set-up for embedded servers; its public half goes out."""

import base64
import binascii

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from sql.errors import Conflict


class NoKey(Exception):
    """A file holds no public Ed25519 key."""


class DossierParams(BaseModel):
    """What signs dossiers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    signing_key: SecretStr | None = Field(
        None, description="Key that signs dossiers (`gaswarden dossier new-key`); unset: no dossier is made."
    )
    evidence_bytes_max: int = Field(
        268_435_456,
        ge=0,
        le=1_073_741_824,
        description="Most bytes of evidence in one dossier; what does not fit is named as left out.",
    )

    @field_validator("signing_key")
    @classmethod
    def _readable(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            _private(key.get_secret_value())
        return key

    def key(self) -> Ed25519PrivateKey:
        """The key; raises Conflict when none is set."""
        if self.signing_key is None:
            raise Conflict(
                "no dossier is made without a key: make one with `gaswarden dossier new-key` and "
                "set GASWARDEN_DOSSIER__SIGNING_KEY"
            )
        return _private(self.signing_key.get_secret_value())


def _private(text: str) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise ValueError("is no key: make one with `gaswarden dossier new-key`") from None


def new_signing_key() -> str:
    """A new key as the setting takes it: 32 random bytes in base64."""
    return base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public half, for whoever verifies."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public(pem: bytes) -> Ed25519PublicKey:
    """A public key from PEM; raises NoKey."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise NoKey("the file holds no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise NoKey("the file holds a public key that is not Ed25519")
    return key
