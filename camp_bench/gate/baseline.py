"""What a gate holds new runs against: a window of earlier runs of one model, in one file that can be committed.

    {"schema_version": 1, "sha256": "...", "baseline": {"recall": {... "runs": [...]}, "speed": {...}}}

A file keeps what is needed to judge and no more: config, fingerprints, environment, metrics and the per-query counts,
compressed (about 10 KB a run on 1,000 images and 5,000 captions). It is written whole or not at all and read
strictly: another version, an unknown field, another checksum, counts that the metrics don't follow from are a
RecordError. The runs that are judged become the same `Window` and pass the same checks.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec
import numpy as np

from camp_bench.config import RunConfig
from camp_bench.config.protocols import find_protocol, fold_images
from camp_bench.config.text import without_mark
from camp_bench.errors import ConfigError, DataError, OutputError, RecordError
from camp_bench.ranking.metrics import retrieval_metrics
from camp_bench.records import Environment, RunFolder, RunRecord, require_version
from camp_bench.records.throughput import ThroughputReport, check_throughput, write_output

__all__ = [
    "SCHEMA_VERSION",
    "SCORED",
    "Baseline",
    "Window",
    "WindowRun",
    "read_baseline",
    "same_settings",
    "window_of",
    "write_baseline",
]

SCHEMA_VERSION: Final = 1
MAX_UNPACKED: Final = 2**28
"""Bytes that one array may unpack to: 64 million queries. More is a damaged or hostile file."""

Ints: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything in a baseline."""


class WindowRun(_Strict, frozen=True, kw_only=True, eq=False):
    """One run on one split: its metrics, and the counts b, n, p of every query (see `metrics`) behind them."""

    run_id: str
    created: str
    config: RunConfig
    environment: Environment
    weights_sha256: str
    collapsed: bool
    metrics: dict[str, float]
    i2t_b: Ints
    i2t_n: Ints
    i2t_p: Ints
    t2i_b: Ints
    t2i_n: Ints
    t2i_p: Ints

    @property
    def i2t(self) -> tuple[Ints, Ints, Ints]:
        """b, n, p of the images as queries, each (images,)."""
        return self.i2t_b, self.i2t_n, self.i2t_p

    @property
    def t2i(self) -> tuple[Ints, Ints, Ints]:
        """b, n, p of the captions as queries, each (captions,)."""
        return self.t2i_b, self.t2i_n, self.t2i_p


SINCE_VERSION_1 = (
    *(f"{way}.{name}" for way in ("i2t", "t2i") for name in ("R@1", "R@5", "R@10", "MedR", "MeanR")),
    "rsum",
)
"""Metrics that every file of schema version 1 keeps. Those that came later are worked out from the counts."""

SCORED = ("cascade", "transductive")
"""Fields of a window that say how its scores came about."""


class Window(_Strict, frozen=True, kw_only=True, eq=False):
    """Runs of one model that were asked the same: same captions, images, features, training data, split, protocol.

    image_of: (captions,) the image of each caption. cascade: which pairs were scored, or in which precision; empty for
    every one in fp32. transductive: whether other test queries helped.
    """

    model: str
    dataset: str
    split: str
    protocol: str
    images: int
    captions: int
    task_fingerprint: str
    features_fingerprint: str
    train_fingerprint: str
    cascade: str = ""
    transductive: bool = False
    image_of: Ints
    runs: tuple[WindowRun, ...]

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the runs."""
        return math.fsum(run.metrics[metric] for run in self.runs) / len(self.runs)


class Baseline(_Strict, frozen=True, kw_only=True, eq=False):
    """What is held: runs, speed, or both."""

    recall: Window | None = None
    speed: ThroughputReport | None = None


class _File(_Strict, frozen=True, kw_only=True):
    schema_version: Literal[1] = SCHEMA_VERSION
    sha256: str
    baseline: msgspec.Raw


def window_of(
    folders: Sequence[Path], split: str = "test", *, model: str | None = None, protocol: str | None = None
) -> Window:
    """Read runs as one window. model, protocol: only the runs of these, the rest is left out.

    Raises RecordError where a run can't be read, its metrics don't follow from its counts, or the runs don't belong
    together: other models, settings, data, or weights given twice.
    """
    runs = [RunFolder.open(folder) for folder in folders]
    read = [(run, run.record) for run in runs]
    for run, record in read:
        if model in (None, record.config.model) and _without_queries(record, split, protocol):
            raise RecordError(f"{run.path}: keeps no per-query results of split '{split}', so it can't be judged")
    chosen = [run for run, record in read if _wanted(record, split, model, protocol)]
    if not chosen:
        there = ", ".join(sorted({_what_it_is(record) for _, record in read})) or "none"
        asked = " ".join(filter(None, (model, protocol and f"under protocol {protocol}")))
        raise RecordError(f"no run of {asked or 'any model'} with an evaluation of split '{split}'; found: {there}")
    parts = [_single(run, split) for run in chosen]
    first = parts[0]
    for part in parts[1:]:
        for field in ("model", "protocol", "task_fingerprint", "features_fingerprint", "train_fingerprint", *SCORED):
            one, other = getattr(first, field), getattr(part, field)
            if one != other:
                raise RecordError(
                    f"{part.runs[0].run_id}: {field.replace('_', ' ')} {other}, {first.runs[0].run_id} has {one}; "
                    "name runs that belong together"
                )
    return _checked(msgspec.structs.replace(first, runs=tuple(part.runs[0] for part in parts)))


def same_settings(one: RunConfig, other: RunConfig) -> bool:
    """Return whether two runs were asked for the same but for seed, device and where the data lies."""
    rest = {"seed": 0, "device": "", "data": ""}
    return msgspec.structs.replace(one, **rest) == msgspec.structs.replace(other, **rest)


def write_baseline(path: str | Path, baseline: Baseline, *, force: bool = False) -> int:
    """Write a baseline whole or not at all and return its size in bytes.

    Raises OutputError where it can't be written, or is there already and `force` isn't given.
    """
    path = Path(path)
    if path.exists() and not force:
        raise OutputError(f"{path}: is there already; give another name, or --force to replace it")
    content = msgspec.json.encode(baseline, enc_hook=_pack)
    file = _File(sha256=_checksum(content), baseline=msgspec.Raw(content))
    data = msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: can't be written ({error.strerror or error})") from None
    write_output(path, data)
    return len(data)


def read_baseline(path: str | Path) -> Baseline:
    """Read a baseline; RecordError for anything missing, unreadable, damaged, unknown or of another version."""
    try:
        data = without_mark(Path(path).read_bytes())
    except OSError as error:
        raise RecordError(
            f"{path}: can't be read ({error.strerror}); expected a file that `camp-bench baseline save` wrote"
        ) from None
    try:
        require_version(data, path, SCHEMA_VERSION)
        file = msgspec.json.decode(data, type=_File)
        if _checksum(bytes(file.baseline)) != file.sha256:
            raise RecordError(f"{path}: its checksum differs, the file is damaged or was edited; save it again")
        baseline = msgspec.json.decode(file.baseline, type=Baseline, dec_hook=_unpack)
        if baseline.recall is None and baseline.speed is None:
            raise RecordError(f"{path}: holds nothing")
        if baseline.recall is not None:
            runs = tuple(_without_zeros(run) for run in baseline.recall.runs)
            recall = _checked(msgspec.structs.replace(baseline.recall, runs=runs))
            baseline = msgspec.structs.replace(baseline, recall=recall)
        if baseline.speed is not None:
            check_throughput(path, baseline.speed)
    except RecordError as error:
        raise RecordError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RecordError(f"{path}: not a baseline: {error}") from None
    return baseline


def _without_zeros(run: WindowRun) -> WindowRun:
    """Return a run of another system as records tell of it now: files of earlier versions have zeros for settings."""
    if run.config.preset != "external":
        return run
    return msgspec.structs.replace(run, config=msgspec.structs.replace(run.config, settings=None))


def _checksum(content: bytes) -> str:
    """Return the sha256 of JSON, whatever spaces it is written with."""
    return hashlib.sha256(msgspec.json.format(content, indent=-1)).hexdigest()


def _pack(value: Any) -> str:
    assert isinstance(value, np.ndarray)
    return base64.b64encode(zlib.compress(value.astype("<i4").tobytes(), 9)).decode()


def _unpack(_kind: Any, text: Any) -> Any:
    """Return the array of a packed text; ValueError (msgspec names the field) where it is none."""
    try:
        reader = zlib.decompressobj()
        data = reader.decompress(base64.b64decode(text, validate=True), MAX_UNPACKED)
    except (TypeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"not packed counts ({error})") from None
    if not reader.eof or reader.unused_data or len(data) % 4:
        raise ValueError("not packed counts (incomplete)")
    return np.frombuffer(data, dtype="<i4").astype(np.int32)


def _without_queries(record: RunRecord, split: str, protocol: str | None) -> bool:
    return any(
        item.split == split and item.queries is None and protocol in (None, item.protocol)
        for item in record.evaluations
    )


def _wanted(record: RunRecord, split: str, model: str | None, protocol: str | None) -> bool:
    found = [item for item in record.evaluations if item.split == split and item.queries is not None]
    return any(
        (model is None or record.config.model == model) and (protocol is None or item.protocol == protocol)
        for item in found
    )


def _what_it_is(record: RunRecord) -> str:
    kept = [f"{item.split} under {item.protocol}" for item in record.evaluations if item.queries is not None]
    return f"{record.config.model} ({', '.join(kept) or 'no per-query results'})"


def _single(folder: RunFolder, split: str) -> Window:
    """Return the window of one run."""
    record = folder.record
    evaluation = record.evaluation(split)
    arrays = folder.queries(evaluation)
    names = [f"{direction}_{count}" for direction in ("i2t", "t2i") for count in "bnp"]
    cascade = evaluation.cascade  # what scores then is two models' weights
    run = WindowRun(
        run_id=record.run_id,
        created=record.created,
        config=record.config,
        environment=record.environment,
        weights_sha256="+".join(
            filter(None, (record.weights_sha256, cascade.proposer_weights_sha256 if cascade else ""))
        ),
        collapsed=record.collapsed,
        metrics=evaluation.metrics,
        **{name: arrays[name].astype(np.int32) for name in names},
    )
    return Window(
        model=record.config.model,
        dataset=record.dataset.name,
        split=split,
        protocol=evaluation.protocol,
        images=evaluation.images,
        captions=evaluation.captions,
        task_fingerprint=evaluation.task_fingerprint,
        features_fingerprint=evaluation.features_fingerprint or "",
        train_fingerprint=record.dataset.train_fingerprint or "",
        cascade=evaluation.scored_as,
        transductive=evaluation.transductive,
        image_of=arrays["image_of"].astype(np.int32),
        runs=(run,),
    )


def _checked(window: Window) -> Window:
    """Return a window with every metric of its counts, those included that it doesn't keep.

    Raises RecordError where it contradicts itself.
    """
    runs = []
    n, m = window.images, window.captions
    if not window.runs or n < 1 or m < 1:
        raise RecordError(f"{len(window.runs)} runs on {n} images and {m} captions; expected 1 or more of each")
    if window.image_of.shape != (m,) or window.image_of.min() < 0 or window.image_of.max() >= n:
        raise RecordError(f"image_of: expected {m} numbers from 0 to {n - 1}, the image of each caption")
    for run in window.runs:
        if run.config.model != window.model:
            raise RecordError(f"{run.run_id}: is of {run.config.model}, the window of {window.model}")
        for direction, counts, queries, candidates in (("i2t", run.i2t, n, m), ("t2i", run.t2i, m, n)):
            fitting = all(part.shape == (queries,) and part.min() >= 0 for part in counts)
            if not fitting or np.sum(counts, axis=0, dtype=np.int64).max() > candidates:
                raise RecordError(
                    f"{run.run_id}: {direction}: expected b, n, p of {queries} queries, {candidates} at most in sum"
                )
        derived = _metrics_of(run, window)
        for name in {*SINCE_VERSION_1, *run.metrics}:
            kept, found = run.metrics.get(name, math.nan), derived.get(name, math.nan)
            if not math.isclose(kept, found, rel_tol=1e-9, abs_tol=1e-9):  # NaN is close to nothing
                raise RecordError(f"{run.run_id}: {name} is {kept}, its per-query results say {found}")
        if not same_settings(run.config, window.runs[0].config):
            raise RecordError(
                f"{run.run_id}: other settings than {window.runs[0].run_id}; name runs of one set of settings"
            )
        runs.append(msgspec.structs.replace(run, metrics=derived | run.metrics))
    _refuse_twins(window.runs)
    return msgspec.structs.replace(window, runs=tuple(runs))


def _refuse_twins(runs: Sequence[WindowRun]) -> None:
    """Raise RecordError where one run would count as two, which would make differences look surer than they are.

    The seed of a checkpoint of another program isn't known, nor that it is the same. Of another system, whose weights
    nobody knows, the ranks tell.
    """
    for what, keys in (
        ("the same weights", [run.weights_sha256 for run in runs]),
        ("the same ranks", ["" if run.weights_sha256 else _ranks_digest(run) for run in runs]),
        ("the same seed", ["" if run.config.preset == "checkpoint" else str(run.config.seed) for run in runs]),
    ):
        key, times = Counter(keys).most_common(1)[0]
        if times > 1 and key:  # of another system or program, neither is known
            twins = [run.run_id for run, own in zip(runs, keys, strict=True) if own == key]
            raise RecordError(f"{' and '.join(twins)} are of {what}; name one of them")


def _ranks_digest(run: WindowRun) -> str:
    return hashlib.sha256(b"".join(counts.tobytes() for counts in (*run.i2t, *run.t2i))).hexdigest()


def _metrics_of(run: WindowRun, window: Window) -> dict[str, float]:
    """Return the metrics that follow from the counts: means over the protocol's folds."""
    try:
        folds = fold_images(find_protocol(window.protocol), window.images, window.captions, window.split)
        parts = []
        for fold in folds:
            own = np.isin(window.image_of, fold) if len(folds) > 1 else slice(None)
            i2t, t2i = [counts[fold] for counts in run.i2t], [counts[own] for counts in run.t2i]
            parts.append(retrieval_metrics((i2t[0], i2t[1], i2t[2]), (t2i[0], t2i[1], t2i[2])))
    except (DataError, ConfigError) as error:
        raise RecordError(f"{run.run_id}: {error}") from None
    return {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
