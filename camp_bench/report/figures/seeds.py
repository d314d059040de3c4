"""How far apart the seeds of a model lie, beside the spread that test images alone would give."""

from __future__ import annotations

from statistics import fmean, stdev

from camp_bench.comparison.stats import clustered_error, influences
from camp_bench.comparison.study import Study
from camp_bench.report.figures.drawn import Drawn
from camp_bench.report.figures.style import COLUMN, colour, label, new_figure, styled

__all__ = ["draw"]


@styled()
def draw(study: Study) -> Drawn | None:
    """Draw a dot for each seed's rsum, a line for their mean, and a bar of one standard error over images."""
    rows = [row for row in study.rows if len(row.runs) > 1]
    if not rows:
        return None
    figure, (axis,) = new_figure(COLUMN, 0.9 + 0.32 * len(rows))
    told = []
    for place, row in enumerate(rows):
        sums = [run.evaluation.metrics["rsum"] for run in row.runs]
        mean, sd = fmean(sums), stdev(sums)
        error = fmean(float(clustered_error(influences(run.results), run.results.fold_of)[-1]) for run in row.runs)
        axis.plot([mean - error, mean + error], [-place, -place], color=colour(6), linewidth=6, alpha=0.35)
        axis.plot(sums, [-place] * len(sums), "o", color=colour(0), markersize=4, fillstyle="none")
        axis.plot([mean, mean], [-place - 0.25, -place + 0.25], color=colour(1), linewidth=1.5)
        told.append(
            f"{row.label}: {len(sums)} seeds, rsum {mean:.1f}, sd {sd:.1f} between seeds, {error:.1f} over images"
        )
    axis.set_yticks([-place for place in range(len(rows))], [label(row.label, 24) for row in rows])
    axis.set_ylim(-len(rows) + 0.5, 0.5)
    axis.set_xlabel("rsum")
    caption = "Ring: a seed; line: their mean; grey: one standard error of a run over test images."
    return Drawn(figure, "Spread between seeds", "; ".join(told), caption)
