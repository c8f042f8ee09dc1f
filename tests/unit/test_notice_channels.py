"""Channels: which addresses may be used, what of them is shown, and that a contact's trouble stays its own."""

import asyncio
import json
import threading
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from rules.notices.channels import Channels
from rules.notices.model import NotOpened, RefusedAddress, Words
from rules.notices.params import NoticeParams
from rules.notices.seal import Seal, new_key
from sql.errors import Conflict

WORDS = Words("title", "body", "short")


@pytest.mark.parametrize(
    ("address", "refusal"),
    [
        ("file:///etc/passwd", "file:// is not allowed"),
        ("json://example.com/x", "json:// is not allowed"),
        ("syslog://", "syslog:// is not allowed"),
        ("no address", "without scheme"),
        ("wecombot://", "does not understand"),
        ("local://name", "needs the setting"),
    ],
)
def test_addresses_that_are_refused(address: str, refusal: str) -> None:
    """Schemes outside the settings, unknown forms, and local files without a directory are refused."""
    with pytest.raises(RefusedAddress, match=refusal):
        Channels(NoticeParams()).check(address)


def test_a_local_name_stays_in_its_directory(tmp_path: Path) -> None:
    """A local contact is a plain name."""
    channels = Channels(NoticeParams(local_directory=tmp_path))
    for address in ("local://../x", "local://a/b", "local://a?x=1"):
        with pytest.raises(RefusedAddress):
            channels.check(address)
    assert channels.check("local://night-desk") == ("local", "local://night-desk")


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("mailtos://user:hunter2@example.com?to=a@example.org", "hunter2"),
        ("jsons://example.com/hooks/verysecretpath?token=alsosecret", "secret"),
        ("wecombot://abcdefabcdefabcdefabcd", "abcdefabcdefabcdefabcd"),
        ("feishu://0123456789abcdef", "0123456789abcdef"),
    ],
)
def test_secrets_are_masked(address: str, secret: str) -> None:
    """What is shown of an address holds neither password, token, nor a webhook's path."""
    channel, shown = Channels(NoticeParams()).check(address)
    assert shown.startswith(channel)
    assert secret not in shown


async def test_inner_hosts_are_refused() -> None:
    """A webhook to loopback or a private network is not called, whatever its name resolves to."""
    channels = Channels(NoticeParams(schemes=("json",)))
    for host in ("127.0.0.1:9", "localhost:9", "10.0.0.1", "169.254.169.254", "[::1]:9"):
        attempt = await channels.hand_over(1, f"json://{host}/x", WORDS, "info")
        assert not attempt.handed_over
        assert "inner address" in (attempt.error or ""), host


async def test_local_files_take_messages(tmp_path: Path) -> None:
    """A local contact gets one line of JSON for each message."""
    channels = Channels(NoticeParams(local_directory=tmp_path))
    assert (await channels.hand_over(1, "local://desk", WORDS, "critical")).handed_over
    [line] = (tmp_path / "desk.jsonl").read_text().splitlines()
    assert json.loads(line)["title"] == "title"


async def test_a_hanging_contact_fails_at_once_until_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt that outlives its time fails, the next at once while it hangs; a crowd before it is turned away."""
    channels = Channels(NoticeParams(timeout_s=0.1))
    release = threading.Event()
    monkeypatch.setattr(channels, "_attempt", lambda *_: release.wait(10) and None)
    first = await channels.hand_over(1, "jsons://example.com", WORDS, "critical")
    assert "no answer within 0.1 s" in (first.error or "")
    second = await channels.hand_over(1, "jsons://example.com", WORDS, "critical")
    assert "has not come back" in (second.error or "")
    crowd = await asyncio.gather(*(channels.hand_over(2, "jsons://example.com", WORDS, "minor") for _ in range(9)))
    assert sum(one.busy for one in crowd) >= 5
    release.set()


def test_seals_open_with_any_key_and_seal_with_the_first() -> None:
    """A new key goes in front: old addresses still open; without a key, or with another, nothing does."""
    old, new = new_key(), new_key()
    sealed = Seal(SecretStr(old)).seal("mailto://a")
    assert b"mailto" not in sealed
    both = Seal(SecretStr(f"{new}, {old}"))
    assert both.open(sealed) == "mailto://a"
    assert Seal(SecretStr(new)).open(both.seal("x")) == "x"
    with pytest.raises(NotOpened):
        Seal(SecretStr(new)).open(sealed)
    with pytest.raises(NotOpened):
        Seal(None).open(sealed)
    with pytest.raises(Conflict, match="new-key"):
        Seal(None).seal("x")


def test_a_wrong_key_stops_the_start() -> None:
    """A key that is none is refused with a sentence that does not show it."""
    with pytest.raises(ValidationError, match="gaswarden contact new-key"):
        NoticeParams(contact_key=SecretStr("hunter2"))
    with pytest.raises(ValidationError, match="file is no channel"):
        NoticeParams(schemes=("file",))
