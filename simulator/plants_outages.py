"""Hard plants in the network: gateways away for minutes or hours, and whole areas, whose reports come as a flood."""

from collections.abc import Iterable
from datetime import timedelta

from simulator.planter import Fault, Planter


def outages(p: Planter) -> Iterable[Fault]:
    """Areas away for hours (one incident), gateways away for hours, and blips of a few minutes that are nothing."""
    gateways_of: dict[str, list[str]] = {}
    for gateway in p.city.gateways:
        if gateway.code in p.gateways:
            gateways_of.setdefault(gateway.area, []).append(gateway.code)
    areas = [area for area, codes in gateways_of.items() if len(codes) >= 2]
    wanted = p.plan.hard.get("cell_outage", 0)
    if len(areas) < wanted:
        raise ValueError(f"cell_outage: {wanted} wanted, {len(areas)} areas have two gateways; raise homes")
    for index in p.rng.permutation(len(areas))[:wanted]:
        yield _area_away(p, areas[index], gateways_of[areas[index]])
    for name, minutes, alert in (("gateway_outage", (180, 1_500), True), ("gateway_blip", (3, 25), False)):
        for _ in range(p.plan.hard.get(name, 0)):
            if not p.gateways:
                raise ValueError(f"{name}: no gateway is free; raise homes")
            code = p.gateways.pop(int(p.rng.integers(len(p.gateways))))
            start = p.scattered(0.1, 0.9)
            end = start + timedelta(minutes=p.between(*minutes))
            yield Fault(name, "gateway_silent", alert, ("gateway", code), start, end, ())


def _area_away(p: Planter, area: str, codes: list[str]) -> Fault:
    for code in codes:
        p.gateways.remove(code)
    start = p.scattered(0.1, 0.9)
    end = start + timedelta(hours=p.between(4, 20))
    others = tuple(("gateway", code) for code in codes)
    return Fault("cell_outage", "cell_silent", True, ("area", area), start, end, (), {}, ("gateway_silent",), others)


PLANTS = (outages,)
NAMES = ("cell_outage", "gateway_outage", "gateway_blip")
