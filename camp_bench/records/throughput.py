"""What a throughput measurement found: raw samples with their units, counted work, and where it took place.

    {"schema_version": 1, "environment": {...}, "models": [{"model": "scan:t2i-lse", "score": {"samples": ...}}]}

Statistics are derived, never stored. Counts (FLOPs, bytes) are whole numbers of one pass over the workload, so
equal programs give equal counts; seconds are comparable only where environments and workloads are.
"""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final, Literal

import msgspec

from camp_bench.errors import OutputError, RecordError
from camp_bench.records import Environment, Measurement, read_versioned, write_whole

__all__ = [
    "RANDOM",
    "SCHEMA_VERSION",
    "Baseline",
    "ModelThroughput",
    "ScalingPoint",
    "ThroughputReport",
    "Workload",
    "check_throughput",
    "encode_throughput",
    "quartiles",
    "read_throughput",
    "relative_spread",
    "require_output",
    "write_output",
]

SCHEMA_VERSION: Final = 1
RANDOM = "random"
"""The data of a workload that no dataset was named for."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything in a report."""


class Workload(_Strict, frozen=True, kw_only=True):
    """What is scored: every image with every caption.

    images, captions: None, when asked for, are as many as give a model enough to do; a report always has numbers.
    words: tokens a caption on average, <start> and <end> counted; random captions have from half to one and a half
    times as many. dim: D of the joint space. data: "random", or the dataset whose test split is taken, whose regions,
    feature size and words then hold.
    """

    images: int | None = None
    captions: int | None = None
    regions: int = 36
    words: float = 12.0
    dim: int = 1024
    feature_size: int = 2048
    data: str = RANDOM

    @property
    def pairs(self) -> int:
        """Images times captions, 0 while they are not settled."""
        return (self.images or 0) * (self.captions or 0)


class Baseline(_Strict, frozen=True, kw_only=True):
    """The plain form of a model, on a part of the same data, in turn with the fast form in one process.

    padded_words: so many words a caption, all of them counted, as CAMP's released program computes; None: true lengths.
    images, captions: the part it was timed on. seconds: of that part. speed_ups: one for each turn, pairs a second of
    the fast form over those of this one. flops, traffic_bytes: counted, of that part.
    max_difference: the largest between a score of this and of the fast form; None where padded, which scores others.
    """

    padded_words: int | None
    images: int
    captions: int
    seconds: Measurement
    speed_ups: tuple[float, ...]
    flops: int
    traffic_bytes: int
    max_difference: float | None

    @property
    def pairs(self) -> int:
        return self.images * self.captions

    @property
    def flops_per_pair(self) -> float:
        return self.flops / self.pairs


class ScalingPoint(_Strict, frozen=True, kw_only=True):
    """Seconds of scoring and ranking galleries of one size."""

    images: int
    captions: int
    seconds: Measurement

    @property
    def pairs(self) -> int:
        return self.images * self.captions


class ModelThroughput(_Strict, frozen=True, kw_only=True):
    """How fast one model scores.

    score: seconds of one pass over all pairs, items encoded and prepared before, ranks left out. evaluate: seconds of
    such a pass with exact ranks both ways. encode_images, encode_captions: seconds an item, preparation included.
    product: FLOP/s of one matrix product of `product_shape` (rows, inner, columns), measured in turn with `score`, each
    sample by the fastest kernel and way of using the cores.
    flops: those of the matrix products of one pass as counted; useful_flops: without those spent on padding.
    traffic_bytes: what all operations of a pass read and write, if nothing stayed in a cache. peak_bytes: the most
    memory that a pass took beside the prepared items; None where the system doesn't tell.
    """

    model: str
    workload: Workload
    tile_images: int
    tile_captions: int
    score: Measurement
    evaluate: Measurement
    encode_images: Measurement
    encode_captions: Measurement
    product: Measurement
    product_shape: tuple[int, int, int]
    flops: int
    useful_flops: int
    traffic_bytes: int
    peak_bytes: int | None
    baselines: tuple[Baseline, ...]
    scaling: tuple[ScalingPoint, ...] = ()

    @property
    def pairs_per_second(self) -> tuple[float, ...]:
        """One for each sample of `score`."""
        return tuple(self.workload.pairs / seconds for seconds in self.score.samples)

    @property
    def flops_per_pair(self) -> float:
        return self.flops / self.workload.pairs

    @property
    def useful_flops_per_pair(self) -> float:
        return self.useful_flops / self.workload.pairs

    @property
    def traffic_bytes_per_pair(self) -> float:
        return self.traffic_bytes / self.workload.pairs

    @property
    def product_shares(self) -> tuple[float, ...]:
        """Useful FLOP/s as parts of the matrix-product rate of the same turn, one for each turn."""
        turns = zip(self.score.samples, self.product.samples, strict=True)
        return tuple(self.useful_flops / seconds / rate for seconds, rate in turns)

    @property
    def ranked_product_share(self) -> float:
        """Useful FLOP/s of scoring with ranks as a part of the matrix-product rate, from the medians."""
        return self.useful_flops / median(self.evaluate.samples) / median(self.product.samples)

    def predicted_seconds(self, images: int, captions: int, folds: int = 1) -> float:
        """Return what encoding so many items and ranking all pairs of each fold would take, from the medians."""
        encoding = images * median(self.encode_images.samples) + captions * median(self.encode_captions.samples)
        return encoding + images * captions / folds / self.workload.pairs * median(self.evaluate.samples)

    @property
    def growth_exponent(self) -> float | None:
        """The e of seconds ~ pairs^e, by least squares of logarithms; None without `scaling`."""
        if len({point.pairs for point in self.scaling}) < 2:
            return None
        x = [math.log(point.pairs) for point in self.scaling]
        y = [math.log(median(point.seconds.samples)) for point in self.scaling]
        mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
        return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)


class ThroughputReport(_Strict, frozen=True, kw_only=True):
    """Models measured one after the other in one process."""

    schema_version: Literal[1] = SCHEMA_VERSION
    created: str
    command: tuple[str, ...]
    precision: Literal["fp32"]
    environment: Environment
    models: tuple[ModelThroughput, ...]

    def model(self, name: str) -> ModelThroughput:
        """Return what was measured of a model; RecordError where it was not."""
        for item in self.models:
            if item.model == name:
                return item
        raise RecordError(
            f"throughput: nothing about '{name}'; measured were {', '.join(m.model for m in self.models)}"
        )


def quartiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile."""
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return low, middle, high


def relative_spread(samples: Sequence[float]) -> float:
    """Return the distance between the quartiles in parts of the median."""
    low, middle, high = quartiles(samples)
    return (high - low) / middle


def encode_throughput(report: ThroughputReport) -> bytes:
    """Return a report as the bytes of its JSON file."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def read_throughput(path: str | Path) -> ThroughputReport:
    """Read what `camp-bench throughput --format json -o FILE` wrote.

    Raises RecordError for anything missing, unreadable, unknown, of another version or without samples.
    """
    name = "throughput report"
    report = read_versioned(path, ThroughputReport, SCHEMA_VERSION, name=name, expected=f"a {name} (JSON)")
    check_throughput(path, report)
    return report


def check_throughput(path: str | Path, report: ThroughputReport) -> None:
    """Raise RecordError, naming the file, where a statistic of the report could not be derived."""
    for model in report.models:
        _require_sense(path, model)


def _require_sense(path: str | Path, model: ModelThroughput) -> None:
    """Raise RecordError where a statistic of the model could not be derived."""
    rows: list[tuple[str, Sequence[float]]] = [
        (part.name, part.samples)
        for part in (model.score, model.evaluate, model.encode_images, model.encode_captions, model.product)
    ]
    for baseline in model.baselines:
        rows += [("speed_ups", baseline.speed_ups), (baseline.seconds.name, baseline.seconds.samples)]
    rows += [(point.seconds.name, point.seconds.samples) for point in model.scaling]
    sizes = [model.workload.pairs, *(part.pairs for part in model.baselines), *(point.pairs for point in model.scaling)]
    for name, samples in rows:
        if not samples or not all(math.isfinite(value) and value > 0 for value in samples):
            raise RecordError(f"{path}: {model.model}: {name}: expected one or more samples above 0")
    if min(sizes) < 1:
        raise RecordError(f"{path}: {model.model}: expected 1 pair or more")
    if len(model.score.samples) != len(model.product.samples):
        raise RecordError(f"{path}: {model.model}: expected as many samples of {model.product.name} as of score")


def require_output(path: Path) -> None:
    """Raise OutputError where it shows already that a file can't be written there; leaves all as it is."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.is_file() or not path.exists():  # opening a pipe would end what its reader waits for
            with tempfile.TemporaryFile(dir=path.parent):
                pass
    except OSError as error:
        raise _unwritable(path, error) from None


def write_output(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, over one that is there; OutputError where that can't be."""
    try:
        if path.exists() and not path.is_file():  # a pipe or /dev/stdout can't be replaced
            path.write_bytes(data)
        else:
            write_whole(path, data)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: can't be written ({error.strerror or error}); mend that or name another file")
