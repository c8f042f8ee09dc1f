"""`gaswarden request`: what residents and patrols ask for or complain about."""

from collections.abc import Sequence
from typing import Annotated, get_args
from uuid import uuid4

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
from app.commands.terminal import JsonOption, as_moment, checked, console_actor, say, show_json
from app.settings import Settings
from inspections.request_answers import RequestBody, RequestQuery, RequestStepBody, RequestWhole
from inspections.request_routes import RequestRoutes
from inspections.requests import Channel, RequestStep

request = typer.Typer(no_args_is_help=True, help="Residents' requests and complaints, with their deadlines.")


@request.command("record")
def request_record(
    context: typer.Context,
    category: Annotated[str, typer.Argument(help="`gaswarden request categories` lists them.")],
    text: Annotated[str, typer.Argument(help="What is asked for, in the caller's words.")],
    channel: Annotated[str, typer.Option(help=", ".join(get_args(Channel)))] = "hotline",
    premises: PremisesOption = None,
    area: AreaOption = None,
    name: Annotated[str | None, typer.Option(help="Who asks.")] = None,
    phone: Annotated[str | None, typer.Option(help="Where to call back.")] = None,
    received: Annotated[str | None, typer.Option(help="When it was asked, ISO 8601 with zone. Default: now.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Record what a resident asks for; a visit follows where the category asks for one. Audited.

    Example: gaswarden request record gas_smell "smells on the stairs" --premises P000001 --phone 13800000000
    Exit codes: 0 recorded, 1 refused (the field is named), 2 wrong usage or settings.
    """
    given = {
        "client_id": uuid4(), "channel": channel, "category": category, "body": text, "premises": premises,
        "area": area, "contact_name": name, "contact_phone": phone, "received_at": as_moment(received),
    }  # fmt: skip
    body = checked(RequestBody, given)

    async def record(pool: asyncpg.Pool, settings: Settings) -> RequestWhole:
        return await RequestRoutes(pool, settings.roster).record_request(body, console_actor())

    _show_request(done(context, record), as_json=as_json)


@request.command("list")
def request_list(
    context: typer.Context,
    state: StateOption = None,
    category: Annotated[str | None, typer.Option(help="Of one category.")] = None,
    channel: Annotated[str | None, typer.Option(help=", ".join(get_args(Channel)))] = None,
    premises: PremisesOption = None,
    owner: OwnerOption = None,
    overdue: OverdueOption = False,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List requests, newest first; no personal data.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """
    given = {"state": tuple(state or ()), "category": category, "channel": channel, "overdue": overdue, "limit": limit}
    query = checked(RequestQuery, given | {"premises": premises, "owner": owner})

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return (await RequestRoutes(pool, settings.roster).requests(query, console_actor())).items

    columns = ["request_id", "received_at", "channel", "category", "premises", "area", "state", "owner", "reply_by"]
    lines("Requests", [*columns, "settle_by", "overdue", "reminders"], done(context, read), as_json=as_json)


@request.command("show")
def request_show(
    context: typer.Context, request_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Show one request with everything said. The look is audited: it shows personal data.

    Exit codes: 0 shown, 1 there is no such request, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> RequestWhole:
        return await RequestRoutes(pool, settings.roster).request(request_id, console_actor())

    _show_request(done(context, read), as_json=as_json)


@request.command("step")
def request_step(
    context: typer.Context,
    request_id: Annotated[int, typer.Argument(min=1)],
    step: Annotated[str, typer.Argument(help=", ".join(get_args(RequestStep)))],
    note: NoteOption = None,
    owner: Annotated[str | None, typer.Option(help="assign: who takes care of it.")] = None,
    rating: Annotated[int | None, typer.Option(min=1, max=5, help="rate: 1 to 5.")] = None,
    premises: Annotated[str | None, typer.Option(help="door: code of the door that it is about.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take a step on a request: assign, door, reply, close, withdraw, rate or note. Audited.

    `door` says which door it is about once that is known, or corrects it: the visit goes there.

    Exit codes: 0 taken, 1 refused (with what is lacking), 2 wrong usage or settings.
    """
    body = checked(
        RequestStepBody,
        {"step": step, "note": note, "owner": owner, "rating": rating} | ({"premises": premises} if premises else {}),
    )

    async def take(pool: asyncpg.Pool, settings: Settings) -> RequestWhole:
        return await RequestRoutes(pool, settings.roster).step_request(request_id, body, console_actor())

    _show_request(done(context, take), as_json=as_json)


def _show_request(whole: RequestWhole, *, as_json: bool) -> None:
    if as_json:
        show_json(whole.model_dump(mode="json"))
        return
    late = f"; overdue: {whole.overdue}" if whole.overdue else ""
    say(f"request {whole.request_id}, {whole.category} by {whole.channel}: {whole.state}{late}")
    say(f"answer by {whole.reply_by:%Y-%m-%d %H:%M}Z, settle by {whole.settle_by:%Y-%m-%d %H:%M}Z")
    place = whole.premises or whole.area
    say(", ".join(part for part in (place, whole.contact_name, whole.contact_phone, whole.body) if part))
    timeline(whole.timeline)


@request.command("figures")
def request_figures(
    context: typer.Context, since: SinceOption = None, until: UntilOption = None, as_json: JsonOption = False
) -> None:
    """Show what was answered and settled in time, by channel and category, of what arrived in a span of days.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        query = span(since, until, settings.roster.zone)
        return await RequestRoutes(pool, settings.roster).request_figures(query, console_actor())

    columns = ["channel", "category", "received", "withdrawn", "replied", "closed", "reply_on_time_rate"]
    columns += ["settled_on_time_rate", "closure_rate", "mean_rating"]
    lines("Requests", columns, done(context, read), as_json=as_json)


@request.command("categories")
def request_categories(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the categories with their deadlines, and whether a visit follows.

    Exit codes: 0 listed, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await RequestRoutes(pool, settings.roster).categories()

    columns = ["code", "title", "reply_minutes", "settle_hours", "visit"]
    lines("Categories", columns, done(context, read), as_json=as_json)
