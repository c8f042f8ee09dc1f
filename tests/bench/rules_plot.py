"""The picture of the rules' figures: recall and false alerts by rule, false alerts by cause, growth with the city."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt


def draw(figures: dict[str, Any], path: Path) -> None:
    """Write a PNG with a panel for each part that was run."""
    wanted = [(name, one) for name, one in _PANELS if name in figures]
    if not wanted:
        return
    canvas, panels = plt.subplots(1, len(wanted), figsize=(7 * len(wanted), 9), squeeze=False)
    for panel, (name, one) in zip(panels[0], wanted, strict=True):
        one(panel, figures[name])
    canvas.tight_layout()
    canvas.savefig(path, dpi=100)
    plt.close(canvas)


def _accuracy(panel: Any, figures: dict[str, Any]) -> None:
    rules = [one for one in figures["rules"] if one["recall"] is not None]
    names = [f"{one['rule']} ({one['planted']})" for one in rules]
    panel.barh(names, [one["recall"] for one in rules], color="#4477aa", label="recall")
    weeks = figures["homes"] / 1000 * figures["days"] / 7
    false = [len(one["false"]) / weeks for one in rules]
    panel.scatter(false, names, color="#aa3377", label="false alerts per 1,000 homes and week", zorder=3)
    panel.axvline(0.95, color="#bbbbbb", linewidth=1)
    panel.invert_yaxis()
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, -0.12))
    panel.set_title(f"{figures['homes']:,} homes, {figures['days']} days (planted)")


def _city(panel: Any, figures: list[dict[str, Any]]) -> None:
    meters = [one["meters"] / 1e6 for one in figures]
    panel.plot(meters, [one["second_day_s"] / 60 for one in figures], "o-", label="one day of readings, minutes")
    panel.plot(meters, [one["tick_s"] / 60 for one in figures], "o-", label="first look for silence, minutes")
    panel.set_xlabel("million meters")
    panel.set_ylim(bottom=0)
    memory = panel.twinx()
    memory.plot(meters, [one["peak_mb"] for one in figures], "s--", color="#aa3377")
    memory.set_ylabel("peak memory of the evaluator, MB", color="#aa3377")
    memory.set_ylim(bottom=0)
    panel.legend(loc="upper left")
    panel.set_title("the whole city, 48 h")


_PANELS = (("accuracy", _accuracy), ("windows", _accuracy), ("city", _city))
