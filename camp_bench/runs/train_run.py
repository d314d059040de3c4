"""From an experiment to its records: every model and seed under the same splits, one run after the other.

Whatever can be refused is refused before the first step: names, settings, the device, the data with its every
feature, and a results folder that can't be written.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch

from camp_bench.checkpoints.vocabularies import vocabulary_beside
from camp_bench.config import Experiment, RunConfig, user_path
from camp_bench.data import open_dataset
from camp_bench.data.corpus import Corpus
from camp_bench.data.fingerprints import Fingerprints, fingerprints
from camp_bench.data.leaks import leak_warnings, require_apart
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.data.word_vectors import WordVectors, read_word_vectors
from camp_bench.errors import ConfigError
from camp_bench.evaluation.attention import example_arrays
from camp_bench.evaluation.evaluate import evaluate_folds, folds_of
from camp_bench.evaluation.spot_check import score_again
from camp_bench.evaluation.tiles import tile_size
from camp_bench.evaluation.transductive import is_transductive
from camp_bench.machine.devices import explained_memory, nondeterminism, peak_device_bytes, strict_numerics
from camp_bench.machine.environment import peak_memory_bytes
from camp_bench.models.base import Shape
from camp_bench.models.registry import build_model
from camp_bench.records import (
    VOCABULARY_NAME,
    WEIGHTS_NAME,
    RunRecord,
    StartedFrom,
    new_run_folder,
    require_writable,
    write_arrays,
    write_file,
    write_record,
)
from camp_bench.runs.keep import (
    OUT_OF_MEMORY,
    Reporter,
    ScoreFile,
    dataset_facts,
    environment_of,
    evaluation_record,
    query_arrays,
    timings,
    training_record,
    vocabulary_facts,
)
from camp_bench.runs.plan import RunPlan, plan_runs
from camp_bench.runs.start import read_initial_weights, require_fit
from camp_bench.runs.train import train

__all__ = ["run_experiment"]

SPLITS = ("train", "dev", "test")
QUERIES, EXAMPLES = "queries_test.npz", "examples_test.npz"


class _Material:
    """What all runs of an experiment share.

    fingerprints: of each split that is evaluated. asked: what the runs are to do and to keep. leaks: what splits share.
    initial: where all start.
    """

    def __init__(
        self,
        corpus: Corpus,
        prints: Mapping[str, Fingerprints],
        command: tuple[str, ...],
        asked: Experiment,
        leaks: tuple[str, ...],
    ):
        self.corpus, self.fingerprints, self.command, self.asked = corpus, prints, command, asked
        self.leaks = leaks
        self.initial = read_initial_weights(asked.init_from) if asked.init_from else None
        self._vectors: dict[tuple[str, int, int], WordVectors] = {}

    def vocabulary(self, config: RunConfig) -> Vocabulary:
        """Return the words that a run's captions are made of."""
        return self.corpus.vocabulary(config.vocab_from, config.settings.min_count, config.tokenizer)

    def word_vectors(self, config: RunConfig) -> WordVectors | None:
        """Return the vectors that the words of a run start from, None for random ones; a file is read once."""
        settings = config.settings
        vocabulary = self.vocabulary(config)
        if not config.word_vectors:
            return None
        key = config.vocab_from, settings.min_count, settings.word_dim
        if key not in self._vectors:
            file = user_path(config.word_vectors)
            words = vocabulary_beside(file).words if file.suffix == ".npy" else ()
            self._vectors[key] = read_word_vectors(file, vocabulary, settings.word_dim, words)
        return self._vectors[key]

    def require_fit(self, plan: RunPlan) -> None:
        """Raise ConfigError where a run can't start from the weights that it is to start from."""
        if self.initial is not None:
            settings = plan.config.settings
            words = self.vocabulary(plan.config).words
            if (before := self.initial.record.config.tokenizer) != plan.config.tokenizer:
                raise ConfigError(
                    f"init_from: {self.initial.record.run_id} splits captions by the tokenizer {before}; expected "
                    f"{plan.config.tokenizer}, as this run does; set tokenizer to {before}"
                )
            shape = Shape(vocabulary_size=len(words), feature_size=self.corpus.splits["train"].feature_size)
            with torch.device("meta"):
                model = build_model(plan.variant, settings, plan.options, shape, plan.config.seed)
            require_fit(model, plan.variant.name, words, self.initial)


def run_experiment(
    experiment: Experiment, reporter: Reporter, command: Sequence[str] = ()
) -> Iterator[tuple[Path, RunRecord]]:
    """Train and evaluate every run of an experiment; yields the folder and record of each once it is on disk.

    command: the words that started it, for the record. Raises CampBenchError; what was yielded before stays.
    """
    plans = plan_runs(experiment)
    results = user_path(experiment.results)
    require_writable(results)
    if experiment.threads:
        torch.set_num_threads(experiment.threads)
    reporter.on_stage(f"reading {experiment.data}")
    with explained_memory("ask for less data"):
        corpus = Corpus(open_dataset(experiment.data, SPLITS), SPLITS)
    require_apart(corpus.splits)
    folds_of(corpus.splits["test"], experiment.protocol)  # refuses what does not fit, before any work
    prints = fingerprints(corpus.dataset, *SPLITS[1:])
    reporter.on_stage("splitting captions into words")
    for split in SPLITS:
        corpus.tokens(split, experiment.tokenizer)
    shares_images, shares_captions = leak_warnings(corpus.splits)
    if corpus.dataset.cache is None:  # toy data is made of few words, and says the same twice by design
        shares_captions = []
    for text in (*shares_images, *shares_captions):
        reporter.on_stage(f"warning: {text}")
    material = _Material(corpus, prints, tuple(command), experiment, tuple(shares_images))
    for plan in plans:  # what can be wrong with a vocabulary or what it starts from shows before the first run
        material.word_vectors(plan.config)
        material.require_fit(plan)
    for vocabulary in {material.vocabulary(plan.config) for plan in plans}:
        for text in corpus.warnings(vocabulary):
            reporter.on_stage(f"warning: {text}")
    for number, plan in enumerate(plans, start=1):
        reporter.on_run(plan, number, len(plans))
        started = dt.datetime.now(dt.UTC)
        config = plan.config
        words = config.model, corpus.dataset.name, f"s{config.seed}"
        with new_run_folder(results, started, *words) as (run_id, folder), explained_memory(OUT_OF_MEMORY):
            record = _run(plan, material, folder, run_id, started, reporter)
        yield results / run_id, record
        reporter.on_record(results / run_id, record)


def _run(
    plan: RunPlan, material: _Material, folder: Path, run_id: str, started: dt.datetime, reporter: Reporter
) -> RunRecord:
    """Do one run and fill its folder."""
    clock, environment = time.perf_counter(), environment_of(torch.device(plan.config.device))
    config, corpus, device = plan.config, material.corpus, torch.device(plan.config.device)
    vocabulary = material.vocabulary(config)
    splits = {name: corpus.encoded(name, vocabulary, config.settings.max_words) for name in SPLITS}
    train_split = splits["train"].split
    shape = Shape(vocabulary_size=len(vocabulary), feature_size=train_split.feature_size)
    model = build_model(plan.variant, config.settings, plan.options, shape, config.seed)
    if vectors := material.word_vectors(config):
        model.start_words_from(torch.from_numpy(vectors.rows), torch.from_numpy(vectors.vectors))
    begun = None
    if (initial := material.initial) is not None:
        taken = model.take_weights(initial.weights)
        source = initial.record
        begun = StartedFrom(
            run_id=source.run_id, model=source.config.model, weights_sha256=source.weights_sha256, tensors=taken
        )
    model.to(device)
    peak_device_bytes(device)  # so that what earlier runs took is not this one's
    for name in SPLITS[1:]:  # a budget that holds no pair shows before the training
        tile_size(model, splits[name].split, splits[name].token_ids, config.settings.memory_budget_bytes)
    scores = ScoreFile(folder, splits["test"].split) if material.asked.save_scores else None
    with strict_numerics(device), nondeterminism(device) as reasons:
        trained = train(
            model,
            splits["train"],
            splits["dev"],
            seed=config.seed,
            device=device,
            precision=config.precision,
            observer=reporter,
            watch_train=material.asked.watch_train,
        )
        test = evaluate_folds(
            model,
            splits["test"],
            folds_of(splits["test"].split, config.protocol),
            device,
            on_tile=lambda done, total: reporter.on_tile("test", done, total),
            on_scores=None if scores is None else scores.take,
        )
        transductive = is_transductive(model, splits["test"], device)
        checked = score_again(model, splits["test"], test.ranks, device)
    files = {
        WEIGHTS_NAME: write_file(folder / WEIGHTS_NAME, safetensors.torch.save(trained.weights)),
        VOCABULARY_NAME: write_file(folder / VOCABULARY_NAME, vocabulary.to_json().encode()),
        QUERIES: write_arrays(folder / QUERIES, query_arrays(test, splits["test"].split)),
    }
    if material.asked.examples:
        looked_at = example_arrays(model, splits["test"], vocabulary, test.ranks.t2i, material.asked.examples, device)
        files[EXAMPLES] = write_arrays(folder / EXAMPLES, looked_at)
    if scores is not None:
        files[scores.name] = scores.finish()
    evaluations = (
        evaluation_record(trained.dev, splits["dev"].split, material.fingerprints["dev"], "full"),
        evaluation_record(
            test,
            splits["test"].split,
            material.fingerprints["test"],
            config.protocol,
            queries=QUERIES,
            transductive=transductive,
            score_check=checked,
            examples=EXAMPLES if material.asked.examples else None,
            scores=None if scores is None else scores.name,
        ),
    )
    record = RunRecord(
        run_id=run_id,
        created=started.isoformat(timespec="seconds"),
        command=material.command,
        config=config,
        deterministic=not reasons,
        nondeterministic_reason=reasons[0] if reasons else None,
        environment=environment,
        dataset=dataset_facts(corpus, material.fingerprints["test"].train, material.leaks),
        vocabulary=vocabulary_facts(corpus, vocabulary, config.vocab_from, config.settings.min_count, vectors),
        training=training_record(
            trained, parameters=sum(weight.numel() for weight in model.parameters()), started_from=begun
        ),
        evaluations=evaluations,
        timings=timings(
            trained,
            test,
            run_seconds=time.perf_counter() - clock,
            process_bytes=peak_memory_bytes(),
            device_bytes=peak_device_bytes(device),
        ),
        weights_sha256=files[WEIGHTS_NAME],
        files=files,
    )
    write_record(folder, record)
    return record
