"""HTTP of dossiers, for administrators."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from aiohttp import web

from app.dossier.collect import alert_dossier, premises_dossier
from app.dossier.keys import DossierParams, public_pem
from sql.actor import Actor

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_ADMINISTRATORS = frozenset({"administrator"})


class DossierRoutes:
    """Handlers over a pool."""

    def __init__(self, pool: asyncpg.Pool, params: DossierParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("GET", "/dossiers/key", _ADMINISTRATORS, self.key),
            ("GET", "/dossiers/premises/{code}", _ADMINISTRATORS, self.premises),
            ("GET", "/dossiers/alerts/{alert_id}", _ADMINISTRATORS, self.alert),
        ]

    async def key(self) -> web.Response:
        """The public key that verifies dossiers, as PEM."""
        return web.Response(body=public_pem(self._params.key()), content_type="application/x-pem-file")

    async def premises(self, code: str, actor: Actor) -> web.Response:
        """Everything known of a household as a signed archive; audited."""
        return _zip(await premises_dossier(self._pool, code, self._params.key(), actor), "premises")

    async def alert(self, alert_id: int, actor: Actor) -> web.Response:
        """Everything known of an incident as a signed archive; audited."""
        return _zip(await alert_dossier(self._pool, alert_id, self._params.key(), actor), f"alert-{alert_id}")


def _zip(content: bytes, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="dossier-{name}.zip"'}
    return web.Response(body=content, content_type="application/zip", headers=headers)
