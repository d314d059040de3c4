"""A finished run taken up again: what is missing, changed or makes no sense is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from examples import damage
from run_examples import train_one

from camp_bench.errors import RecordError
from camp_bench.records import read_record, write_record
from camp_bench.runs.saved import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_one(tmp_path_factory.mktemp("runs"), "vsepp")


def test_changed_weights_are_refused(run: Path, tmp_path: Path) -> None:
    copy = damage(run, tmp_path / "copy", "weights.safetensors", b"rubbish", forge=False)
    with pytest.raises(RecordError, match="checksum differs"):
        open_run(copy)


@pytest.mark.parametrize("content", [b"rubbish", safetensors.numpy.save({"a": np.ones(3, dtype=np.float32)})])
def test_weights_of_another_model_are_refused(run: Path, tmp_path: Path, content: bytes) -> None:
    copy = damage(run, tmp_path / "copy", "weights.safetensors", content, forge=True)
    with pytest.raises(RecordError, match="not weights of vsepp as recorded") as caught:
        open_run(copy)
    assert "\n" not in str(caught.value)


def test_vocabulary_that_is_none_is_refused(run: Path, tmp_path: Path) -> None:
    copy = damage(run, tmp_path / "copy", "vocabulary.json", b"{}", forge=True)
    with pytest.raises(RecordError, match="copy: not a run that can be used: vocabulary: not a vocabulary file"):
        open_run(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "none"}, "unknown model 'none'"),
        ({"model": "camp"}, "unknown key 'measure'"),
        ({"seed": 2**64}, "seeds: got"),
        ({"settings": {"dim": 0}}, "dim: got 0, expected 1 or more"),
        ({"settings": {"tile_images": -1}}, "tile_images: got -1"),
        ({"settings": {"dim": 16}}, "not weights of vsepp as recorded"),
    ],
)
def test_record_that_makes_no_sense_is_refused(
    run: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    copy = damage(run, tmp_path / "copy", "extra", b"", forge=False)
    record = read_record(copy)
    settings = msgspec.structs.replace(record.config.settings, **changes.pop("settings", {}))
    config = msgspec.structs.replace(record.config, settings=settings, **changes)
    write_record(copy, msgspec.structs.replace(record, config=config))
    with pytest.raises(RecordError) as caught:
        open_run(copy)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
