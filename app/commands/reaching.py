"""`gaswarden contact` and `gaswarden rota`: how people are reached, and who is on duty."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import asyncpg
import typer
from pydantic import BaseModel, ValidationError

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    as_moment,
    console_actor,
    say,
    show_json,
    show_table,
    with_pool,
)
from app.settings import Settings
from rules.notices.contacts import Contacts
from rules.notices.model import NotOpened
from rules.notices.pages import ContactBody
from rules.notices.routes import NoticeRoutes
from rules.notices.seal import new_key
from rules.rota.pages import (
    ConfirmBody,
    GapQuery,
    HandOverBody,
    HandoverQuery,
    OnDutyQuery,
    ReachQuery,
    ReleaseBody,
    RotaQuery,
    ShiftBody,
)
from rules.rota.routes import RotaRoutes

contact = typer.Typer(no_args_is_help=True, help="How people are reached: mail, messengers, text messages, webhooks.")
rota = typer.Typer(no_args_is_help=True, help="Who is on duty, hand-overs, gaps, and the nightly test.")
Model = TypeVar("Model", bound=BaseModel)


def _routes(pool: asyncpg.Pool, settings: Settings) -> RotaRoutes:
    return RotaRoutes(pool, settings.notices, settings.roster.zone)


def _body(model: type[Model], **values: object) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise typer.BadParameter(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def _show(title: str, columns: Sequence[str], found: Sequence[BaseModel], *, as_json: bool) -> None:
    if as_json:
        show_json([one.model_dump(mode="json") for one in found])
    else:
        show_table(title, columns, [[_shown(getattr(one, column)) for column in columns] for one in found])


def _shown(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


# ---------------------------------------------------------------------------------------------- contacts


@contact.command("add")
def contact_add(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Whom it reaches.")],
    address: Annotated[
        str,
        typer.Argument(
            help="An Apprise URL: mailtos://user:password@example.com?to=me@example.com, wecombot://KEY, "
            "dingtalk://TOKEN, feishu://TOKEN, jsons://example.com/hook ... "
            "`-` reads it from standard input."
        ),
    ],
    language: Annotated[str, typer.Option(help="en or zh.")] = "zh",
    severity_min: Annotated[str, typer.Option(help="No notices below this: critical, major, minor, info.")] = "minor",
    position: Annotated[int | None, typer.Option(min=1, max=100, help="1 is tried first; unset: last.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a way to reach a person. The address is encrypted and never shown again; `contact test` tries it.

    Exit codes: 0 added, 1 refused (the reason is printed), 2 wrong usage or settings.
    """
    given = typer.get_text_stream("stdin").readline().strip() if address == "-" else address
    body = _body(ContactBody, address=given, language=language, severity_min=severity_min, position=position)

    async def add(pool: asyncpg.Pool, settings: Settings) -> BaseModel:
        return await NoticeRoutes(pool, settings.notices).add_contact(account, body, console_actor())

    row = with_pool(context, add)
    if as_json:
        show_json(row.model_dump(mode="json"))
    else:
        say(f"contact {row.model_dump()['contact_id']} of {account}: {row.model_dump()['shown']}")


@contact.command("list")
def contact_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the contacts of everybody, addresses masked, with what their channels last said.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await NoticeRoutes(pool, settings.notices).contacts(console_actor())

    columns = [
        "contact_id",
        "account",
        "position",
        "shown",
        "language",
        "severity_min",
        "enabled",
        "last_handed_over_at",
    ]
    _show("Contacts", [*columns, "failures", "last_error"], with_pool(context, read), as_json=as_json)


@contact.command("test")
def contact_test(
    context: typer.Context, contact_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Send a test message now.

    Exit codes: 0 the channel took it, 1 it did not (its words are printed) or there is none, 2 wrong settings.
    """

    async def test(pool: asyncpg.Pool, settings: Settings) -> tuple[bool, str | None, float]:
        done = await NoticeRoutes(pool, settings.notices).test_contact(contact_id, console_actor())
        return done.handed_over, done.error, done.seconds

    handed_over, error, seconds = with_pool(context, test)
    if as_json:
        show_json({"contact_id": contact_id, "handed_over": handed_over, "error": error, "seconds": seconds})
    if not handed_over:
        raise WentWrong(f"contact {contact_id}: {error}")
    if not as_json:
        say(f"contact {contact_id} took a test message in {seconds:.2f} s")


@contact.command("remove")
def contact_remove(context: typer.Context, contact_id: Annotated[int, typer.Argument(min=1)]) -> None:
    """End a contact and erase its address.

    Exit codes: 0 removed, 1 there is no such contact, 2 wrong settings.
    """

    async def remove(pool: asyncpg.Pool, settings: Settings) -> None:
        await NoticeRoutes(pool, settings.notices).remove_contact(contact_id, console_actor())

    with_pool(context, remove)
    say(f"contact {contact_id} is removed")


@contact.command("new-key")
def contact_new_key() -> None:
    """Make a key that seals addresses, for GASWARDEN_NOTICES__CONTACT_KEY. Keep it as you keep passwords.

    To change keys: set NEW,OLD, restart, run `gaswarden contact reseal`, then set NEW alone.
    """
    typer.echo(new_key())


@contact.command("reseal")
def contact_reseal(context: typer.Context) -> None:
    """Seal every address with the first of the keys that are set.

    Exit codes: 0 done, 1 an address fits no key (nothing is changed), 2 wrong settings.
    """

    async def reseal(pool: asyncpg.Pool, settings: Settings) -> int:
        async with pool.acquire() as conn, conn.transaction():
            return await Contacts(settings.notices).reseal(conn, console_actor(), datetime.now(UTC))

    try:
        count = with_pool(context, reseal)
    except NotOpened as error:
        raise WentWrong(f"an address fits no key: {error}; nothing is changed") from error
    say(f"{count} addresses are sealed with the first key")


# ---------------------------------------------------------------------------------------------- rota


@rota.command("table")
def rota_table(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="From this moment, ISO 8601 with a zone. Default: now.")] = None,
    days: Annotated[float, typer.Option(min=0.1, max=366, help="For so many days.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Show the shifts of a time. OVERDUE: it ended, nobody took over, its person is still on duty.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """
    begins = as_moment(since) or datetime.now(UTC)
    query = RotaQuery(since=begins, until=begins + timedelta(days=days))

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await _routes(pool, settings).shifts(query)

    columns = ["shift_id", "level", "account", "areas", "starts_at", "ends_at", "on_duty", "overdue"]
    _show("On-duty rota", columns, with_pool(context, read), as_json=as_json)


@rota.command("add")
def rota_add(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Who is on duty.")],
    starts: Annotated[str, typer.Argument(metavar="FROM", help="2026-11-20T08:00+08:00")],
    ends: Annotated[str, typer.Argument(metavar="TO", help="2026-11-20T20:00+08:00")],
    level: Annotated[int, typer.Option(min=1, max=9, help="1 is told first.")] = 1,
    area: Annotated[
        list[str] | None, typer.Option(help="District, all below it included; repeat for more. Default: the city.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="For whoever reads the rota.")] = None,
) -> None:
    """Plan a shift.

    Exit codes: 0 planned, 1 refused (the reason is printed), 2 wrong usage or settings.
    """
    body = _body(
        ShiftBody, account=account, level=level, areas=area or None, starts_at=as_moment(starts),
        ends_at=as_moment(ends), note=note,
    )  # fmt: skip

    async def add(pool: asyncpg.Pool, settings: Settings) -> int:
        return (await _routes(pool, settings).add_shift(body, console_actor())).shift_id

    say(f"shift {with_pool(context, add)}: {account} at level {level} from {starts} to {ends}")


@rota.command("cancel")
def rota_cancel(context: typer.Context, shift_id: Annotated[int, typer.Argument(min=1)]) -> None:
    """Call off a shift that has not begun.

    Exit codes: 0 called off, 1 it has begun or there is none, 2 wrong settings.
    """

    async def cancel(pool: asyncpg.Pool, settings: Settings) -> None:
        await _routes(pool, settings).cancel_shift(shift_id, console_actor())

    with_pool(context, cancel)
    say(f"shift {shift_id} is called off")


@rota.command("hand-over")
def rota_hand_over(
    context: typer.Context,
    from_shift: Annotated[int, typer.Argument(min=1, help="The shift that leaves.")],
    to_shift: Annotated[int | None, typer.Argument(min=1, help="The shift that takes over; none: a release.")] = None,
    note: Annotated[str, typer.Option(prompt=True, help="What the next one must know, or why there is none.")] = "",
) -> None:
    """Pass duty on. Until this is done the one who leaves stays on duty, whatever the plan says.

    Exit codes: 0 handed over, 1 refused (the reason is printed), 2 wrong usage or settings.
    """

    async def hand_over(pool: asyncpg.Pool, settings: Settings) -> tuple[int, list[str]]:
        routes, actor = _routes(pool, settings), console_actor()
        if to_shift is None:
            done = await routes.release(from_shift, _body(ReleaseBody, note=note), actor)
        else:
            done = await routes.hand_over(from_shift, _body(HandOverBody, to_shift=to_shift, note=note), actor)
        return done.open_alerts, done.uncovered

    open_alerts, uncovered = with_pool(context, hand_over)
    say(f"handed over with {open_alerts} open alerts")
    if uncovered:
        say(f"NOBODY is on duty now for {', '.join(uncovered)}")


@rota.command("who-is-on-duty")
def rota_who(
    context: typer.Context,
    area: Annotated[str, typer.Argument(help="District code.")],
    at: Annotated[str | None, typer.Option(help="Moment, ISO 8601 with a zone. Default: now.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say who is told of an alert in a district, level by level.

    Exit codes: 0 somebody is on duty, 1 nobody is, 2 wrong usage or settings.
    """
    query = OnDutyQuery(area=area, at=as_moment(at))

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await _routes(pool, settings).on_duty(query)

    found = with_pool(context, read)
    _show(f"On duty for {area}", ["level", "accounts"], found, as_json=as_json)
    if not found:
        raise WentWrong(f"nobody is on duty for {area}: alerts go to every officer of the district")


@rota.command("gaps")
def rota_gaps(
    context: typer.Context,
    hours: Annotated[float, typer.Option(min=0.1, max=2160, help="So far ahead.")] = 168,
    as_json: JsonOption = False,
) -> None:
    """Show when and where nobody is planned.

    Exit codes: 0 no gap, 1 there are gaps, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await _routes(pool, settings).gaps(GapQuery(hours=hours))

    found = with_pool(context, read)
    _show("Gaps", ["level", "starts_at", "ends_at", "areas"], found, as_json=as_json)
    if found:
        raise WentWrong(f"{len(found)} gaps within {hours:g} hours")


@rota.command("handovers")
def rota_handovers(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most hand-overs shown.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the newest hand-overs with their notes.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await _routes(pool, settings).handovers(HandoverQuery(limit=limit))

    columns = ["handover_id", "at", "level", "from_account", "to_account", "actor", "note"]
    _show("Hand-overs", columns, with_pool(context, read), as_json=as_json)


@rota.command("selftest")
def rota_selftest(
    context: typer.Context,
    now: Annotated[bool, typer.Option("--now", help="Begin a round of tests now instead of listing results.")] = False,
    nights: Annotated[int, typer.Option(min=1, max=366, help="So many nights.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Show whether everyone on duty could be reached in the nightly test; with --now, test now.

    Exit codes: 0 everybody confirmed or may still, 1 somebody did not, 2 wrong usage or settings.
    """

    async def work(pool: asyncpg.Pool, settings: Settings) -> tuple[str, Sequence[BaseModel]]:
        routes = _routes(pool, settings)
        said = ""
        if now:
            begun = await routes.begin_tests(console_actor())
            said = f"round {begun.round} of {begun.night}: {begun.people} people are asked"
        return said, await routes.tests(ReachQuery(nights=nights))

    said, found = with_pool(context, work)
    columns = [
        "night",
        "round",
        "account",
        "contact",
        "result",
        "attempts",
        "handed_over_at",
        "confirmed_at",
        "last_error",
    ]
    if said:
        say(said)
    _show("Reach tests", columns, found, as_json=as_json)
    rows = [one.model_dump() for one in found]
    newest = {(row["night"], row["round"]) for row in rows[:1]}
    last = [row for row in rows if (row["night"], row["round"]) in newest]
    good = {row["account"] for row in last if row["result"] in {"confirmed", "late", "waiting"}}
    if unreached := sorted({row["account"] for row in last} - good):
        raise WentWrong(f"not reached: {', '.join(unreached)}")


@rota.command("confirm")
def rota_confirm(
    context: typer.Context, code: Annotated[str, typer.Argument(help="The code, as somebody reads it out.")]
) -> None:
    """Confirm a test for somebody who tells you the code of its message.

    Exit codes: 0 confirmed, 1 no test has this code, 2 wrong usage or settings.
    """

    async def confirm(pool: asyncpg.Pool, settings: Settings) -> tuple[str, bool]:
        done = await _routes(pool, settings).confirm(_body(ConfirmBody, code=code), console_actor())
        return done.account, done.late

    account, late = with_pool(context, confirm)
    say(f"{account} is reached{', late' if late else ''}")
