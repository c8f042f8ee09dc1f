"""`gaswarden alerts`: one alert whole, steps and hand-over; the list is in alert_listing."""

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import asyncpg
import typer

from app.commands.alert_listing import list_alerts, show_alerts
from app.commands.terminal import JsonOption, checked, console_actor, say, show_json, show_table, with_pool
from app.settings import Settings
from rules.lifecycle import CAUSES, STEPS
from rules.pages import AcknowledgeBody, AlertWhole, OwnerBody, StepBody, StepDone
from rules.routes import AlertRoutes

alerts = typer.Typer(
    invoke_without_command=True,
    help="Alerts: list, show, watch, acknowledge, step, hand over. Without a command: the open ones.",
)
alerts.callback()(show_alerts)
alerts.command("list")(list_alerts)


@alerts.command("show")
def alert_show(
    context: typer.Context, alert_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Show one alert whole: its clock, timeline, door and past episodes. The look is audited: it shows an address.

    Exit codes: 0 shown, 1 there is no such alert, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, _settings: Settings) -> AlertWhole:
        return await AlertRoutes(pool).alert(alert_id, console_actor())

    whole = with_pool(context, read)
    if as_json:
        show_json(whole.model_dump(mode="json"))
        return
    show_table(f"Alert {alert_id}", ["", ""], _facts(whole))
    clock = [(one.stage, one.due_at, one.at, one.standing) for one in whole.clock]
    show_table(f"Clock (regime {whole.regime})", ["stage", "due", "came", "standing"], clock)
    columns = ["at", "step", "to_state", "actor", "reason", "note"]
    steps = [[*(getattr(one, column) for column in columns), _told(one.evidence)] for one in whole.timeline]
    show_table("Timeline", [*columns, "evidence"], steps)
    if whole.episodes:
        columns = ["alert_id", "episode", "state", "raised_at", "closed_at", "cause", "confirmed"]
        show_table("Episodes", columns, [[getattr(one, column) for column in columns] for one in whole.episodes])


def _facts(whole: AlertWhole) -> list[tuple[str, str]]:
    """What the alert is about, without what is unknown."""
    door = whole.door
    values = {"now": whole.last_value, "worst": whole.worst_value}
    facts = {
        "what": f"{whole.severity}: {whole.sentence}",
        "measured": ", ".join(f"{name} {one:g} {whole.unit or ''}" for name, one in values.items() if one is not None),
        "state": f"{whole.state}, {'firing' if whole.firing else 'quiet'}, owner {whole.owner or 'nobody'}",
        "next": whole.allowed,
        "silenced": whole.silenced,
        "what to do": whole.what_to_do,
        "door": ", ".join(part for part in (door.premises, door.address or door.unit) if part),
        "contact": ", ".join(part for part in (door.contact_name, door.contact_phone) if part),
    }
    return [(name, fact) for name, fact in facts.items() if fact]


def _told(evidence: Mapping[str, Any] | None) -> str:
    """Evidence of a step in words; its samples are in `--json`."""
    known = {name: one for name, one in (evidence or {}).items() if name not in {"columns", "samples"}}
    return "; ".join(
        f"{name.replace('_', ' ')}: {json.dumps(one, ensure_ascii=False) if isinstance(one, list | dict) else one}"
        for name, one in known.items()
        if one is not None
    )


@alerts.command("ack")
def alert_acknowledge(
    context: typer.Context,
    alert_ids: Annotated[list[int], typer.Argument(min=1)],
    note: Annotated[str | None, typer.Option(help="What you know already.")] = None,
) -> None:
    """Acknowledge alerts; you become the owner of those without one. Audited.

    Exit codes: 0 all were, 1 some were not (each reason is printed), 2 wrong usage or settings.
    """
    body = checked(AcknowledgeBody, {"alert_ids": alert_ids, "note": note})

    async def take(pool: asyncpg.Pool, _settings: Settings) -> dict[int, str]:
        return (await AlertRoutes(pool).acknowledge(body, console_actor())).refused

    refused = with_pool(context, take)
    for alert_id, why in refused.items():
        say(f"{alert_id}: {why}")
    if refused:
        raise typer.Exit(1)


@alerts.command("step")
def alert_step(
    context: typer.Context,
    alert_id: Annotated[int, typer.Argument(min=1)],
    step: Annotated[str, typer.Argument(help=", ".join(STEPS))],
    note: Annotated[str | None, typer.Option(help="In words; control needs it.")] = None,
    cause: Annotated[str | None, typer.Option(help=f"dismiss needs it: {', '.join(CAUSES)}.")] = None,
    measured: Annotated[
        list[str] | None, typer.Option(help="Proof: INSTRUMENT=VALUE UNIT, e.g. 'GT-44=0 ppm', of CO 'GT-44=0 ppm CO'.")
    ] = None,
    photo: Annotated[list[str] | None, typer.Option(help="Proof: id of a photo; repeat for more.")] = None,
    telemetry: Annotated[bool, typer.Option("--telemetry", help="Proof: stored readings are normal since.")] = False,
    inspection: Annotated[int | None, typer.Option(help="Proof: id of an inspection's outcome.")] = None,
    confirmed: Annotated[
        bool | None,
        typer.Option("--confirmed/--not-confirmed", help="There was a true hazard, or none; labels the rule."),
    ] = None,
) -> None:
    """Take a step on an alert. Audited.

    Exit codes: 0 taken, 1 refused (with what is allowed or lacks), 2 wrong usage or settings.
    """
    proofs: list[dict[str, object]] = [_measured(text) for text in measured or []]
    proofs += [{"kind": "photo", "photo_id": one} for one in photo or []]
    proofs += [{"kind": "telemetry"}] if telemetry else []
    proofs += [{"kind": "inspection", "outcome_id": inspection}] if inspection is not None else []
    given = {"step": step, "note": note, "cause": cause, "evidence": proofs, "confirmed": confirmed}
    body = checked(StepBody, given)
    _show_done(context, lambda routes: routes.take_step(alert_id, body, console_actor()))


def _measured(text: str) -> dict[str, object]:
    instrument, _, reading = text.rpartition("=")
    value, _, unit = reading.strip().partition(" ")
    unit, _, gas = unit.strip().partition(" ")
    named = {"gas": gas.strip().lower()} if gas.strip() else {}
    return {"kind": "instrument", "instrument": instrument, "value": value, "unit": unit, **named}


@alerts.command("assign")
def alert_assign(
    context: typer.Context,
    alert_id: Annotated[int, typer.Argument(min=1)],
    owner: Annotated[str, typer.Argument(help="Account of an officer or administrator of its district.")],
    note: Annotated[str | None, typer.Option(help="What the new owner must know.")] = None,
) -> None:
    """Hand an alert over; the new owner is told. Audited.

    Exit codes: 0 handed over, 1 refused (the reason is printed), 2 wrong usage or settings.
    """
    body = checked(OwnerBody, {"owner": owner, "note": note})
    _show_done(context, lambda routes: routes.hand_over(alert_id, body, console_actor()))


def _show_done(context: typer.Context, deed: Callable[[AlertRoutes], Any]) -> None:
    async def take(pool: asyncpg.Pool, _settings: Settings) -> StepDone:
        done: StepDone = await deed(AlertRoutes(pool))
        return done

    done = with_pool(context, take)
    due = f"; {done.due_stage} is due at {done.due_at:%Y-%m-%d %H:%M}Z" if done.due_at else ""
    say(f"alert {done.alert_id} is {done.state}, owner {done.owner or 'nobody'}{due}")
