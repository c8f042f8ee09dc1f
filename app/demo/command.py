"""`gaswarden demo`, which `scripts/up` runs: set the stage, play, show, judge, serve."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.commands.terminal import JsonOption, say
from app.database import open_database
from app.demo import show
from app.demo.desk import Desk, until
from app.demo.district import State, begin, keep, settle_in
from app.demo.duty import CONTACT, put_on_duty, reachable, told_after_ms
from app.demo.play import Played, play, tell_history
from app.demo.stage import Servers, StageError, directory, open_servers, run_services
from app.demo.verdict import Judgement, judge, told
from app.embedded import EmbeddedError
from app.embedded.processes import free_port
from app.logs import LogParams, configure_logging
from app.settings import Settings, load_settings
from inspections.recheck import broken_in_force
from simulator.link import Broker
from simulator.model import City
from simulator.publisher import Publisher, go_on
from simulator.score import Raised, Score, alerts_from_json, score
from sql import queries
from sql.migrate import migrate

_SETTLE_TIMEOUT_S = 120.0
_LIVE_PER_S = 2.0
_WANTED_PORT = 8080
_PIPED_WIDTH = 160


def demo(
    check: Annotated[
        bool, typer.Option(help="Stop at the end; exit 0 only if all planted faults were found and all proofs hold.")
    ] = False,
    homes: Annotated[int, typer.Option(min=60, max=100_000, help="Premises of the district.")] = 400,
    days: Annotated[int, typer.Option(min=11, max=60, help="Days of history before today.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same district and faults.")] = 1,
    fresh: Annotated[
        bool, typer.Option(help="First delete the demonstration and the embedded servers with ALL their data.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Play a demonstration district with known faults against the real services, show what was found, keep serving.

    Needs no settings: it makes private servers under var/. DATABASE_URL and MQTT_URL name others to use instead.
    Exit codes: 0 well (with --check: everything proved), 1 something failed, 2 wrong usage.
    """
    console = Console(stderr=as_json, width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started us with Ctrl-C switched off
        signal.signal(number, signal.default_int_handler)
    try:
        with open_servers(say, fresh=fresh) as servers, _own_log():
            if fresh:
                (directory() / "state.json").unlink(missing_ok=True)
            state = begin(directory(), datetime.now(UTC), seed, homes, days)
            well = asyncio.run(_demonstrate(servers, state, console, check=check, as_json=as_json))
    except (StageError, EmbeddedError) as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if well else 1)


@contextmanager
def _own_log() -> Iterator[None]:
    """What the simulated gateways log goes to a file: the screen is for the person."""
    path = directory().parent / "log" / "demonstration.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        configure_logging(LogParams(form="json"), log)
        yield


@dataclass(frozen=True, slots=True)
class _Stage:
    """Everything that runs: servers, settings, folder, the services' address."""

    servers: Servers
    settings: Settings
    folder: Path
    address: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the officer saw at the end, and what was decided on it."""

    alerts: list[dict[str, Any]]
    truth: dict[str, Any]
    score: Score
    ledger: dict[str, Any]
    roster: dict[str, Any] | None
    told_ms: float | None
    judgements: tuple[Judgement, ...]

    @property
    def well(self) -> bool:
        """Whether every judgement is good."""
        return all(one.ok for one in self.judgements)


async def _demonstrate(servers: Servers, state: State, console: Console, *, check: bool, as_json: bool) -> bool:
    """The whole demonstration, in order; True when every judgement was good."""
    folder, city = directory(), state.city()
    migrate(servers.admin_database_url)
    settings, _ = load_settings(os.environ | servers.environment())
    state = await _settle_in(settings, folder, city, state)
    port = free_port(int(os.environ.get("GASWARDEN_HTTP__PORT") or _WANTED_PORT))
    stage = _Stage(servers, settings, folder, f"http://127.0.0.1:{port}")
    if state.interrupted:
        state = await _catch_up(stage, city, state, port, console)
    async with (
        run_services(servers, port, folder.parent / "log" / "services.log") as process,
        Desk(stage.address, state.tokens["officer"]) as desk,
        _gateways(servers, city) as publisher,
    ):
        console.print(f"services are up: {stage.address}")
        played = await _play(publisher, desk, city, state, console)
        keep(folder, played.state)
        seen = await _look(stage, desk, city, played.state)
        if as_json:
            _print_json(stage, played, seen)
        else:
            _show(console, stage, city, played, seen)
        if check:
            return seen.well
        try:
            await _serve(publisher, played, process, servers, console)
        finally:
            keep(folder, replace(played.state, spoken=dict(played.live.last)))
    return True


async def _catch_up(stage: _Stage, city: City, state: State, port: int, console: Console) -> State:
    """Tell the history that an earlier start did not finish, before anybody judges it.

    Its devices fell silent with that start: rules that ran would rightly say so, of nearly all of them.
    """
    console.print("an earlier start was interrupted in its history: telling that first, without rules")
    log = stage.folder.parent / "log" / "services.log"
    async with (
        run_services(stage.servers, port, log, ("ingest", "http")),
        Desk(stage.address, state.tokens["officer"]) as desk,
        _gateways(stage.servers, city) as publisher,
    ):
        days = state.now.date(), datetime.now(UTC).date()
        stored = [int((await desk.ledger(*days))["received"])]
        state = await tell_history(publisher, city, state, lambda _: None)
        wanted = stored[0] + publisher.published().acknowledged

        async def all_stored() -> bool:
            """Also what the earlier start had left at the broker: as much as was told, and no more comes."""
            stored.append(int((await desk.ledger(*days))["received"]))
            return wanted <= stored[-2] == stored[-1]

        await until(all_stored, _SETTLE_TIMEOUT_S, pause_s=0.5)
    keep(stage.folder, state)
    return state


async def _settle_in(settings: Settings, folder: Path, city: City, state: State) -> State:
    async with open_database(settings, "demo") as pool, pool.acquire() as conn:
        state = await settle_in(conn, folder, city, state, datetime.now(UTC))
        await put_on_duty(conn, settings.notices, state, datetime.now(UTC))
    keep(folder, state)
    return state


@asynccontextmanager
async def _gateways(servers: Servers, city: City) -> AsyncIterator[Publisher]:
    accounts = await asyncio.to_thread(servers.gateway_accounts, [gateway.code for gateway in city.gateways])
    async with Publisher(Broker.at(servers.mqtt_url), accounts) as publisher:
        yield publisher


async def _play(publisher: Publisher, desk: Desk, city: City, state: State, console: Console) -> Played:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        expected = len(city.devices) * (state.days + 1) if not state.played else None
        task = bar.add_task("messages acknowledged", total=expected)
        played = await play(publisher, desk, city, state, lambda count: bar.advance(task, count))
    console.print(f"messages acknowledged by the broker: {publisher.published().acknowledged:,}")
    if played.leak_ms is not None:
        console.print(f"leak alarm published -> alert readable over HTTP: {played.leak_ms:.0f} ms", style="bold")
    return played


async def _look(stage: _Stage, desk: Desk, city: City, state: State) -> _Seen:
    """Wait until all that was published is evaluated, plan tomorrow, and look at everything over HTTP."""
    truth = state.truth(city)
    (stage.folder / "truth.json").write_text(json.dumps(truth, indent=1, default=str), "utf-8")
    acknowledged = state.acknowledged
    days = state.now.date(), datetime.now(UTC).date()
    async with open_database(stage.settings, "demo") as pool:

        async def settled() -> bool:
            ledger = await desk.ledger(*days)
            async with pool.acquire() as conn:
                backlog = await conn.fetchval(*queries["rules_backlog"].bind())
            return int(ledger["received"]) >= acknowledged and int(backlog) == 0

        async def found() -> bool:
            result = score(truth, _of_the_play(state, await desk.alerts()))
            return result.found == result.planted

        await until(settled, _SETTLE_TIMEOUT_S)
        await until(found, 3 * stage.settings.rules.tick_s + 5, pause_s=0.5)
        tomorrow = _tomorrow(stage.settings)
        await desk.tell(f"rosters/{tomorrow}/plan")
        broken = await broken_in_force(pool, tomorrow, stage.settings.roster)
    alerts, ledger = await desk.alerts(), await desk.ledger(*days)
    told_ms = await told_after_ms(desk, state, alerts) if reachable(stage.settings.notices) else None
    result = score(truth, _of_the_play(state, alerts))
    roster = await _roster_to_show(desk, tomorrow)
    judgements = judge(result, ledger, acknowledged, broken)
    if reachable(stage.settings.notices):
        judgements += (told(told_ms),)
    return _Seen(alerts, truth, result, ledger, roster, told_ms, judgements)


def _of_the_play(state: State, alerts: list[dict[str, Any]]) -> list[Raised]:
    """Alerts that the play can have caused: what somebody published afterwards is neither found nor false."""
    end = state.live_leak[1] if state.live_leak else state.now
    return [alert for alert in alerts_from_json(alerts) if alert.first_at <= end]


def _tomorrow(settings: Settings) -> date:
    return (datetime.now(UTC).astimezone(settings.roster.zone) + timedelta(days=1)).date()


async def _roster_to_show(desk: Desk, day: date) -> dict[str, Any] | None:
    """The roster of the inspector who has the most visits that came from alerts."""
    answer = await desk.ask(f"rosters/{day}")
    rosters = [roster for roster in (answer or {"rosters": []})["rosters"] if roster["visits"]]
    if not rosters:
        return None
    chosen = max(rosters, key=lambda roster: sum(bool(visit["alert_ids"]) for visit in roster["visits"]))
    return {**chosen, "day": day.isoformat()}


def _show(console: Console, stage: _Stage, city: City, played: Played, seen: _Seen) -> None:
    show.show_ledger(console, seen.ledger)
    show.show_alerts(console, seen.alerts, seen.truth)
    show.show_score(console, seen.score)
    if seen.roster is not None:
        show.show_roster(console, seen.roster, stage.settings.roster.zone)
    show.show_judgements(console, seen.judgements)
    show.show_doors(console, _doors(stage, played.state), _lines_to_try(stage, city, played))


def _doors(stage: _Stage, state: State) -> Mapping[str, str]:
    parts = Broker.at(stage.servers.mqtt_url)
    return {
        "HTTP": f"{stage.address}/api/v1  (documentation: {stage.address}/api/v1/docs)",
        "MQTT": f"mqtt://{parts.host}:{parts.port}",
        "officer's token": state.tokens["officer"],
        "inspector's token": state.tokens["inspector"],
        "administrator's token": state.tokens["administrator"],
        "rota and notices": "gaswarden rota table; gaswarden alerts show ID; GET /api/v1/rota, /alerts/ID/notices",
        "handed over so far": str(_notices(stage) or "nobody can be reached: GASWARDEN_NOTICES__CONTACT_KEY is unset"),
        "log": str(stage.folder.parent / "log" / "services.log"),
    }


def _notices(stage: _Stage) -> Path | None:
    """The file that the demonstration's officer is told by."""
    params = stage.settings.notices
    if params.local_directory is None or not reachable(params):
        return None
    return params.local_directory / f"{CONTACT}.jsonl"


def _lines_to_try(stage: _Stage, city: City, played: Played) -> list[str]:
    """Lines that work as they are pasted."""
    broker, detector = Broker.at(stage.servers.mqtt_url), played.live.detectors[0]
    gateway = next(gateway for gateway in city.gateways if gateway.code == detector.gateway)
    user, password = stage.servers.gateway_accounts([gateway.code])[gateway.code]
    seq = (played.live.last[detector.code].seq + 1) % 65_536
    payload = (
        f'{{"device":"{detector.code}","seq":{seq},"at":"\'$(date -u +%FT%TZ)\'",'
        '"event":"leak_alarm","state":"raised","level":2,"lel_pct":31.5}'
    )
    officer = f"-H 'Authorization: Bearer {played.state.tokens['officer']}'"
    inspector = f"-H 'Authorization: Bearer {played.state.tokens['inspector']}'"
    mine = city.inspectors[0].code
    publish = (
        f"mosquitto_pub -h {broker.host} -p {broker.port} -V 5 -u {user} -P {password} -q 1 "
        f"-t gas/v1/{gateway.area}/{gateway.code}/events -m '{payload}'"
    )
    return [
        publish,
        f"curl -s {officer} '{stage.address}/api/v1/alerts?state=open&severity=critical'",
        f"curl -s {officer} '{stage.address}/api/v1/rota'",
        f"curl -s {inspector} '{stage.address}/api/v1/rosters/{_tomorrow(stage.settings)}/{mine}?format=csv'",
    ]


def _print_json(stage: _Stage, played: Played, seen: _Seen) -> None:
    document = {
        "well": seen.well,
        "leak_to_alert_ms": played.leak_ms,
        "leak_to_notice_ms": seen.told_ms,
        "judgements": [asdict(one) for one in seen.judgements],
        "rules": [asdict(rule) for rule in seen.score.rules],
        "messages": seen.ledger["by_disposition"],
        "missing": sum(line["missing"] for line in seen.ledger["missing"]),
        "address": stage.address,
        "truth": str(stage.folder / "truth.json"),
    }
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False, default=str))


async def _serve(
    publisher: Publisher, played: Played, process: asyncio.subprocess.Process, servers: Servers, console: Console
) -> None:
    """Everyday life goes on at a modest rate until Ctrl-C, SIGTERM, or the end of the services.

    A server that dies is started again; the services get over it by themselves.
    """
    console.print("\nServing; the district goes on living. Ctrl-C stops everything cleanly.", style="bold")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    living = asyncio.create_task(go_on(publisher, played.live.tick, _LIVE_PER_S))
    watching = asyncio.create_task(servers.keep_alive(lambda sentence: console.print(sentence, soft_wrap=True)))
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(process.wait()), living, watching]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in ends:
        task.cancel()
    await asyncio.gather(*ends, return_exceptions=True)
    for task in (living, watching):
        if not task.cancelled() and (error := task.exception()) is not None:
            raise StageError(f"the demonstration cannot go on: {error}") from error
    if process.returncode is not None:
        raise StageError(f"the services stopped by themselves with code {process.returncode}")
    console.print("stopping: services drain, then the servers stop")
