"""Acknowledgements of one lane, in the order of delivery (MQTT 5, section 4.6), whichever transaction ends first."""

import asyncio
from collections import deque
from collections.abc import Iterable

from prometheus_client import Counter

from ingest.client import BrokerConnection
from ingest.model import Delivery

_ACKNOWLEDGED = Counter("gaswarden_ingest_acknowledged", "Messages acknowledged to the broker.", ["slot"])

Receipt = tuple[object, int]


class Receipts:
    """What was delivered and is not acknowledged yet, in order.

    A delivery is acknowledged on the connection that made it, once it and all before it there are settled. On a lost
    connection nothing can be said any more: the broker sends again.
    """

    def __init__(self, slot: str) -> None:
        self._acknowledged = _ACKNOWLEDGED.labels(slot)
        self._unanswered: dict[object, _Unanswered] = {}

    def expect(self, receipt: Receipt) -> None:
        """A delivery that will be settled; called in order of delivery."""
        connection, packet_id = receipt
        known = self._unanswered.get(connection)
        if known is None:
            known = self._unanswered[connection] = _Unanswered()
        known.packet_ids.append(packet_id)

    async def settle(self, messages: Iterable[Delivery]) -> None:
        """These are committed, or another lane's: acknowledge what may be now."""
        connections: dict[object, _Unanswered] = {}
        for message in messages:
            if message.receipt is not None:
                connection, packet_id = message.receipt
                known = self._unanswered.get(connection)
                if known is not None:
                    known.settled.add(packet_id)
                    connections[connection] = known
        for connection, known in connections.items():
            await self._release(connection, known)

    async def _release(self, connection: object, known: "_Unanswered") -> None:
        async with known.sending:
            packet_ids = known.take_settled()
            if isinstance(connection, BrokerConnection) and await connection.acknowledge(packet_ids):
                self._acknowledged.inc(len(packet_ids))
                return
        if not isinstance(connection, BrokerConnection) or not connection.is_open:
            self._unanswered.pop(connection, None)


class _Unanswered:
    """The deliveries of one connection; `sending` keeps what is sent in order."""

    __slots__ = ("packet_ids", "sending", "settled")

    def __init__(self) -> None:
        self.packet_ids: deque[int] = deque()
        self.settled: set[int] = set()
        self.sending = asyncio.Lock()

    def take_settled(self) -> list[int]:
        taken: list[int] = []
        while self.packet_ids and self.packet_ids[0] in self.settled:
            taken.append(self.packet_ids.popleft())
        self.settled.difference_update(taken)
        return taken
