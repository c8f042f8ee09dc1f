"""Hard plants in the network: gateways away for minutes or hours, and whole areas, whose reports come as a flood."""

from collections.abc import Iterable
from datetime import timedelta

from simulator.planter import Fault, Planter


def outages(p: Planter) -> Iterable[Fault]:
    """Areas away for days (one incident), gateways away for hours, and blips of a few minutes that are nothing."""
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
    start = p.scattered(0.1, 0.85)
    end = start + timedelta(hours=p.between(50, 90))
    compound_of = {building.code: building.compound for building in p.city.buildings}
    behind = [device for device in p.city.devices if device.gateway in codes]
    places = {("building", p.building(device)) for device in behind}
    places |= {("compound", compound_of[building]) for _, building in places}
    devices = (("device", device.code) for device in behind)
    others = (*(("gateway", code) for code in codes), *sorted(places), *devices)
    also = ("gateway_silent", "cell_silent", "device_silent")
    return Fault("cell_outage", "cell_silent", True, ("area", area), start, end, (), {}, also, others)


def dark_buildings(p: Planter) -> Iterable[Fault]:
    """Every device of a building is silent for days while its gateway speaks on: a radio cell or power is gone."""
    wanted = p.plan.hard.get("dark_building", 0)
    if not wanted:
        return
    devices_of: dict[str, list[str]] = {}
    for device in p.city.devices:
        devices_of.setdefault(p.building(device), []).append(device.code)
    whole = [code for code, found in devices_of.items() if len(found) >= 8 and p.free.issuperset(found)]
    if len(whole) < wanted:
        raise ValueError(f"dark_building: {wanted} wanted, {len(whole)} buildings carry nothing else; raise homes")
    for index in p.rng.permutation(len(whole))[:wanted]:
        devices = tuple(devices_of[whole[index]])
        p.free -= set(devices)
        start = p.scattered(0.1, 0.8)
        end = start + timedelta(days=p.between(4, 7))
        others = tuple(("device", code) for code in devices)
        also = ("device_silent",)
        yield Fault(
            "dark_building", "cell_silent", True, ("building", whole[index]), start, end, devices, {}, also, others
        )


PLANTS = (outages,)
NAMES = ("cell_outage", "gateway_outage", "gateway_blip", "dark_building")
