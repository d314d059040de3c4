"""What a model looks at in a pair that belongs together and in one that doesn't: attention, and gates if any."""

from __future__ import annotations

from typing import Any

import numpy as np

from camp_bench.comparison.study import Study, StudyRow, examples_of
from camp_bench.report.figures.drawn import Drawn
from camp_bench.report.figures.style import PAGE_WIDTH, label, new_figure, styled

__all__ = ["draw", "draw_example"]


@styled()
def draw(study: Study) -> Drawn | None:
    """Draw the first example of the row with the most to show: gates before attention alone."""
    kept = [(row, arrays) for row in study.rows if (arrays := examples_of(row.runs[0]))]
    shown = [(row, arrays) for row, arrays in kept if _map_of(arrays, 0, "own") is not None]
    shown.sort(key=lambda item: "0/own/gate_words" not in item[1])
    return draw_example(shown[0][0], shown[0][1], 0) if shown else None


@styled()
def draw_example(row: StudyRow, arrays: dict[str, Any], example: int) -> Drawn | None:
    """Draw word x region maps of one caption with its own and with another image, gates of words beside them."""
    maps = {side: _map_of(arrays, example, side) for side in ("own", "other")}
    if any(one is None for one in maps.values()):
        return None
    words = [label(str(word), 14) for word in arrays[f"{example}/words"]]
    gated = f"{example}/own/gate_words" in arrays
    figure, axes = new_figure(PAGE_WIDTH, 0.9 + 0.15 * len(words), 3 if gated else 2, share_y=True)
    most = max(float(one.max()) for one in maps.values() if one is not None)
    for axis, (side, one) in zip(axes, maps.items(), strict=False):
        axis.imshow(one, aspect="auto", cmap="viridis", vmin=0, vmax=most, interpolation="nearest")
        axis.set_title("its own image" if side == "own" else "the best ranked other image")
        axis.set_xlabel("region")
    axes[0].set_yticks(range(len(words)), words)
    told = [f"caption: {' '.join(words)}"]
    if gated:
        for side, colour, shift in (("own", "#0072b2", -0.2), ("other", "#d55e00", 0.2)):
            gate = np.asarray(arrays[f"{example}/{side}/gate_words"], dtype=float)
            axes[2].barh(np.arange(len(words)) + shift, gate, 0.4, color=colour, label=side)
            told.append(f"mean gate of words with its {side} image {gate.mean():.2f}")
        axes[2].set_title("gates of words")
        axes[2].set_xlim(0, 1)
        axes[2].legend(loc="upper right")
    told += [
        f"{side}: most attended by each word {np.argmax(one, axis=1).tolist()}"
        for side, one in maps.items()
        if one is not None
    ]
    title = f"{row.label}: attention of words over regions" + (", and gates" if gated else "")
    return Drawn(
        figure, title, "; ".join(told), f"Caption {int(arrays['captions'][example])}; bright is much, up to {most:.2f}."
    )


def _map_of(arrays: dict[str, Any], example: int, side: str) -> Any:
    """Return (words, regions), or None where the model has no such attention."""
    if (found := arrays.get(f"{example}/{side}/attention_words")) is not None and found.ndim == 2:
        return found
    found = arrays.get(f"{example}/{side}/attention_regions")
    return found.T if found is not None and found.ndim == 2 else None
