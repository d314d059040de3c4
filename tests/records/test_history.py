"""Records of earlier versions read as the newest, and changed bytes found."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from examples import SETTINGS, example_record

from camp_bench.errors import RecordError
from camp_bench.records import CheckpointFacts, ExternalFacts, RunRecord
from camp_bench.records.history import decode_record, encode_record


def of_version_1(record: RunRecord, **changes: Any) -> bytes:
    """Return a record as version 1 wrote it: without a checksum, and without a job."""
    content = msgspec.to_builtins(record) | {"schema_version": 1} | changes
    del content["job"]
    return json.dumps(content).encode()


def test_record_is_read_as_it_was_written() -> None:
    record = example_record(job="0" * 64)
    assert decode_record(encode_record(record), "r") == record


def test_trained_record_of_version_1_says_the_same() -> None:
    record = example_record()
    assert decode_record(of_version_1(record), "r") == record


def test_zeros_of_another_system_are_read_as_not_known() -> None:
    record = example_record()
    content = msgspec.to_builtins(record)
    zeros = dict.fromkeys(("dim", "word_dim", "epochs", "batch_size", "min_count", "tile_images"), 0)
    old = of_version_1(
        record,
        config=content["config"] | {"settings": msgspec.to_builtins(SETTINGS) | zeros},
        dataset=content["dataset"] | {"train_fingerprint": "", "regions": 0, "feature_size": 0},
        vocabulary=content["vocabulary"] | {"tokenizer": "", "size": 0},
        training=content["training"] | {"steps": 0, "pairs_seen": 0, "best_epochs": []},
        weights_sha256="",
        evaluations=[
            item | {"features_fingerprint": "", "tile_images": 0, "tile_captions": 0} for item in content["evaluations"]
        ],
        external=msgspec.to_builtins(ExternalFacts(files={"scores": "s.npy"}, sha256={"scores": "0"}, measure="")),
    )
    found = decode_record(old, "r")
    assert (found.training, found.vocabulary, found.weights_sha256) == (None, None, None)
    assert found.config.settings is None
    assert (found.dataset.regions, found.dataset.feature_size, found.dataset.train_fingerprint) == (None, None, None)
    assert found.external is not None
    assert found.external.measure is None
    (evaluation,) = found.evaluations
    assert (evaluation.features_fingerprint, evaluation.tile_images, evaluation.tile_captions) == (None, None, None)
    assert evaluation.metrics == record.evaluations[0].metrics
    assert (found.pairs_seen, found.members, found.collapsed) == (None, 1, False)


def test_zeros_of_a_checkpoint_are_read_as_not_known() -> None:
    record = example_record()
    assert record.training is not None
    facts = CheckpointFacts(
        file="a",
        sha256="0",
        vocabulary_file="b",
        vocabulary_sha256="0",
        epoch=None,
        steps=None,
        best_rsum=None,
        options={},
    )
    training = msgspec.to_builtins(msgspec.structs.replace(record.training, checkpoint=facts))
    found = decode_record(of_version_1(record, training=training | {"steps": 0, "pairs_seen": 0}), "r")
    assert found.training is not None
    assert (found.training.steps, found.pairs_seen, found.checkpoint) == (None, None, facts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(run_id="other"), "its checksum differs"),
        (lambda c: c.pop("sha256"), "its checksum differs"),
        (lambda c: c.update(schema_version=1), "unknown field `job`|unknown field `sha256`"),
        (lambda c: c.update(schema_version=3), "schema version 3, this camp-bench reads 1 to 2"),
        (lambda c: c.update(schema_version=True), "schema version True"),
    ],
)
def test_edited_record_is_refused(change: Any, message: str) -> None:
    content = json.loads(encode_record(example_record()))
    change(content)
    with pytest.raises((RecordError, msgspec.ValidationError), match=message):
        decode_record(json.dumps(content).encode(), "r")


def test_spaces_are_no_change() -> None:
    record = example_record()
    assert decode_record(json.dumps(json.loads(encode_record(record)), indent=7).encode(), "r") == record
