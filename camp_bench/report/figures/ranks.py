"""Where the right answers stand: how many queries have them at which rank."""

from __future__ import annotations

import numpy as np

from camp_bench.comparison.study import Study
from camp_bench.report.figures.drawn import Drawn
from camp_bench.report.figures.style import PAGE_WIDTH, colour, dashes, label, new_figure, styled

__all__ = ["draw"]

EDGES = np.array([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768], dtype=float)


@styled()
def draw(study: Study) -> Drawn:
    """Draw the share of queries by their rank, in bins that double, mean over seeds."""
    figure, axes = new_figure(PAGE_WIDTH, 2.3, 2, share_y=True)
    told = []
    for axis, way in zip(axes, ("i2t", "t2i"), strict=True):
        every = {row.label: [getattr(run.results, f"{way}_ranks") for run in row.runs] for row in study.rows}
        most = max(float(ranks.max()) for runs in every.values() for ranks in runs)
        edges = EDGES[: int(np.searchsorted(EDGES, most, side="right")) + 1]
        for place, (name, runs) in enumerate(every.items()):
            share = np.mean([np.histogram(np.floor(ranks), edges)[0] / len(ranks) for ranks in runs], axis=0) * 100
            axis.stairs(share, edges, color=colour(place), linestyle=dashes(place), linewidth=1.4, label=label(name))
            told.append(f"{name} {way}: {share[0]:.0f} % first, median rank {np.median(np.concatenate(runs)):.0f}")
        axis.set_xscale("log", base=2)
        axis.set_xticks(edges[:-1], [f"{edge:.0f}" for edge in edges[:-1]])
        axis.set_title("image to text" if way == "i2t" else "text to image")
        axis.set_xlabel("rank of the first right answer, from")
    axes[0].set_ylabel("queries, %")
    axes[1].legend(loc="upper right")
    return Drawn(figure, "Ranks of the right answers", "; ".join(told), "Bins double; rank 1 stands alone on the left.")
