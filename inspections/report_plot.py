"""Figures of inspections as a picture: what was planned, visited and entered, and what became of hazards."""

from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

from inspections.report_figures import InspectionReport

_COLOURS = {
    "planned": "#b8c4d0", "visited": "#30638e", "entered": "#3a7d44",
    "hazards_found": "#d1892c", "hazards_rectified": "#3a7d44", "hazards_overdue": "#b23a48",
}  # fmt: skip
_WIDEST_IN = 120.0


def plot_report(report: InspectionReport, file: Path) -> None:
    """Write a PNG, SVG or PDF, by the file's ending."""
    draw_report(report).savefig(file)


def draw_report(report: InspectionReport) -> Figure:
    """The picture: by period, or by part when there is a single period. The legends stand above the bars."""
    periods = {line.begins_on for line in report.lines}
    by_part = len(periods) == 1 and report.by != "all"
    sums: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COLOURS, 0))
    for line in report.lines:
        bars = sums[line.part if by_part else str(line.begins_on)]
        for name in _COLOURS:
            bars[name] += getattr(line, name)
    figure = Figure(figsize=(min(max(8.0, 0.35 * len(sums) + 3), _WIDEST_IN), 8), layout="constrained")
    doors, hazards = figure.subplots(2, 1, sharex=True)
    for axes, names in ((doors, list(_COLOURS)[:3]), (hazards, list(_COLOURS)[3:])):
        for offset, name in enumerate(names):
            places = [at + (offset - 1) * 0.27 for at in range(len(sums))]
            heights = [bars[name] for bars in sums.values()]
            axes.bar(places, heights, width=0.27, color=_COLOURS[name], label=name.replace("_", " "))
        axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)  # above, never on a bar
        axes.spines[["top", "right"]].set_visible(False)
    hazards.set_xticks(
        range(len(sums)), list(sums), rotation=45 if len(sums) > 6 else 0, ha="right" if len(sums) > 6 else "center"
    )
    figure.suptitle(f"Inspections {report.since.isoformat()} to {report.until.isoformat()}")
    return figure
