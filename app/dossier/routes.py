"""HTTP of dossiers, for administrators."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from app.dossier.collect import DossierDesk, alert_dossier, premises_dossier
from app.dossier.keys import public_pem
from sql.actor import Actor

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_ADMINISTRATORS = frozenset({"administrator"})


class DossierRoutes:
    """Handlers over a desk that makes dossiers."""

    def __init__(self, desk: DossierDesk) -> None:
        self._desk = desk

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("GET", "/dossiers/key", _ADMINISTRATORS, self.key),
            ("GET", "/dossiers/premises/{code}", _ADMINISTRATORS, self.premises),
            ("GET", "/dossiers/alerts/{alert_id}", _ADMINISTRATORS, self.alert),
        ]

    async def key(self) -> web.Response:
        """The public key that verifies dossiers, as PEM."""
        return web.Response(body=public_pem(self._desk.params.key()), content_type="application/x-pem-file")

    async def premises(self, code: str, actor: Actor) -> web.Response:
        """Everything known of a household as a signed archive, its photos too; audited."""
        return _zip((await premises_dossier(self._desk, code, actor)).archive, "premises")

    async def alert(self, alert_id: int, actor: Actor) -> web.Response:
        """Everything known of an incident as a signed archive, its photos too; audited."""
        return _zip((await alert_dossier(self._desk, alert_id, actor)).archive, f"alert-{alert_id}")


def _zip(content: bytes, name: str) -> web.Response:
    headers = {"Content-Disposition": f'attachment; filename="dossier-{name}.zip"'}
    return web.Response(body=content, content_type="application/zip", headers=headers)
