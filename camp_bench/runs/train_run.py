"""One job from its model to its record: build, train, evaluate, keep."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from camp_bench.data.corpus import TokenizedSplit
from camp_bench.data.tokenizers import TOKENIZERS
from camp_bench.evaluation.attention import example_arrays
from camp_bench.evaluation.evaluate import Asked, Evaluated, evaluate
from camp_bench.evaluation.spot_check import score_again
from camp_bench.evaluation.tiles import Tiling, fitted
from camp_bench.evaluation.transductive import is_transductive
from camp_bench.machine.devices import explained_memory, nondeterminism, peak_device_bytes, strict_numerics
from camp_bench.machine.environment import peak_memory_bytes
from camp_bench.models.base import PairModel
from camp_bench.records import (
    VOCABULARY_NAME,
    WEIGHTS_NAME,
    Measurement,
    RunRecord,
    StartedFrom,
    TrainingRecord,
    VocabularyFacts,
    new_run_folder,
)
from camp_bench.runs.keep import (
    OUT_OF_MEMORY,
    Outcome,
    Reporter,
    ScoreFile,
    dataset_facts,
    environment_of,
    evaluation_timings,
    keep,
    measured,
)
from camp_bench.runs.material import SPLITS, Material
from camp_bench.runs.memory import Memory
from camp_bench.runs.plan import RunPlan
from camp_bench.runs.train import Trained, train

__all__ = ["TrainJob", "train_run"]


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One run to do. name: of the job, see `runs.jobs`. command: the words that started it."""

    plan: RunPlan
    name: str
    results: Path
    command: tuple[str, ...] = ()


def train_run(job: TrainJob, material: Material, memory: Memory, reporter: Reporter) -> tuple[Path, RunRecord]:
    """Train, evaluate and keep; returns the folder and record. What `memory` has of it is not done again."""
    clock, started = time.perf_counter(), dt.datetime.now(dt.UTC)
    plan, device = job.plan, torch.device(job.plan.config.device)
    words = plan.config.model, material.corpus.dataset.name, f"s{plan.config.seed}"
    with explained_memory(OUT_OF_MEMORY), strict_numerics(device), nondeterminism(device) as reasons:
        splits = material.splits(plan)
        model, begun = material.build(plan)
        peak_device_bytes(device)  # so that what earlier runs took is not this one's
        for name in SPLITS[1:]:  # a budget that holds no pair shows before the training
            fitted(Tiling.of(plan.settings), model, splits[name])
        trained = train(
            model,
            splits["train"],
            splits["dev"],
            seed=plan.config.seed,
            device=device,
            precision=plan.config.precision,
            observer=reporter,
            watch_train=material.asked.watch_train,
            memory=memory,
        )
        with new_run_folder(job.results, started, *words) as (run_id, folder):
            test = _evaluate(job, material, model, splits["test"], folder, reporter)
            about = RunRecord(
                run_id=run_id,
                created=started.isoformat(timespec="seconds"),
                command=job.command,
                config=plan.config,
                deterministic=not reasons,
                nondeterministic_reason=reasons[0] if reasons else None,
                environment=environment_of(device),
                dataset=dataset_facts(material.corpus, material.fingerprints["test"].train, material.leaks),
                vocabulary=_vocabulary_facts(plan, material),
                training=_training_record(trained, model, begun),
                evaluations=(),
                timings=_timings(trained, memory, test.evaluated, device, run_seconds=time.perf_counter() - clock),
                weights_sha256=None,
                files={},
                job=job.name,
                until=material.asked.until or None,
            )
            prints = material.fingerprints["dev"]
            dev = Outcome(evaluated=trained.dev, task=prints.task, features=prints.features, per_query=False)
            files = {
                WEIGHTS_NAME: safetensors.torch.save(trained.weights),
                VOCABULARY_NAME: material.vocabulary(plan).to_json().encode(),
            }
            record = keep(folder, about, (dev, test), files)
    return job.results / run_id, record


def _evaluate(
    job: TrainJob, material: Material, model: PairModel, items: TokenizedSplit, folder: Path, reporter: Reporter
) -> Outcome:
    """Rank the test split, once."""
    device, asked = torch.device(job.plan.config.device), material.asked
    scores = ScoreFile(folder, items.split) if asked.save_scores else None
    how = Asked(
        device=device,
        protocol=job.plan.config.protocol,
        on_tile=lambda done, total: reporter.on_tile("test", done, total),
        on_scores=None if scores is None else scores.take,
    )
    test = evaluate(model, items, how)
    looked_at = None
    if asked.examples:
        words = material.vocabulary(job.plan)
        looked_at = example_arrays(model, items, words, test.ranks.t2i, asked.examples, device)
    return Outcome(
        evaluated=test,
        task=material.fingerprints["test"].task,
        features=material.fingerprints["test"].features,
        transductive=is_transductive(model, items, device),
        score_check=score_again(model, items, test.ranks, device),
        examples=looked_at,
        scores=scores,
    )


def _vocabulary_facts(plan: RunPlan, material: Material) -> VocabularyFacts:
    """Return where the words came from, how many of each split's are not among them, and what they started from."""
    vocabulary, vectors = material.vocabulary(plan), material.word_vectors(plan)
    return VocabularyFacts(
        source=plan.config.vocab_from,
        tokenizer=TOKENIZERS[vocabulary.tokenizer],
        min_count=plan.settings.min_count,
        size=len(vocabulary),
        unknown_share=material.corpus.unknown_shares(vocabulary),
        pretrained=0 if vectors is None else len(vectors.rows),
        word_vectors_sha256=None if vectors is None else vectors.sha256,
    )


def _training_record(trained: Trained, model: PairModel, begun: StartedFrom | None) -> TrainingRecord:
    """Return the story of the training."""
    each = len(trained.epochs) // len(trained.best_epochs)  # epochs of a member
    return TrainingRecord(
        steps=trained.steps,
        pairs_seen=trained.pairs_seen,
        best_epochs=trained.best_epochs,
        parameters=sum(weight.numel() for weight in model.parameters()),
        collapsed=any(log.collapsed for log in trained.epochs[each - 1 :: each]),
        epochs=trained.epochs,
        started_from=begun,
    )


def _timings(
    trained: Trained, memory: Memory, test: Evaluated, device: torch.device, *, run_seconds: float
) -> tuple[Measurement, ...]:
    """Return raw samples: seconds of every epoch and evaluation and of the whole run, and the most memory held.

    The seconds of the run and of saving are those of the process that ended it; the peak of its memory is over all
    that it did.
    """
    return (
        *measured("train_epoch", "s", *(epoch.train_seconds for epoch in trained.epochs)),
        *measured("dev_evaluation", "s", *(epoch.dev_seconds for epoch in trained.epochs)),
        *measured("save_state", "s", *memory.seconds),
        *evaluation_timings(test, run_seconds=run_seconds),
        *measured("process_peak_memory", "B", peak_memory_bytes()),
        *measured("device_peak_memory", "B", peak_device_bytes(device)),
    )
