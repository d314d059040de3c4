"""Runs whose ranks are drawn from a known world, as windows in memory and as records on disk."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from examples import example_record

from camp_bench.gate.baseline import Window, WindowRun
from camp_bench.ranking.metrics import retrieval_metrics
from camp_bench.records import RunRecord, new_run_folder, write_arrays, write_record

STARTED = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)

Arrays = dict[str, np.ndarray]


class World:
    """Images and captions with a difficulty each; a run adds a noise of its own to each of them and one to all.

    A query's rank is exp(level + difficulty + the run's noise of it + the run's shift), so a higher level is a worse
    method. image_sd: what the captions of an image share with it. query_sd: of one run on one image (interaction).
    seed_sd: of the shift.
    """

    def __init__(
        self,
        *,
        images: int = 200,
        level: float = 1.5,
        image_sd: float = 1.0,
        query_sd: float = 0.7,
        seed_sd: float = 0.02,
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.images, self.level, self.query_sd, self.seed_sd = images, level, query_sd, seed_sd
        self.image_of = np.repeat(np.arange(images), 5).astype(np.int32)
        self._hard = image_sd * rng.standard_normal(images)
        self._hard_caption = self._hard[self.image_of] + 0.7 * rng.standard_normal(5 * images)

    def run(self, rng: np.random.Generator, *, worse: float = 0.0) -> Arrays:
        """Return the per-query arrays of one run, `worse` being added to its level."""
        at = self.level + worse + self.seed_sd * rng.standard_normal()
        own = self.query_sd * rng.standard_normal(self.images)
        caption = own[self.image_of] * 0.7 + self.query_sd * 0.7 * rng.standard_normal(5 * self.images)
        i2t = np.exp(at + self._hard + own)
        t2i = np.exp(at + self._hard_caption + caption)
        arrays: Arrays = {"image_of": self.image_of}
        for name, ranks, candidates in (("i2t", i2t, 5 * self.images), ("t2i", t2i, self.images)):
            b = np.minimum(np.floor(ranks), max(candidates - 5, 0)).astype(np.int32)
            arrays |= {f"{name}_b": b, f"{name}_n": np.zeros_like(b), f"{name}_p": np.ones_like(b)}
        return arrays


def metrics_of(arrays: Arrays) -> dict[str, float]:
    i2t, t2i = ([arrays[f"{name}_{part}"] for part in "bnp"] for name in ("i2t", "t2i"))
    return retrieval_metrics((i2t[0], i2t[1], i2t[2]), (t2i[0], t2i[1], t2i[2]))


def write_run(
    results: Path,
    arrays: Arrays,
    *,
    seed: int = 0,
    model: str = "vsepp",
    weights: str | None = None,
    evaluation: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """Write a record whose metrics follow from the arrays, and return its folder. evaluation: fields to change."""
    record = run_record(arrays, seed=seed, model=model, evaluation=evaluation)
    with new_run_folder(results, STARTED, model, f"s{seed}") as (run_id, folder):
        files = {"queries_test.npz": write_arrays(folder / "queries_test.npz", arrays)}
        fields = {"run_id": run_id, "files": files, "weights_sha256": weights or f"{run_id:0>64}"} | changes
        write_record(folder, msgspec.structs.replace(record, **fields))
    return results / run_id


def run_record(
    arrays: Arrays, *, seed: int = 0, model: str = "vsepp", evaluation: dict[str, Any] | None = None
) -> RunRecord:
    record = example_record(model=model, seed=seed)
    fields = {
        "images": len(arrays["i2t_b"]),
        "captions": len(arrays["t2i_b"]),
        "metrics": metrics_of(arrays),
        "queries": "queries_test.npz",
    }
    test = msgspec.structs.replace(record.evaluations[0], **(fields | (evaluation or {})))
    return msgspec.structs.replace(record, evaluations=(test,))


def write_runs(results: Path, world: World, count: int, *, seed: int = 0, **options: Any) -> list[Path]:
    """Write runs of a world, numbered from `seed` on."""
    worse = options.pop("worse", 0.0)
    rng = np.random.default_rng(1000 + seed)
    return [write_run(results, world.run(rng, worse=worse), seed=seed + i, **options) for i in range(count)]


def window(runs: Sequence[Arrays], *, first_seed: int = 0) -> Window:
    """Return runs as a window, without the disk."""
    made = [
        WindowRun(
            run_id=f"run-{first_seed + i}",
            created="2026-01-01T00:00:00+00:00",
            config=example_record(seed=first_seed + i).config,
            environment=example_record().environment,
            weights_sha256=f"{first_seed + i:064d}",
            collapsed=False,
            metrics=metrics_of(arrays),
            **{f"{name}_{part}": arrays[f"{name}_{part}"] for name in ("i2t", "t2i") for part in "bnp"},
        )
        for i, arrays in enumerate(runs)
    ]
    return Window(
        model="vsepp",
        dataset="toy",
        split="test",
        protocol="full",
        images=len(runs[0]["i2t_b"]),
        captions=len(runs[0]["t2i_b"]),
        task_fingerprint="task",
        features_fingerprint="features",
        train_fingerprint="train",
        image_of=runs[0]["image_of"],
        runs=tuple(made),
    )
