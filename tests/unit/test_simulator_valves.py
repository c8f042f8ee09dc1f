"""Simulated valves: what each kind says to a command."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingest.model import Decoded
from ingest.payload import decode_native
from simulator.city import CityParams, build_city
from simulator.link import Broker
from simulator.live import Spoken
from simulator.valves import Behaviour, Valve, ears_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def order(number: int, valve: str = "close", minutes: float = 60) -> dict[str, Any]:
    return {
        "command": number,
        "device": "M-1",
        "valve": valve,
        "expires_at": (NOW + timedelta(minutes=minutes)).isoformat(),
    }


def test_obeys_a_number_once_and_answers_it_every_time() -> None:
    """Sent again, it is the same command; an older one is not heard."""
    valve = Valve("M-1")
    first, again = valve.hear(order(5), NOW), valve.hear(order(5), NOW + timedelta(seconds=1))
    assert [kind for kind, _ in first] == [kind for kind, _ in again] == ["events", "readings"]
    assert (valve.position, valve.moves) == ("closed", 1)
    assert valve.hear(order(4, "open"), NOW) == []
    assert valve.position == "closed"


def test_does_not_obey_what_has_expired() -> None:
    """Nor does it answer."""
    valve = Valve("M-1")
    assert valve.hear(order(5, minutes=-1), NOW) == []
    assert valve.position == "open"


@pytest.mark.parametrize(("behaviour", "status", "flows"), [("obeys", 1, False), ("lies", 1, True), ("stuck", 2, True)])
def test_what_each_says(behaviour: Behaviour, status: int, flows: bool) -> None:
    """One that lies says closed while its register moves; one that is stuck says that it is faulty."""
    valve = Valve("M-1", behaviour)
    valve.hear(order(5), NOW)
    before_ml = valve.index_ml
    _, body = valve.report(NOW + timedelta(minutes=10))
    assert body["status"] == status
    assert (body["index_ml"] > before_ml) == flows == (body["flow_lh"] > 0)


def test_sleeps() -> None:
    """It hears nothing."""
    assert Valve("M-1", "sleeps").hear(order(5), NOW) == []


def test_speaks_as_specified() -> None:
    """The product's own decoder reads every word."""
    for kind, body in Valve("M-1").hear(order(5), NOW):
        assert isinstance(decode_native(f"gas/v1/D01/GW-1/{kind}", json.dumps(body).encode()), Decoded)


def test_a_citys_valves_go_on_from_what_their_meters_said() -> None:
    """Every meter with a valve that spoke is heard at its gateway, in the shares asked for, the same by seed."""
    city = build_city(CityParams(now=NOW, homes=60, gateways=2))
    meters = [device for device in city.devices if device.has_valve]
    last = {device.code: Spoken(NOW, 65_535, 5_000_000) for device in meters[1:]}
    passwords = {gateway.code: "x" for gateway in city.gateways}
    shares: dict[Behaviour, float] = {"lies": 0.5, "sleeps": 0.2}
    ears, again = (ears_of(Broker("h", 1), city, last, passwords, shares, 1, 60.0) for _ in range(2))
    valves = {code: valve for ear in ears for code, valve in ear.valves.items()}
    assert valves.keys() == last.keys()
    assert {valve.behaviour for valve in valves.values()} == {"lies", "sleeps", "obeys"}
    assert [one.valves for one in again] == [one.valves for one in ears]
    _, body = next(iter(valves.values())).report(NOW)
    assert (body["seq"], body["index_ml"]) == (0, 5_000_000)
