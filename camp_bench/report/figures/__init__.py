"""Pictures of a study, a kind a file: `draw(study)` returns a `Drawn`, or None where the runs have nothing to show.

KINDS: forest recall pareto ranks training gates seeds
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from camp_bench.comparison.study import Study
from camp_bench.errors import ConfigError, RecordError, nearest
from camp_bench.report.figures import forest, gates, pareto, ranks, recall, seeds, training
from camp_bench.report.figures.drawn import Drawn
from camp_bench.report.figures.style import figure_bytes

__all__ = ["FILES", "KINDS", "Drawn", "check_figure", "draw_figure"]

KINDS: dict[str, Callable[[Study], Drawn | None]] = {
    "forest": forest.draw,
    "recall": recall.draw,
    "pareto": pareto.draw,
    "ranks": ranks.draw,
    "training": training.draw,
    "gates": gates.draw,
    "seeds": seeds.draw,
}
FILES = (".pdf", ".svg", ".png")


NEEDS = {
    "forest": "it takes two models or more",
    "recall": "it takes per-query results",
    "pareto": "it takes runs whose scoring was timed",
    "ranks": "it takes per-query results",
    "training": "it takes runs that were trained here",
    "gates": "it takes runs made with --examples N whose model has gates or attention",
    "seeds": "it takes two seeds or more of a model",
}


def check_figure(kind: str, output: Path) -> None:
    """Raise ConfigError for an unknown kind, and for a file that is no figure's."""
    if kind not in KINDS:
        raise ConfigError(f"--kind: got '{kind}', expected one of {', '.join(KINDS)}{nearest(kind, KINDS)}")
    if output.suffix.lower() not in FILES:
        raise ConfigError(f"-o {output}: '{output.suffix}' is no format of figures; expected {', '.join(FILES)}")


def draw_figure(studies: Sequence[Study], kind: str, output: Path) -> bytes:
    """Return one figure as the file that `output` names.

    Raises what `check_figure` does, ConfigError where the runs are of several tasks, and RecordError where they have
    nothing to show.
    """
    check_figure(kind, output)
    if len(studies) != 1:
        told = "; ".join(f"{one.table.dataset} {one.table.split} ({one.table.protocol})" for one in studies)
        raise ConfigError(f"the runs are of {len(studies)} tasks or protocols: {told}; plot them one by one")
    drawn = KINDS[kind](studies[0])
    if drawn is None:
        raise RecordError(f"--kind {kind}: these runs have nothing to show; {NEEDS[kind]}")
    return figure_bytes(drawn.figure, output.suffix.lower()[1:])
