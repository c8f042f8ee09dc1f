"""The clock of alerts on a real database: deadlines, escalation once, expiry, regimes; silences by two persons."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from rules import clockwork
from rules.regimes import default_regimes
from tests.service.alert_desk import GAUGE, AlertDesk, alert_desk
from tests.service.rules_rows import NOW, hourly, insert


@pytest.fixture
async def desk(pool: asyncpg.Pool, conn: asyncpg.Connection) -> AsyncIterator[AlertDesk]:
    async with alert_desk(pool, conn) as opened:
        yield opened


async def test_a_leak_nobody_answers_climbs_once_whoever_looks(desk: AlertDesk) -> None:
    """Four clocks at once, again and again: each level is told once, with its page; then reminders follow."""
    alert_id = await desk.raise_leak()
    assert await desk.pages(alert_id) == [("raised", 1)]
    for minute in (1, 5, 5, 11, 11, 40, 41):
        await asyncio.gather(*(desk.tick(minute) for _ in range(4)))
    assert await desk.timeline(alert_id) == ["raised", "escalated", "escalated", "escalated"]
    again = ("reminder", 1)
    climbed = [("raised", 1), ("escalated", 2), again, ("escalated", 3), again, ("escalated", 4), again]
    assert await desk.pages(alert_id) == climbed
    await desk.tick(45)
    assert (await desk.pages(alert_id))[-1] == ("reminder", 4)
    (row,) = (await desk.at(45).ask("GET", "/alerts", overdue="true"))["items"]
    assert (row["due_stage"], row["overdue"], row["escalation"]) == ("acknowledged", True, 3)
    assert [stage["standing"] for stage in row["clock"]][1:4] == ["overdue", "overdue", "overdue"]


async def test_the_database_refuses_to_tell_a_level_twice(desk: AlertDesk) -> None:
    """A second row of the same level breaks a rule of the schema, whatever the code does."""
    alert_id = await desk.raise_leak()
    await desk.tick(5)
    copy = (
        "INSERT INTO alert_step (alert_id, at, step, to_state, actor, reason, evidence)"
        " SELECT alert_id, at, step, to_state, actor, reason, evidence FROM alert_step"
        " WHERE alert_id = $1 AND step = 'escalated'"
    )
    with pytest.raises(asyncpg.UniqueViolationError, match="alert_step_escalation_key"):
        await desk.conn.execute(copy, alert_id)


async def test_an_acknowledgement_that_nothing_follows_is_void(desk: AlertDesk) -> None:
    """The alert is open again without an owner, the timeline says whose it was, and it pages."""
    alert_id = await desk.raise_leak()
    assert (await desk.at(2).step(alert_id, "acknowledge"))["owner"] == "olga"
    await desk.tick(17)
    whole = await desk.at(17).ask("GET", f"/alerts/{alert_id}")
    assert (whole["state"], whole["owner"], whole["due_stage"]) == ("open", None, "acknowledged")
    (expired,) = [one for one in whole["timeline"] if one["step"] == "ack_expired"]
    assert (expired["from_state"], expired["to_state"], expired["evidence"]["owner"]) == (
        "acknowledged",
        "open",
        "olga",
    )
    assert ("ack_expired", 1) in await desk.pages(alert_id)


async def test_hand_over_pages_the_new_owner(desk: AlertDesk) -> None:
    """To an officer of the district; not to a stranger, an inspector, or nobody."""
    alert_id = await desk.raise_leak()
    await desk.at(1).step(alert_id, "acknowledge")
    done = await desk.ask("PUT", f"/alerts/{alert_id}/owner", owner="oleg", note="end of shift")
    assert (done["owner"], done["state"]) == ("oleg", "acknowledged")
    for name in ("sam", "ines", "nobody"):
        refused = await desk.ask("PUT", f"/alerts/{alert_id}/owner", status=409, owner=name)
        assert name in refused["detail"]
    assert (await desk.pages(alert_id))[-1] == ("handed_over", 1)
    audited = await desk.conn.fetchval("SELECT action FROM audit_entry ORDER BY audit_id DESC LIMIT 1")
    assert audited == "alert.hand_over"


async def test_another_regime_winds_every_open_alert_anew(desk: AlertDesk) -> None:
    """Britain gives an hour: the deadline of an alert that is there moves; the same regime again changes nothing."""
    alert_id = await desk.raise_leak()
    await desk.at(1).step(alert_id, "acknowledge")
    await desk.at(2).step(alert_id, "dispatch")
    due = "SELECT due_at FROM alert WHERE alert_id = $1"
    assert await desk.conn.fetchval(due, alert_id) == NOW + timedelta(minutes=30)
    for _ in range(2):
        await clockwork.start(desk.pool, default_regimes()["uk"], NOW + timedelta(minutes=3))
    assert await desk.tick(3) == 1
    assert await desk.conn.fetchval(due, alert_id) == NOW + timedelta(minutes=60)
    assert await desk.conn.fetchval("SELECT count(*) FROM regime") == 1
    await desk.at(4).step(alert_id, "control", note="the resident closed the cock")
    assert await desk.conn.fetchval(due, alert_id) == NOW + timedelta(minutes=120)


async def test_a_valve_proved_closed_controls_the_escape(desk: AlertDesk) -> None:
    """The command's proof is the fact; the timeline names the command."""
    alert_id = await desk.raise_leak()
    meter = await desk.town.device("M-1", has_valve=True)
    command_id = await insert(
        desk.conn, "command", "command_id", client_id="00000000-0000-0000-0000-000000000001", device_id=meter,
        area="D01", valve="close", state="proved", reason="proved", requested_by="policy", requested_at=NOW, note="",
        alert_id=alert_id, approved_by="policy", approved_at=NOW, expires_at=NOW, sent_at=NOW, attempts=1,
        ended_at=NOW + timedelta(minutes=2),
    )  # fmt: skip
    await desk.tick(3)
    whole = await desk.at(3).ask("GET", f"/alerts/{alert_id}")
    assert whole["controlled_at"] is not None
    assert whole["timeline"][-1]["evidence"]["command_id"] == command_id


# ---------------------------------------------------------------------------------------------- silences


async def silenced(desk: AlertDesk, who: str = "olga", status: int = 200, minutes: float = 60, **body: Any) -> Any:
    until = (NOW + timedelta(minutes=minutes)).isoformat()
    return await desk.ask("POST", "/silences", who, status, until_at=until, reason="works in the street", **body)


async def test_one_person_cannot_silence_a_leak(desk: AlertDesk) -> None:
    """A silence of the district that asks for leaks keeps no leak's page back until somebody else approves it."""
    made = await silenced(desk, area="D01", leaks=True)
    first = await desk.raise_leak("LD-1")
    assert await desk.pages(first) == [("raised", 1)]
    path = f"/silences/{made['silence_id']}/approval"
    assert "two persons" in (await desk.ask("POST", path, "olga", 409))["detail"]
    await desk.ask("POST", path, "sam", 404)
    assert (await desk.ask("POST", path, "oleg"))["approved_by"] == "oleg"
    second = await desk.raise_leak("LD-2", 1)
    assert await desk.pages(second) == []
    assert await desk.timeline(second) == ["raised", "suppressed"]
    whole = await desk.ask("GET", f"/alerts/{second}")
    assert whole["silenced"] == "silenced by olga and oleg until 2026-11-20 13:00Z: works in the street"
    assert (whole["state"], whole["due_at"] is not None) == ("open", True)
    with pytest.raises(asyncpg.CheckViolationError, match="silence_two_persons"):
        await desk.conn.execute("UPDATE silence SET approved_by = author")


async def test_a_silence_that_ends_gives_what_it_kept_back(desk: AlertDesk) -> None:
    """Ended by a person before its time: what is still open is brought to mind."""
    made = await silenced(desk, area="D01", leaks=True)
    await desk.ask("POST", f"/silences/{made['silence_id']}/approval", "oleg")
    alert_id = await desk.raise_leak()
    await desk.at(1).step(alert_id, "acknowledge")
    assert await desk.pages(alert_id) == []
    await desk.at(3).ask("POST", f"/silences/{made['silence_id']}/end")
    await desk.tick(3)
    assert await desk.pages(alert_id) == [("reminder", 1)]
    assert (await desk.ask("POST", f"/silences/{made['silence_id']}/end", status=409))["detail"] == "it is over already"


async def test_what_a_silence_must_say(desk: AlertDesk) -> None:
    """A scope that exists and lies in one's areas, a reason, an end that is near enough."""
    device_id = await desk.town.device("LD-1", "detector")
    made = await silenced(desk, device_id=device_id, minutes=60 * 24 * 30)
    assert (made["device"], made["author"]) == ("LD-1", "olga")
    assert "24 hours" in (await silenced(desk, status=409, area="D01", minutes=1441, leaks=True))["detail"]
    assert "90 days" in (await silenced(desk, status=409, area="D01", minutes=91 * 1440))["detail"]
    assert "past" in (await silenced(desk, status=409, area="D01", minutes=-1))["detail"]
    assert "names nothing" in (await silenced(desk, status=422))["detail"]
    assert "D99" in (await silenced(desk, status=404, area="D99"))["detail"]
    assert "no device 999" in (await silenced(desk, status=404, subject="device:999"))["detail"]
    door = await silenced(desk, subject=f"premises:{desk.town.premises_ids[0]}")
    assert await desk.conn.fetchval("SELECT place FROM silence WHERE silence_id = $1", door["silence_id"]) == "D01"
    assert "leek" in (await silenced(desk, status=404, rule="leek"))["detail"]
    assert "beyond your districts" in (await silenced(desk, "sam", 409, rule="leak_alarm"))["detail"]
    assert "beyond your districts" in (await silenced(desk, "sam", 409, device_id=device_id))["detail"]
    assert await silenced(desk, "sam", area="D02")
    assert len((await desk.ask("GET", "/silences", "sam"))["items"]) == 1
    assert len((await desk.ask("GET", "/silences"))["items"]) == 3


# ---------------------------------------------------------------------------------------------- proof


async def made_safe(desk: AlertDesk, alert_id: int, minute: float = 1) -> None:
    for step in ("acknowledge", "dispatch", "on_site", "made_safe"):
        await desk.at(minute).step(alert_id, step)


async def test_a_leak_closes_on_a_measurement_or_a_passed_inspection(desk: AlertDesk) -> None:
    """A photo, a quiet detector, gas in the reading or a visit that never was: refused, each with its reason."""
    alert_id = await desk.raise_leak()
    await made_safe(desk, alert_id)
    for evidence, words in (
        ([], "needs evidence"),
        ([{"kind": "photo", "photo_id": "p-1"}], "a photo or telemetry alone"),
        ([{**GAUGE, "value": 500}], "500 ppm is gas"),
        ([{**GAUGE, "value": 0.1, "unit": "%vol"}], "0.1 %vol is gas"),
        ([{**GAUGE, "value": 0, "unit": "Pa"}], "needs a gas concentration"),
        ([GAUGE, {"kind": "telemetry"}], "no reading since"),
        ([{"kind": "inspection", "outcome_id": 7}], "there is no outcome 7"),
    ):
        refused = await desk.ask("POST", f"/alerts/{alert_id}/steps", status=409, step="verify", evidence=evidence)
        assert words in refused["detail"]
    wrong = await desk.ask(
        "POST", f"/alerts/{alert_id}/steps", status=422, step="verify", evidence=[{**GAUGE, "unit": "x"}]
    )
    assert "unit" in wrong["detail"]
    done = await desk.step(alert_id, "verify", evidence=[GAUGE, {"kind": "photo", "photo_id": "p-1"}], confirmed=True)
    assert done["state"] == "verified"
    whole = await desk.ask("GET", f"/alerts/{alert_id}")
    assert (whole["confirmed"], whole["timeline"][-1]["evidence"]["proof"][0]) == (True, GAUGE)


async def meter_alert(desk: AlertDesk) -> tuple[int, int]:
    """A register that went backwards, as an alert of now; meter and alert."""
    meter = await desk.town.device("M-1")
    alert_id = await insert(
        desk.conn, "alert", "alert_id", rule_id="index_backwards", rule_version="v", subject=f"device:{meter}",
        area="D01", device_id=meter, premises_id=desk.town.premises_ids[0], severity="minor", state="open",
        firing=False, late=False, sentence="M-1 went backwards", first_at=NOW, last_at=NOW, raised_at=NOW, evidence={},
        visit="normal",
    )  # fmt: skip
    return meter, alert_id


async def test_telemetry_after_the_repair_proves_it(desk: AlertDesk) -> None:
    """Twenty-four hours in which the register stands still close what was made safe; before that nothing does."""
    meter, alert_id = await meter_alert(desk)
    await made_safe(desk, alert_id)
    day = 24 * 60
    await desk.town.readings(meter, hourly(NOW + timedelta(hours=12), [0.0] * 11))
    await desk.town.heard(meter, NOW + timedelta(hours=12))
    assert await clockwork.prove(desk.pool, NOW + timedelta(minutes=day)) == 0
    whole = await desk.ask("GET", f"/alerts/{alert_id}")
    assert (whole["telemetry"]["normal"], whole["telemetry"]["observed_min"]) == (False, 660.0)
    await desk.town.readings(meter, hourly(NOW + timedelta(hours=30), [0.0] * 17, start_l=1000.0))
    assert await clockwork.prove(desk.pool, NOW + timedelta(minutes=2 * day)) == 1
    whole = await desk.ask("GET", f"/alerts/{alert_id}")
    assert (whole["state"], whole["timeline"][-1]["reason"]) == ("verified", "telemetry_normal")


# ---------------------------------------------------------------------------------------------- precision


async def test_precision_by_what_was_found(desk: AlertDesk) -> None:
    """True, false, tests and unknown apart; by device model; nothing of other districts."""
    for number, (cause, confirmed) in enumerate(
        [("cooking", None), ("steam", None), ("test", None), (None, True), (None, True), (None, None)]
    ):
        await insert(
            desk.conn, "alert", "alert_id", rule_id="leak_alarm", rule_version="v", subject=f"device:{number}",
            area="D01", severity="major", state="dismissed" if cause else "verified", firing=False, late=False,
            sentence="s", first_at=NOW, last_at=NOW, raised_at=NOW, evidence={}, visit="none", cause=cause,
            confirmed=confirmed, closed_at=NOW,
        )  # fmt: skip
    (row,) = (await desk.at(1).ask("GET", "/rules/precision"))["items"]
    counts = (row["alerts"], row["true_alerts"], row["false_alerts"], row["other_alerts"], row["unknown_alerts"])
    assert counts == (6, 2, 2, 1, 1)
    assert (row["precision"], row["causes"]) == (0.5, {"cooking": 1, "steam": 1, "test": 1})
    assert row["precision_low"] == pytest.approx(0.15, abs=0.005)
    (month,) = (await desk.ask("GET", "/rules/precision", by="month"))["items"]
    assert month["key"] == "2026-11"
    assert (await desk.ask("GET", "/rules/precision", "sam"))["items"] == []
    assert (await desk.ask("GET", "/rules/precision", area="D02"))["items"] == []
