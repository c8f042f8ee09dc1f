"""How often one caller, or one token, may call what needs no account."""

from app.problems import Problem

_WINDOW_S = 60.0
_CALLERS_MAX = 10_000


class PublicCalls:
    """Counts calls by caller (or token) and minute, in this process; forgets all of them when too many are known."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._seen: dict[str, tuple[float, int]] = {}

    def count(self, caller: str, now_s: float) -> None:
        """Count one call at a monotonic moment; raises Problem 429 when this one has called too often."""
        since_s, calls = self._seen.get(caller, (now_s, 0))
        if now_s - since_s >= _WINDOW_S:
            since_s, calls = now_s, 0
        if len(self._seen) >= _CALLERS_MAX and caller not in self._seen:
            self._seen.clear()
        self._seen[caller] = (since_s, calls + 1)
        if calls >= self._per_minute:
            wait_s = max(1, round(_WINDOW_S - (now_s - since_s)))
            raise Problem(429, f"Too many requests; try again in {wait_s} s.", headers={"Retry-After": str(wait_s)})
