"""Run by another interpreter: reads an instance from standard input, solves it with VROOM or OR-Tools, prints routes.

Imports nothing of the project. Routes are indices of clients, one list a vehicle.
"""

import json
import sys
import time
from datetime import timedelta
from typing import Any


def by_vroom(asked: dict[str, Any]) -> list[list[int]]:
    """VROOM: priorities 0..100 stand for prizes; exploration as deep as the time allows."""
    import numpy as np
    import vroom

    problem = vroom.Input()
    problem.set_durations_matrix(profile="car", matrix_input=np.array(asked["durations"], dtype=np.uint32))
    problem.set_costs_matrix(profile="car", matrix_input=np.array(asked["costs"], dtype=np.uint32))
    most = max(client["prize"] for client in asked["clients"] if not client["must"])
    for number, client in enumerate(asked["clients"]):
        problem.add_job(
            vroom.Job(
                number,
                location=client["place"],
                default_service=client["service_s"],
                skills=set(client["needs"]),
                priority=100 if client["must"] else max(1, round(99 * client["prize"] / most)),
                time_windows=[vroom.TimeWindow(client["early_s"], client["late_s"])],
            )
        )
    for number, vehicle in enumerate(asked["vehicles"]):
        problem.add_vehicle(
            vroom.Vehicle(
                number,
                start=vehicle["start"],
                end=vehicle["end"],
                skills=set(vehicle["has"]),
                time_window=vroom.TimeWindow(vehicle["early_s"], vehicle["late_s"]),
            )
        )
    solution = problem.solve(exploration_level=5, nb_threads=1, timeout=timedelta(seconds=asked["seconds"]))
    routes: list[list[int]] = [[] for _ in asked["vehicles"]]
    for row in solution.routes.itertuples():
        if row.type == "job":
            routes[int(row.vehicle_id)].append(int(row.id))
    return routes


def by_ortools(asked: dict[str, Any]) -> list[list[int]]:
    """OR-Tools: a penalty for each client left out, local cheapest insertion, guided local search."""
    from ortools.constraint_solver import pywrapcp, routing_enums_pb2

    clients, vehicles = asked["clients"], asked["vehicles"]
    places = [c["place"] for c in clients] + [v["start"] for v in vehicles] + [v["end"] for v in vehicles]
    service = [c["service_s"] for c in clients] + [0] * (2 * len(vehicles))
    starts = [len(clients) + n for n in range(len(vehicles))]
    ends = [len(clients) + len(vehicles) + n for n in range(len(vehicles))]
    manager = pywrapcp.RoutingIndexManager(len(places), len(vehicles), starts, ends)
    model = pywrapcp.RoutingModel(manager)
    durations, costs = asked["durations"], asked["costs"]

    def cost(a: int, b: int) -> int:
        return int(costs[places[manager.IndexToNode(a)]][places[manager.IndexToNode(b)]])

    def moving(a: int, b: int) -> int:
        origin = manager.IndexToNode(a)
        return int(service[origin] + durations[places[origin]][places[manager.IndexToNode(b)]])

    model.SetArcCostEvaluatorOfAllVehicles(model.RegisterTransitCallback(cost))
    model.AddDimension(model.RegisterTransitCallback(moving), 86_400, 86_400, False, "time")
    clock = model.GetDimensionOrDie("time")
    for number, client in enumerate(clients):
        index = manager.NodeToIndex(number)
        clock.CumulVar(index).SetRange(client["early_s"], client["late_s"])
        able = [n for n, vehicle in enumerate(vehicles) if set(client["needs"]) <= set(vehicle["has"])]
        model.VehicleVar(index).SetValues([-1, *able])
        model.AddDisjunction([index], client["prize"] * asked["prize_factor"])
    for number, vehicle in enumerate(vehicles):
        clock.CumulVar(model.Start(number)).SetRange(vehicle["early_s"], vehicle["late_s"])
        clock.CumulVar(model.End(number)).SetRange(vehicle["early_s"], vehicle["late_s"])
    settings = pywrapcp.DefaultRoutingSearchParameters()
    settings.first_solution_strategy = routing_enums_pb2.FirstSolutionStrategy.LOCAL_CHEAPEST_INSERTION
    settings.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GUIDED_LOCAL_SEARCH
    settings.time_limit.FromMilliseconds(int(asked["seconds"] * 1000))
    found = model.SolveWithParameters(settings)
    routes = []
    for number in range(len(vehicles)):
        route, index = [], model.Start(number)
        while found and not model.IsEnd(index):
            node = manager.IndexToNode(index)
            if node < len(clients):
                route.append(node)
            index = found.Value(model.NextVar(index))
        routes.append(route)
    return routes


if __name__ == "__main__":
    request = json.load(sys.stdin)
    begun = time.perf_counter()
    made = {"vroom": by_vroom, "ortools": by_ortools}[request["solver"]](request)
    json.dump({"routes": made, "seconds": time.perf_counter() - begun}, sys.stdout)
