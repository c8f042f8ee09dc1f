"""Account and access files of a Mosquitto that is not ours, and the calls for RabbitMQ."""

import base64
import hashlib
import os
import re
import stat
from pathlib import Path

import pytest

from app.embedded.mosquitto import ACCESS_RULES
from app.gateway_accounts import (
    AccountFileError,
    account_names,
    drop_access,
    drop_account,
    rabbitmq_gateway,
    rabbitmq_worker,
    reload_broker,
    set_access,
    set_account,
)

_OTHERS = "# everybody\npattern read notice/%u\n\nuser ingest\ntopic read gas/v1/#\n"


def test_one_account_changes_and_the_others_stay(tmp_path: Path) -> None:
    """A second password replaces the first line of that gateway only; mode and other lines are as they were."""
    path = tmp_path / "accounts"
    path.write_text("ingest:$7$101$x$y\n")
    path.chmod(0o640)
    for name in ("GW-1", "GW-11", "GW-1"):
        set_account(path, name, "secret")
    assert account_names(path) == {"ingest", "GW-1", "GW-11"}
    assert len(path.read_text().splitlines()) == 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert drop_account(path, "GW-1")
    assert not drop_account(path, "GW-1")
    assert account_names(path) == {"ingest", "GW-11"}
    assert "secret" not in path.read_text()


def test_access_blocks_come_and_go_without_touching_others(tmp_path: Path) -> None:
    """A gateway's block is written once however often it is set, and taken out alone."""
    path = tmp_path / "access"
    path.write_text(_OTHERS)
    for name in ("GW-1", "GW-2", "GW-1"):
        set_access(path, name)
    text = path.read_text()
    assert text.startswith(_OTHERS)
    assert text.count("user GW-1\n") == 1
    assert "topic write gas/v1/+/GW-1/readings" in text
    assert drop_access(path, "GW-1")
    assert drop_access(path, "GW-2")
    assert not drop_access(path, "GW-2")
    assert path.read_text().strip() == _OTHERS.strip()


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """What is wrong names the file."""
    with pytest.raises(AccountFileError, match="absent"):
        set_account(tmp_path / "absent" / "accounts", "GW-1", "secret")
    with pytest.raises(AccountFileError, match=r"mosquitto\.pid"):
        reload_broker(tmp_path / "mosquitto.pid")


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("gas.v1.D01.GW/1.readings", True),
        ("gas.v1.D02.GW/1.status", True),
        ("gas.v1.D01.GW/1.commands", False),
        ("gas.v1.D01.GWx1.readings", False),
        ("gas.v1.D01.GW/2.readings", False),
        ("gas.v1.D01.GW/1.readings.more", False),
    ],
)
def test_topic_permission_is_one_gateways_own(key: str, allowed: bool) -> None:
    """The pattern that RabbitMQ gets for the gateway `GW.1` fits its own routing keys only."""
    written = rabbitmq_gateway("GW.1", "secret")[2].words[6]
    assert bool(re.search(written, key)) is allowed


def test_workers_are_deaf_to_commands() -> None:
    """The workers' account hears everything but what gateways are told, and speaks as a Sparkplug host alone."""
    words = rabbitmq_worker("ingest", "secret")[2].words
    assert re.search(words[7], "gas.v1.*.*.readings")
    assert re.search(words[7], "application.7.device.x.event.up")
    assert not re.search(words[7], "gas.v1.D01.GW-1.commands")
    assert not re.search(words[6], "gas.v1.D01.GW-1.readings")
    assert re.search(words[6], "spBv1/0.PRS.NCMD.edge-1")  # how the MQTT plugin writes spBv1.0/PRS/NCMD/edge-1
    assert re.search(words[6], "spBv1/0.STATE.gaswarden")
    assert not re.search(words[6], "spBv1/0.PRS.NDATA.edge-1")
    assert not re.search(words[6], "spBv1/0.PRS.DCMD.edge-1.valve")


def test_both_mosquittos_give_the_workers_the_same_rights() -> None:
    """The access file of a broker of one's own says what the embedded one's says."""
    ours = (Path(__file__).parents[2] / "deploy/mosquitto/gaswarden.acl").read_text()

    def rules(text: str) -> list[str]:
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    assert rules(ours) == rules(ACCESS_RULES)


def test_no_list_of_processes_shows_a_password() -> None:
    """The call holds a salted digest in RabbitMQ's own form, not the password."""
    call = rabbitmq_gateway("GW-1", "secret")[0]
    assert "secret" not in call.shown()
    kept = base64.b64decode(call.words[3])
    assert kept[4:] == hashlib.sha256(kept[:4] + b"secret").digest()


def test_a_broker_that_runs_is_told(tmp_path: Path) -> None:
    """SIGHUP goes to the process of the pid file; a process that is gone is told as such."""
    gone = tmp_path / "gone.pid"
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    gone.write_text(f"{child}\n")
    with pytest.raises(AccountFileError, match="No such process"):
        reload_broker(gone)


_BY_HAND = """\
topic read general
user GW-1
topic write gas/v1/+/GW-1/readings
# since the spring
topic write gas/v1/+/GW-1/events

topic read gas/v1/+/GW-1/commands

# the neighbour
user GW-2
topic write gas/v1/+/GW-2/readings
"""


def test_a_block_written_by_hand_goes_whole(tmp_path: Path) -> None:
    """Rules behind a remark or an empty line are the gateway's too; a remark before the next block stays with that."""
    path = tmp_path / "access"
    path.write_text(_BY_HAND)
    assert drop_access(path, "GW-1")
    assert "GW-1" not in path.read_text()
    assert path.read_text().split("\n\n")[-1].startswith("# the neighbour\nuser GW-2\ntopic write")
    assert path.read_text().startswith("topic read general\n")
    assert drop_access(path, "GW-2")
    assert path.read_text() == "topic read general\n\n# the neighbour\n"
