"""Recall against speed, both as measured in the runs themselves."""

from __future__ import annotations

from statistics import fmean, median

from camp_bench.comparison.study import Study, pairs_per_second
from camp_bench.report.figures.drawn import Drawn
from camp_bench.report.figures.style import COLUMN, colour, label, new_figure, styled

__all__ = ["draw"]


@styled()
def draw(study: Study) -> Drawn | None:
    """Draw a point for each row whose scoring was timed; cascades, which score fewer pairs, as rings."""
    points = []
    for place, row in enumerate(study.rows):
        rates = [rate for run in row.runs if (rate := pairs_per_second(run)) is not None]
        if rates:
            rsum = fmean(run.evaluation.metrics["rsum"] for run in row.runs)
            points.append((place, row, median(rates), rsum))
    if not points:
        return None
    figure, (axis,) = new_figure(COLUMN, 2.4)
    for place, row, rate, rsum in points:
        cascade = row.runs[0].evaluation.cascade is not None
        axis.plot(rate, rsum, "o", color=colour(place), fillstyle="none" if cascade else "full")
        axis.annotate(label(row.label, 24), (rate, rsum), xytext=(0, 5), textcoords="offset points", ha="center")
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:,.0f} M")
    axis.margins(x=0.25, y=0.2)
    axis.set_xlabel("pairs scored and ranked a second")
    axis.set_ylabel("rsum")
    text = "; ".join(f"{row.label}: rsum {rsum:.1f} at {rate:,.0f} pairs/s" for _, row, rate, rsum in points)
    devices = {
        f"{run.record.environment.device_name or run.record.environment.processor}"
        for _, row, *_ in points
        for run in row.runs
    }
    caption = (
        f"Timed once a run while it ran ({', '.join(sorted(devices))}); camp-bench throughput measures it with care."
    )
    return Drawn(figure, "Recall against speed", text, caption)
