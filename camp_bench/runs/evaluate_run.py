"""A finished run's weights once more, on other data, another split or protocol, as a record of its own."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from camp_bench.config import MAX_WHOLE, check_examples, require_text, resolve_settings
from camp_bench.config.protocols import require_one_gallery
from camp_bench.data import Dataset, open_dataset
from camp_bench.data.corpus import Corpus, TokenizedSplit
from camp_bench.data.fingerprints import Fingerprints, features_fingerprint, task_fingerprint
from camp_bench.data.judgements import MIN_GRADE, check_relevance, read_judgements
from camp_bench.errors import ConfigError, DataError
from camp_bench.evaluation.attention import example_arrays
from camp_bench.evaluation.cascade import Cascade, evaluate_cascade
from camp_bench.evaluation.evaluate import evaluate_folds, folds_of
from camp_bench.evaluation.spot_check import score_again
from camp_bench.evaluation.transductive import is_transductive
from camp_bench.machine.devices import (
    explained_memory,
    nondeterminism,
    require_precision,
    resolve_device,
    strict_numerics,
)
from camp_bench.ranking.tiles import TOP
from camp_bench.records import CascadeFacts, RunRecord, new_run_folder, write_arrays, write_file, write_record
from camp_bench.runs.keep import (
    OUT_OF_MEMORY,
    PairScores,
    Reporter,
    ScoreFile,
    dataset_facts,
    environment_of,
    evaluation_record,
    evaluation_timings,
    query_arrays,
    relevance_facts,
    told_of,
    true_scores,
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
    check_examples(asked.examples)
    _check_cascade(asked)
    check_relevance(asked.relevance, asked.min_grade, asked.protocol)
    if asked.relevance is not None and asked.rerank is not None:
        raise ConfigError("relevance: needs every pair's score; leave out --relevance or --rerank")
    split, protocol, precision, rerank = asked.split, asked.protocol, asked.precision, asked.rerank
    grade = MIN_GRADE if asked.min_grade is None else asked.min_grade
    place = resolve_device(asked.device)
    require_precision(place, precision)
    if rerank is not None and precision != "fp32":
        raise ConfigError(f"rerank: is scored in fp32; leave out --rerank or --score-precision {precision}")
    environment = environment_of(place)
    if isinstance(run, Path):
        run = open_run(run, allow_plugins=asked.allow_plugins)
    cheap = None if asked.proposer is None else open_run(asked.proposer, allow_plugins=asked.allow_plugins)
    parent = run.record
    source = parent.config.data if asked.data is None else asked.data
    require_text("data", source)
    reporter.on_stage(f"reading {source}")
    corpus = Corpus(_open(source, split, given=asked.data is not None), (split,))
    of_split = corpus.splits[split]
    for one in (run, cheap):
        if one is not None and of_split.feature_size != one.record.dataset.feature_size:
            raise DataError(
                f"{corpus.dataset.source}: features of size {of_split.feature_size}, {one.record.run_id} was trained "
                f"on size {one.record.dataset.feature_size}; give data of the same features"
            )
    folds = folds_of(of_split, protocol)
    judged = None if asked.relevance is None else read_judgements(asked.relevance, of_split, grade)
    if judged is not None and judged.note:
        reporter.on_stage(f"note: {judged.note}")
    top = TOP if judged is None else max(TOP, judged.i2t.most, judged.t2i.most)
    cache = corpus.dataset.cache
    prints = Fingerprints(
        task_fingerprint(of_split), features_fingerprint(of_split, cache), parent.dataset.train_fingerprint
    )
    encoded = _fitted(run, corpus, asked)
    words = [parent.config.model, corpus.dataset.name, f"s{parent.config.seed}", split, protocol]
    if rerank is not None:
        words.append(f"rerank{rerank}")
    if precision != "fp32":
        words.append(precision)
    queries, looked = f"queries_{split}.npz", f"examples_{split}.npz"
    with new_run_folder(results, started, *words) as (run_id, home), explained_memory(OUT_OF_MEMORY):
        scores = ScoreFile(home, of_split) if asked.save_scores else None
        with strict_numerics(place), nondeterminism(place) as reasons:
            on_tile = lambda done, total: reporter.on_tile(split, done, total)
            graded = None if judged is None else PairScores(judged.images, judged.captions)
            true = None if judged is None else true_scores(judged)
            on_scores = told_of(scores, graded, *(true or ()))
            facts: CascadeFacts | None = None
            exact: dict[str, float] | None = None
            if cheap is None or rerank is None:
                found = evaluate_folds(
                    run.model.to(place),
                    encoded,
                    folds,
                    place,
                    on_tile=on_tile,
                    on_scores=on_scores,
                    top=top,
                    ends=judged is not None,
                    precision=precision,
                )
                transductive = is_transductive(run.model, encoded, place)
                checked = score_again(run.model, encoded, found.ranks, place) if precision == "fp32" else None
                if precision != "fp32":
                    exact = evaluate_folds(run.model, encoded, folds, place, on_tile=on_tile).metrics
            else:
                proposed = _fitted(cheap, corpus, asked)
                cascade = evaluate_cascade(
                    run.model.to(place),
                    cheap.model.to(place),
                    encoded,
                    proposed,
                    rerank,
                    place,
                    on_tile=on_tile,
                    on_scores=on_scores,
                )
                found, facts = cascade.reranked, _cascade_facts(cascade, rerank, cheap.record)
                both = ((run.model, encoded), (cheap.model, proposed))
                transductive = any(is_transductive(model, items, place) for model, items in both)
                checked = score_again(run.model, encoded, cascade.full.ranks, place)
        files = {name: write_file(home / name, data) for name, data in run.files.items()}
        files[queries] = write_arrays(home / queries, query_arrays(found, of_split, judged))
        if asked.examples:
            looked_at = example_arrays(run.model, encoded, run.vocabulary, found.ranks.t2i, asked.examples, place)
            files[looked] = write_arrays(home / looked, looked_at)
        if scores is not None:
            files[scores.name] = scores.finish()
        record = msgspec.structs.replace(
            parent,
            run_id=run_id,
            parent=None if run.files else parent.run_id,
            created=started.isoformat(timespec="seconds"),
            command=tuple(command),
            deterministic=parent.deterministic and not reasons,
            nondeterministic_reason=reasons[0] if reasons else parent.nondeterministic_reason,
            environment=environment,
            dataset=dataset_facts(corpus, parent.dataset.train_fingerprint),
            vocabulary=msgspec.structs.replace(parent.vocabulary, unknown_share=corpus.unknown_shares(run.vocabulary)),
            evaluations=(
                evaluation_record(
                    found,
                    of_split,
                    prints,
                    protocol,
                    queries=queries,
                    examples=looked if asked.examples else None,
                    transductive=transductive,
                    score_check=checked,
                    scores=None if scores is None else scores.name,
                    cascade=facts,
                    relevance=None
                    if judged is None or graded is None or true is None
                    else relevance_facts(judged, found, grade, graded.scores, [pairs.scores for pairs in true]),
                    precision=precision,
                    fp32_metrics=exact,
                ),
            ),
            timings=evaluation_timings(found, run_seconds=time.perf_counter() - clock),
            files=files,
        )
        write_record(home, record)
    return results / run_id, record


def _check_cascade(asked: EvaluationRequest) -> None:
    rerank = asked.rerank
    if (rerank is None) != (asked.proposer is None):
        raise ConfigError("rerank: needs both --rerank K and --proposer RUN, the finished run that proposes candidates")
    if rerank is not None and not 1 <= rerank <= MAX_WHOLE:
        raise ConfigError(f"rerank: got {rerank}, expected 1 candidate a query or more")
    if rerank is not None:
        require_one_gallery("rerank", asked.protocol)


def _fitted(run: FinishedRun, corpus: Corpus, asked: EvaluationRequest) -> TokenizedSplit:
    """Give the run's model what was asked of memory, and return the split in its words."""
    settings = run.record.config.settings
    changes = {
        "adapt": asked.adapt or settings.adapt,
        "memory_budget": asked.memory_budget or settings.memory_budget,
    }
    run.model.settings = resolve_settings(settings, changes)
    return corpus.encoded(asked.split, run.vocabulary, settings.max_words)


def _cascade_facts(cascade: Cascade, rerank: int, proposer: RunRecord) -> CascadeFacts:
    return CascadeFacts(
        rerank=rerank,
        proposer=proposer.run_id,
        proposer_model=proposer.config.model,
        proposer_weights_sha256=proposer.weights_sha256,
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
