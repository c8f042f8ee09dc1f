"""`gaswarden case`: what will not settle itself."""

from collections.abc import Sequence
from typing import Annotated, get_args

import asyncpg
import typer
from pydantic import BaseModel

from app.commands.hotline import (
    AreaOption,
    LimitOption,
    NoteOption,
    OverdueOption,
    OwnerOption,
    PremisesOption,
    SinceOption,
    StateOption,
    UntilOption,
    done,
    lines,
    span,
    timeline,
)
from app.commands.terminal import JsonOption, checked, console_actor, say, show_json
from app.settings import Settings
from inspections.case_routes import CaseRoutes
from inspections.cases import CaseStep
from inspections.request_answers import CaseBody, CaseQuery, CaseStepBody, CaseWhole

case = typer.Typer(no_args_is_help=True, help="Supervised cases: one case, one plan.")


@case.command("open")
def case_open(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="`gaswarden case kinds` lists them.")],
    title: Annotated[str, typer.Argument(help="What it is about.")],
    premises: PremisesOption = None,
    area: AreaOption = None,
    from_request: Annotated[int | None, typer.Option("--request", help="The request that it grows out of.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Open a case for a door or a district, perhaps out of a request. Audited.

    Exit codes: 0 opened, 1 refused (one is open already, or a field is wrong), 2 wrong usage or settings.
    """
    given = {"kind": kind, "title": title, "premises": premises, "area": area, "request_id": from_request}
    body = checked(CaseBody, given)

    async def work(pool: asyncpg.Pool, settings: Settings) -> CaseWhole:
        return await CaseRoutes(pool, settings.roster).open_case(body, console_actor())

    _show_case(done(context, work), as_json=as_json)


@case.command("list")
def case_list(
    context: typer.Context,
    state: StateOption = None,
    kind: Annotated[str | None, typer.Option(help="Of one kind.")] = None,
    supervised: Annotated[
        bool | None, typer.Option("--supervised/--not-supervised", help="Only those under special supervision, or not.")
    ] = None,
    premises: PremisesOption = None,
    owner: OwnerOption = None,
    overdue: OverdueOption = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List cases, newest first.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """
    given = {"state": tuple(state or ()), "kind": kind, "supervised": supervised, "overdue": overdue, "limit": limit}
    query = checked(CaseQuery, given | {"premises": premises, "owner": owner})

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return (await CaseRoutes(pool, settings.roster).cases(query, console_actor())).items

    columns = ["case_id", "opened_at", "kind", "premises", "area", "title", "state", "owner", "plan_by", "close_by"]
    lines("Cases", [*columns, "overdue", "supervised", "level"], done(context, read), as_json=as_json)


@case.command("show")
def case_show(
    context: typer.Context, case_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Show one case with its plan and timeline. The look is audited.

    Exit codes: 0 shown, 1 there is no such case, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> CaseWhole:
        return await CaseRoutes(pool, settings.roster).case(case_id, console_actor())

    _show_case(done(context, read), as_json=as_json)


@case.command("step")
def case_step(
    context: typer.Context,
    case_id: Annotated[int, typer.Argument(min=1)],
    step: Annotated[str, typer.Argument(help=", ".join(get_args(CaseStep)))],
    note: NoteOption = None,
    owner: Annotated[str | None, typer.Option(help="assign: who takes care of it.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take a step on a case: assign, plan, supervise, release, close or note. Audited.

    Exit codes: 0 taken, 1 refused (with what is lacking), 2 wrong usage or settings.
    """
    body = checked(CaseStepBody, {"step": step, "note": note, "owner": owner})

    async def take(pool: asyncpg.Pool, settings: Settings) -> CaseWhole:
        return await CaseRoutes(pool, settings.roster).step_case(case_id, body, console_actor())

    _show_case(done(context, take), as_json=as_json)


def _show_case(whole: CaseWhole, *, as_json: bool) -> None:
    if as_json:
        show_json(whole.model_dump(mode="json"))
        return
    late = f"; overdue: {whole.overdue}" if whole.overdue else ""
    watched = "; supervised" if whole.supervised else ""
    say(f"case {whole.case_id}, {whole.kind}: {whole.state}{watched}{late}")
    say(f"plan by {whole.plan_by:%Y-%m-%d %H:%M}Z, close by {whole.close_by:%Y-%m-%d %H:%M}Z; {whole.title}")
    say(f"plan: {whole.plan or 'none yet'}")
    timeline(whole.timeline)


@case.command("figures")
def case_figures(
    context: typer.Context, since: SinceOption = None, until: UntilOption = None, as_json: JsonOption = False
) -> None:
    """Show what was planned and closed in time, by kind, of cases opened in a span of days.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        query = span(since, until, settings.roster.zone)
        return await CaseRoutes(pool, settings.roster).case_figures(query, console_actor())

    columns = ["kind", "opened", "planned_in_time", "plan_due", "closed", "closed_in_time", "closing_due", "escalated"]
    columns += ["supervised", "closed_on_time_rate", "closure_rate"]
    lines("Cases", columns, done(context, read), as_json=as_json)


@case.command("kinds")
def case_kinds(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the kinds of cases with their days.

    Exit codes: 0 listed, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await CaseRoutes(pool, settings.roster).kinds()

    columns = ["code", "title", "plan_days", "close_days", "escalate_days"]
    lines("Kinds", columns, done(context, read), as_json=as_json)
