"""What a training keeps as it goes, so that another process can go on from there, to the same last bit.

A state is plain values and tensors: the lessons (a model through one stage) that are over, and of the one under way
weights, optimizer, random numbers, sums and logs. The order of batches depends on seed and epoch alone, so the place
in an epoch is a number of steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from camp_bench.data.dataset import Split
from camp_bench.evaluation.evaluate import Evaluated
from camp_bench.evaluation.tiles import Tiling
from camp_bench.ranking.tiles import DirectionRanks, Ranks

__all__ = ["Memory", "State", "evaluated_of", "plain_evaluated"]

State = dict[str, Any]
COSTS = 40
"""An epoch that is over is kept where saving takes less than one part in so many of the time since the last one."""


class Memory:
    """keep: writes a state, with the epoch it is in and how many there are, whole or not at all; None for nobody.

    state: what an earlier process has kept. save_every: steps between two states within an epoch, 0 for none.
    """

    def __init__(
        self, keep: Callable[[State, int, int], None] | None = None, state: State | None = None, save_every: int = 0
    ) -> None:
        self._keep, self._every, self.epochs = keep, save_every, 0
        self._lessons: list[State] = [] if state is None else list(state["lessons"])
        self._current: State | None = None if state is None else state["current"]
        self._told, self._last = 0, time.perf_counter()
        self.seconds: list[float] = []
        """What each saving took."""

    def learnt(self) -> State | None:
        """Return the next lesson that is over already, None where the next is to be taught."""
        self._told += 1
        return self._lessons[self._told - 1] if self._told <= len(self._lessons) else None

    def begun(self) -> State | None:
        """Return the state of the lesson that is taught now, where an earlier process has begun it."""
        found, self._current = self._current, None
        return found

    def after_step(self, step: int, epoch: int, state: Callable[[], State]) -> None:
        """Keep the state where it is time to."""
        if self._every and step % self._every == 0:
            self._save(state(), epoch)

    def after_epoch(self, epoch: int, state: Callable[[], State]) -> None:
        """Keep the state, unless epochs are so short that saving would take a part of the time."""
        if self._every or time.perf_counter() - self._last >= COSTS * (self.seconds[-1] if self.seconds else 0.0):
            self._save(state(), epoch)

    def after_lesson(self, epoch: int, learnt: State) -> None:
        """Keep what a lesson gave."""
        self._lessons.append(learnt)
        self._save(None, epoch)

    def _save(self, current: State | None, epoch: int) -> None:
        if self._keep is None:
            return
        begin = time.perf_counter()
        self._keep({"lessons": self._lessons, "current": current}, epoch, self.epochs)
        self._last = time.perf_counter()
        self.seconds.append(self._last - begin)


def plain_evaluated(evaluated: Evaluated) -> State:
    """Return an evaluation without its split as plain values and tensors."""
    tiling = evaluated.tiling
    ways = {"i2t": evaluated.ranks.i2t, "t2i": evaluated.ranks.t2i}
    return {
        "ranks": {
            way: [torch.from_numpy(part) for part in (*ranks.counts, ranks.top_ids, ranks.top_scores)]
            for way, ranks in ways.items()
        },
        "metrics": evaluated.metrics,
        "chance_rsum": evaluated.chance_rsum,
        "seconds": [evaluated.encode_seconds, evaluated.score_seconds],
        "tiling": None if tiling is None else [tiling.images, tiling.captions, tiling.budget_bytes, tiling.adapt],
    }


def evaluated_of(state: State, split: Split) -> Evaluated:
    """Return the evaluation of a split, under the protocol full and in fp32, that `plain_evaluated` made plain."""
    i2t, t2i = (DirectionRanks(*(part.numpy() for part in state["ranks"][way])) for way in ("i2t", "t2i"))
    return Evaluated(
        split=split,
        protocol="full",
        ranks=Ranks(i2t, t2i),
        metrics=state["metrics"],
        chance_rsum=state["chance_rsum"],
        encode_seconds=state["seconds"][0],
        score_seconds=state["seconds"][1],
        tiling=None if state["tiling"] is None else Tiling(*state["tiling"]),
    )
