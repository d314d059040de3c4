"""A finished run's weights once more, on other data, another split or protocol, as a record of its own."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch

from camp_bench.data import open_dataset
from camp_bench.data.corpus import Corpus
from camp_bench.data.fingerprints import Fingerprints, features_fingerprint, task_fingerprint
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.devices import explained_memory, nondeterminism, resolve_device, strict_numerics
from camp_bench.errors import DataError, RecordError
from camp_bench.evaluate import evaluate_folds, folds_of
from camp_bench.experiment import OUT_OF_MEMORY, VOCABULARY, WEIGHTS
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.registry import build_model, find_variant, resolve_options
from camp_bench.recording import (
    dataset_facts,
    environment_of,
    evaluation_record,
    evaluation_timings,
    query_arrays,
)
from camp_bench.records import (
    RunRecord,
    free_run_id,
    new_run_folder,
    read_file,
    read_record,
    require_writable,
    write_arrays,
    write_record,
)
from camp_bench.train import Observer

__all__ = ["FinishedRun", "evaluate_run", "open_run"]


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run's record with its model, weights loaded, and its vocabulary."""

    record: RunRecord
    model: PairModel
    vocabulary: Vocabulary


def open_run(folder: Path) -> FinishedRun:
    """Load what a run left. Raises RecordError where a file is missing, changed, or of another model than it says."""
    record = read_record(folder)
    home = folder if folder.is_dir() else folder.parent
    if WEIGHTS not in record.files:
        raise RecordError(f"{home}: holds no weights; give the run that was trained, {record.parent or 'not this one'}")
    vocabulary = Vocabulary.from_json(read_file(home, record, VOCABULARY))
    variant = find_variant(record.config.model)
    options = resolve_options(variant, record.config.options)
    shape = Shape(vocabulary_size=len(vocabulary), feature_size=record.dataset.feature_size)
    model = build_model(variant, record.config.settings, options, shape, record.config.seed)
    try:
        model.load_state_dict(safetensors.torch.load(read_file(home, record, WEIGHTS)))
    except (RuntimeError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise RecordError(f"{home / WEIGHTS}: not weights of {variant.name} as recorded ({reason})") from None
    return FinishedRun(record, model, vocabulary)


def evaluate_run(
    folder: Path,
    results: Path,
    observer: Observer,
    *,
    data: str | None = None,
    split: str = "test",
    protocol: str = "full",
    device: str = "auto",
    command: Sequence[str] = (),
) -> tuple[Path, RunRecord]:
    """Evaluate a finished run and return the folder and record of that, whose `parent` is the run.

    data: instead of the data it was trained on. The run's own vocabulary is used. Raises CampBenchError for a run,
    data, split or protocol that can't be used or don't fit each other.
    """
    require_writable(results)
    clock, started = time.perf_counter(), dt.datetime.now(dt.UTC)
    place = resolve_device(device)
    run = open_run(folder)
    parent = run.record
    corpus = Corpus(open_dataset(data or parent.config.data), (split,))
    of_split = corpus.splits[split]
    if of_split.feature_size != parent.dataset.feature_size:
        raise DataError(
            f"{corpus.dataset.source}: features of size {of_split.feature_size}, "
            f"{parent.run_id} was trained on size {parent.dataset.feature_size}; give data of the same features"
        )
    folds = folds_of(of_split, protocol)
    cache = corpus.dataset.cache
    prints = Fingerprints(
        task_fingerprint(of_split), features_fingerprint(of_split, cache), parent.dataset.train_fingerprint
    )
    settings = parent.config.settings
    encoded = corpus.encoded(split, run.vocabulary, settings.max_words)
    run_id = free_run_id(
        results, started, parent.config.model, corpus.dataset.name, f"s{parent.config.seed}", split, protocol
    )
    queries = f"queries_{split}.npz"
    with new_run_folder(results, run_id) as home, explained_memory(OUT_OF_MEMORY):
        with strict_numerics(place), nondeterminism() as reasons:
            found = evaluate_folds(
                run.model.to(place),
                encoded,
                folds,
                place,
                on_tile=lambda done, total: observer.on_tile(split, done, total),
            )
        record = msgspec.structs.replace(
            parent,
            run_id=run_id,
            parent=parent.run_id,
            created=started.isoformat(timespec="seconds"),
            command=tuple(command),
            config=msgspec.structs.replace(
                parent.config, data=corpus.dataset.source, protocol=protocol, device=str(place)
            ),
            deterministic=parent.deterministic and not reasons,
            nondeterministic_reason=reasons[0] if reasons else parent.nondeterministic_reason,
            environment=environment_of(place),
            dataset=dataset_facts(corpus, parent.dataset.train_fingerprint),
            vocabulary=msgspec.structs.replace(parent.vocabulary, unknown_share=corpus.unknown_shares(run.vocabulary)),
            evaluations=(evaluation_record(found, of_split, prints, protocol, settings, queries=queries),),
            timings=evaluation_timings(found, run_seconds=time.perf_counter() - clock),
            files={queries: write_arrays(home / queries, query_arrays(found, of_split))},
        )
        write_record(home, record)
    return results / run_id, record
