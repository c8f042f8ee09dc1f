"""The page behind the link of a test message: a button that confirms. The code in the link is the proof.

Opening the page confirms nothing, because mail scanners and messengers open links by themselves; the button does.
"""

import html
import re

import asyncpg
from aiohttp import web

from app.web import Web
from rules.rota.routes import confirmed
from sql.actor import Actor
from sql.errors import NotFound

_LINK = Actor("link", "service")
_CODE = re.compile(r"^[A-Za-z0-9-]{8,40}$")
_POLICY = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!doctype html><html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Gaswarden</title><style>body{{font:1.3em sans-serif;margin:3em auto;max-width:30em;padding:0 1em}}
button{{font-size:1.3em;padding:.6em 1.2em}}</style></head><body>{body}</body></html>"""
_ASK = '<p>值班联络测试<br>Test of the on-duty rota</p><form method="post"><button>我已收到 / I have it</button></form>'
_UNKNOWN = "<p>没有这个确认码。<br>No test has this code.</p>"


class Confirmation:
    """GET shows the button, POST confirms; both as often from one address as any call without an account."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    def add_to(self, joined: Web) -> None:
        """Put the page under /confirm/CODE."""
        joined.application.router.add_get("/confirm/{code}", joined.limited(self.ask))
        joined.application.router.add_post("/confirm/{code}", joined.limited(self.confirm))

    async def ask(self, request: web.Request) -> web.Response:
        """The button; whether the code is known is not told before it is pressed."""
        del request
        return _answer(_ASK, 200)

    async def confirm(self, request: web.Request) -> web.Response:
        """Confirm by the code of the link."""
        code = request.match_info["code"]
        if not _CODE.match(code):
            return _answer(_UNKNOWN, 404)
        try:
            done = await confirmed(self._pool, code, _LINK)
        except NotFound:
            return _answer(_UNKNOWN, 404)
        late = "<p>已超过时限，请告知值班台。<br>It is late: tell the desk.</p>" if done.late else ""
        account = html.escape(done.account)
        return _answer(f"<p>{account}：已确认，谢谢。<br>{account}: confirmed, thank you.</p>{late}", 200)


def _answer(body: str, status: int) -> web.Response:
    return web.Response(status=status, text=_PAGE.format(body=body), content_type="text/html", headers=_POLICY)
