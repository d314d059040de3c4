"""Paired differences with their intervals, one line a pair."""

from __future__ import annotations

from camp_bench.comparison.study import Study
from camp_bench.report.document import number, p_text
from camp_bench.report.figures.drawn import Drawn
from camp_bench.report.figures.style import COLUMN, colour, label, new_figure, styled

__all__ = ["draw"]


@styled()
def draw(study: Study) -> Drawn | None:
    """Draw the differences of the first metric that was tested."""
    table = study.table
    metric = "rsum" if "rsum" in table.tested else table.tested[0]
    lines = [
        (f"{label(table.row(pair.first).label, 20)} − {label(table.row(pair.second).label, 20)}", test)
        for pair in table.pairs
        for test in pair.tests
        if test.metric == metric and test.low is not None and test.high is not None
    ]
    if not lines:
        return None
    figure, (axis,) = new_figure(COLUMN, 0.9 + 0.24 * len(lines))
    for place, (_, test) in enumerate(lines):
        sure = test.p_adjusted is not None and test.p_adjusted < table.alpha
        look = {"color": colour(0) if sure else colour(6), "markerfacecolor": colour(0) if sure else "none"}
        ends = [[test.difference - (test.low or 0.0)], [(test.high or 0.0) - test.difference]]
        axis.errorbar([test.difference], [-place], xerr=ends, fmt="o", markersize=3.5, capsize=2, **look)
    axis.axvline(0, color=colour(6), linewidth=0.8)
    if table.rope is not None:
        axis.axvspan(-table.rope, table.rope, color=colour(6), alpha=0.15, linewidth=0)
    axis.set_yticks([-place for place in range(len(lines))], [name for name, _ in lines])
    axis.set_ylim(-len(lines) + 0.5, 0.5)
    axis.set_xlabel(f"difference in {metric}, points")
    text = "; ".join(
        f"{name}: {test.difference:+.1f} [{number(test.low or 0.0)}, {number(test.high or 0.0)}]"
        + (f", Holm p {p_text(test.p_adjusted)}" if test.p_adjusted is not None else "")
        for name, test in lines
    )
    level = f"{100 * (1 - table.alpha):g} %"
    caption = f"First minus second, {level} intervals, scope {lines[0][1].scope}; filled: Holm p < {table.alpha:g}"
    return Drawn(figure, f"Paired differences in {metric}", text, f"{caption}.")
