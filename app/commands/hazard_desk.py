"""`gaswarden hazard`: hazards that inspectors found, what is overdue about them, the steps of their life."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, get_args

import asyncpg
import typer
from pydantic import BaseModel

from app.commands.hotline import LimitOption, NoteOption, OverdueOption, done, lines
from app.commands.terminal import JsonOption, as_moment, checked, console_actor, say, show_json, show_table
from app.settings import Settings
from inspections.hazard_life import Delivery, HazardStep
from inspections.hazard_routes import HazardQuery, HazardRoutes, HazardStepBody, WholeHazardAnswer

hazard = typer.Typer(no_args_is_help=True, help="Hazards that inspectors found, from notice to closure.")


@hazard.command("list")
def hazard_list(
    context: typer.Context,
    state: Annotated[str, typer.Option(help="open or closed.")] = "open",
    grade: Annotated[int | None, typer.Option(min=1, max=3, help="Of one grade.")] = None,
    overdue: OverdueOption = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List hazards by number, with what is overdue: notice, tracking, rectification, re-check.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """
    asked = checked(HazardQuery, {"state": state, "grade": grade, "overdue": overdue, "limit": limit})

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        routes = HazardRoutes(pool, settings.roster)
        page = await routes.hazards(asked, console_actor())
        found = list(page.items)
        while page.next is not None and len(found) < limit:  # a page of overdue ones may hold none
            page = await routes.hazards(asked.model_copy(update={"after": page.next}), console_actor())
            found += page.items
        return found[:limit]

    columns = ["hazard_id", "premises", "area", "code", "grade", "state", "found_at", "due_on", "notified_at", "cut_at"]
    lines("Hazards", [*columns, "rectified_at", "overdue"], done(context, read), as_json=as_json)


@hazard.command("show")
def hazard_show(
    context: typer.Context, hazard_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Show one hazard with everything done about it. The look is audited: it shows who received the notice.

    Exit codes: 0 shown, 1 there is no such hazard, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> WholeHazardAnswer:
        return await HazardRoutes(pool, settings.roster).hazard(hazard_id, console_actor())

    _show(done(context, read), as_json=as_json)


@hazard.command("step")
def hazard_step(
    context: typer.Context,
    hazard_id: Annotated[int, typer.Argument(min=1)],
    step: Annotated[str, typer.Argument(help=", ".join(get_args(HazardStep)))],
    note: NoteOption = None,
    to: Annotated[str | None, typer.Option(help="notify: who received the written notice.")] = None,
    how: Annotated[str | None, typer.Option(help=f"notify: {', '.join(get_args(Delivery))}.")] = None,
    by: Annotated[str | None, typer.Option(help="rectify: who put it right.")] = None,
    command: Annotated[int | None, typer.Option(min=1, help="cut: the valve command that did it.")] = None,
    at: Annotated[str | None, typer.Option(help="When it was done, ISO 8601 with zone. Default: now.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take a step of a hazard's life: notify, want_cut, cut, restore, rectify, close or note. Audited.

    Example: gaswarden hazard step 12 notify --to "Mr Li" --how signed
    Exit codes: 0 taken, 1 refused (with what is lacking), 2 wrong usage or settings.
    """
    given = {"step": step, "at": as_moment(at) or datetime.now(UTC), "note": note, "to": to, "how": how, "by": by}
    body = checked(HazardStepBody, given | {"command_id": command})

    async def take(pool: asyncpg.Pool, settings: Settings) -> WholeHazardAnswer:
        return await HazardRoutes(pool, settings.roster).step(hazard_id, body, console_actor())

    _show(done(context, take), as_json=as_json)


def _show(whole: WholeHazardAnswer, *, as_json: bool) -> None:
    if as_json:
        show_json(whole.model_dump(mode="json"))
        return
    late = f"; overdue: {', '.join(whole.overdue)}" if whole.overdue else ""
    say(f"hazard {whole.hazard_id}, {whole.code} of grade {whole.grade} at {whole.premises}: {whole.state}{late}")
    say(f"found {whole.found_at:%Y-%m-%d %H:%M}Z, to be put right by {whole.due_on.isoformat()}")
    if whole.note:
        say(whole.note)
    steps = [(one.at, one.step, one.actor, one.note, one.details) for one in whole.timeline]
    show_table("Timeline", ["at", "step", "by", "note", "details"], steps)
