"""What images contribute: means are the metrics, errors those of the mean and of the ratio."""

from __future__ import annotations

import numpy as np
import pytest
from per_image_examples import made_run

from camp_bench.comparison.stats import clustered_error, fold_mean, influences, metric_names, per_image, shares
from camp_bench.errors import DataError
from camp_bench.ranking.metrics import retrieval_metrics


def counts(*b: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.array(b), np.zeros(len(b), dtype=int), np.ones(len(b), dtype=int)


@pytest.mark.parametrize("uneven", [False, True])
def test_means_are_the_metrics(uneven: bool) -> None:
    rng = np.random.default_rng(0)
    own = rng.integers(1, 9, size=30) if uneven else np.full(30, 5)
    image_of = rng.permutation(np.repeat(np.arange(30), own))
    ways = [
        (rng.integers(0, 20, size=n), rng.integers(0, 3, size=n), rng.integers(1, 3, size=n))
        for n in (30, len(image_of))
    ]
    run = per_image(*ways, image_of, ks=(1, 3, 10))
    expected = retrieval_metrics(*ways, ks=run.ks)
    assert run.ks == (1, 3, 5, 10)
    names = metric_names(run.ks)
    for values in (shares(run), influences(run)):
        found = dict(zip(names, fold_mean(values, run.fold_of), strict=True))
        assert {name: found[name] for name in names[:-1]} == pytest.approx({n: expected[n] for n in names[:-1]})
        assert found["rsum"] == pytest.approx(
            sum(expected[f"{way}.R@{k}"] for way in ("i2t", "t2i") for k in (1, 5, 10))
        )


def test_metrics_of_folds_are_averaged() -> None:
    i2t, t2i = counts(0, 9, 9), counts(0, 0, 9, 9)
    run = per_image(i2t, t2i, np.array([0, 1, 1, 2]), folds=[np.array([0]), np.array([1, 2])])
    found = dict(zip(metric_names(run.ks), fold_mean(shares(run), run.fold_of), strict=True))
    assert found["i2t.R@1"] == pytest.approx((100 + 0) / 2)
    assert found["t2i.R@1"] == pytest.approx((100 + 100 / 3) / 2)


def test_error_of_a_share_is_the_textbooks() -> None:
    run = per_image(counts(0, 0, 0, 50), counts(*[50] * 4), np.arange(4))
    error = clustered_error(influences(run), run.fold_of)
    assert error[0] == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 3))  # p (1 - p) / (n - 1)
    assert error[metric_names(run.ks).index("t2i.R@1")] == 0.0


def test_captions_of_an_image_are_not_independent() -> None:
    """Ten captions that all share their image's fate are worth no more than one."""
    fate = [0, 50] * 10
    one = per_image(counts(*fate), counts(*fate), np.arange(20))
    ten = per_image(counts(*fate), counts(*np.repeat(fate, 10)), np.repeat(np.arange(20), 10))
    at = metric_names(one.ks).index("t2i.R@1")
    assert clustered_error(influences(ten), ten.fold_of)[at] == pytest.approx(
        clustered_error(influences(one), one.fold_of)[at]
    )


def test_error_of_a_ratio_agrees_with_drawing_many_test_sets() -> None:
    rng = np.random.default_rng(1)
    found, errors = [], []
    for _ in range(400):
        run = made_run(rng, images=150, uneven=True)
        found.append(fold_mean(shares(run), run.fold_of))
        errors.append(clustered_error(influences(run), run.fold_of))
    assert np.mean(errors, axis=0) == pytest.approx(np.std(found, axis=0, ddof=1), rel=0.12)


def test_error_of_folds_is_that_of_a_mean_of_independent_parts() -> None:
    rng = np.random.default_rng(2)
    values, fold_of = rng.normal(size=(60, 2)), np.repeat([0, 1, 2], 20)
    each = [clustered_error(values[fold_of == fold], np.zeros(20, dtype=np.int64)) for fold in range(3)]
    assert clustered_error(values, fold_of) == pytest.approx(np.sqrt(np.sum(np.square(each), axis=0)) / 3)


@pytest.mark.parametrize(
    ("image_of", "folds", "text"),
    [
        ([0, 1, 2], None, "one a query"),
        ([0, 2], None, "image_of"),
        ([0, 1], [np.array([0])], "folds"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    image_of: list[int], folds: list[np.ndarray] | None, text: str
) -> None:
    i2t, t2i = counts(0, 1), counts(0, 1)
    if len(image_of) == 3:
        i2t = (i2t[0], i2t[1][:1], i2t[2])
    with pytest.raises(DataError, match=text):
        per_image(i2t, t2i, np.array(image_of), folds=folds)
