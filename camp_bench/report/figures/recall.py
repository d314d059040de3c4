"""R@K for every K from 1 to 100, both ways, with bands."""

from __future__ import annotations

from camp_bench.comparison.study import Study, recall_curve
from camp_bench.report.figures.drawn import Drawn
from camp_bench.report.figures.style import PAGE_WIDTH, colour, dashes, label, new_figure, styled

__all__ = ["draw"]

TOLD = (1, 5, 10, 50)


@styled()
def draw(study: Study) -> Drawn:
    """Draw a curve for each row and way."""
    figure, axes = new_figure(PAGE_WIDTH, 2.5, 2, share_y=True)
    told = []
    for axis, way in zip(axes, ("i2t", "t2i"), strict=True):
        for place, row in enumerate(study.rows):
            curve = recall_curve(row, way)
            axis.plot(curve.ks, curve.values, dashes(place), color=colour(place), label=label(row.label))
            axis.fill_between(curve.ks, curve.low, curve.high, color=colour(place), alpha=0.18, linewidth=0)
            points = ", ".join(f"R@{k} {curve.values[curve.ks.index(k)]:.1f}" for k in TOLD if k in curve.ks)
            told.append(f"{row.label} {way}: {points}")
        axis.set_xscale("log")
        axis.set_xticks([1, 5, 10, 50, 100], ["1", "5", "10", "50", "100"])
        axis.minorticks_off()
        axis.set_title("image to text" if way == "i2t" else "text to image")
        axis.set_xlabel("K")
    axes[0].set_ylabel("R@K, %")
    axes[1].legend(loc="lower right")
    caption = "95 % bands: test images drawn anew, and from three seeds of a row on training anew too."
    return Drawn(figure, "R@K, K from 1 to 100", "; ".join(told), caption)
