"""Seals the addresses of contacts: they hold passwords and tokens, so the database keeps them encrypted."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

from rules.notices.model import NotOpened
from sql.errors import Conflict


def new_key() -> str:
    """A key of 256 random bits."""
    return Fernet.generate_key().decode()


class Seal:
    """Seals with the first key, opens with any: a new key goes in front until every address is sealed anew."""

    def __init__(self, keys: SecretStr | None) -> None:
        words = keys.get_secret_value().split(",") if keys else []
        self._keys = MultiFernet([Fernet(word.strip()) for word in words]) if words else None

    def seal(self, address: str) -> bytes:
        """An address, encrypted and authenticated; raises Conflict while no key is set."""
        if self._keys is None:
            raise Conflict(
                "no key to seal addresses with: make one with `gaswarden contact new-key` and set "
                "GASWARDEN_NOTICES__CONTACT_KEY"
            )
        return self._keys.encrypt(address.encode())

    def open(self, sealed: bytes) -> str:
        """The address; raises NotOpened."""
        if self._keys is None:
            raise NotOpened("its address is sealed, and no key is set (GASWARDEN_NOTICES__CONTACT_KEY)")
        try:
            return self._keys.decrypt(sealed).decode()
        except InvalidToken:
            raise NotOpened("its address was sealed with another key") from None
