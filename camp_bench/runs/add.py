"""Any other system as a record: ranked from the scores, or the vectors, that it wrote, like a model of our own.

CLIP, BLIP or a search engine so stands in the same tables and passes through the same gate. What is not known of its
training is absent from the record.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.config import RunConfig, parse_bytes, require_text, user_path
from camp_bench.data import open_dataset
from camp_bench.data.dataset import Split
from camp_bench.data.fingerprints import task_fingerprint
from camp_bench.data.judgements import MIN_GRADE, Judgements, check_relevance, read_judgements
from camp_bench.data.matrices import array_file
from camp_bench.errors import ConfigError, NumericError
from camp_bench.evaluation.evaluate import Evaluated, evaluate_folds, folds_of
from camp_bench.evaluation.relevance import Relevance, measure_relevance
from camp_bench.machine.devices import explained_memory
from camp_bench.machine.timing import timed
from camp_bench.ranking.lists import known_metrics
from camp_bench.ranking.tiles import TOP, Ranks
from camp_bench.records import (
    DatasetFacts,
    ExternalFacts,
    RunRecord,
    file_sha256,
    new_run_folder,
    storable,
)
from camp_bench.runs.external import ExternalSource, Ranker, files_of, make_ranker
from camp_bench.runs.keep import Outcome, Reporter, environment_of, evaluation_timings, keep

__all__ = ["ExternalSource", "add_external"]

CPU = torch.device("cpu")


def add_external(
    source: ExternalSource,
    data: str,
    results: str,
    reporter: Reporter,
    *,
    split: str = "test",
    protocol: str = "full",
    memory_budget: str = "1GB",
    relevance: str | None = None,
    min_grade: float | None = None,
    command: Sequence[str] = (),
) -> tuple[Path, RunRecord]:
    """Rank a split by what another system wrote and return the folder and record of that.

    A .npy file is read in tiles, never whole. relevance, min_grade: count more positives as well, see
    `read_judgements`. A folder needs no features for this. Raises ConfigError for a name or a choice of files that
    makes no sense,
    DataError for files that don't fit the split or the protocol, and NumericError for scores or vectors without a rank.
    """
    clock, started = time.perf_counter(), dt.datetime.now(dt.UTC)
    files = files_of(source)
    budget = parse_bytes(memory_budget)
    check_relevance(relevance, min_grade, protocol)
    grade = MIN_GRADE if min_grade is None else min_grade
    require_text("data", data)
    reporter.on_stage(f"reading {data}")
    with explained_memory("ask for less data"):
        dataset = open_dataset(data, (split,), features=False)
    of_split = dataset.split(split)
    if len(folds_of(of_split, protocol)) > 1 and source.run_i2t is not None:
        raise ConfigError(
            f"--run-i2t: top lists are of a whole split, and {protocol} ranks in folds; leave --protocol out"
        )
    ranker = make_ranker(source, of_split, budget)
    judged = None if relevance is None else read_judgements(relevance, of_split, grade)
    if judged is not None and judged.note:
        reporter.on_stage(f"note: {judged.note}")
    words = source.name, dataset.name, f"s{source.seed}", split, protocol
    with new_run_folder(user_path(results), started, *words) as (run_id, folder):
        reporter.on_stage(f"ranking {of_split.n_images:,} images and {of_split.n_captions:,} captions")
        try:
            on_tile = lambda done, total: reporter.on_tile(split, done, total)
            found = _rank_all(of_split, protocol, ranker, on_tile, judged)
        except NumericError as error:
            raise error.within(", ".join(str(file) for file in files.values())) from None
        outcome = Outcome(
            evaluated=found,
            task=task_fingerprint(of_split),
            features=None,
            transductive=source.transductive,
            relevance=_relevance(judged, found.ranks, grade, ranker),
            judged=judged,
            budget_bytes=budget,
        )
        about = RunRecord(
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
                settings=None,
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
                regions=None,
                feature_size=None,
                train_fingerprint=None,
            ),
            vocabulary=None,
            training=None,
            evaluations=(),
            timings=evaluation_timings(found, run_seconds=time.perf_counter() - clock),
            weights_sha256=None,
            files={},
            external=ExternalFacts(
                files={what: storable(file.name) for what, file in files.items()},
                sha256={what: file_sha256(array_file(file)[0]) for what, file in files.items()},
                measure=source.measure if source.images else "lower is better" if source.lower_is_better else None,
                censored={
                    way: count
                    for way, ranks in (("i2t", found.ranks.i2t), ("t2i", found.ranks.t2i))
                    if (count := int((ranks.p == 0).sum()))
                },
            ),
        )
        record = keep(folder, about, (outcome,), {})
    return user_path(results) / run_id, record


def _rank_all(
    split: Split, protocol: str, ranker: Ranker, on_tile: Callable[[int, int], None], judged: Judgements | None
) -> Evaluated:
    """Rank each fold of the protocol; images and captions that a NumericError names are those of the whole split."""
    top = TOP if judged is None else max(TOP, judged.most)

    def of_fold(images: npt.NDArray[np.int64], captions: npt.NDArray[np.int64]) -> Evaluated:
        image_of = split.captions_of(images)[1]
        with timed(CPU) as whole:
            ranks = ranker.rank(images, captions, image_of, top, judged is not None, on_tile)
        found = Evaluated.of_ranks(image_of, len(images), ranks, split=split, score_seconds=whole.seconds)
        metrics = known_metrics(known_metrics(found.metrics, "i2t", ranks.i2t), "t2i", ranks.t2i)
        return replace(found, metrics=metrics)

    return evaluate_folds(split, protocol, of_fold)


def _relevance(judged: Judgements | None, ranks: Ranks, min_grade: float, ranker: Ranker) -> Relevance | None:
    """Return the metrics with several positives, None where there are none; correlations only of known scores."""
    if judged is None:
        return None
    graded = ranker.pairs(judged.images, judged.captions)
    if graded is None:
        nobody = judged.images[:0]
        judged = replace(judged, images=nobody, captions=nobody, grades=judged.grades[:0])
        return measure_relevance(judged, ranks, min_grade, np.empty(0, dtype=np.float32), None)
    true = [ranker.pairs(images, captions) for images, captions in judged.true_pairs]
    return measure_relevance(judged, ranks, min_grade, graded, [one for one in true if one is not None])
