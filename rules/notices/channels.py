"""Hands a message to a channel by Apprise: allowed schemes only, no inner addresses, in bounded time, on a thread."""

import asyncio
import contextlib
import json
import logging
import re
import socket
import threading
import warnings
from collections import Counter, defaultdict
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

from rules.notices.model import Attempt, RefusedAddress, Words
from rules.notices.params import NoticeParams
from rules.notices.wording import fit

log = structlog.get_logger()

TEXT_MESSAGE = frozenset({"twilio", "vonage", "clickatell", "clicksend", "seven", "sns", "sinch"})
"""Channels that carry text messages: short, and paid by the piece."""

_WEBHOOKS = frozenset({"json", "jsons", "form", "forms", "xml", "xmls"})
_LOCAL_NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}$")
_QUEUE_PER_CONTACT, _QUEUE_PER_KIND = 4, 3
_SEVERITY_TYPE = {"critical": NotifyType.FAILURE, "major": NotifyType.WARNING}
_SECRET_WORD = re.compile(r"[A-Za-z0-9_\-]{16,}")

logging.getLogger("apprise").propagate = False  # its warnings name hosts and targets; we keep them with the notice


class Channels:
    """Reaches contacts, each with one attempt at a time, each kind of channel with a few: a dead one holds up no other.

    An attempt that outlives its time stays on its thread; until it ends, further ones to that contact fail at once.
    """

    def __init__(self, params: NoticeParams) -> None:
        self._params = params
        self._asset = AppriseAsset(app_id="Gaswarden", app_desc="Gas-safety desk", http_redirects=False)
        self._contacts: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._kinds: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(params.per_channel_max)
        )
        self._queued: Counter[int | str] = Counter()
        self._hanging: set[int] = set()

    def check(self, address: str) -> tuple[str, str]:
        """The channel (scheme) of an address and the address with its secrets masked; raises RefusedAddress.

        Names are not resolved here: that happens before each attempt.
        """
        scheme = urlsplit(address.strip()).scheme.lower()
        if scheme not in self._params.schemes:
            raise RefusedAddress(f"{scheme or 'an address without scheme'}:// is not allowed; the settings allow "
                                 f"{', '.join(self._params.schemes)}")  # fmt: skip
        if scheme == "local":
            self._local_file(address)
            return scheme, address
        plugin = self._plugin(address)
        return scheme, _masked(scheme, plugin)

    async def hand_over(
        self, contact_id: int, address: str, words: Words, severity: str, *, urgent: bool = False
    ) -> Attempt:
        """One attempt: never raises for what the channel does, and ends within the time the settings allow.

        While too many others wait for the same contact or kind of channel, an attempt is not made (`busy`), unless it
        is `urgent`: about something critical, or a leak.
        """
        scheme = urlsplit(address).scheme.lower()
        if not urgent and self._crowded(contact_id, scheme):
            return Attempt(False, "others wait for the same channel", busy=True)
        self._queued.update((contact_id, scheme))
        try:
            async with asyncio.timeout(2 * self._params.timeout_s), self._contacts[contact_id], self._kinds[scheme]:
                return await self._in_time(contact_id, address, words, severity)
        except TimeoutError:
            return Attempt(False, "others waited too long for the same channel", busy=True)
        finally:
            self._queued.subtract((contact_id, scheme))

    def _crowded(self, contact_id: int, scheme: str) -> bool:
        few = self._queued[contact_id] < _QUEUE_PER_CONTACT
        return not few or self._queued[scheme] >= _QUEUE_PER_KIND * self._params.per_channel_max

    async def _in_time(self, contact_id: int, address: str, words: Words, severity: str) -> Attempt:
        if contact_id in self._hanging:
            return Attempt(False, "the attempt before has not come back yet")
        answered = self._on_thread(contact_id, address, words, severity)
        done, _ = await asyncio.wait({answered}, timeout=self._params.timeout_s)
        if done:
            return answered.result()
        self._hanging.add(contact_id)
        return Attempt(False, f"no answer within {self._params.timeout_s:g} s")

    def _on_thread(self, contact_id: int, address: str, words: Words, severity: str) -> asyncio.Future[Attempt]:
        """Run the blocking call on a thread of its own, which a hanging server may keep without keeping us."""
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Attempt] = loop.create_future()

        def settle(attempt: Attempt) -> None:
            self._hanging.discard(contact_id)
            if not answered.done():
                answered.set_result(attempt)

        def work() -> None:
            attempt = self._attempt(address, words, severity)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, attempt)

        threading.Thread(target=work, name=f"notice-{contact_id}", daemon=True).start()
        return answered

    def _attempt(self, address: str, words: Words, severity: str) -> Attempt:
        try:
            if urlsplit(address).scheme.lower() == "local":
                self._write_locally(address, words, severity)
                return Attempt(True)
            return self._call(address, words, severity)
        except RefusedAddress as error:
            return Attempt(False, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a plugin does, it is this attempt's failure alone
            return Attempt(False, _without_secrets(f"{type(error).__name__}: {error}"))

    def _call(self, address: str, words: Words, severity: str) -> Attempt:
        scheme = urlsplit(address).scheme.lower()
        if scheme not in self._params.schemes:
            raise RefusedAddress(f"{scheme}:// is not allowed any more")
        plugin = self._plugin(address)
        self._refuse_inner_hosts(plugin)
        title, body = fit(words, plugin.body_maxlen, text_message=scheme in TEXT_MESSAGE)
        sender = Apprise(asset=self._asset)
        sender.add(plugin)
        heard: list[str] = []
        done = sender.notify(
            body=body,
            title=title,
            notify_type=_SEVERITY_TYPE.get(severity, NotifyType.INFO),
            body_format=NotifyFormat.TEXT,
            log_callback=lambda entry, _plugin: heard.append(entry.message),
            log_level=logging.WARNING,
        )
        if done:
            return Attempt(True)
        return Attempt(False, _without_secrets("; ".join(heard) or "the channel refused it"))

    def _plugin(self, address: str) -> Any:
        """What Apprise makes of an address, with our time limits, no redirects and certificates always checked."""
        load_plugins()
        plugin = Apprise.instantiate(address, asset=self._asset, suppress_exceptions=True)
        if plugin is None:
            raise RefusedAddress(
                "Apprise does not understand this address; its documentation shows the form of each channel"
            )
        plugin.socket_connect_timeout = min(5.0, self._params.timeout_s)
        plugin.socket_read_timeout = self._params.timeout_s
        plugin.redirects = False
        plugin.verify_certificate = True
        plugin.retry = 0
        return plugin

    def _refuse_inner_hosts(self, plugin: Any) -> None:
        if self._params.private_hosts:
            return
        for host in _hosts(plugin):
            try:
                found = {info[4][0] for info in socket.getaddrinfo(host, None)}
            except OSError as error:
                raise RefusedAddress(f"the host of the channel cannot be found: {error}") from error
            if any(not ip_address(str(one).split("%")[0]).is_global for one in found):
                raise RefusedAddress("the host of the channel is an inner address (notices.private_hosts allows it)")

    def _write_locally(self, address: str, words: Words, severity: str) -> None:
        row = {
            "at": datetime.now(UTC).isoformat(), "severity": severity, "title": words.title, "body": words.body,
            "short": words.short,
        }  # fmt: skip
        path = self._local_file(address)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        log.info("notice handed to a file", name=path.stem, title=words.title)

    def _local_file(self, address: str) -> Path:
        name = urlsplit(address).netloc
        if self._params.local_directory is None:
            raise RefusedAddress("local:// needs the setting notices.local_directory")
        if address != f"local://{name}" or not _LOCAL_NAME.match(name):
            raise RefusedAddress("a local contact is local://NAME with letters, digits, _ and -")
        return self._params.local_directory / f"{name}.jsonl"


_LOADING = threading.Lock()


@cache
def _loaded() -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some plugins import modules that are on their way out of Python
        return Apprise.instantiate("json://localhost") is not None


def load_plugins() -> None:
    """Read Apprise's plugins, which takes a second, once in the life of the process."""
    with _LOADING:
        _loaded()


def _hosts(plugin: Any) -> set[str]:
    """The hosts that the address itself chooses; services with a host of their own have none."""
    chosen = {getattr(plugin, "smtp_host", None)}
    if getattr(plugin, "mode", None) == "cloud":  # ntfy's own server: the address names a topic only
        return set()
    if any("{host}" in template for template in type(plugin).templates) or type(plugin).__name__ == "NotifyEmail":
        chosen.add(getattr(plugin, "smtp_host", None) or plugin.host)
    return {str(host).strip("[]") for host in chosen if host}


def _masked(scheme: str, plugin: Any) -> str:
    """An address as it may be shown: Apprise masks its secrets, and a webhook's path may hold one."""
    shown = str(plugin.url(privacy=True)).partition("?")[0]
    if scheme in _WEBHOOKS:
        parts = urlsplit(shown)
        return f"{scheme}://{parts.netloc}/****"
    return shown


def _without_secrets(sentence: str) -> str:
    """A plugin's words without anything that looks like a key."""
    return _SECRET_WORD.sub("****", sentence)[:500]
