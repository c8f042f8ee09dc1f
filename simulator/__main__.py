"""The simulator's command line: registry, play, valves, truth, score. Parses and wires, nothing more."""

import asyncio
import json
import sys
from collections import deque
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from simulator.city import CityParams, build_city
from simulator.faults import Fault, Plan, plan_faults, truth_json
from simulator.link import Broker, RefusedError
from simulator.live import Followed, Live
from simulator.messages import messages
from simulator.model import City
from simulator.publisher import Published, Publisher, UnknownGatewayError, go_on
from simulator.registry import write_registry
from simulator.score import Score, alerts_from_json, score
from simulator.valves import Behaviour, ears_of, listen

CITY_FILE = "city.json"

app = typer.Typer(
    help="A simulated city: writes its registry, plays its telemetry with planted faults, and scores alerts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console()

Directory = Annotated[Path, typer.Argument(help="Directory of the registry CSV files and of city.json.")]
Days = Annotated[int, typer.Option(min=8, help="Whole local days of history before today.")]
Now = Annotated[
    str | None, typer.Option(help="Moment at which the history ends, RFC 3339 with a zone; default: the present.")
]
Spread = Annotated[bool, typer.Option(help="Scatter faults over the whole history instead of bringing them up to now.")]
Faults = Annotated[float, typer.Option(min=0.0, help="Planted faults per 400 homes, as a multiple of the usual set.")]


@app.command()
def registry(
    directory: Directory,
    homes: Annotated[int, typer.Option(min=12, help="Number of premises.")] = 400,
    gateways: Annotated[int | None, typer.Option(min=1, help="Number of gateways; default: one for 40 homes.")] = None,
    inspectors: Annotated[int, typer.Option(min=1, help="Number of inspectors.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same city.")] = 1,
    days: Days = 12,
    now: Now = None,
) -> None:
    """Write the registry CSV files that `gaswarden import registry` reads, and city.json for the other commands."""
    params = CityParams(_moment(now), seed, homes, gateways, inspectors, days)
    write_registry(build_city(params), directory)
    document = asdict(params) | {"now": params.now.isoformat()}
    (directory / CITY_FILE).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    console.print(f"{homes} homes written to {directory}")


@app.command()
def play(
    directory: Directory,
    mqtt_url: Annotated[str, typer.Option(envvar="MQTT_URL", help="Broker: mqtt://host:port, or mqtts:// for TLS.")],
    credentials: Annotated[
        Path, typer.Option(help='JSON file: {"GATEWAY": "password"}; a gateway signs in by its own name.')
    ],
    days: Days = 12,
    now: Now = None,
    spread: Spread = False,
    faults: Faults = 1.0,
    truth: Annotated[Path | None, typer.Option(help="Write the planted truth to this file, too.")] = None,
    live_per_s: Annotated[
        float, typer.Option(min=0.0, help="After the history, go on with so many messages a second until Ctrl-C.")
    ] = 0.0,
    leak: Annotated[bool, typer.Option(help="After the history, let one more detector smell gas.")] = False,
) -> None:
    """Publish the history of a city, gateway by gateway over MQTT, and wait for every acknowledgement."""
    city, params = _city(directory)
    at, seed = _moment(now), params.seed
    planted = _planted(city, at, seed, days, spread=spread, factor=faults)
    if truth is not None:
        _write_truth(truth, city, planted, at, seed, days)
    passwords = json.loads(credentials.read_text("utf-8"))
    followed = Followed(messages(city, planted, at, days, seed))
    try:
        asyncio.run(_play(Broker.at(mqtt_url), passwords, followed, city, planted, seed, live_per_s, leak=leak))
    except (RefusedError, UnknownGatewayError) as error:
        console.print(str(error), style="red")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


async def _play(
    broker: Broker,
    passwords: dict[str, str],
    followed: Followed,
    city: City,
    planted: tuple[Fault, ...],
    seed: int,
    live_per_s: float,
    *,
    leak: bool,
) -> None:
    columns = (TextColumn("acknowledged"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    async with Publisher(broker, passwords) as publisher:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("acknowledged", total=None)
            published = await publisher.publish(followed, lambda count: bar.advance(task, count))
            bar.update(task, total=published.sent)
        _print_published(published)
        live = Live(city, planted, followed.last, seed)
        if leak:
            fired = live.leak(datetime.now(UTC))
            await publisher.publish(fired)
            console.print(f"leak alarm published by detector {fired[-1].device}")
        if live_per_s > 0:
            console.print(f"going on with {live_per_s:g} messages a second; Ctrl-C ends it")
            await go_on(publisher, live.tick, live_per_s)


@app.command()
def valves(
    directory: Directory,
    mqtt_url: Annotated[str, typer.Option(envvar="MQTT_URL", help="Broker: mqtt://host:port, or mqtts:// for TLS.")],
    credentials: Annotated[
        Path, typer.Option(help='JSON file: {"GATEWAY": "password"}; a gateway signs in by its own name.')
    ],
    days: Days = 12,
    now: Now = None,
    lie: Annotated[float, typer.Option(min=0, max=1, help="Share of valves that say closed while gas flows.")] = 0.05,
    sleep: Annotated[float, typer.Option(min=0, max=1, help="Share of valves that hear nothing.")] = 0.1,
    stuck: Annotated[float, typer.Option(min=0, max=1, help="Share of valves that say they are faulty.")] = 0.02,
    report_after_s: Annotated[float, typer.Option(min=0, help="Pause before a moved valve's next reading.")] = 90.0,
) -> None:
    """Answer commands to the valves of a city's meters until Ctrl-C; not while `play` goes on with the same meters."""
    city, params = _city(directory)
    at = _moment(now)
    planted = _planted(city, at, params.seed, days, spread=False, factor=1.0)
    followed = Followed(messages(city, planted, at, days, params.seed))
    deque(followed, maxlen=0)
    shares: dict[Behaviour, float] = {"lies": lie, "sleeps": sleep, "stuck": stuck}
    passwords = json.loads(credentials.read_text("utf-8"))
    ears = ears_of(Broker.at(mqtt_url), city, followed.last, passwords, shares, params.seed, report_after_s)
    try:
        asyncio.run(listen(ears))
    except RefusedError as error:
        console.print(str(error), style="red")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


@app.command("truth")
def show_truth(
    directory: Directory,
    output: Annotated[Path, typer.Option(help="File to write the truth to.")] = Path("truth.json"),
    days: Days = 12,
    now: Now = None,
    spread: Spread = False,
    faults: Faults = 1.0,
) -> None:
    """Write which faults `play` plants with the same options: rule, subject, from when to when, alert or not."""
    city, params = _city(directory)
    at = _moment(now)
    planted = _planted(city, at, params.seed, days, spread=spread, factor=faults)
    _write_truth(output, city, planted, at, params.seed, days)
    console.print(f"{sum(fault.alert for fault in planted)} faults and {len(planted)} plants in all: {output}")


@app.command("score")
def show_score(
    alerts: Annotated[Path, typer.Option(help="Alerts as the HTTP list gives them (JSON).")],
    truth: Annotated[Path, typer.Option(help="The truth that was written when playing.")],
) -> None:
    """Compare alerts with the planted truth; exit 1 when a fault was missed."""
    raised = alerts_from_json(json.loads(alerts.read_text("utf-8")))
    result = score(json.loads(truth.read_text("utf-8")), raised)
    _print_score(result)
    sys.exit(0 if result.found == result.planted else 1)


def _planted(city: City, now: datetime, seed: int, days: int, *, spread: bool, factor: float) -> tuple[Fault, ...]:
    plan = replace(Plan().times(factor * len(city.premises) / 400), spread=spread)
    return plan_faults(city, now, seed, days, plan)


def _write_truth(path: Path, city: City, faults: tuple[Fault, ...], now: datetime, seed: int, days: int) -> None:
    path.write_text(json.dumps(truth_json(city, faults, now, seed, days), indent=1) + "\n", "utf-8")


def _city(directory: Path) -> tuple[City, CityParams]:
    path = directory / CITY_FILE
    if not path.exists():
        raise typer.BadParameter(f"{path} does not exist; make it with: python -m simulator registry {directory}")
    document = json.loads(path.read_text("utf-8"))
    params = CityParams(**(document | {"now": datetime.fromisoformat(document["now"])}))
    return build_city(params), params


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text}: a zone is needed, e.g. 2026-11-20T06:30:00Z")
    return moment.astimezone(UTC)


def _print_published(published: Published) -> None:
    resent = sum(count.resent for count in published.gateways.values())
    refused = sum(count.refused for count in published.gateways.values())
    console.print(
        f"{published.sent} messages sent by {len(published.gateways)} gateways, {published.acknowledged} acknowledged, "
        f"{refused} refused, {resent} sent again; {published.wills} last wills left to the broker"
    )


def _print_score(result: Score) -> None:
    table = Table("rule", "planted", "found", "false", "median time to detect")
    for rule in result.rules:
        detect = "" if rule.median_detect_s is None else f"{rule.median_detect_s / 3600:.1f} h"
        table.add_row(rule.rule, str(rule.planted), str(rule.found), str(len(rule.false)), detect)
    console.print(table)
    for rule in result.rules:
        for missed in rule.missed:
            console.print(f"missed: {rule.rule} {missed}")
    for false in result.false:
        console.print(f"false: {false}")
    console.print(
        f"found {result.found} of {result.planted}; {len(result.false)} false alerts, "
        f"{result.false_per_1000_homes_week:.2f} per 1,000 homes and week"
    )


if __name__ == "__main__":
    app()
