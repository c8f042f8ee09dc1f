"""The picture of the ingest figures: rates, the burst over time, alarms, processor by stage."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt


def draw(figures: dict[str, Any], path: Path) -> None:
    """Write a PNG with four panels."""
    canvas, panels = plt.subplots(2, 2, figsize=(13, 8))
    _rates(panels[0][0], figures["figures"])
    _burst(panels[0][1], figures["burst"])
    _alarms(panels[1][0], figures["alarms"])
    _stages(panels[1][1], figures["stages_us"])
    canvas.tight_layout()
    canvas.savefig(path, dpi=110)
    plt.close(canvas)


def _rates(panel: Any, figures: list[dict[str, Any]]) -> None:
    names = [one["name"] for one in figures]
    values = [max(one["messages_s"], one["rows_s"]) / 1000 for one in figures]
    bars = panel.barh(names, values, color="#4477aa")
    panel.bar_label(bars, fmt="%.0f")
    panel.invert_yaxis()
    panel.set_title("thousand rows (or messages) a second")


def _burst(panel: Any, burst: dict[str, Any]) -> None:
    seconds, published, received, rss_mb = zip(*burst["samples"], strict=True)
    panel.plot(seconds, published, label="published", color="#bbbbbb", linewidth=4)
    panel.plot(seconds, received, label="committed", color="#4477aa")
    panel.set_xlabel("seconds")
    panel.legend(loc="upper left")
    memory = panel.twinx()
    memory.plot(seconds, rss_mb, color="#aa3377")
    memory.set_ylim(0, max(300, *rss_mb))
    memory.set_ylabel("worker's memory, MB", color="#aa3377")
    panel.set_title("tenfold burst")


def _alarms(panel: Any, alarms: dict[str, dict[str, float]]) -> None:
    names = list(alarms)
    for offset, key in ((-0.2, "median_ms"), (0.2, "p99_ms")):
        bars = panel.bar([place + offset for place in range(len(names))], [alarms[name][key] for name in names], 0.35)
        panel.bar_label(bars, fmt=f"%.0f ms\n{key.removesuffix('_ms')}")
    panel.set_xticks(range(len(names)), names)
    panel.margins(y=0.25)
    panel.set_title("leak alarm published to alert readable over HTTP")


def _stages(panel: Any, by_stage: dict[str, dict[str, float]]) -> None:
    left = [0.0] * len(by_stage)
    for name in next(iter(by_stage.values())):
        values = [one[name] for one in by_stage.values()]
        panel.barh(list(by_stage), values, left=left, label=name)
        left = [before + value for before, value in zip(left, values, strict=True)]
    panel.legend(fontsize="small")
    panel.set_title("worker's own stages, µs of processor a message")
