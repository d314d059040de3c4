"""How training went: dev rsum, loss, and the vital signs that a model tells of itself."""

from __future__ import annotations

from collections.abc import Callable

from camp_bench.comparison.study import Study
from camp_bench.records import EpochLog
from camp_bench.report.figures.drawn import Drawn
from camp_bench.report.figures.style import PAGE_WIDTH, colour, dashes, label, new_figure, styled

__all__ = ["draw"]

VITALS = ("attention_entropy", "gates_mean", "gates_sd")
CURVES: dict[str, Callable[[EpochLog], float | None]] = {
    "dev rsum": lambda log: log.dev_rsum,
    "loss / plateau": lambda log: log.loss / log.plateau if log.plateau else None,
}


@styled()
def draw(study: Study) -> Drawn | None:
    """Draw a thin line for each seed of each row that was trained here."""
    rows = [(place, row) for place, row in enumerate(study.rows) if any(run.record.epochs for run in row.runs)]
    if not rows:
        return None
    logs = [log for _, row in rows for run in row.runs for log in run.record.epochs]
    curves = dict(CURVES)
    for name in VITALS[:2]:
        if any(name in log.vitals for log in logs):
            curves[name.replace("_", " ")] = lambda log, name=name: log.vitals.get(name)  # type: ignore[misc]
    figure, axes = new_figure(PAGE_WIDTH, 2.1, len(curves))
    for axis, (title, value) in zip(axes, curves.items(), strict=True):
        for place, row in rows:
            for number, run in enumerate(row.runs):
                points = [(log.epoch, found) for log in run.record.epochs if (found := value(log)) is not None]
                if points:
                    name = label(row.label, 22) if number == 0 else "_"
                    x, y = zip(*points, strict=True)
                    axis.plot(
                        x, y, dashes(place), color=colour(place), linewidth=0.9, label=name, marker=".", markersize=2
                    )
        axis.set_title(title)
        axis.set_xlabel("epoch")
    axes[0].legend(loc="best", fontsize=7)
    told = []
    for _, row in rows:
        best = [max((log.dev_rsum or 0.0 for log in run.record.epochs), default=0.0) for run in row.runs]
        last = [run.record.epochs[-1].loss for run in row.runs if run.record.epochs]
        told.append(f"{row.label}: best dev rsum {max(best):.1f}, last loss {min(last):.2f} to {max(last):.2f}")
    caption = "A line a seed. The plateau, 1, is the loss of a model that scores every pair alike."
    return Drawn(figure, "Training", "; ".join(told), caption)
