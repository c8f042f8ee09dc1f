"""The demonstration district: made from a seed, imported like any registry, remembered between starts."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from app import accounts
from app.access import account_by_token
from app.demo.stage import StageError
from app.importer import import_folder
from simulator.city import CityParams, build_city
from simulator.faults import Fault, plan_faults, truth_json
from simulator.live import Spoken
from simulator.model import City
from simulator.registry import write_registry
from sql.actor import Actor

_ACTOR = Actor("demonstration", "administrator")


@dataclass(frozen=True, slots=True)
class State:
    """What a later start needs to know: how the district was made, until when it was played, the tokens it gave.

    `played` is False from the first message until the last is acknowledged: an interrupted start publishes the same
    bytes again, which ingest recognises. `interrupted` is True for a start that finds such a one. `acknowledged` counts
    what the broker acknowledged over all starts. `live_leak` is (detector, moment) of the leak published after the
    history.
    """

    now: datetime
    seed: int
    homes: int
    days: int
    played: bool = False
    acknowledged: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    spoken: dict[str, Spoken] = field(default_factory=dict)
    live_leak: tuple[str, datetime] | None = None
    interrupted: bool = False

    def city(self) -> City:
        """The district; the same state gives the same."""
        return build_city(CityParams(self.now, self.seed, self.homes, history_days=self.days))

    def faults(self, city: City) -> tuple[Fault, ...]:
        """The planted faults and harmless plants, without the live leak."""
        return plan_faults(city, self.now, self.seed, self.days)

    def truth(self, city: City) -> dict[str, Any]:
        """The ground truth that alerts are scored on, the live leak included."""
        faults = self.faults(city)
        if self.live_leak:
            detector, at = self.live_leak
            faults += (Fault("live_leak", "leak_alarm", True, ("device", detector), at, at, (detector,)),)
        return truth_json(city, faults, self.now, self.seed, self.days)


def begin(folder: Path, now: datetime, seed: int, homes: int, days: int) -> State:
    """The state of an earlier start, or a new one.

    Raises StageError when another kind of district was begun, or the new one is too small for its faults.
    """
    path = folder / "state.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        return _with_room(State(now.replace(microsecond=0), seed, homes, days))
    state = _read(json.loads(path.read_text("utf-8")))
    if (state.seed, state.homes, state.days) != (seed, homes, days):
        raise StageError(
            f"the demonstration here has {state.homes} homes, {state.days} days, seed {state.seed}; "
            "start with the same figures, or with --fresh to delete it and its servers' data"
        )
    return replace(state, interrupted=not state.played)


def _with_room(state: State) -> State:
    """The same state; raises StageError when its district is too small for every planted fault."""
    try:
        state.faults(state.city())
    except ValueError as error:
        raise StageError(f"a district of {state.homes} homes has no room for every planted fault: {error}") from error
    return state


def keep(folder: Path, state: State) -> None:
    """Write the state for a later start, readable by the owner only: it holds the demonstration's tokens."""
    document = asdict(state) | {"spoken": {code: list(said) for code, said in state.spoken.items()}}
    fresh = folder / "state.json.new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(document, file, default=lambda value: value.isoformat())
    fresh.replace(folder / "state.json")


def _read(document: dict[str, Any]) -> State:
    spoken = {code: Spoken(_moment(at), seq, index_ml) for code, (at, seq, index_ml) in document["spoken"].items()}
    leak = document["live_leak"]
    return State(
        **document
        | {"now": _moment(document["now"]), "spoken": spoken, "live_leak": leak and (leak[0], _moment(leak[1]))}
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def settle_in(conn: asyncpg.Connection, folder: Path, city: City, state: State, at: datetime) -> State:
    """Import the district's registry and give the demonstration its three accounts; harmless when repeated."""
    write_registry(city, folder / "registry")
    report = await import_folder(conn, folder / "registry", _ACTOR, at, strict=True)
    if report.bad:
        first = report.bad[0]
        raise StageError(f"{first.file} line {first.line}: {first.column} {first.reason}")
    (folder / "truth.json").write_text(json.dumps(state.truth(city), indent=1, default=str), "utf-8")
    inspector = city.inspectors[0].code
    wanted = {"officer": None, "inspector": inspector, "administrator": None}
    tokens = {role: await _token(conn, state, role, code, at) for role, code in wanted.items()}
    return replace(state, tokens=tokens)


async def _token(conn: asyncpg.Connection, state: State, role: str, inspector: str | None, at: datetime) -> str:
    """The token of the demonstration's account of a role; an account whose token is not known is replaced."""
    name = f"demo-{role}"
    known = state.tokens.get(role)
    if known and await account_by_token(conn, known):
        return known
    taken = {account.name for account in await accounts.accounts(conn)}
    number = next(n for n in range(1, len(taken) + 2) if _numbered(name, n) not in taken)
    return await accounts.add_account(
        conn, accounts.NewAccount(_numbered(name, number), role, None, inspector), _ACTOR, at
    )


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def stale(state: State, now: datetime) -> bool:
    """Whether so much time passed since the devices last spoke that they should all report before anything else."""
    last = max((said.at for said in state.spoken.values()), default=state.now)
    return now - last.astimezone(UTC) > timedelta(minutes=30)
