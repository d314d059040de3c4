"""A finished run's weights once more, on other data, another split or protocol, as a record of its own."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import torch

from camp_bench.config import MAX_WHOLE, check_examples, require_text, resolve_settings
from camp_bench.config.protocols import require_one_gallery
from camp_bench.data import Dataset, open_dataset
from camp_bench.data.corpus import Corpus, TokenizedSplit
from camp_bench.data.fingerprints import features_fingerprint, task_fingerprint
from camp_bench.data.judgements import MIN_GRADE, Judgements, check_relevance, read_judgements
from camp_bench.errors import ConfigError, DataError
from camp_bench.evaluation.attention import example_arrays
from camp_bench.evaluation.cascade import Cascade, evaluate_cascade
from camp_bench.evaluation.evaluate import Asked, evaluate, folds_of
from camp_bench.evaluation.relevance import JudgedScores
from camp_bench.evaluation.spot_check import score_again
from camp_bench.evaluation.tiles import Tiling
from camp_bench.evaluation.transductive import is_transductive
from camp_bench.machine.devices import (
    explained_memory,
    nondeterminism,
    require_precision,
    resolve_device,
    strict_numerics,
)
from camp_bench.ranking.tiles import TOP
from camp_bench.records import CascadeFacts, Environment, RunRecord, new_run_folder
from camp_bench.runs.keep import (
    OUT_OF_MEMORY,
    Outcome,
    Reporter,
    ScoreFile,
    dataset_facts,
    environment_of,
    evaluation_timings,
    keep,
    told_of,
)
from camp_bench.runs.saved import FinishedRun, open_run

__all__ = ["EvaluationRequest", "evaluate_run"]


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What to evaluate a finished run on, and how.

    data: instead of the data it was trained on. The run's own vocabulary is used. memory_budget, adapt: instead of the
    run's own settings. save_scores: keep the score matrix beside the record. examples: how many captions to keep with
    what the model looks at. allow_plugins: see `open_run`. rerank: score only so many candidates a query, which the run
    `proposer` proposes, and measure beside it what scoring every pair gives. relevance, min_grade: count more positives
    as well, see `read_judgements`. precision: in which to encode and score; fp32 is measured beside another one.
    trust_cache: see `features_fingerprint`.
    """

    data: str | None = None
    split: str = "test"
    protocol: str = "full"
    device: str = "auto"
    examples: int = 0
    allow_plugins: bool = False
    memory_budget: str | None = None
    adapt: bool = False
    save_scores: bool = False
    rerank: int | None = None
    proposer: Path | None = None
    relevance: str | None = None
    min_grade: float | None = None
    precision: str = "fp32"
    trust_cache: bool = False


def evaluate_run(
    run: Path | FinishedRun,
    asked: EvaluationRequest,
    results: Path,
    reporter: Reporter,
    *,
    command: Sequence[str] = (),
) -> tuple[Path, RunRecord]:
    """Evaluate a finished run and return the folder and record of that, whose `parent` is the run.

    run: its folder, or the run itself; one that brings its `files` has no folder, so its evaluation has no parent. The
    record keeps the config of the training; what was evaluated stands in its `dataset` and `evaluations`. Raises
    CampBenchError for a run, data, split or protocol that can't be used or don't fit each other.
    """
    clock, started = time.perf_counter(), dt.datetime.now(dt.UTC)
    _check(asked)
    job = _load(run, asked, reporter)
    parent = job.run.record
    words = [parent.config.model, job.corpus.dataset.name, f"s{parent.config.seed}", asked.split, asked.protocol]
    words += [] if asked.rerank is None else [f"rerank{asked.rerank}"]
    words += [] if asked.precision == "fp32" else [asked.precision]
    with new_run_folder(results, started, *words) as (run_id, home), explained_memory(OUT_OF_MEMORY):
        scores = ScoreFile(home, job.items.split) if asked.save_scores else None
        outcome, reasons = _evaluate(job, asked, scores, lambda done, total: reporter.on_tile(asked.split, done, total))
        assert parent.vocabulary is not None  # what has weights has words
        about = msgspec.structs.replace(
            parent,
            run_id=run_id,
            parent=None if job.run.files else parent.run_id,
            created=started.isoformat(timespec="seconds"),
            command=tuple(command),
            deterministic=parent.deterministic and not reasons,
            nondeterministic_reason=reasons[0] if reasons else parent.nondeterministic_reason,
            environment=job.environment,
            dataset=dataset_facts(job.corpus, parent.dataset.train_fingerprint),
            vocabulary=msgspec.structs.replace(
                parent.vocabulary, unknown_share=job.corpus.unknown_shares(job.run.vocabulary)
            ),
            timings=evaluation_timings(outcome.evaluated, run_seconds=time.perf_counter() - clock),
        )
        record = keep(home, about, (outcome,), job.run.files)
    return results / run_id, record


@dataclass(frozen=True, slots=True)
class _Job:
    """What an evaluation needs. items: the split in the run's words; proposer: who proposes candidates, with its own.

    task, features: fingerprints.
    """

    run: FinishedRun
    corpus: Corpus
    items: TokenizedSplit
    proposer: tuple[FinishedRun, TokenizedSplit] | None
    judged: Judgements | None
    task: str
    features: str
    device: torch.device
    environment: Environment


def _load(run: Path | FinishedRun, asked: EvaluationRequest, reporter: Reporter) -> _Job:
    """Read the run and its data; what doesn't fit is refused here, before any work."""
    device = resolve_device(asked.device)
    require_precision(device, asked.precision)
    environment = environment_of(device)
    if isinstance(run, Path):
        run = open_run(run, allow_plugins=asked.allow_plugins)
    cheap = None if asked.proposer is None else open_run(asked.proposer, allow_plugins=asked.allow_plugins)
    source = run.record.config.data if asked.data is None else asked.data
    require_text("data", source)
    reporter.on_stage(f"reading {source}")
    corpus = Corpus(_open(source, asked.split, given=asked.data is not None), (asked.split,))
    split = corpus.splits[asked.split]
    for one in (run, cheap):
        if one is not None and split.feature_size != one.record.dataset.feature_size:
            raise DataError(
                f"{corpus.dataset.source}: features of size {split.feature_size}, {one.record.run_id} was trained "
                f"on size {one.record.dataset.feature_size}; give data of the same features"
            )
    folds_of(split, asked.protocol)
    judged = None if asked.relevance is None else read_judgements(asked.relevance, split, _grade(asked))
    if judged is not None and judged.note:
        reporter.on_stage(f"note: {judged.note}")
    return _Job(
        run=run,
        corpus=corpus,
        items=corpus.encoded(asked.split, run.vocabulary, run.model.settings.max_words),
        proposer=None
        if cheap is None
        else (cheap, corpus.encoded(asked.split, cheap.vocabulary, cheap.model.settings.max_words)),
        judged=judged,
        task=task_fingerprint(split),
        features=features_fingerprint(split, corpus.dataset.cache, trust_cache=asked.trust_cache),
        device=device,
        environment=environment,
    )


def _evaluate(
    job: _Job, asked: EvaluationRequest, scores: ScoreFile | None, on_tile: Callable[[int, int], None]
) -> tuple[Outcome, list[str]]:
    """Rank, and return what was found with the reasons why it may not be the same again."""
    judged = None if job.judged is None else JudgedScores(job.judged)
    how = Asked(
        device=job.device,
        protocol=asked.protocol,
        precision=asked.precision,
        tiling=_tiling(job.run, asked),
        top=TOP if judged is None else judged.top,
        ends=judged is not None,
        on_tile=on_tile,
        on_scores=told_of(scores, judged),
    )
    model, models = job.run.model.to(job.device), [(job.run.model, job.items)]
    facts: CascadeFacts | None = None
    exact: dict[str, float] | None = None
    with strict_numerics(job.device), nondeterminism(job.device) as reasons:
        if job.proposer is None or asked.rerank is None:
            found = ranked = evaluate(model, job.items, how)
            if asked.precision != "fp32":
                plain = replace(how, precision="fp32", top=TOP, ends=False, on_scores=None)
                exact = evaluate(model, job.items, plain).metrics
        else:
            cheap, proposed = job.proposer
            models.append((cheap.model, proposed))
            cascade = evaluate_cascade(
                model, cheap.model.to(job.device), job.items, proposed, asked.rerank, how, _tiling(cheap, asked)
            )
            found, ranked = cascade.reranked, cascade.full
            facts = _cascade_facts(cascade, asked.rerank, cheap.record)
        transductive = any(is_transductive(one, items, job.device) for one, items in models)
        check = score_again(model, job.items, ranked.ranks, job.device) if asked.precision == "fp32" else None
    looked_at = None
    if asked.examples:
        words = job.run.vocabulary
        looked_at = example_arrays(model, job.items, words, found.ranks.t2i, asked.examples, job.device)
    outcome = Outcome(
        evaluated=found,
        task=job.task,
        features=job.features,
        transductive=transductive,
        examples=looked_at,
        scores=scores,
        cascade=facts,
        relevance=None if judged is None else judged.measure(found.ranks, _grade(asked)),
        judged=job.judged,
        fp32_metrics=exact,
        score_check=check,
    )
    return outcome, reasons


def _grade(asked: EvaluationRequest) -> float:
    return MIN_GRADE if asked.min_grade is None else asked.min_grade


def _check(asked: EvaluationRequest) -> None:
    """Raise ConfigError for what makes no sense together."""
    check_examples(asked.examples)
    _check_cascade(asked)
    check_relevance(asked.relevance, asked.min_grade, asked.protocol)
    if asked.relevance is not None and asked.rerank is not None:
        raise ConfigError("relevance: needs every pair's score; leave out --relevance or --rerank")
    if asked.rerank is not None and asked.precision != "fp32":
        raise ConfigError(f"rerank: is scored in fp32; leave out --rerank or --score-precision {asked.precision}")


def _check_cascade(asked: EvaluationRequest) -> None:
    rerank = asked.rerank
    if (rerank is None) != (asked.proposer is None):
        raise ConfigError("rerank: needs both --rerank K and --proposer RUN, the finished run that proposes candidates")
    if rerank is not None and not 1 <= rerank <= MAX_WHOLE:
        raise ConfigError(f"rerank: got {rerank}, expected 1 candidate a query or more")
    if rerank is not None:
        require_one_gallery("rerank", asked.protocol)


def _tiling(run: FinishedRun, asked: EvaluationRequest) -> Tiling:
    """Return the tiles of the run's settings, with what was asked of memory."""
    own = run.model.settings
    changes = {"adapt": asked.adapt or own.adapt, "memory_budget": asked.memory_budget or own.memory_budget}
    return Tiling.of(resolve_settings(own, changes))


def _cascade_facts(cascade: Cascade, rerank: int, proposer: RunRecord) -> CascadeFacts:
    return CascadeFacts(
        rerank=rerank,
        proposer=proposer.run_id,
        proposer_model=proposer.config.model,
        proposer_weights_sha256=proposer.weights_sha256 or "",
        pairs_scored=cascade.pairs_scored,
        pairs=cascade.pairs,
        seconds=cascade.seconds,
        full_metrics=cascade.full.metrics,
        full_seconds=cascade.full.encode_seconds + cascade.full.score_seconds,
    )


def _open(source: str, split: str, *, given: bool) -> Dataset:
    try:
        with explained_memory("ask for less data"):
            return open_dataset(source, (split,))
    except DataError as error:
        if given:
            raise
        raise DataError(f"{error} (as the run recorded it; --data says where it is now)") from None
