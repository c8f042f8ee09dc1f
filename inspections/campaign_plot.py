"""The campaign as a picture: doors by week, and what becomes of the doors that come due in each month."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from inspections.campaign_routes import CampaignAnswer


def plot_campaign(answer: "CampaignAnswer", path: Path) -> None:
    """Write a PNG: above, doors planned by week; below, doors due by month as on time, late and not reached."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 6), layout="constrained")
        weeks, months = figure.subplots(2, 1)
        planned: Counter[object] = Counter()
        for week in answer.weeks:
            planned[week.week] += week.doors
        weeks.bar(list(planned), list(planned.values()), width=5, color="#30638e")
        weeks.set_title(f"Campaign {answer.campaign_id}: doors planned, by week")
        below: Counter[object] = Counter()
        for part, colour in (("on_time", "#3a7d44"), ("late", "#e0a030"), ("unreached", "#b23a48")):
            counts: Counter[object] = Counter()
            for line in answer.forecast:
                counts[line.month] += getattr(line, part)
            bottoms = [below[month] for month in counts]
            months.bar(
                list(counts),
                list(counts.values()),
                width=20,
                bottom=bottoms,
                color=colour,
                label=part.replace("_", " "),
            )
            below.update(counts)
        months.set_title("Doors by the month in which they come due")
        months.legend(frameon=False)
        figure.savefig(path, dpi=130)
