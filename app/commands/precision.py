"""`gaswarden rules precision`: how right the rules are."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import asyncpg
import typer

from app.commands.terminal import JsonOption, checked, console_actor, show_json, show_table, with_pool
from app.settings import Settings
from rules.precision_pages import PrecisionQuery, PrecisionRow
from rules.precision_routes import PrecisionRoutes


def show_precision(
    context: typer.Context,
    by: Annotated[str, typer.Option(help="rule, version, model, area, month or week.")] = "rule",
    rule: Annotated[str | None, typer.Option(help="Only this rule.")] = None,
    area: Annotated[list[str] | None, typer.Option(help="District, with those below it; repeat for more.")] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="Of alerts raised in so many days until now.")] = 365,
    as_json: JsonOption = False,
) -> None:
    """Show how right each rule is, as inspections and dismissals tell, with its 95 % interval.

    Alerts nobody said anything about are in no precision: unknown is not false.
    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """
    since = datetime.now(UTC) - timedelta(days=days)
    query = checked(PrecisionQuery, {"by": by, "rule": rule, "area": area or [], "since": since})

    async def read(pool: asyncpg.Pool, _settings: Settings) -> list[PrecisionRow]:
        return (await PrecisionRoutes(pool).precision(query, console_actor())).items

    items = with_pool(context, read)
    if as_json:
        show_json([one.model_dump(mode="json") for one in items])
        return
    columns = [
        "rule",
        by,
        "alerts",
        "true",
        "false",
        "unknown",
        "open",
        "tests, works",
        "precision",
        "95 %",
        "dismissed for",
    ]
    show_table(f"Precision of rules, {days} days", columns, [_precision_line(one) for one in items])


def _precision_line(one: PrecisionRow) -> tuple[object, ...]:
    share = interval = ""
    if one.precision is not None and one.precision_low is not None and one.precision_high is not None:
        share, interval = f"{one.precision:.0%}", f"{one.precision_low:.0%} - {one.precision_high:.0%}"
    causes = ", ".join(f"{cause} {count}" for cause, count in sorted(one.causes.items(), key=lambda kv: -kv[1]))
    return (
        one.rule_id, one.key, one.alerts, one.true_alerts, one.false_alerts, one.unknown_alerts, one.open_alerts,
        one.other_alerts, share, interval, causes,
    )  # fmt: skip
