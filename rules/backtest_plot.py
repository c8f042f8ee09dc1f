"""Draws a backtest: alerts of each day by severity, and the line of the rules in force."""

import io
from datetime import date, timedelta

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rules.backtest import Report
from rules.model import SEVERITIES

_COLOURS = {"info": "#9ecae1", "minor": "#fdd0a2", "major": "#fd8d3c", "critical": "#cb181d"}


def plot_png(report: Report) -> bytes:
    """The report as a PNG image."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    first, last = report.since.date(), report.until.date()
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    base = [0] * len(days)
    for severity in SEVERITIES:
        counts = [report.by_day.get(day, {}).get(severity, 0) for day in days]
        axes.bar(_numbers(days), counts, bottom=base, label=severity, color=_COLOURS[severity], width=0.9)
        base = [below + count for below, count in zip(base, counts, strict=True)]
    if report.current is not None:
        before = [sum(report.current.by_day.get(day, {}).values()) for day in days]
        axes.step(_numbers(days), before, where="mid", color="#333333", label="rules in force")
    axes.set_xticks(
        _numbers(days)[:: max(1, len(days) // 10)], [f"{day:%m-%d}" for day in days[:: max(1, len(days) // 10)]]
    )
    axes.set_ylabel("alerts a day")
    caught = sum(one.rule_id is not None for one in report.leaks)
    axes.set_title(
        f"{len(report.alerts)} alerts of {report.devices:,} devices, {report.officer_h:,.0f} officer-hours;"
        f" {caught} of {len(report.leaks)} known leaks caught"
    )
    axes.legend()
    output = io.BytesIO()
    figure.savefig(output, format="png", dpi=120)
    return output.getvalue()


def _numbers(days: list[date]) -> list[float]:
    return [float(day.toordinal()) for day in days]
