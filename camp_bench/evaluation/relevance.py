"""The scores that judgements beyond the dataset's own pairs ask for, gathered as tiles are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camp_bench.data.judgements import Judgements
from camp_bench.evaluation.tiles import Numbers
from camp_bench.ranking.positives import Found, grade_correlations, positive_values
from camp_bench.ranking.tiles import TOP, Ranks
from camp_bench.records import RelevanceFacts, storable

__all__ = ["JudgedScores", "Relevance", "measure_relevance"]


class _PairScores:
    """The scores of chosen pairs. images, captions: (P,) of the pairs."""

    def __init__(self, images: Numbers, captions: Numbers) -> None:
        self._images, self._captions = images, captions
        self.scores = np.full(len(images), np.nan, dtype=np.float32)

    def take(self, images: Numbers, captions: Numbers, scores: npt.NDArray[np.float32]) -> None:
        """Take what is wanted of the scores (I, C) of images (I,), which follow each other, with captions (C,)."""
        here = np.flatnonzero((self._images >= images[0]) & (self._images <= images[-1]))
        order = np.argsort(captions)
        place = np.searchsorted(captions[order], self._captions[here])
        found = np.minimum(place, len(captions) - 1)
        there = captions[order][found] == self._captions[here]
        here, columns = here[there], order[found[there]]
        self.scores[here] = scores[self._images[here] - images[0], columns]


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """Metrics with several positives. values: of each query in percent, by name; NaN for one that doesn't count."""

    facts: RelevanceFacts
    values: dict[str, npt.NDArray[np.float64]]


class JudgedScores:
    """The scores of all judged pairs and of all positives. top: how long top lists have to be for them."""

    def __init__(self, judged: Judgements) -> None:
        self._judged = judged
        self.top = max(TOP, judged.most)
        self._graded = _PairScores(judged.images, judged.captions)
        self._true = [_PairScores(images, captions) for images, captions in judged.true_pairs]

    def take(self, images: Numbers, captions: Numbers, scores: npt.NDArray[np.float32]) -> None:
        """Take what is wanted of scores (I, C)."""
        for pairs in (self._graded, *self._true):
            pairs.take(images, captions, scores)

    def measure(self, ranks: Ranks, min_grade: float) -> Relevance:
        """Return the metrics with several positives, once all tiles were taken."""
        return measure_relevance(
            self._judged, ranks, min_grade, self._graded.scores, [pairs.scores for pairs in self._true]
        )


def measure_relevance(
    judged: Judgements,
    ranks: Ranks,
    min_grade: float,
    graded: npt.NDArray[np.float32],
    true: Sequence[npt.NDArray[np.float32]] | None,
) -> Relevance:
    """Return the metrics with several positives. graded, true: the scores of the graded pairs and, by direction, of all
    positives; None where no more is known than the top lists.
    """
    every: dict[str, npt.NDArray[np.float64]] = {}
    metrics: dict[str, float] = {}
    sides = {"i2t": (ranks.i2t, judged.i2t), "t2i": (ranks.t2i, judged.t2i)}
    for place, (direction, (lists, positives)) in enumerate(sides.items()):
        beyond = np.zeros(len(lists.top_ids), dtype=np.int64) if lists.beyond is None else lists.beyond
        scores = np.full(len(positives.keys), np.nan) if true is None else true[place]
        found = Found.of(lists.top_ids, lists.top_scores, beyond, positives, scores)
        values = {f"{direction}.{name}": of_queries for name, of_queries in positive_values(found, positives).items()}
        metrics |= {name: float(of_queries[positives.queries].mean()) for name, of_queries in values.items()}
        every |= values
    facts = RelevanceFacts(
        source=storable(judged.source),
        sha256=judged.sha256,
        min_grade=min_grade,
        queries={direction: len(positives.queries) for direction, (_, positives) in sides.items()},
        positives={direction: len(positives.keys) for direction, (_, positives) in sides.items()},
        metrics=metrics,
        graded_pairs=len(judged.grades),
        correlations=grade_correlations(graded, judged.grades),
    )
    return Relevance(facts, every)
