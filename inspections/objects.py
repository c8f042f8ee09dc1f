"""Objects by key in a local folder or in S3, behind one small interface."""

import os
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from inspections.evidence_params import EvidenceParams

# Somebody waits at the door or at a desk: the library's own patience is three minutes.
_CONNECT, _TRANSFER, _RETRY = timedelta(seconds=5), timedelta(seconds=60), timedelta(seconds=10)


def unwritable(params: EvidenceParams) -> Path | None:
    """The local folder if it could not be written; None for one that can be made or written, and for a bucket.

    Nothing is made: whatever is there of the path is asked.
    """
    if params.s3_bucket is not None:
        return None
    folder = params.folder.absolute()
    there = next(part for part in (folder, *folder.parents) if part.exists())
    return None if there.is_dir() and os.access(there, os.W_OK | os.X_OK) else folder


class ObjectsUnreachable(Exception):
    """Folder or bucket cannot be written or read now: whether an object is there is not known."""


class Objects:
    """Write and read whole objects; what is written is never changed, its key says what it is (SHA-256)."""

    def __init__(self, params: EvidenceParams) -> None:
        self._params = params
        self._opened: LocalStore | S3Store | None = None

    async def put(self, key: str, content: bytes) -> None:
        """Store an object; the same key again is the same content. Raises ObjectsUnreachable."""
        try:
            await obstore.put_async(self._store(), key, content)
        except (BaseError, OSError) as error:
            raise ObjectsUnreachable(f"evidence cannot be stored: {error}") from error

    async def get(self, key: str) -> bytes:
        """Read an object; raises FileNotFoundError, or ObjectsUnreachable."""
        try:
            found = await obstore.get_async(self._store(), key)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            raise
        except (BaseError, OSError) as error:
            raise ObjectsUnreachable(f"evidence cannot be read: {error}") from error

    def _store(self) -> LocalStore | S3Store:
        """Opened at the first use, so that nothing is created where nothing is kept."""
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    def _open(self) -> LocalStore | S3Store:
        params = self._params
        if params.s3_bucket is None:
            return LocalStore(params.folder, mkdir=True)
        given = {
            "endpoint": params.s3_endpoint,
            "access_key_id": params.s3_access_key_id and params.s3_access_key_id.get_secret_value(),
            "secret_access_key": params.s3_secret_access_key and params.s3_secret_access_key.get_secret_value(),
        }
        config = {name: value for name, value in given.items() if value is not None}
        plain = (params.s3_endpoint or "").startswith("http://")
        return S3Store(
            params.s3_bucket,
            region=params.s3_region,
            client_options={"allow_http": plain, "connect_timeout": _CONNECT, "timeout": _TRANSFER},
            retry_config={"max_retries": 2, "retry_timeout": _RETRY},
            **config,  # type: ignore[arg-type]  # the names are S3's own
        )
