"""A checkpoint of the authors' programs as a run of camp-bench: converted once, or evaluated straight away."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import safetensors.torch
import torch

from camp_bench.checkpoints.families import Checkpoint, read_checkpoint
from camp_bench.checkpoints.vocabularies import read_vocabulary
from camp_bench.config import Experiment, RunConfig, check_experiment, user_path
from camp_bench.data.tokenizers import TOKENIZERS
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.errors import CheckpointError, ConfigError
from camp_bench.machine.devices import explained_memory
from camp_bench.models.registry import build_model, find_variant, variants
from camp_bench.records import (
    VOCABULARY_NAME,
    WEIGHTS_NAME,
    CheckpointFacts,
    DatasetFacts,
    RunRecord,
    TrainingRecord,
    VocabularyFacts,
    file_sha256,
    new_folder,
    require_writable,
    storable,
    write_file,
    write_record,
)
from camp_bench.runs.evaluate_run import EvaluationRequest, evaluate_run
from camp_bench.runs.keep import Reporter, environment_of
from camp_bench.runs.saved import FinishedRun

__all__ = ["CheckpointSource", "convert_checkpoint", "evaluate_checkpoints", "open_checkpoint", "parse_checkpoints"]

OUT_OF_MEMORY = "close other programs: a checkpoint is read as a whole"


@dataclass(frozen=True, slots=True)
class CheckpointSource:
    """Which files to read. model: what the checkpoint has to be of, a family or a whole name, or "" for any."""

    file: Path
    vocabulary: Path
    model: str = ""


def parse_checkpoints(checkpoints: Sequence[str], vocabularies: Sequence[str]) -> tuple[CheckpointSource, ...]:
    """Read `scan=FILE` and the like with the vocabulary files: one for all, or one for each, in the same order.

    Raises ConfigError where the form or the count is wrong, or a name is that of no model.
    """
    if not checkpoints:
        raise ConfigError("--vocab: is that of a checkpoint, and there is none; give --checkpoint NAME=FILE as well")
    if len(vocabularies) not in (1, len(checkpoints)):
        raise ConfigError(
            f"--vocab: got {len(vocabularies)} for {len(checkpoints)} checkpoint(s); expected one for all or for each"
        )
    files = vocabularies if len(vocabularies) == len(checkpoints) else [*vocabularies] * len(checkpoints)
    sources = []
    for text, vocabulary in zip(checkpoints, files, strict=True):
        model, equals, file = text.partition("=")
        if not (model and equals and file):
            raise ConfigError(f"--checkpoint: got '{text}'; expected NAME=FILE, such as scan=model_best.pth.tar")
        if model not in {variant.name.partition(":")[0] for variant in variants()}:
            find_variant(model)
        sources.append(CheckpointSource(Path(file), Path(vocabulary), model))
    return tuple(sources)


def open_checkpoint(source: CheckpointSource, command: Sequence[str] = ()) -> FinishedRun:
    """Read a checkpoint of VSE++, SCAN or CAMP with its vocabulary; nothing that the files hold is run.

    The record says what the file tells of the training; what it doesn't tell is left out. Raises
    CheckpointError for files that can't be used, don't belong together or are of another model than `source.model`.
    """
    with explained_memory(OUT_OF_MEMORY):
        vocabulary, vocabulary_sha256 = read_vocabulary(source.vocabulary)
        found = read_checkpoint(source.file)
        _check(source, found, vocabulary)
        model = build_model(found.variant, found.settings, found.options, found.shape, seed=0)
        model.load_state_dict(found.weights)
        weights = safetensors.torch.save(found.weights)
    files = {WEIGHTS_NAME: weights, VOCABULARY_NAME: vocabulary.to_json().encode()}
    checksums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    record = RunRecord(
        run_id=storable(source.file.name),
        created=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=tuple(command),
        config=RunConfig(
            model=found.variant.name,
            seed=0,
            data=found.data,
            protocol="full",
            vocab_from="train+dev",  # as the three programs do
            word_vectors="",
            preset="checkpoint",
            device="cpu",
            precision="fp32",
            settings=found.settings,
            options=msgspec.to_builtins(found.options),
        ),
        deterministic=True,
        environment=environment_of(torch.device("cpu")),
        dataset=DatasetFacts(
            name=found.data,
            source=found.data,
            images={},
            captions={},
            stored={},
            regions=0,
            feature_size=found.shape.feature_size,
            train_fingerprint=None,
        ),
        vocabulary=VocabularyFacts(
            source="train+dev",
            tokenizer=TOKENIZERS[vocabulary.tokenizer],
            min_count=0,
            size=len(vocabulary),
            unknown_share={},
        ),
        training=TrainingRecord(
            steps=found.steps,
            pairs_seen=None,
            best_epochs=() if found.epoch is None else (found.epoch,),
            parameters=sum(weight.numel() for weight in found.weights.values()),
            collapsed=False,
            epochs=(),
            checkpoint=CheckpointFacts(
                file=storable(source.file.name),
                sha256=file_sha256(source.file),
                vocabulary_file=storable(source.vocabulary.name),
                vocabulary_sha256=vocabulary_sha256,
                epoch=found.epoch,
                steps=found.steps,
                best_rsum=found.best_rsum,
                options=found.told,
            ),
        ),
        evaluations=(),
        timings=(),
        weights_sha256=checksums[WEIGHTS_NAME],
        files=checksums,
    )
    return FinishedRun(record, model, vocabulary, files)


def convert_checkpoint(source: CheckpointSource, output: Path, command: Sequence[str] = ()) -> RunRecord:
    """Write a checkpoint as a run's folder (safetensors and JSON), which `evaluate_run` takes, and return its record.

    Raises as `open_checkpoint` does, and OutputError where `output` is there already or can't be written.
    """
    run = open_checkpoint(source, command)
    record = msgspec.structs.replace(run.record, run_id=re.sub(r"[^\w.-]+", "-", output.name, flags=re.ASCII))
    with new_folder(output) as folder:
        for name, data in run.files.items():
            write_file(folder / name, data)
        write_record(folder, record)
    return record


def evaluate_checkpoints(
    experiment: Experiment,
    sources: Sequence[CheckpointSource],
    reporter: Reporter,
    *,
    data: str | None = None,
    command: Sequence[str] = (),
) -> Iterator[tuple[Path, RunRecord]]:
    """Evaluate checkpoints on the test split; yields the folder and record of each, weights and vocabulary included.

    experiment: says protocol, device, threads, results, memory_budget, adapt and what to keep; of its data and models
    nothing is used. data: instead of the folder that a checkpoint's options name. All files are read before the first
    is evaluated. Raises as `open_checkpoint` and `evaluate_run` do.
    """
    check_experiment(experiment)
    results = user_path(experiment.results)
    require_writable(results)
    if experiment.threads:
        torch.set_num_threads(experiment.threads)
    asked = EvaluationRequest(
        data=data,
        protocol=experiment.protocol,
        device=experiment.device,
        examples=experiment.examples,
        memory_budget=experiment.settings.get("memory_budget"),
        adapt=experiment.settings.get("adapt", False),
        save_scores=experiment.save_scores,
        trust_cache=experiment.trust_cache,
    )
    runs = []
    for source in sources:
        reporter.on_stage(f"reading {source.file}")
        runs.append(open_checkpoint(source, command))
    for run in runs:
        yield evaluate_run(run, asked, results, reporter, command=command)


def _check(source: CheckpointSource, found: Checkpoint, vocabulary: Vocabulary) -> None:
    """Raise CheckpointError unless the checkpoint is of the model and of the vocabulary that were named."""
    name = found.variant.name
    if source.model and source.model not in (name, name.partition(":")[0]):
        raise CheckpointError(
            f"{source.file}: a checkpoint of {name}, not of {source.model}; ask for {name}={source.file}"
        )
    if found.shape.vocabulary_size != len(vocabulary):
        raise CheckpointError(
            f"{source.vocabulary}: {len(vocabulary):,} words, but {source.file} was trained with "
            f"{found.shape.vocabulary_size:,}; give the vocabulary that its program used"
        )
