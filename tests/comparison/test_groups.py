"""Records side by side: grouped by task, means over seeds, differences named."""

from __future__ import annotations

import msgspec
import pytest
from examples import SETTINGS, example_record

from camp_bench.comparison import group_results, run_seconds
from camp_bench.errors import RecordError
from camp_bench.records import CheckpointFacts


def test_seeds_of_a_model_make_one_row_with_mean_and_sample_deviation() -> None:
    records = [example_record(seed=seed, rsum=rsum) for seed, rsum in ((0, 58.0), (1, 60.0), (2, 62.0))]
    (group,) = group_results(records)
    (row,) = group.rows
    assert row.seeds == (0, 1, 2)
    assert row.metrics["rsum"] == pytest.approx(60.0)
    assert row.rsum_sd == pytest.approx(2.0)


def test_metrics_that_not_every_seed_keeps_are_left_out() -> None:
    first, second = example_record(seed=0), example_record(seed=1)
    fewer = {name: value for name, value in second.evaluations[0].metrics.items() if name != "i2t.MeanR"}
    evaluation = msgspec.structs.replace(second.evaluations[0], metrics=fewer | {"t2i.R@2": 5.0})
    for records in ([first, second := msgspec.structs.replace(second, evaluations=(evaluation,))], [second, first]):
        (row,) = group_results(records)[0].rows
        assert set(row.metrics) == set(first.evaluations[0].metrics) - {"i2t.MeanR"}


def test_one_seed_has_no_deviation() -> None:
    (group,) = group_results([example_record()])
    assert group.rows[0].rsum_sd is None


def test_tasks_are_never_mixed() -> None:
    groups = group_results([example_record(), example_record(model="camp", task="other")])
    assert [[row.label for row in group.rows] for group in groups] == [["vsepp"], ["camp"]]


def test_equal_inputs_give_no_notes_and_unequal_ones_are_named() -> None:
    record = example_record()
    assert group_results([record, example_record(model="camp")])[0].notes == ()
    features = msgspec.structs.replace(record.evaluations[0], features_fingerprint="others")
    dataset = msgspec.structs.replace(record.dataset, train_fingerprint="others")
    config = msgspec.structs.replace(record.config, model="camp", vocab_from="train")
    other = msgspec.structs.replace(record, evaluations=(features,), dataset=dataset, config=config)
    notes = " ".join(group_results([record, other])[0].notes)
    assert "features differ" in notes
    assert "training data differ" in notes
    assert "train alone" in notes


def test_runs_of_other_settings_are_never_averaged() -> None:
    record = example_record()
    config = msgspec.structs.replace(record.config, settings=msgspec.structs.replace(SETTINGS, epochs=99), seed=1)
    (group,) = group_results([record, msgspec.structs.replace(record, config=config)])
    assert [row.seeds for row in group.rows] == [(0,), (1,)]
    assert [row.label for row in group.rows] == ["vsepp (epochs=2)", "vsepp (epochs=99)"]
    assert group.notes == ("vsepp stands in 2 rows, as its settings differ",)


def test_other_weights_of_one_seed_are_no_other_seed_and_the_same_weights_count_once() -> None:
    first = example_record(model="scan", rsum=58.0)
    again = example_record(model="scan", rsum=58.0, run_id="again")
    other = example_record(model="scan", rsum=62.0, run_id="other", weights_sha256="1" * 64)
    (group,) = group_results([first, again, other])
    assert [(row.label, row.seeds, row.rsum_sd) for row in group.rows] == [
        ("scan #1", (0,), None),
        ("scan #2", (0,), None),
    ]
    assert [row.metrics["rsum"] for row in group.rows] == [58.0, 62.0]
    assert group.notes == ("again has the weights of scan-s0 and isn't counted again",)


def test_collapsed_run_is_named() -> None:
    record = example_record()
    training = msgspec.structs.replace(record.training, collapsed=True)
    (note,) = group_results([msgspec.structs.replace(record, training=training)])[0].notes
    assert note.startswith("vsepp-s0 collapsed")


def test_weights_of_another_program_are_named_and_have_no_training_data_to_compare() -> None:
    facts = CheckpointFacts(
        file="scan.pth.tar",
        sha256="",
        vocabulary_file="vocab.json",
        vocabulary_sha256="",
        epoch=None,
        steps=None,
        best_rsum=None,
        options={},
    )
    record = example_record(model="scan")
    training = msgspec.structs.replace(record.training, checkpoint=facts)
    dataset = msgspec.structs.replace(record.dataset, train_fingerprint=None)
    foreign = msgspec.structs.replace(record, training=training, dataset=dataset)
    (note,) = group_results([example_record(), foreign])[0].notes
    assert note.startswith("scan-s0 was trained by another program (scan.pth.tar): its seed")


def test_run_that_is_not_deterministic_is_named_with_its_own_reason() -> None:
    loose = example_record(model="camp", deterministic=False, nondeterministic_reason="index_add has no such kernel")
    (note,) = group_results([example_record(), loose])[0].notes
    assert "camp-s0" in note
    assert "index_add has no such kernel" in note


def test_run_seconds_are_those_of_the_whole_run() -> None:
    assert run_seconds(example_record()) == 65.0


def test_record_without_the_split_is_refused() -> None:
    with pytest.raises(RecordError, match="no evaluation of split 'dev'"):
        group_results([example_record()], split="dev")
