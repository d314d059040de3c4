"""Figures: what each kind says in words, and where there is nothing to draw."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from comparison_examples import write_run

from camp_bench.comparison import CompareOptions
from camp_bench.comparison.study import Study, studies
from camp_bench.records import Measurement, read_record, write_arrays, write_record
from camp_bench.report.figures import KINDS
from camp_bench.report.figures.style import COLOURS, INK, figure_bytes, svg_element

EXAMPLES: dict[str, Any] = {
    "captions": np.array([3]),
    "0/words": np.array(["<start>", "a", "dog", "$x$"]),
    "0/own/attention_words": np.full((4, 6), 0.25, dtype=np.float32),
    "0/other/attention_words": np.full((4, 6), 0.1, dtype=np.float32),
    "0/own/gate_words": np.full(4, 0.75, dtype=np.float32),
    "0/other/gate_words": np.full(4, 0.25, dtype=np.float32),
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    results = tmp_path_factory.mktemp("results")
    seconds = Measurement(name="score_and_rank", unit="s", samples=(2.0,))
    for model, level in (("camp", 1.0), ("vsepp", 2.0)):
        for seed in range(3):
            folder = write_run(results, model=model, seed=seed, level=level, images=40, timings=(seconds,))
            if model == "camp":
                record = read_record(folder)
                files = record.files | {"examples_test.npz": write_arrays(folder / "examples_test.npz", EXAMPLES)}
                kept = msgspec.structs.replace(record.evaluations[0], examples="examples_test.npz")
                write_record(folder, msgspec.structs.replace(record, files=files, evaluations=(kept,)))
    (found,), _ = studies([results], CompareOptions(resamples=200))
    return found


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Study:
    results = tmp_path_factory.mktemp("single")
    write_run(results, images=10)
    (found,), _ = studies([results], CompareOptions(resamples=200))
    return found


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("forest", r"camp − vsepp: \+[\d.]+ \[[\d.]+, [\d.]+\], Holm p"),
        ("recall", r"camp i2t: R@1 [\d.]+, R@5 [\d.]+, R@10 [\d.]+, R@50 [\d.]+"),
        ("ranks", r"vsepp t2i: \d+ % first, median rank \d+"),
        ("pareto", r"camp: rsum [\d.]+ at 4,000 pairs/s"),
        ("seeds", r"camp: 3 seeds, rsum [\d.]+, sd [\d.]+ between seeds, [\d.]+ over images"),
        ("gates", r"mean gate of words with its own image 0\.75; mean gate of words with its other image 0\.25"),
    ],
)
def test_every_kind_says_in_words_what_it_shows(study: Study, kind: str, words: str) -> None:
    drawn = KINDS[kind](study)
    assert drawn is not None
    assert re.search(words, drawn.text), drawn.text
    assert figure_bytes(drawn.figure, "png").startswith(b"\x89PNG")


def test_what_runs_do_not_have_is_not_drawn(single: Study) -> None:
    missing = {kind for kind, draw in KINDS.items() if draw(single) is None}
    assert missing == {"forest", "pareto", "training", "gates", "seeds"}


def test_a_figure_in_a_page_has_the_pages_ink_and_ids_of_its_own(study: Study) -> None:
    drawn = KINDS["recall"](study)
    assert drawn is not None
    text = svg_element(drawn.figure, "x", "<title>", "a & b")
    assert INK not in text
    assert "currentColor" in text
    assert "&lt;title&gt;" in text
    assert all(name.startswith("x-") for name in re.findall(r'\bid="([^"]+)"', text))
    assert set(re.findall(r"(?:url\(|href=\")#([^\")]+)", text)) <= set(re.findall(r'\bid="([^"]+)"', text))


def test_names_are_text_in_figures(tmp_path: Path) -> None:
    for model in ("$\\frac{x$", "a<b>&_^"):
        write_run(tmp_path, model=model, run_id=f"r{len(model)}", images=10)
    (found,), _ = studies([tmp_path], CompareOptions(resamples=100))
    drawn = KINDS["recall"](found)
    assert drawn is not None
    svg = figure_bytes(drawn.figure, "svg").decode()
    assert "$\\frac{x$" in svg
    assert "a&lt;b&gt;&amp;_^" in svg


def test_colours_stay_apart_for_the_colour_blind() -> None:
    """Protan, deutan and tritan sight by Viénot's matrices: any two of the first five differ visibly in linear RGB."""
    sights = {
        "all": np.eye(3),
        "protan": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
        "deutan": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    }
    colours = np.array([[int(one[k : k + 2], 16) / 255 for k in (1, 3, 5)] for one in COLOURS[:5]]) ** 2.2
    for sight, matrix in sights.items():
        seen = np.clip(colours @ matrix.T, 0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen[None], axis=2) + np.eye(len(seen))
        assert apart.min() > 0.1, sight
