"""Comparisons as a whole: rows, scopes, pairs, families of tests, and what has to be told beside the figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import pytest
from comparison_examples import write_run
from examples import read_back

import camp_bench
from camp_bench.comparison import CompareOptions, compare, compare_groups
from camp_bench.comparison.loading import load_runs
from camp_bench.comparison.stats import benjamini_hochberg, holm, shares
from camp_bench.errors import ConfigError, RecordError
from camp_bench.records import CascadeFacts, write_record

QUICK = CompareOptions(resamples=500)


def three_models(results: Path, seeds: int = 1) -> None:
    for seed in range(seeds):
        write_run(results, model="camp", seed=seed, level=1.0)
        write_run(results, model="scan", seed=seed, level=1.5)
        write_run(results, model="vsepp", seed=seed, level=1.55)


def test_rows_hold_the_recorded_metrics(tmp_path: Path) -> None:
    three_models(tmp_path, seeds=2)
    table = camp_bench.compare(tmp_path, QUICK)
    assert table.rows[0].label == "camp"
    for row in table.rows:
        recorded = [read_back(tmp_path / run).evaluations[0].metrics for run in row.run_ids]
        assert row.seeds == (0, 1)
        for metric in table.metrics:
            values = [item[metric] for item in recorded]
            assert row.estimates[metric].by_seed == pytest.approx(values)
            assert row.estimates[metric].value == pytest.approx(np.mean(values))
            assert row.estimates[metric].sd == pytest.approx(np.std(values, ddof=1))
            assert row.estimates[metric].low <= row.estimates[metric].value <= row.estimates[metric].high


def test_same_seed_same_digits_and_more_rows_change_no_interval(tmp_path: Path) -> None:
    three_models(tmp_path)
    one, two = compare(tmp_path, QUICK), compare(tmp_path, QUICK)
    assert one == two
    fewer = compare(tmp_path, CompareOptions(resamples=500, models=("camp", "scan")))
    assert fewer.row("a").estimates == one.row("a").estimates
    assert compare(tmp_path, CompareOptions(resamples=500, seed=1)).rows != one.rows


def test_scope_is_that_of_the_seeds(tmp_path: Path) -> None:
    three_models(tmp_path, seeds=3)
    write_run(tmp_path, model="scan:ensemble", level=0.9)
    table = compare(tmp_path, QUICK)
    scopes = {row.label: row.scope for row in table.rows}
    assert scopes == {"camp": "method", "scan": "method", "vsepp": "method", "scan:ensemble": "checkpoints"}
    for pair in table.pairs:
        lone = "scan:ensemble" in (table.row(pair.first).label, table.row(pair.second).label)
        assert pair.scope == ("checkpoints" if lone else "method")
        assert {test.test for test in pair.tests} == {"sign-flip" if lone else "t"}
    assert any("scan:ensemble: fewer than 3 seeds" in note for note in table.notes)


def test_scope_can_be_forced_where_it_makes_sense(tmp_path: Path) -> None:
    three_models(tmp_path, seeds=3)
    table = compare(tmp_path, CompareOptions(resamples=500, scope="checkpoints"))
    assert {row.scope for row in table.rows} == {"checkpoints"}
    write_run(tmp_path, model="scan:ensemble")
    with pytest.raises(ConfigError, match="needs 3 seeds or more a row, scan:ensemble has 1"):
        compare(tmp_path, CompareOptions(resamples=500, scope="method"))


def test_method_intervals_are_wider_than_those_of_checkpoints(tmp_path: Path) -> None:
    three_models(tmp_path, seeds=3)
    method = compare(tmp_path, QUICK).row("a").estimates["rsum"]
    checkpoints = compare(tmp_path, CompareOptions(resamples=500, scope="checkpoints")).row("a").estimates["rsum"]
    assert method.high - method.low > checkpoints.high - checkpoints.low


def test_holm_counts_all_pairs_and_metrics(tmp_path: Path) -> None:
    three_models(tmp_path)
    table = compare(tmp_path, QUICK)
    tests = [test for pair in table.pairs for test in pair.tests]
    assert len(table.pairs) == 3
    assert len(tests) == 9
    assert [test.p_adjusted for test in tests] == pytest.approx(holm([test.p for test in tests]))
    alone = compare(tmp_path, CompareOptions(resamples=500, metrics=("rsum",), reference="vsepp"))
    tests = [test for pair in alone.pairs for test in pair.tests]
    assert [(pair.first, pair.second) for pair in alone.pairs] == [("a", "c"), ("b", "c")]
    assert len(tests) == 2


def test_marks_are_for_what_is_significant(tmp_path: Path) -> None:
    three_models(tmp_path)
    table = compare(tmp_path, QUICK)
    assert table.row("a").beats["rsum"] == ("b", "c")
    assert "rsum" not in table.row("b").beats
    assert table.row("c").beats == {}
    assert table.best["rsum"] == ("a",)


def test_differences_are_those_of_the_rows_and_cover_nothing_when_equal(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp", ranks_seed=7)
    write_run(tmp_path, model="vsepp", ranks_seed=7)
    table = compare(tmp_path, CompareOptions(resamples=500, rope=1.0))
    for test in table.pairs[0].tests:
        assert (test.difference, test.low, test.high, test.p, test.verdict) == (0.0, 0.0, 0.0, 1.0, "equal")
    assert table.pairs[0].i2t_counts == (0, 120, 0)
    assert any("identical digit for digit" in note for note in table.notes)


def test_secondary_figures(tmp_path: Path) -> None:
    three_models(tmp_path)
    tests = {test.metric: test for test in compare(tmp_path, QUICK).pairs[0].tests}
    assert tests["rsum"].mcnemar is None
    assert 0 < tests["i2t.R@1"].mcnemar < 1
    assert tests["rsum"].improves is None
    three_models(tmp_path / "more", seeds=2)
    pair = compare(tmp_path / "more", QUICK).pairs[0]
    assert pair.tests[0].improves == 1.0
    assert pair.tests[1].mcnemar is None
    assert sum(pair.t2i_counts) == 600


def test_medr_has_an_interval_and_no_test(tmp_path: Path) -> None:
    three_models(tmp_path)
    table = compare(tmp_path, CompareOptions(resamples=500, metrics=("t2i.MedR", "rsum"), sort="t2i.MedR"))
    values = [row.estimates["t2i.MedR"].value for row in table.rows]
    assert values == sorted(values)
    test = next(test for test in table.pairs[0].tests if test.metric == "t2i.MedR")
    assert (test.p, test.test, test.verdict) == (None, "none", None)
    assert test.low <= test.difference <= test.high


def test_other_k_are_recomputed_and_rsum_stays(tmp_path: Path) -> None:
    three_models(tmp_path)
    table = compare(tmp_path, CompareOptions(resamples=500, ks=(3,)))
    assert table.metrics == ("i2t.R@3", "i2t.MedR", "t2i.R@3", "t2i.MedR", "rsum")
    assert table.row("a").estimates["rsum"] == compare(tmp_path, QUICK).row("a").estimates["rsum"]
    with np.load(tmp_path / table.row("a").run_ids[0] / "queries_test.npz") as stored:
        assert table.row("a").estimates["i2t.R@3"].value == pytest.approx(100 * np.mean(stored["i2t_b"] < 3))


def test_tasks_and_protocols_are_never_mixed(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp")
    write_run(tmp_path, model="scan", evaluation={"task_fingerprint": "other"})
    tables, _ = compare_groups([tmp_path], QUICK)
    assert [[row.label for row in table.rows] for table in tables] == [["camp"], ["scan"]]
    assert all("one model: there is nothing to compare it with" in table.notes for table in tables)
    with pytest.raises(RecordError, match="2 tasks or protocols"):
        compare(tmp_path, QUICK)


def test_folds_are_those_of_the_protocol(tmp_path: Path) -> None:
    from camp_bench.ranking.metrics import retrieval_metrics

    folder = write_run(tmp_path, images=5000, evaluation={"protocol": "coco-1k-5fold", "metrics": {}})
    table = compare(tmp_path, QUICK)
    with np.load(folder / "queries_test.npz") as stored:
        parts = [
            retrieval_metrics(*[tuple(stored[f"{way}_{name}"][rows] for name in "bnp") for way, rows in ways])
            for ways in [
                (("i2t", slice(i * 1000, i * 1000 + 1000)), ("t2i", slice(i * 5000, i * 5000 + 5000))) for i in range(5)
            ]
        ]
    assert table.folds == 5
    for metric in table.metrics:
        assert table.rows[0].estimates[metric].value == pytest.approx(np.mean([part[metric] for part in parts]))


def test_what_differs_is_named_and_shown(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp", training={"pairs_seen": 100})
    write_run(tmp_path, model="scan", evaluation={"features_fingerprint": "others"}, training={"pairs_seen": 200})
    write_run(tmp_path, model="vsepp", training={"pairs_seen": 100, "collapsed": True, "best_epochs": (1, 2)})
    table = compare(tmp_path, QUICK)
    notes = " | ".join(table.notes)
    assert sorted(row.features for row in table.rows) == ["A", "A", "B"]
    for text in ("image features differ", "vsepp-s0 collapsed", "budgets differ", "scan 200", "vsepp (2 models)"):
        assert text in notes


def test_training_by_another_program_is_not_known_and_no_budget(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp", training={"pairs_seen": 100})
    write_run(tmp_path, model="scan", training={"pairs_seen": None}, dataset={"train_fingerprint": None})
    table = compare(tmp_path, QUICK)
    assert {row.label: row.training for row in table.rows} == {"camp": "A", "scan": "?"}
    assert not any("budgets differ" in note or "training data differ" in note for note in table.notes)


def test_transductive_scorers_are_in_no_pair_and_never_best(tmp_path: Path) -> None:
    three_models(tmp_path)
    write_run(tmp_path, model="dsl", level=0.5, evaluation={"transductive": True})
    table = compare(tmp_path, QUICK)
    assert table.rows[0].transductive
    assert table.best["rsum"] == ("b",)
    assert all("a" not in (pair.first, pair.second) for pair in table.pairs)
    assert any("transductive" in note for note in table.notes)


def test_weights_evaluated_twice_count_once(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp", ranks_seed=1)
    write_run(tmp_path / "again", model="camp", ranks_seed=1, run_id="again", config={"data": "/elsewhere/toy"})
    table = compare(tmp_path, QUICK)
    assert [row.seeds for row in table.rows] == [(0,)]
    assert any("isn't counted again" in note for note in table.notes)


def test_identical_seeds_are_named(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path, model="camp", seed=seed, ranks_seed=seed // 2)
    table = compare(tmp_path, QUICK)
    assert any("camp-s0 and camp-s1 are identical digit for digit" in note for note in table.notes)


@pytest.mark.parametrize("same", ["ranks", "weights"])
def test_one_scorer_under_several_seeds_is_no_method(tmp_path: Path, same: str) -> None:
    for seed in range(3):
        one = {"ranks_seed": 7} if same == "ranks" else {"weights": "shared"}
        write_run(tmp_path, model="camp", seed=seed, **one)
        write_run(tmp_path, model="vsepp", seed=seed)
    table = compare(tmp_path, QUICK)
    rows = {row.label: row for row in table.rows}
    assert (rows["camp"].scope, rows["camp"].estimates["rsum"].sd) == ("checkpoints", None)
    assert rows["vsepp"].scope == "method"
    assert table.pairs[0].scope == "checkpoints"
    assert any("camp: some of its runs are the same weights or the same digits" in note for note in table.notes)
    with pytest.raises(ConfigError, match="one seed counted twice; leave them out"):
        compare(tmp_path, dataclasses.replace(QUICK, scope="method"))


def test_adjustment_is_the_one_asked_for(tmp_path: Path) -> None:
    three_models(tmp_path)
    table = compare(tmp_path, dataclasses.replace(QUICK, adjust="bh"))
    tests = [test for pair in table.pairs for test in pair.tests if test.p is not None]
    assert [test.p_adjusted for test in tests] == pytest.approx(benjamini_hochberg([test.p or 0.0 for test in tests]))
    assert {line["adjust"] for line in table.to_records() if line["p"] is not None} == {"bh"}
    with pytest.raises(ConfigError, match="--adjust: got 'fdr', expected one of holm, bh"):
        compare(tmp_path, dataclasses.replace(QUICK, adjust="fdr"))


def test_sources_of_the_error_are_the_components_of_a_two_way_layout(tmp_path: Path) -> None:
    for seed in range(4):
        for model in ("camp", "vsepp"):
            write_run(tmp_path, model=model, seed=seed, level=1.5 + 0.1 * seed)
    table = compare(tmp_path, QUICK)
    runs, _ = load_runs([tmp_path])
    squares = {}
    for row in table.rows:
        values = np.array([shares(run.results)[:, -1] for run in runs if run.record.config.model == row.label])
        left = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        both = (left**2).sum() / (3 * 119) / 4 / 120
        images = values.mean(axis=0).var(ddof=1) / 120 - both
        seeds = values.mean(axis=1).var(ddof=1) / 4 - both
        squares[row.letter] = values.mean(axis=0), both, max(seeds, 0.0)
        assert row.sources == pytest.approx(tuple(np.sqrt([images, max(seeds, 0.0), both])))
    (pair,) = table.pairs
    (first, *one), (second, *other) = squares[pair.first], squares[pair.second]
    both, seeds = one[0] + other[0], one[1] + other[1]
    images = max((first - second).var(ddof=1) / 120 - both, 0.0)
    assert pair.sources == pytest.approx(tuple(np.sqrt([images, seeds, both])))


def test_one_seed_leaves_the_sources_open(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp")
    (row,) = compare(tmp_path, QUICK).rows
    assert row.sources is not None
    assert row.sources.images > 0
    assert (row.sources.seeds, row.sources.both) == (None, None)


def test_namesakes_are_told_apart(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp")
    write_run(tmp_path / "other", model="camp", ranks_seed=3, config={"precision": "bf16"})
    labels = [row.label for row in compare(tmp_path, QUICK).rows]
    assert sorted(labels) == ["camp (precision=bf16)", "camp (precision=fp32)"]


def test_too_little_data_is_said(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp", images=4, level=0.0)
    write_run(tmp_path, model="scan", images=4, level=3.0)
    table = compare(tmp_path, QUICK)
    assert table.row("a").beats == {}
    notes = " ".join(table.notes)
    assert "only 4 images" in notes
    assert "too little data for 3 tests" in notes
    write_run(tmp_path / "one", model="camp", images=1)
    write_run(tmp_path / "one", model="scan", images=1)
    table = compare(tmp_path / "one", QUICK)
    assert table.rows[0].estimates["rsum"].low is None
    assert all(test.p is None for pair in table.pairs for test in pair.tests)
    assert any("one image" in note for note in table.notes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"metrics": ("rsmu",)}, "did you mean 'rsum'"),
        ({"ks": (0,)}, "--k: got 0"),
        ({"alpha": 1.5}, "--alpha"),
        ({"alpha": float("nan")}, "--alpha"),
        ({"rope": -1.0}, "--rope"),
        ({"sort": "size"}, "--sort"),
        ({"reference": "vspp"}, "did you mean 'vsepp'"),
        ({"models": ("nobody",)}, "no row 'nobody'"),
        ({"resamples": 1}, "--resamples"),
        ({"scope": "both"}, "--scope"),
        ({"published": True}, "--published"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, changes: dict, text: str) -> None:
    three_models(tmp_path)
    with pytest.raises(ConfigError, match=text):
        compare(tmp_path, CompareOptions(**{"resamples": 500, **changes}))


def test_frame_has_a_line_a_figure(tmp_path: Path) -> None:
    three_models(tmp_path)
    table = compare(tmp_path, QUICK)
    frame = table.to_frame()
    assert len(frame) == 3 * 9 + 3 * 3
    of = frame[(frame.kind == "difference") & (frame.metric == "rsum")]
    assert of.p.tolist() == [pair.tests[0].p for pair in table.pairs]
    assert set(frame.scope) == {"checkpoints"}


def test_names_are_looked_for_in_all_groups(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp")
    write_run(tmp_path, model="vsepp")
    write_run(tmp_path, model="scan:t2i-lse", evaluation={"task_fingerprint": "other"})
    options = CompareOptions(resamples=100, reference="vsepp")
    one, two = compare_groups([tmp_path], options)[0]
    assert len(one.pairs) == 1
    assert two.pairs == ()
    assert "no row vsepp among these, so nothing is compared" in two.notes
    (only,), _ = compare_groups([tmp_path], CompareOptions(resamples=100, models=("scan",)))
    assert [row.label for row in only.rows] == ["scan:t2i-lse"]


def test_metrics_that_are_asked_for_are_shown_whatever_k(tmp_path: Path) -> None:
    three_models(tmp_path)
    table = compare(tmp_path, CompareOptions(resamples=100, ks=(20,), metrics=("t2i.R@20", "i2t.R@1")))
    assert table.metrics == ("i2t.R@1", "t2i.R@20")
    assert table.tested == ("t2i.R@20", "i2t.R@1")


def test_a_cascade_is_a_row_of_its_own(tmp_path: Path) -> None:
    facts = CascadeFacts(
        rerank=20,
        proposer="run",
        proposer_model="vsepp",
        proposer_weights_sha256="0",
        pairs_scored=1,
        pairs=2,
        seconds=1.0,
        full_metrics={},
        full_seconds=1.0,
    )
    write_run(tmp_path, model="scan", ranks_seed=1)
    write_run(tmp_path, model="scan", ranks_seed=2, run_id="again", evaluation={"cascade": facts})
    table = compare(tmp_path, QUICK)
    assert sorted(row.label for row in table.rows) == ["scan (scored=20 a query by vsepp)", "scan (scored=all in fp32)"]
    assert any("vsepp proposes 20 candidates a query" in note for note in table.notes)


def test_what_is_not_known_is_said_to_be(tmp_path: Path) -> None:
    for model, features, seen in (("camp", "one", 10), ("vsepp", "two", 10), ("clip", None, None)):
        evaluation = {"features_fingerprint": features}
        write_run(tmp_path, model=model, evaluation=evaluation, training={"pairs_seen": seen})
    table = compare(tmp_path, QUICK)
    shown = {row.label: row.features for row in table.rows}
    assert shown["clip"] == "?"
    assert sorted(shown.values()) == ["?", "A", "B"]
    assert any("clip unknown" in note for note in table.notes)


def test_weights_evaluated_again_are_no_second_seed_even_where_a_rank_moved(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / "a", seed=seed)
        write_run(tmp_path / "b", seed=seed, ranks_seed=seed + 50)  # as another device's last bits would
    (row,) = compare([tmp_path / "a", tmp_path / "b"], QUICK).rows
    assert row.seeds == (0, 1)


def test_other_weights_of_the_same_seed_are_no_further_seed(tmp_path: Path) -> None:
    for name in "abc":
        folder = write_run(tmp_path / name, ranks_seed=ord(name))
        record = read_back(folder)
        write_record(folder, msgspec.structs.replace(record, weights_sha256=name))
    table = compare([tmp_path / name for name in "abc"], QUICK)
    assert [row.seeds for row in table.rows] == [(0,)] * 3
    assert len({row.label for row in table.rows}) == 3


def test_a_transductive_run_shares_no_row_with_a_plain_one(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0)
    write_run(tmp_path, seed=1, evaluation={"transductive": True})
    assert [row.transductive for row in compare(tmp_path, QUICK).rows] == [False, True]


def test_a_row_in_half_precision_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, seed=0)
    write_run(tmp_path, seed=1, evaluation={"precision": "bf16"})
    table = compare(tmp_path, QUICK)
    assert [row.label for row in table.rows] == ["vsepp (scored=all in fp32)", "vsepp (scored=bf16)"]
    assert any("vsepp (scored=bf16) is scored in bf16" in note for note in table.notes)


def test_nearly_equal_images_are_drawn_as_one(tmp_path: Path) -> None:
    groups = np.arange(120).astype(np.int32)
    groups[:60] = groups[:60] // 4 * 4  # 15 groups of four, alike in how hard they are
    for name, arrays in (("alone", None), ("grouped", {"similar_images": groups})):
        for model in ("camp", "vsepp"):
            write_run(tmp_path / name, model=model, level=1.2 + 0.2 * (model == "camp"), album=4, arrays=arrays)
    alone, grouped = (compare(tmp_path / name, QUICK) for name in ("alone", "grouped"))
    for one, other in zip(alone.rows, grouped.rows, strict=True):
        a, b = one.estimates["rsum"], other.estimates["rsum"]
        assert a.value == b.value
        assert (b.high or 0) - (b.low or 0) > 1.2 * ((a.high or 0) - (a.low or 0))
    assert "60 of the 120 images are nearly the same as others" in " ".join(grouped.notes)
    assert "nearly the same" not in " ".join(alone.notes)
    old = write_run(tmp_path / "grouped", model="scan", album=4)  # a record that doesn't say takes the others' groups
    assert read_back(old).run_id in [run for row in compare(tmp_path / "grouped", QUICK).rows for run in row.run_ids]


def test_hubs_are_warned_of(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp", evaluation={"hubness": {"i2t": 1.0, "t2i": 9.5}})
    write_run(tmp_path, model="vsepp", evaluation={"hubness": {"i2t": 1.0, "t2i": 1.5}})
    (note,) = [note for note in compare(tmp_path, QUICK).notes if note.startswith("hubs")]
    assert "camp (9.5)" in note
    assert "vsepp" not in note


def test_recalls_that_hang_on_ties_are_told_with_both_ends(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp", tied=2)
    write_run(tmp_path, model="vsepp")
    run = next(run for run in load_runs([tmp_path])[0] if run.record.config.model == "camp")
    with np.load(run.folder / "queries_test.npz") as arrays:
        b = arrays["i2t_b"]
    low, high = run.tied["i2t.R@5"]
    assert (low, high) == pytest.approx((100 * np.mean(b + 2 < 5), 100 * np.mean(b < 5)))
    assert low < run.evaluation.metrics["i2t.R@5"] < high
    (note,) = [note for note in compare(tmp_path, QUICK).notes if "ties count by expectation" in note]
    assert note.startswith("camp-s0: ")
    assert f"i2t.R@5 {low:.1f} to {high:.1f}" in note
