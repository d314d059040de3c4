"""Measures how fast models score, each in turn with its plain form and with a bare matrix product, in one process."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import numpy as np
import torch

from camp_bench.config import MAX_THREADS
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.errors import ConfigError
from camp_bench.evaluation.tiles import prepare_caption_tile, prepare_image_tile
from camp_bench.machine.devices import (
    describe_device,
    explained_memory,
    nondeterminism,
    resolve_device,
    strict_numerics,
)
from camp_bench.machine.environment import collect_environment
from camp_bench.models.base import PairModel, Prepared, Shape, Variant
from camp_bench.models.registry import build_model, find_variant
from camp_bench.records import Measurement
from camp_bench.records.throughput import RANDOM, Baseline, ModelThroughput, ScalingPoint, ThroughputReport, Workload
from camp_bench.throughput.flops import count_work, use_threads
from camp_bench.throughput.items import PART_BYTES, build_gallery, choose_part, count_useful_flops
from camp_bench.throughput.memory import peak_bytes, require_memory
from camp_bench.throughput.products import make_product
from camp_bench.throughput.sampling import Job, seconds, take_turns
from camp_bench.throughput.workload import (
    DISTINCT_FEATURES,
    VOCABULARY_SIZE,
    check_workload,
    open_items,
    random_items,
    repeat_items,
    take_items,
)

__all__ = ["measure_throughput"]

TURNS, MAX_TURNS = 7, 1000
ENCODED_IMAGES, ENCODED_CAPTIONS = 50, 100
"""Items that one sample of encoding is about."""
FEW_TURNS = 3
"""Samples of each gallery of a sweep."""
GROWTH = ((1, 1), (2, 1), (2, 2), (4, 2))
"""How many times as many images and captions the galleries of a sweep have."""
PRESET = "paper-f30k"
"""Its tile grid is the one that models of this size are evaluated in."""
REMEDY = "lower --images, --captions, --regions or --dim"


def measure_throughput(
    models: Sequence[str],
    workload: Workload | None = None,
    *,
    device: str = "auto",
    threads: int = 0,
    turns: int = TURNS,
    scaling: bool = False,
    command: Sequence[str] = (),
    on_stage: Callable[[str], None] = lambda _: None,
) -> ThroughputReport:
    """Measure each model on the workload, one after the other, and return all raw samples.

    threads: of the CPU, 0 for as many as torch uses. turns: samples of each quantity, 2 or more. scaling: time larger
    galleries too. command: the words that asked for it, for the report. on_stage: told what is being done.
    Weights are random: they make no difference to speed. Raises ConfigError for unknown models and sizes that make no
    sense, DataError for a dataset that can't be used, DeviceError for a device or memory that isn't there.
    """
    asked = Workload() if workload is None else workload
    check_workload(asked)
    if not 2 <= turns <= MAX_TURNS:
        raise ConfigError(f"turns: got {turns}, expected 2 (one sample has no spread) to {MAX_TURNS}")
    if not 0 <= threads <= MAX_THREADS:
        raise ConfigError(f"threads: got {threads}, expected 0 (torch chooses) to {MAX_THREADS}")
    variants = [find_variant(name) for name in models]
    names = [variant.name for variant in variants]
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"models: got {', '.join(models) or 'none'}; expected one or more, each once")
    target = resolve_device(device)
    created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    source: tuple[TokenizedSplit, int] | None = None
    measured = []
    with use_threads(threads), strict_numerics(target), nondeterminism(), torch.no_grad(), explained_memory(REMEDY):
        environment = collect_environment(
            device=str(target), device_name=describe_device(target), threads=torch.get_num_threads()
        )
        if asked.data != RANDOM:
            on_stage(f"reading {asked.data}")
            source = open_items(asked.data)
        for variant in variants:
            tell = partial(_tell, on_stage, variant.name)
            tell("building the model")
            measured.append(_Bench(variant, asked, source, target, tell).measure(turns, scaling=scaling))
    return ThroughputReport(
        created=created, command=tuple(command), precision="fp32", environment=environment, models=tuple(measured)
    )


def _tell(on_stage: Callable[[str], None], model: str, text: str) -> None:
    on_stage(f"{model}: {text}")


class _Bench:
    """One model, its items, and everything that is measured of it."""

    def __init__(
        self,
        variant: Variant,
        asked: Workload,
        source: tuple[TokenizedSplit, int] | None,
        device: torch.device,
        on_stage: Callable[[str], None],
    ) -> None:
        self._name, self._device, self._on_stage = variant.name, device, on_stage
        images, captions = variant.model.timed_items
        if source is None:
            wanted = msgspec.structs.replace(asked, images=asked.images or images, captions=asked.captions or captions)
            self._model = _build(variant, wanted, VOCABULARY_SIZE, device)
            _require_room(self._model, wanted, device)
            self._items, self._workload = random_items(wanted)
        else:
            whole, words = source
            wanted = msgspec.structs.replace(asked, images=asked.images or min(images, whole.split.n_images))
            self._items, self._workload = take_items(whole, wanted)
            self._model = _build(variant, self._workload, words, device)
            _require_room(self._model, self._workload, device)

    def measure(self, turns: int, *, scaling: bool) -> ModelThroughput:
        """Take all samples and counts."""
        model, device = self._model, self._device
        encode_images, encode_captions = self._time_encoding(turns)
        self._on_stage("encoding")
        gallery = build_gallery(model, self._items, device)
        self._on_stage("counting FLOPs and bytes")
        work = count_work(gallery.score)
        useful = count_useful_flops(gallery, self._items)
        widths = {"plain": None, "plain, padded": model.program_words}
        parts = {
            name: choose_part(model, self._items, device, words)
            for name, words in widths.items()
            if words is not None or name == "plain"
        }
        product = make_product(self._workload.dim, device)
        jobs: dict[str, Job] = {"score": gallery.score, "evaluate": gallery.evaluate, **product.ways}
        jobs |= {name: part.score for name, part in parts.items()}
        samples = take_turns(jobs, turns, device, self._on_stage)
        baselines = []
        for name, part in parts.items():
            plain = count_work(part.score)
            share = part.pairs / self._workload.pairs
            turn_by_turn = zip(samples[name], samples["score"], strict=True)
            baselines.append(
                Baseline(
                    padded_words=None if name == "plain" else part.captions.shape[1],
                    images=len(part.images),
                    captions=len(part.captions),
                    seconds=seconds(name, samples[name]),
                    speed_ups=tuple(slow / share / fast for slow, fast in turn_by_turn),
                    flops=plain.flops,
                    traffic_bytes=plain.traffic_bytes,
                    max_difference=part.difference() if name == "plain" else None,
                )
            )
        fastest = map(min, zip(*(samples[way] for way in product.ways), strict=True))
        rates = tuple(product.flops / sample for sample in fastest)
        return ModelThroughput(
            model=self._name,
            workload=self._workload,
            tile_images=gallery.size[0],
            tile_captions=gallery.size[1],
            score=seconds("score", samples["score"]),
            evaluate=seconds("evaluate", samples["evaluate"]),
            encode_images=encode_images,
            encode_captions=encode_captions,
            product=Measurement(name="product", unit="FLOP/s", samples=rates),
            product_shape=product.shape,
            flops=work.flops,
            useful_flops=min(useful, work.flops),
            traffic_bytes=work.traffic_bytes,
            peak_bytes=peak_bytes(device, gallery.score),
            baselines=tuple(baselines),
            scaling=self._sweep() if scaling else (),
        )

    def _time_encoding(self, turns: int) -> tuple[Measurement, Measurement]:
        """Time encoding and preparing a batch of images and one of captions; its ceiling is the matrix-product rate.

        Reading a file of features is left out, gathering them and moving them to the device is not.
        """
        split, ids = self._items.split, self._items.token_ids
        rows = range(min(ENCODED_IMAGES, split.n_images))
        columns = np.arange(min(ENCODED_CAPTIONS, split.n_captions))
        jobs: dict[str, Job] = {
            "encoding images": partial(prepare_image_tile, self._model, split, rows, self._device),
            "encoding captions": partial(prepare_caption_tile, self._model, ids, columns, self._device),
        }
        samples = take_turns(jobs, turns, self._device, self._on_stage)
        return (
            seconds("encode_images", samples["encoding images"], len(rows)),
            seconds("encode_captions", samples["encoding captions"], len(columns)),
        )

    def _sweep(self) -> tuple[ScalingPoint, ...]:
        """Time scoring with ranks on galleries of growing size, in turns. Its ceiling is growth with the pairs."""
        split = self._items.split
        sizes = [(split.n_images * images, split.n_captions * captions) for images, captions in GROWTH]
        together = {"images": sum(n for n, _ in sizes), "captions": sum(m for _, m in sizes)}
        _require_room(self._model, msgspec.structs.replace(self._workload, **together), self._device)
        jobs: dict[str, Job] = {}
        for (n, m), growth in zip(sizes, GROWTH, strict=True):
            self._on_stage(f"encoding {n:,} x {m:,}")
            gallery = build_gallery(self._model, repeat_items(self._items, *growth), self._device)
            jobs[f"{n:,} x {m:,}"] = gallery.evaluate
        samples = take_turns(jobs, FEW_TURNS, self._device, self._on_stage)
        return tuple(
            ScalingPoint(images=n, captions=m, seconds=seconds("evaluate", samples[name]))
            for (n, m), name in zip(sizes, jobs, strict=True)
        )


def _build(variant: Variant, workload: Workload, vocabulary_size: int, device: torch.device) -> PairModel:
    """Return the model at the workload's sizes; DeviceError where its weights alone would not fit."""
    settings = msgspec.structs.replace(variant.settings[PRESET], dim=workload.dim)
    shape = Shape(vocabulary_size, workload.feature_size)
    with torch.device("meta"):
        weights = variant.model(settings, variant.options, shape).parameters()
        needed = 2 * sum(weight.numel() * weight.element_size() for weight in weights)
    require_memory(needed, device, f"{variant.name} with dim {workload.dim}", REMEDY)
    return build_model(variant, settings, variant.options, shape, seed=0).to(device).eval()


def _require_room(model: PairModel, workload: Workload, device: torch.device) -> None:
    """Refuse a workload that would not fit: its features, and its prepared items as many times one of each side."""
    images, captions, tile = workload.images or 1, workload.captions or 1, model.settings.tile_images
    needed = 4 * workload.regions * workload.feature_size * min(images, max(tile, DISTINCT_FEATURES))
    require_memory(needed, device, f"features of {workload.regions:,} x {workload.feature_size:,} numbers", REMEDY)
    features = torch.zeros(1, workload.regions, workload.feature_size, device=device)
    tokens = torch.zeros(1, math.ceil(1.5 * workload.words), dtype=torch.int64, device=device)
    lengths = torch.tensor([tokens.shape[1]])
    image = _size(model.prepare_images(model.encode_images(features)))
    caption = _size(model.prepare_captions(model.encode_captions(tokens, lengths), lengths))
    needed += images * image + captions * caption + 8 * PART_BYTES
    require_memory(needed, device, f"{images:,} images and {captions:,} captions", REMEDY)


def _size(prepared: Prepared) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in prepared.values())
