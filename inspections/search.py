"""How much and in what way the solver searches: apart from the solver, which few processes need. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Search:
    """How the solver searches. Costs are in seconds of travel; `polish_share` of the search moves single doors.

    `seconds_max` bounds the whole search of a part, both its phases, each by its share.

    `load_spread_max`: the inspectors of a station differ by at most so much of a shift in work and travel, where rules
    allow it.

    The prize factor 300 and the 900 s for a change of compound were measured: 30-100 served fewer visits, 1,000 and
    more lost quality; 900 s brings an inspector from 6.3 to 5.1 compounds a day at almost no loss of priority. A polish
    of 0.15 served 0.3 to 0.6 % more priority of four districts than none, and 0.3 no more than 0.15.
    """

    iterations_per_call: int = 10
    iterations_min: int = 1_500
    polish_share: float = 0.15
    block_size: int = 3
    neighbours: int = 60
    prize_factor: int = 300
    mandatory_factor: int = 20
    compound_change_s: int = 900
    load_spread_max: float = 0.2
    seconds_max: float = 300.0

    def iterations(self, calls: int, *, polish: bool) -> int:
        """Iterations for a day of so many calls: a bound in iterations, not in time, so that a plan can be repeated.

        Ten a call took about eleven seconds for 1,000 calls and 20 inspectors on one core.
        """
        return int(max(self.iterations_min, self.iterations_per_call * calls) * self._share(polish=polish))

    def seconds(self, *, polish: bool) -> float:
        """The longest one phase may take."""
        return self.seconds_max * self._share(polish=polish)

    def _share(self, *, polish: bool) -> float:
        return self.polish_share if polish else 1 - self.polish_share
