"""Fair turns between gateways: one that floods delays itself, not the others.

Deficit round robin, equal weights (Shreedhar and Varghese, 1995), over one queue for each gateway. Nothing is dropped:
what a gateway sends beyond its share waits in its own queue, and the broker's in-flight window bounds the whole. Within
a gateway the order stays.
"""

from collections import OrderedDict, deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class FairQueue(Generic[Item]):
    """Messages by gateway; `take` gives every gateway that waits the same number of bytes, in turns."""

    def __init__(self, quantum_bytes: int = 4_096) -> None:
        if quantum_bytes < 1:
            raise ValueError("quantum_bytes must be at least 1")
        self._quantum_bytes = quantum_bytes
        self._waiting: OrderedDict[str, deque[tuple[Item, int]]] = OrderedDict()
        self._credit_bytes: dict[str, int] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, gateway: str, item: Item, size_bytes: int) -> None:
        """Put an item behind those of its gateway."""
        self._waiting.setdefault(gateway, deque()).append((item, size_bytes))
        self._length += 1

    def take(self, count_max: int) -> list[Item]:
        """Up to `count_max` items, in turns; a gateway that has nothing left keeps no credit."""
        taken: list[Item] = []
        while self._waiting and len(taken) < count_max:
            gateway, queue = next(iter(self._waiting.items()))
            credit_bytes = self._credit_bytes.pop(gateway, 0) + self._quantum_bytes
            while queue and queue[0][1] <= credit_bytes and len(taken) < count_max:
                item, size_bytes = queue.popleft()
                credit_bytes -= size_bytes
                taken.append(item)
            if queue:
                self._waiting.move_to_end(gateway)
                self._credit_bytes[gateway] = min(credit_bytes, queue[0][1])
            else:
                del self._waiting[gateway]
        self._length -= len(taken)
        return taken

    def waiting(self, gateway: str) -> int:
        """How many items of one gateway wait: a figure to warn by."""
        return len(self._waiting.get(gateway, ()))
