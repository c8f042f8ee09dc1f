"""The simulator's gateways against a real broker: acknowledgements, births, wills, refusals, lost connections."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import aiomqtt
import mqtt5
import pytest

from simulator.city import CityParams, build_city
from simulator.faults import Plan, plan_faults
from simulator.link import Broker as Address
from simulator.link import RefusedError
from simulator.messages import messages
from simulator.model import City, Message
from simulator.publisher import Publisher, UnknownGatewayError, publish
from tests.servers import Broker

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
DAYS = 8


def small_city() -> City:
    return build_city(CityParams(now=NOW, homes=120, gateways=4, history_days=DAYS))


def history(city: City) -> list[Message]:
    small = Plan(1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    return list(messages(city, plan_faults(city, NOW, 1, DAYS, small), NOW, DAYS, 1))


def credentials(city: City, broker: Broker) -> dict[str, str]:
    return {gateway.code: broker.gateway(gateway.code)[1] for gateway in city.gateways}


class Listener:
    """The ingest account, hearing everything."""

    def __init__(self, broker: Broker) -> None:
        user, password = broker.ingest
        self.client = aiomqtt.Client(
            hostname=broker.host, port=broker.port, username=user, password=password.encode(), clean_start=True
        )
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.bytes: list[bytes] = []

    async def until(self, count: int, timeout_s: float = 20) -> None:
        """Hear until `count` messages came."""
        async with asyncio.timeout(timeout_s):
            async for message in self.client.messages():
                assert isinstance(message, mqtt5.PublishPacket)
                assert message.payload is not None
                if message.packet_id is not None:
                    await self.client.puback(message.packet_id)
                self.bytes.append(message.payload)
                self.heard.append((message.topic, json.loads(message.payload)))
                if len(self.heard) == count:
                    return


async def test_a_played_history_reaches_the_broker_whole(broker: Broker) -> None:
    """What is acknowledged is what was sent, and with the wills that is what a subscriber hears, byte for byte."""
    city = small_city()
    played = history(city)
    passwords = credentials(city, broker)
    listener, acknowledged = Listener(broker), list[int]()
    async with listener.client as client:
        await client.subscribe("gas/v1/#", max_qos=mqtt5.QoS.AT_LEAST_ONCE)
        published = await publish(played, broker.host, broker.port, passwords, acknowledged.append)
        await listener.until(published.acknowledged + published.wills)
    spoken = [message.payload for message in played if message.kind != "lost"]
    returns = 1  # the flapping gateway's second birth
    assert published.sent == published.acknowledged == sum(acknowledged) == len(spoken) + returns
    assert published.wills == 2
    unplanned = sorted(listener.bytes)
    for payload in spoken:
        unplanned.remove(payload)
    assert [json.loads(payload)["state"] for payload in unplanned].count("offline") == 2
    assert len(unplanned) == 3


async def test_a_gateway_that_goes_silent_leaves_its_will_and_one_that_flaps_is_back_online(broker: Broker) -> None:
    """The silent gateway's last status is offline in its own session; the flapping one's is a new session, online."""
    city = small_city()
    played = history(city)
    lost = [message.gateway for message in played if message.kind == "lost"]
    silent = {
        gateway for gateway in lost if not any(m.gateway == gateway for m in played[played_loss(played, gateway) :])
    }
    (flapping,) = set(lost) - silent
    passwords = credentials(city, broker)
    listener = Listener(broker)
    async with listener.client as client:
        await client.subscribe("gas/v1/+/+/status", max_qos=mqtt5.QoS.AT_LEAST_ONCE)
        published = await publish(played, broker.host, broker.port, passwords)
        await listener.until(len(city.gateways) + 1 + published.wills)
    latest = {topic.split("/")[3]: body for topic, body in listener.heard}
    first = {message.gateway: json.loads(message.payload) for message in reversed(played) if message.kind == "status"}
    assert len(silent) == 1
    for gateway in silent:
        assert latest[gateway] == {"state": "offline", "session": first[gateway]["session"], "at": first[gateway]["at"]}
    assert latest[flapping]["state"] == "online"
    assert latest[flapping]["session"] != first[flapping]["session"]


def played_loss(played: list[Message], gateway: str) -> int:
    return next(i for i, message in enumerate(played) if message.gateway == gateway and message.kind == "lost") + 1


async def test_messages_not_acknowledged_when_the_connection_breaks_are_sent_again(broker: Broker) -> None:
    """A connection cut in mid-play costs nothing: all are acknowledged in the end, some sent twice."""
    city = small_city()
    played = [
        message for message in history(city) if message.gateway == city.gateways[0].code and message.kind != "lost"
    ]
    cuts = 0

    async with Publisher(Address(broker.host, broker.port), credentials(city, broker), in_flight=20) as publisher:

        def cut(_count: int) -> None:
            nonlocal cuts
            lane = publisher._lanes[city.gateways[0].code]
            if lane.acknowledged in {50, 150} and lane.link is not None:
                cuts += 1
                lane.link.break_off()

        published = await publisher.publish(played, cut)
    count = published.gateways[city.gateways[0].code]
    assert cuts == 2
    assert count.acknowledged == count.sent == len(played) + 2
    assert count.resent > 0
    assert count.wills == 2


async def test_a_wrong_password_is_said_at_once(broker: Broker) -> None:
    """A refused login ends the play and names the gateway."""
    city = small_city()
    wrong = credentials(city, broker) | {city.gateways[0].code: "wrong"}
    with pytest.raises(RefusedError, match=city.gateways[0].code):
        await publish(history(city), broker.host, broker.port, wrong)


async def test_a_gateway_without_password_is_named(broker: Broker) -> None:
    """Credentials that miss a gateway are refused before anything hangs."""
    with pytest.raises(UnknownGatewayError, match="GW-0001"):
        await publish(history(small_city()), broker.host, broker.port, {})
