"""What a run did: the record on disk, the only seam between computing and reporting.

    results/<run-id>/record.json        everything below, strict JSON with a schema version
                     queries_test.npz   per query b, n, p and the top 100 ids and scores, both directions
                     examples_test.npz  attention and gates of a few captions, where asked for
                     weights.safetensors, vocabulary.json

A run is written into a hidden folder beside its place and renamed when it is complete, so a record is whole or absent
and never overwritten. Reading is strict: an unknown field or a missing file is a RecordError, and so is another
checksum when a file is read.
"""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import io
import itertools
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from camp_bench.config import RunConfig
from camp_bench.errors import OutputError, RecordError

__all__ = [
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "VOCABULARY_NAME",
    "WEIGHTS_NAME",
    "CascadeFacts",
    "CheckpointFacts",
    "DatasetFacts",
    "Environment",
    "EpochLog",
    "EvaluationRecord",
    "ExternalFacts",
    "Measurement",
    "RelevanceFacts",
    "RunRecord",
    "StartedFrom",
    "TrainingRecord",
    "VocabularyFacts",
    "create_scores",
    "file_sha256",
    "list_records",
    "new_folder",
    "new_run_folder",
    "read_arrays",
    "read_file",
    "read_record",
    "require_version",
    "require_writable",
    "storable",
    "write_arrays",
    "write_file",
    "write_record",
]

SCHEMA_VERSION: Final = 1
RECORD_NAME = "record.json"
WEIGHTS_NAME, VOCABULARY_NAME = "weights.safetensors", "vocabulary.json"
MAX_ID = 120
"""Characters of a run id at most: file systems take 255 bytes."""
COLLAPSED_SHARE = 0.9
"""Steps on the plateau, of an epoch's, that make a collapse: training that only crosses it has fewer."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything in a record."""


class _Versioned(msgspec.Struct):
    """Of a file, its version alone."""

    schema_version: Any = None


class Measurement(_Strict, frozen=True, kw_only=True):
    """Raw samples of one quantity; statistics are derived, never stored."""

    name: str
    unit: str
    samples: tuple[float, ...]


class Environment(_Strict, frozen=True, kw_only=True):
    """Where a run took place."""

    camp_bench: str
    commit: str | None
    python: str
    packages: dict[str, str]
    system: str
    processor: str
    cores: int
    memory_bytes: int
    device: str
    device_name: str
    threads: int
    variables: dict[str, str]


class DatasetFacts(_Strict, frozen=True, kw_only=True):
    """What was read: sizes by split and the fingerprints that say whether two runs saw the same."""

    name: str
    source: str
    images: dict[str, int]
    captions: dict[str, int]
    stored: dict[str, str]
    regions: int
    feature_size: int
    train_fingerprint: str


class VocabularyFacts(_Strict, frozen=True, kw_only=True):
    """Where the words came from, and the share of tokens a split that are not among them.

    pretrained: how many words started from vectors of a file, whose checksum is `word_vectors_sha256`.
    """

    source: str
    tokenizer: str
    min_count: int
    size: int
    unknown_share: dict[str, float]
    pretrained: int = 0
    word_vectors_sha256: str | None = None


class EpochLog(_Strict, frozen=True, kw_only=True):
    """One epoch: mean loss a step (summed over the batch), learning rate at its end, dev rsum where validated.

    plateau: what the loss would be if the model gave every pair the same score, 2 B margin for the summed triplet loss
    with hardest negatives and 4 B ln 2 for CAMP's cross-entropy. Hardest negatives can drive a model there, for good.
    on_plateau: the share of the steps whose loss is that, within 1 %. stage: of the training, "" where it has none.
    """

    epoch: int
    steps: int
    loss: float
    plateau: float
    on_plateau: float
    negatives: Literal["all", "hardest"]
    learning_rate: float
    train_seconds: float
    dev_seconds: float | None
    dev_rsum: float | None
    stage: str = ""

    @property
    def collapsed(self) -> bool:
        """Whether hardest negatives have driven the model onto the plateau, and not only past it."""
        return self.negatives == "hardest" and self.on_plateau >= COLLAPSED_SHARE


class CheckpointFacts(_Strict, frozen=True, kw_only=True):
    """The file of another program that weights were taken from, and what it says of their training.

    epoch, steps: when it was saved. best_rsum: on dev, as that program computed it. Each is None where the file doesn't
    say it. options: those of its `opt` that are plain values, by dotted name.
    """

    file: str
    sha256: str
    vocabulary_file: str
    vocabulary_sha256: str
    epoch: int | None
    steps: int | None
    best_rsum: float | None
    options: dict[str, bool | int | float | str | None]


class StartedFrom(_Strict, frozen=True, kw_only=True):
    """The run whose weights a model started from, and how many of its own tensors they filled."""

    run_id: str
    model: str
    weights_sha256: str
    tensors: int


class TrainingRecord(_Strict, frozen=True, kw_only=True):
    """How the weights came about. pairs_seen counts the (image, caption) positives that were shown.

    best_epochs: one, or one for each member of an ensemble, whose epochs are counted on from member to member; of a
    training in stages the last stage's best. started_from: None for fresh weights.
    collapsed: training ended on the plateau of a constant scorer (see `EpochLog`), whatever the best epoch was.
    checkpoint: where they were trained by another program. Then all that the file doesn't tell is 0, empty or false,
    the run's seed and its dataset's train fingerprint included.
    """

    steps: int
    pairs_seen: int
    best_epochs: tuple[int, ...]
    parameters: int
    collapsed: bool
    epochs: tuple[EpochLog, ...]
    checkpoint: CheckpointFacts | None = None
    started_from: StartedFrom | None = None


class CascadeFacts(_Strict, frozen=True, kw_only=True):
    """How an evaluation came about in which one model proposed candidates and the run's own scored only those.

    rerank: candidates a query, in each direction. proposer: the run that proposed, of `proposer_model`.
    pairs_scored: by the run's model, of all `pairs`. seconds: of proposing and scoring. full_metrics, full_seconds: of
    the run's model on every pair, measured beside it.
    """

    rerank: int
    proposer: str
    proposer_model: str
    proposer_weights_sha256: str
    pairs_scored: int
    pairs: int
    seconds: float
    full_metrics: dict[str, float]
    full_seconds: float


class RelevanceFacts(_Strict, frozen=True, kw_only=True):
    """Metrics with several positives, by judgements beyond the dataset's own pairs.

    source, sha256: where those are from, and the checksum of a file. min_grade: the mean mark from which a pair is a
    positive. queries: how many count, positives: how many pairs there are, by direction. metrics: `i2t.mAP@R`,
    `i2t.R-P`, `i2t.recall@K`, `i2t.hit@K` and the same for t2i, in percent. correlations: of scores with marks, over
    the `graded_pairs`.
    """

    source: str
    sha256: str
    min_grade: float
    queries: dict[str, int]
    positives: dict[str, int]
    metrics: dict[str, float]
    graded_pairs: int
    correlations: dict[str, float]


class EvaluationRecord(_Strict, frozen=True, kw_only=True):
    """Metrics of one split under one protocol, with the fingerprints of what was ranked.

    metrics: by name (`i2t.R@1`, `t2i.MedR`, `rsum`), recalls in percent, not rounded.
    chance_rsum: the rsum of a scorer that can't tell anything apart.
    hubness: by direction, the skewness of N_10, how often each candidate is among a query's top 10; 0 is no hubs.
    tile_images, tile_captions: the largest tile that was used. memory_budget_bytes: what it was fitted to, where known.
    queries: name of the file beside the record that holds the per-query results, or None where not kept.
    examples: name of the file that holds what the model looks at in a few pairs, or None where not asked for.
    transductive: a pair's score depended on what else was in the gallery, so other test queries were used.
    cascade: where candidates were proposed by another run; None where every pair was scored.
    precision: in which it was encoded and scored. fp32_metrics: where that isn't fp32, the metrics in fp32 beside it.
    scores: name of the .npy beside it with the score of every image (row) and caption (column), None where not kept.
    """

    split: str
    protocol: str
    images: int
    captions: int
    task_fingerprint: str
    features_fingerprint: str
    tile_images: int
    tile_captions: int
    metrics: dict[str, float]
    chance_rsum: float
    hubness: dict[str, float]
    queries: str | None
    examples: str | None = None
    transductive: bool = False
    memory_budget_bytes: int | None = None
    scores: str | None = None
    cascade: CascadeFacts | None = None
    relevance: RelevanceFacts | None = None
    precision: str = "fp32"
    fp32_metrics: dict[str, float] | None = None

    @property
    def scored_as(self) -> str:
        """How scores came about that are not simply the model's own for every pair; empty where they are."""
        how = [] if self.cascade is None else [f"{self.cascade.rerank} a query by {self.cascade.proposer_model}"]
        return ", ".join([*how, *([] if self.precision == "fp32" else [self.precision])])


class ExternalFacts(_Strict, frozen=True, kw_only=True):
    """The files of another system that were ranked, by what they hold: `scores`, or `images` and `captions`.

    measure: between vectors, `cosine` or `dot`; empty for scores.
    """

    files: dict[str, str]
    sha256: dict[str, str]
    measure: str


class RunRecord(_Strict, frozen=True, kw_only=True):
    """One finished run, or (`parent` names the run) a finished run's weights evaluated once more on other data.

    external: set where another system was ranked by the files that it wrote. Then the settings, the training and the
    features are not known, and 0 or empty here.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    run_id: str
    parent: str | None = None
    created: str
    command: tuple[str, ...]
    config: RunConfig
    deterministic: bool
    nondeterministic_reason: str | None = None
    environment: Environment
    dataset: DatasetFacts
    vocabulary: VocabularyFacts
    training: TrainingRecord
    evaluations: tuple[EvaluationRecord, ...]
    timings: tuple[Measurement, ...]
    weights_sha256: str
    files: dict[str, str]
    external: ExternalFacts | None = None

    def evaluation(self, split: str) -> EvaluationRecord:
        """Return the evaluation of the split; RecordError where this run has none."""
        for item in self.evaluations:
            if item.split == split:
                return item
        raise RecordError(f"{self.run_id}: no evaluation of split '{split}'")


def require_writable(results: Path) -> None:
    """Raise OutputError where it shows already that nothing can be written into `results`; makes nothing."""
    place = results
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        if place == results:
            with tempfile.TemporaryFile(dir=results):
                pass
        elif not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES) if place.is_dir() else "not a folder")
    except OSError as error:
        raise _unwritable(place, error) from None


@contextmanager
def new_run_folder(results: Path, started: dt.datetime, *words: str) -> Iterator[tuple[str, Path]]:
    """Yield a run id and an empty hidden folder, which becomes `results/run_id` if the block ends well, else vanishes.

    The id is `YYYYmmdd-HHMMSS-` and the words, numbered where another run, finished or not, has it already.
    Raises OutputError where `results` can't be written.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        run_id, scratch = _claim(results, "-".join([started.strftime("%Y%m%d-%H%M%S"), *words]))
    except OSError as error:
        raise _unwritable(results, error) from None
    with _becoming(scratch, results / run_id):
        yield run_id, scratch


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """Yield an empty hidden folder, which becomes `place` if the block ends well, else vanishes.

    Raises OutputError where `place` can't be written or is there already.
    """
    scratch = place.parent / f".{place.name}.partial"
    try:
        if place.exists():
            raise FileExistsError(errno.EEXIST, "is there already")
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir()
    except OSError as error:
        raise _unwritable(place, error) from None
    with _becoming(scratch, place):
        yield scratch


@contextmanager
def _becoming(scratch: Path, place: Path) -> Iterator[None]:
    """Rename the folder `scratch` to `place` if the block ends well, else remove it."""
    try:
        yield
        try:
            scratch.rename(place)
        except OSError as error:
            raise _unwritable(place, error) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _claim(results: Path, wanted: str) -> tuple[str, Path]:
    """Make the hidden folder of the first id that is free; making it is what claims the id."""
    stem = re.sub(r"[^\w.-]+", "-", wanted, flags=re.ASCII)[:MAX_ID]
    for number in itertools.count(1):
        run_id = stem if number == 1 else f"{stem}-{number}"
        scratch = results / f".{run_id}.partial"
        with suppress(FileExistsError):
            scratch.mkdir()
            if not (results / run_id).exists():
                return run_id, scratch
            scratch.rmdir()
    raise AssertionError  # the count has no end


def write_file(path: Path, data: bytes) -> str:
    """Write one file of a run and return its sha256; OutputError where that is not possible."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise _unwritable(path.parent.parent, error) from None  # the run's own folder vanishes
    return hashlib.sha256(data).hexdigest()


def create_scores(path: Path, images: int, captions: int) -> npt.NDArray[np.float32]:
    """Make a memory-mapped .npy of NaN for scores, its room on the disk taken; OutputError where there is none."""
    try:
        matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(images, captions))
        if hasattr(os, "posix_fallocate"):  # a full disk would end the process when a page is written
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise _unwritable(path.parent.parent, error) from None
    for row in matrix:
        row.fill(np.nan)
    return matrix


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file that may be larger than memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_record(folder: Path, record: RunRecord) -> None:
    """Write `record.json` into a run's folder; its numbers must be finite (RecordError otherwise)."""
    _require_finite(msgspec.to_builtins(record), "record")
    write_file(folder / RECORD_NAME, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")


def read_record(folder: str | Path) -> RunRecord:
    """Read the record of a run's folder (or the record.json itself) and check that its files are there.

    Raises RecordError for anything missing, unreadable, unknown or of another version.
    """
    folder = Path(folder)
    path = folder / RECORD_NAME if folder.is_dir() else folder
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: can't be read ({error.strerror}); expected a run's {RECORD_NAME}") from None
    try:
        require_version(data, path, SCHEMA_VERSION)
        record = msgspec.json.decode(data, type=RunRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{path}: not a run record: {error}") from None
    for name in record.files:
        if not (path.parent / name).is_file() or Path(name).name != name:
            raise RecordError(f"{path}: its file {name} is not there")
    return record


def require_version(data: bytes, path: str | Path, expected: int) -> None:
    """Raise RecordError unless JSON says that it is of this version; msgspec.DecodeError for what is no such object."""
    version = msgspec.json.decode(data, type=_Versioned).schema_version
    if version != expected or isinstance(version, bool):
        raise RecordError(f"{path}: schema version {version}, this camp-bench reads {expected}")


def storable(text: str) -> str:
    """Return text as JSON can hold it: bytes that are no UTF-8, as names of files can have them, are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def list_records(results: str | Path) -> list[Path]:
    """Return the folders under `results` that hold a record, sorted by name."""
    return sorted(
        path.parent for path in Path(results).glob(f"*/{RECORD_NAME}") if not path.parent.name.startswith(".")
    )


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Write arrays as a compressed .npz, equal arrays giving equal bytes, and return its sha256."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return write_file(path, buffer.getvalue())


def read_file(folder: Path, record: RunRecord, name: str) -> bytes:
    """Return a file that belongs to a record; RecordError where it is missing or not the one recorded."""
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: can't be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != record.files.get(name):
        raise RecordError(f"{path}: not the file that {record.run_id} recorded (checksum differs)")
    return data


def read_arrays(folder: Path, record: RunRecord, name: str) -> dict[str, npt.NDArray[Any]]:
    """Read a .npz that belongs to a record; raises as `read_file` does."""
    data = read_file(folder, record, name)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise RecordError(f"{folder / name}: can't be read ({error})") from None


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: can't be written ({error.strerror or error}); mend that or name another folder")


def _require_finite(value: Any, where: str) -> None:
    """JSON has no NaN: msgspec would write null, and the record could not be read again."""
    if isinstance(value, float) and not np.isfinite(value):
        raise RecordError(f"{where}: got {value}, expected a finite number")
    if isinstance(value, dict):
        for key, item in value.items():
            _require_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _require_finite(item, f"{where}[{index}]")
