"""`gaswarden enforcement`: orders and penalties against businesses."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import uuid4

import asyncpg
import typer
from pydantic import BaseModel

from app.commands.hotline import (
    LimitOption,
    OverdueOption,
    PremisesOption,
    SinceOption,
    UntilOption,
    days,
    done,
    lines,
)
from app.commands.terminal import JsonOption, as_date, checked, console_actor
from app.settings import Settings
from inspections.enforcement_routes import EnforcementRoutes
from inspections.request_answers import EnforcementBody, EnforcementEnd, EnforcementFiguresQuery, EnforcementQuery
from inspections.wallclock import local_day

enforcement = typer.Typer(no_args_is_help=True, help="Orders and penalties against businesses, amounts in fen.")
_ENFORCEMENT = (
    "enforcement_id", "premises", "kind", "authority", "reference", "issued_on", "due_on", "amount_fen", "state",
)  # fmt: skip


@enforcement.command("record")
def enforcement_record(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="order or penalty.")],
    premises: Annotated[str, typer.Argument(help="Code of the business's door.")],
    text: Annotated[str, typer.Argument(help="What is ordered, or what for.")],
    authority: Annotated[str, typer.Option(help="Who issued it.")],
    reference: Annotated[str, typer.Option(help="The authority's number of the document.")],
    issued: Annotated[str, typer.Option(help="Day of issue, YYYY-MM-DD.")],
    due: Annotated[str, typer.Option(help="To be complied with by, YYYY-MM-DD.")],
    amount_yuan: Annotated[str | None, typer.Option(help="Of a penalty, e.g. 5000 or 5000.50.")] = None,
    hazard: Annotated[int | None, typer.Option(help="The hazard that it is about.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Record an order or a penalty against a business. Audited.

    Exit codes: 0 recorded, 1 refused (a household, or the field is named), 2 wrong usage or settings.
    """
    given: dict[str, Any] = {
        "client_id": uuid4(), "premises": premises, "hazard_id": hazard, "kind": kind, "authority": authority,
        "reference": reference, "issued_on": as_date(issued), "due_on": as_date(due), "text": text,
        "amount_fen": _fen(amount_yuan),
    }  # fmt: skip
    body = checked(EnforcementBody, given)

    async def work(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return [await EnforcementRoutes(pool, settings.roster).record_enforcement(body, console_actor())]

    lines("Recorded", _ENFORCEMENT, done(context, work), as_json=as_json)


def _fen(yuan: str | None) -> int | None:
    """Yuan as written by a person in fen; raises typer.BadParameter for a fraction of a fen, or no number."""
    if yuan is None:
        return None
    try:
        fen = Decimal(yuan) * 100
        whole = int(fen)
    except (ArithmeticError, ValueError):
        raise typer.BadParameter(f"{yuan} is no amount in yuan") from None
    if whole != fen:
        raise typer.BadParameter(f"{yuan} has a fraction of a fen")
    return whole


@enforcement.command("list")
def enforcement_list(
    context: typer.Context,
    premises: PremisesOption = None,
    state: Annotated[str | None, typer.Option(help="open, complied or revoked.")] = None,
    overdue: OverdueOption = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List orders and penalties, newest first; amounts in fen (1/100 yuan).

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """
    query = checked(EnforcementQuery, {"premises": premises, "state": state, "overdue": overdue, "limit": limit})

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return (await EnforcementRoutes(pool, settings.roster).enforcements(query, console_actor())).items

    lines("Enforcement", _ENFORCEMENT, done(context, read), as_json=as_json)


@enforcement.command("end")
def enforcement_end(
    context: typer.Context,
    enforcement_id: Annotated[int, typer.Argument(min=1)],
    state: Annotated[str, typer.Argument(help="complied (done as ordered, or paid) or revoked (by the authority).")],
    note: Annotated[str, typer.Argument(help="How it ended.")],
    on: Annotated[str | None, typer.Option(help="Day on which it ended, YYYY-MM-DD. Default: today.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say that an order was complied with or a penalty paid, or that the authority revoked it. Audited.

    Exit codes: 0 recorded, 1 refused (it ended already, or the field is named), 2 wrong usage or settings.
    """

    async def work(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        day = as_date(on) or local_day(datetime.now(UTC), settings.roster.zone)
        body = checked(EnforcementEnd, {"state": state, "ended_on": day, "note": note})
        return [await EnforcementRoutes(pool, settings.roster).end_enforcement(enforcement_id, body, console_actor())]

    lines("Ended", _ENFORCEMENT, done(context, work), as_json=as_json)


@enforcement.command("figures")
def enforcement_figures(
    context: typer.Context, since: SinceOption = None, until: UntilOption = None, as_json: JsonOption = False
) -> None:
    """Show orders and penalties issued in a span of days, by user class: complied with, in time, paid (fen).

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        first, last = days(since, until, settings.roster.zone)
        query = EnforcementFiguresQuery(since=first, until=last)
        return await EnforcementRoutes(pool, settings.roster).enforcement_figures(query, console_actor())

    columns = ["user_class", "kind", "issued", "complied", "complied_in_time", "revoked", "overdue", "amount_fen"]
    columns += ["paid_fen", "complied_on_time_rate", "closure_rate"]
    lines("Enforcement", columns, done(context, read), as_json=as_json)
