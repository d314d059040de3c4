"""Any other system as a record: ranked from the scores, or the vectors, that it wrote, like a model of our own.

CLIP, BLIP or a search engine so stands in the same tables and passes through the same gate. What is not known of its
training is 0 or empty in the record.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.config import RunConfig, Settings, parse_bytes, require_text, user_path
from camp_bench.data import open_dataset
from camp_bench.data.dataset import Split
from camp_bench.data.fingerprints import Fingerprints, task_fingerprint
from camp_bench.data.matrices import map_matrix
from camp_bench.errors import ConfigError, NumericError
from camp_bench.evaluation.evaluate import Evaluation, folds_of, join_folds, told_of_whole
from camp_bench.machine.devices import explained_memory
from camp_bench.machine.timing import timed
from camp_bench.models.registry import variants
from camp_bench.ranking.matrix import rank_stored
from camp_bench.ranking.metrics import chance_metrics, retrieval_metrics
from camp_bench.ranking.tiles import Ranks
from camp_bench.ranking.vectors import rank_embeddings
from camp_bench.records import (
    DatasetFacts,
    ExternalFacts,
    RunRecord,
    TrainingRecord,
    VocabularyFacts,
    file_sha256,
    new_run_folder,
    storable,
    write_arrays,
    write_record,
)
from camp_bench.runs.keep import Reporter, environment_of, evaluation_record, evaluation_timings, query_arrays

__all__ = ["ExternalSource", "add_external"]

UNKNOWN = Settings(
    dim=0,
    word_dim=0,
    word_spread=0.0,
    epochs=0,
    warmup_epochs=0,
    batch_size=0,
    optimizer="adam",
    learning_rate=0.0,
    momentum=0.0,
    weight_decay=0.0,
    decay_epochs=(),
    clip_norm=0.0,
    margin=0.0,
    min_count=0,
    max_words=0,
    validate_every=0,
    tile_images=0,
    tile_captions=0,
)
"""What a record holds of the settings of a program that is not ours."""
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class ExternalSource:
    """What a system wrote: `scores`, (images, captions), or `images` and `captions`, one vector each, as .npy files.

    Rows and columns are in the order of the split; images count once, however its file holds them. Higher scores are
    better. transductive: whether other test queries were used, by a score normalised over all of them, say.
    """

    name: str
    scores: Path | None = None
    images: Path | None = None
    captions: Path | None = None
    measure: Literal["cosine", "dot"] = "cosine"
    transductive: bool = False
    seed: int = 0


def add_external(
    source: ExternalSource,
    data: str,
    results: str,
    reporter: Reporter,
    *,
    split: str = "test",
    protocol: str = "full",
    memory_budget: str = "1GB",
    command: Sequence[str] = (),
) -> tuple[Path, RunRecord]:
    """Rank a split by what another system wrote and return the folder and record of that.

    The files are read in tiles, never whole. Raises ConfigError for a name or a choice of files that makes no sense,
    DataError for files that don't fit the split or the protocol, and NumericError for scores or vectors without a rank.
    """
    clock, started = time.perf_counter(), dt.datetime.now(dt.UTC)
    files = _files(source)
    budget = parse_bytes(memory_budget)
    require_text("data", data)
    reporter.on_stage(f"reading {data}")
    with explained_memory("ask for less data"):
        dataset = open_dataset(data, (split,))
    of_split = dataset.split(split)
    folds = folds_of(of_split, protocol)
    rank = _ranker(source, of_split, budget)
    words = source.name, dataset.name, f"s{source.seed}", split, protocol
    queries = f"queries_{split}.npz"
    with new_run_folder(user_path(results), started, *words) as (run_id, folder):
        reporter.on_stage(f"ranking {of_split.n_images:,} images and {of_split.n_captions:,} captions")
        try:
            found = _evaluate(of_split, folds, rank, lambda done, total: reporter.on_tile(split, done, total), budget)
        except NumericError as error:
            raise error.within(", ".join(str(file) for file in files.values())) from None
        written = {queries: write_arrays(folder / queries, query_arrays(found, of_split))}
        record = RunRecord(
            run_id=run_id,
            created=started.isoformat(timespec="seconds"),
            command=tuple(command),
            config=RunConfig(
                model=source.name,
                seed=source.seed,
                data=data,
                protocol=protocol,
                vocab_from="train",
                word_vectors="",
                preset="external",
                device="cpu",
                precision="fp32",
                settings=UNKNOWN,
                options={},
            ),
            deterministic=True,
            environment=environment_of(CPU),
            dataset=DatasetFacts(
                name=dataset.name,
                source=data,
                images={split: of_split.n_images},
                captions={split: of_split.n_captions},
                stored={split: of_split.stored},
                regions=0,
                feature_size=0,
                train_fingerprint="",
            ),
            vocabulary=VocabularyFacts(source="train", tokenizer="", min_count=0, size=0, unknown_share={}),
            training=TrainingRecord(steps=0, pairs_seen=0, best_epochs=(), parameters=0, collapsed=False, epochs=()),
            evaluations=(
                evaluation_record(
                    found,
                    of_split,
                    Fingerprints(task=task_fingerprint(of_split), features="", train=""),
                    protocol,
                    queries=queries,
                    transductive=source.transductive,
                ),
            ),
            timings=evaluation_timings(found, run_seconds=time.perf_counter() - clock),
            weights_sha256="",
            files=written,
            external=ExternalFacts(
                files={what: storable(file.name) for what, file in files.items()},
                sha256={what: file_sha256(file) for what, file in files.items()},
                measure="" if source.scores else source.measure,
            ),
        )
        write_record(folder, record)
    return user_path(results) / run_id, record


_Rank = Callable[
    [npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64], Callable[[int, int], None]], Ranks
]
"""From images and captions, by their numbers, the place among those images of each caption, and who hears of tiles."""


def _files(source: ExternalSource) -> dict[str, Path]:
    """Return the files by what they are; ConfigError where they or the name make no sense."""
    require_text("name", source.name)
    if source.name in {name for variant in variants() for name in (variant.name, variant.name.partition(":")[0])}:
        raise ConfigError(
            f"name: '{source.name}' is a model of camp-bench; expected another name, such as my-{source.name}"
        )
    given = {"scores": source.scores, "images": source.images, "captions": source.captions}
    files = {what: file for what, file in given.items() if file is not None}
    if set(files) not in ({"scores"}, {"images", "captions"}):
        told = " and ".join(f"--{what}" for what in files) or "none"
        raise ConfigError(f"files: got {told}; expected --scores alone, or --images and --captions together")
    return files


def _ranker(source: ExternalSource, split: Split, budget: int) -> _Rank:
    if source.scores is not None:
        scores = map_matrix(source.scores, split.n_images, split.n_captions)
        return lambda images, captions, image_of, on_tile: rank_stored(
            scores, image_of, images=images, captions=captions, memory_budget=budget, on_tile=on_tile
        )
    assert source.images is not None  # as `_files` has made sure
    assert source.captions is not None
    image_vectors = map_matrix(source.images, rows=split.n_images)
    caption_vectors = map_matrix(source.captions, rows=split.n_captions)

    def rank(
        images: npt.NDArray[np.int64],
        captions: npt.NDArray[np.int64],
        image_of: npt.NDArray[np.int64],
        on_tile: Callable[[int, int], None],
    ) -> Ranks:
        whole = len(images) == split.n_images
        return rank_embeddings(
            image_vectors if whole else image_vectors[images],
            caption_vectors if whole else caption_vectors[captions],
            image_of,
            measure=source.measure,
            memory_budget=budget,
            on_tile=on_tile,
        )

    return rank


def _evaluate(
    split: Split,
    folds: Sequence[npt.NDArray[np.int64]],
    rank: _Rank,
    on_tile: Callable[[int, int], None],
    budget: int,
) -> Evaluation:
    parts, captions = [], []
    for fold in folds:
        own, image_of = split.captions_of(fold)
        captions.append(own)
        with timed(CPU) as whole, told_of_whole(fold, own):
            ranks = rank(fold, own, image_of, on_tile)
        parts.append(
            Evaluation(
                ranks=ranks,
                metrics=retrieval_metrics(ranks.i2t.counts, ranks.t2i.counts),
                chance_rsum=chance_metrics(image_of, len(fold))["rsum"],
                encode_seconds=0.0,
                score_seconds=whole.seconds,
                tile_images=0,
                tile_captions=0,
                memory_budget_bytes=budget,
            )
        )
    return join_folds(parts, folds, captions)
