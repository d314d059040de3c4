"""Finished runs on disk for the tests of comparisons: real files, made-up ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from examples import example_record

from camp_bench.ranking.metrics import retrieval_metrics
from camp_bench.records import write_arrays, write_record


def write_run(
    results: Path,
    *,
    model: str = "vsepp",
    seed: int = 0,
    level: float = 1.5,
    images: int = 120,
    captions: int = 5,
    world: int = 0,
    ranks_seed: int | None = None,
    evaluation: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
    dataset: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    weights: str | None = None,
    arrays: dict[str, np.ndarray] | None = None,
    album: int = 1,
    tied: int = 0,
    **changes: Any,
) -> Path:
    """Write a run's folder and return it. level: log of a typical rank, lower is better; world: how hard images are.

    arrays: kept with the per-query results. album: so many images in a row are as hard as each other.
    tied: negatives that tie with the best positive of each query.
    """
    hard = np.random.default_rng(world).normal(size=images)[np.arange(images) // album * album]
    rng = np.random.default_rng([world, seed, len(model), sum(map(ord, model))] if ranks_seed is None else ranks_seed)
    image_of = np.repeat(np.arange(images), captions)

    def counts(shared: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        b = np.floor(np.exp(np.clip(level + shared + 0.6 * rng.normal(size=len(shared)), 0, 6)) - 1)
        return b.astype(np.int32), np.full(len(b), tied, np.int32), np.ones(len(b), np.int32)

    i2t, t2i = counts(hard), counts(hard[image_of])
    arrays = {"image_of": image_of.astype(np.int32), **(arrays or {})}
    for way, (b, n, p), width in (("i2t", i2t, images * captions), ("t2i", t2i, images)):
        arrays |= {f"{way}_b": b, f"{way}_n": n, f"{way}_p": p}
        top = min(10, width)
        ids = ((rng.integers(0, width, size=(len(b), 1)) + np.arange(top)) % width).astype(np.int32)
        arrays |= {f"{way}_top_ids": ids, f"{way}_top_scores": -np.sort(-rng.random((len(b), top)).astype(np.float32))}
    record = example_record(model=model, seed=seed, **changes)
    folder = results / record.run_id
    folder.mkdir(parents=True)
    file = "queries_test.npz"
    facts: dict[str, Any] = {"images": images, "captions": images * captions, "queries": file}
    facts |= {"metrics": retrieval_metrics(i2t, t2i), **(evaluation or {})}
    record = msgspec.structs.replace(
        record,
        evaluations=(msgspec.structs.replace(record.evaluations[0], **facts),),
        config=msgspec.structs.replace(record.config, **{"protocol": facts.get("protocol", "full"), **(config or {})}),
        dataset=msgspec.structs.replace(record.dataset, **(dataset or {})),
        training=msgspec.structs.replace(record.training, **(training or {})),
        files={file: write_arrays(folder / file, arrays)},
        weights_sha256=weights or f"{model}-{seed}",
    )
    write_record(folder, record)
    return folder
