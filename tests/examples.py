"""Small things that several tests build on."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from camp_bench.config import RunConfig, Settings
from camp_bench.records import (
    DatasetFacts,
    Environment,
    EvaluationRecord,
    Measurement,
    RunRecord,
    TrainingRecord,
    VocabularyFacts,
    new_run_folder,
    read_record,
    write_arrays,
    write_record,
)
from camp_bench.records.history import decode_record
from camp_bench.records.throughput import Baseline, ModelThroughput, ThroughputReport, Workload

SETTINGS = Settings(
    dim=8,
    word_dim=6,
    word_spread=0.1,
    epochs=2,
    warmup_epochs=1,
    batch_size=8,
    optimizer="adam",
    learning_rate=0.01,
    momentum=0.0,
    weight_decay=0.0,
    decay_epochs=(),
    clip_norm=2.0,
    margin=0.2,
    min_count=1,
    max_words=47,
    validate_every=1,
    tile_images=4,
    tile_captions=10,
)

METRICS = {f"{way}.{name}": 10.0 for way in ("i2t", "t2i") for name in ("R@1", "R@5", "R@10", "MedR", "MeanR")}

TINY = "toy:train=12,dev=4,test=5,regions=8,feature_size=16"
"""Toy data on which an epoch takes no time."""

STARTED = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
STARTED_RUN = "20260102-030405-run"
"""When `write_run` says that a run started, and the id that it gives a first one."""


def example_record(
    *, model: str = "vsepp", seed: int = 0, rsum: float = 60.0, task: str = "task", **changes: Any
) -> RunRecord:
    """Return a record in which only the arguments matter."""
    config = RunConfig(
        model=model,
        seed=seed,
        data="toy",
        protocol="full",
        vocab_from="train+dev",
        word_vectors="",
        preset="quick",
        device="cpu",
        precision="fp32",
        settings=SETTINGS,
        options={},
    )
    test = EvaluationRecord(
        split="test",
        protocol="full",
        images=500,
        captions=2500,
        task_fingerprint=task,
        features_fingerprint="features",
        tile_images=4,
        tile_captions=10,
        metrics=METRICS | {"rsum": rsum},
        chance_rsum=6.4,
        hubness={"i2t": 0.5, "t2i": 0.6},
        queries=None,
    )
    environment = Environment(
        camp_bench="0.1.0",
        commit=None,
        python="3.11",
        packages={},
        system="Linux",
        processor="some",
        cores=2,
        memory_bytes=1,
        device="cpu",
        device_name="",
        threads=1,
        variables={},
    )
    dataset = DatasetFacts(
        name="toy",
        source="toy",
        images={"test": 500},
        captions={"test": 2500},
        stored={"test": "once"},
        regions=36,
        feature_size=128,
        train_fingerprint="train",
    )
    record = RunRecord(
        run_id=f"{model}-s{seed}",
        created="2026-01-01T00:00:00+00:00",
        command=("camp-bench", "run"),
        config=config,
        deterministic=True,
        environment=environment,
        dataset=dataset,
        vocabulary=VocabularyFacts(source="train+dev", tokenizer="t", min_count=4, size=9, unknown_share={"test": 0.5}),
        training=TrainingRecord(steps=1, pairs_seen=8, best_epochs=(1,), parameters=3, collapsed=False, epochs=()),
        evaluations=(test,),
        timings=(Measurement(name="run", unit="s", samples=(65.0,)),),
        weights_sha256="0" * 64,
        files={},
    )
    return msgspec.structs.replace(record, **changes)


def example_throughput(**changes: Any) -> ThroughputReport:
    """Return a report on one model: 100 x 500 pairs in 1, 2 and 4 seconds, half as fast in the plain form."""
    samples = (1.0, 2.0, 4.0)
    baseline = Baseline(
        padded_words=None,
        images=100,
        captions=50,
        seconds=Measurement(name="plain", unit="s", samples=(0.2, 0.4, 0.8)),
        speed_ups=(2.0, 2.0, 2.0),
        flops=15_000_000,
        traffic_bytes=3_000_000,
        max_difference=1e-7,
    )
    model = ModelThroughput(
        model="scan:t2i-lse",
        workload=Workload(images=100, captions=500),
        tile_images=20,
        tile_captions=100,
        score=Measurement(name="score", unit="s", samples=samples),
        evaluate=Measurement(name="evaluate", unit="s", samples=(2.0, 2.0, 2.0)),
        encode_images=Measurement(name="encode_images", unit="s/item", samples=(0.001,)),
        encode_captions=Measurement(name="encode_captions", unit="s/item", samples=(0.002,)),
        product=Measurement(name="product", unit="FLOP/s", samples=(1e10, 1e10, 1e10)),
        product_shape=(2048, 1024, 2048),
        flops=50_000_000,
        useful_flops=40_000_000,
        traffic_bytes=2_000_000,
        peak_bytes=12_000_000,
        baselines=(baseline,),
    )
    report = ThroughputReport(
        created="2026-01-01T00:00:00+00:00",
        command=("camp-bench", "throughput"),
        precision="fp32",
        environment=example_record().environment,
        models=(model,),
    )
    return msgspec.structs.replace(report, **changes)


def write_run(results: Path, name: str = "run", **changes: Any) -> RunRecord:
    """Write a run of one small file into `results` and return its record."""
    with new_run_folder(results, STARTED, name) as (found, folder):
        checksum = write_arrays(folder / "queries_test.npz", {"i2t_b": np.arange(3, dtype=np.int32)})
        record = example_record(run_id=found, files={"queries_test.npz": checksum}, **changes)
        write_record(folder, record)
    return record


def damage(run: Path, copy: Path, name: str, content: bytes, *, forge: bool) -> Path:
    """Copy a run with one file replaced; `forge`: the record vouches for the new content."""
    copy.mkdir()
    for file in run.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / name).write_bytes(content)
    if forge:
        record = read_record(copy)
        checksum = hashlib.sha256(content).hexdigest()
        write_record(copy, msgspec.structs.replace(record, files=record.files | {name: checksum}))
    return copy


def lock(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let nobody look into the folders, root included, whom no permission stops."""
    scan = os.scandir

    def scandir(place: Any = ".") -> Any:
        if Path(place) in folders:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", scandir)


def read_back(folder: Path) -> RunRecord:
    """Return the record of a folder, whatever files are there."""
    return decode_record((folder / "record.json").read_bytes(), "record.json")


def sign(content: dict[str, Any]) -> bytes:
    """Return a record's JSON with the checksum that belongs to it."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    return msgspec.json.encode(content | {"sha256": hashlib.sha256(msgspec.json.encode(content)).hexdigest()})
