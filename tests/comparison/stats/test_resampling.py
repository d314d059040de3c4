"""Resampling by image: against a plain loop, against formulas, and the same digits on any number of threads."""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
from per_image_examples import made_run, run_on

from camp_bench.comparison.stats import (
    PerImage,
    bootstrap,
    clustered_error,
    fold_mean,
    influences,
    shares,
    sign_flip_p,
    with_shared_groups,
)
from camp_bench.comparison.stats import resampling as module
from camp_bench.errors import DataError


def plain_bootstrap(run: PerImage, resamples: int, rng: np.random.Generator) -> dict[str, list[float]]:
    """Return the same as `bootstrap` for one run of one fold, query by query."""
    found: dict[str, list[float]] = {"i2t.R@5": [], "t2i.R@1": [], "i2t.MedR": [], "t2i.MedR": []}
    for images in rng.integers(0, run.n_images, size=(resamples, run.n_images)):
        ranks = np.concatenate([run.t2i_ranks[run.image_of == image] for image in images])
        found["i2t.R@5"].append(100 * np.mean([run.i2t_hits[image, run.ks.index(5)] for image in images]))
        found["t2i.R@1"].append(100 * sum(run.t2i_hits[image, 0] for image in images) / len(ranks))
        found["i2t.MedR"].append(np.floor(np.median(run.i2t_ranks[images])))
        found["t2i.MedR"].append(np.floor(np.median(ranks)))
    return found


@pytest.mark.parametrize("uneven", [False, True])
@pytest.mark.parametrize("tied", [0, 3])
def test_bootstrap_is_the_plain_loop(uneven: bool, tied: int) -> None:
    run = made_run(np.random.default_rng(3), images=60, uneven=uneven, tied=tied)
    fast = bootstrap([run], rng=np.random.default_rng(4), resamples=50)
    for name, values in plain_bootstrap(run, 50, np.random.default_rng(4)).items():
        assert fast[name][0] == pytest.approx(np.array(values), abs=1e-6), name


def test_groups_are_drawn_flipped_and_counted_as_one() -> None:
    rng = np.random.default_rng(3)
    run = dataclasses.replace(made_run(rng, images=40, uneven=True), group_of=np.arange(40) // 4 * 4)
    fast = bootstrap([run], rng=np.random.default_rng(4), resamples=30)
    images = [np.flatnonzero(run.group_of == group) for group in range(0, 40, 4)]
    for number, groups in enumerate(np.random.default_rng(4).integers(0, 10, size=(30, 10))):
        drawn = np.concatenate([images[group] for group in groups])
        ranks = np.concatenate([run.t2i_ranks[run.image_of == image] for image in drawn])
        assert fast["i2t.R@5"][0, number] == pytest.approx(100 * run.i2t_hits[drawn, run.ks.index(5)].mean())
        assert fast["t2i.R@1"][0, number] == pytest.approx(100 * run.t2i_hits[drawn, 0].sum() / len(ranks))
        assert fast["t2i.MedR"][0, number] == np.floor(np.median(ranks))
    values, fold_of = influences(run), run.fold_of
    centred = values - values.mean(axis=0)
    sums = np.array([centred[own].sum(axis=0) for own in images])
    error = clustered_error(values, fold_of, run.group_of)
    assert error == pytest.approx(np.sqrt((sums**2).sum(axis=0) * 10 / 9) / 40)
    assert clustered_error(values, fold_of, np.arange(40)) == pytest.approx(clustered_error(values, fold_of))
    means = np.array([values[own].sum(axis=0) for own in images])
    p = sign_flip_p(values - 50, fold_of, run.group_of, rng=np.random.default_rng(0))
    signs = np.array(list(itertools.product((-1, 1), repeat=10)))
    exact = np.abs(signs @ (means - 200)) >= np.abs((means - 200).sum(axis=0)) - 1e-9
    assert p == pytest.approx(exact.mean(axis=0), abs=0.03)


def test_groups_are_shared_by_all_runs_of_a_table() -> None:
    rng = np.random.default_rng(3)
    runs = [run_on(np.arange(6), rng) for _ in range(3)]
    one, other, old = runs
    one = dataclasses.replace(one, group_of=np.array([0, 0, 2, 3, 4, 5]))
    other = dataclasses.replace(other, group_of=np.array([0, 1, 1, 3, 4, 4]))
    for run in with_shared_groups([one, other, old]):
        assert run.group_of is not None
        assert run.group_of.tolist() == [0, 0, 0, 1, 2, 2]
    assert with_shared_groups([old]) == [old]


def test_medians_beyond_the_window_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made_run(np.random.default_rng(5), images=80, captions=3)
    whole = bootstrap([run], rng=np.random.default_rng(6), resamples=200)
    monkeypatch.setattr(module, "MEDIAN_ERRORS", 0.0)
    narrow = bootstrap([run], rng=np.random.default_rng(6), resamples=200)
    assert len(np.unique(whole["t2i.MedR"])) > 3
    for way in ("i2t.MedR", "t2i.MedR"):
        np.testing.assert_array_equal(narrow[way], whole[way])


def test_bootstrap_spread_agrees_with_the_formula() -> None:
    run = made_run(np.random.default_rng(7), images=300, uneven=True, folds=3)
    draws = bootstrap([run], rng=np.random.default_rng(8), resamples=4000, medians=False)
    spread = [draws[name][0].std() for name in draws]
    assert spread == pytest.approx(clustered_error(influences(run), run.fold_of), rel=0.06)
    assert [draws[name][0].mean() for name in draws] == pytest.approx(fold_mean(shares(run), run.fold_of), rel=0.02)


def test_runs_share_their_resamples_and_rsum_is_their_sum() -> None:
    rng = np.random.default_rng(9)
    run = made_run(rng)
    draws = bootstrap([run, run, run_on(run.image_of, rng)], rng=rng, resamples=100)
    for values in draws.values():
        np.testing.assert_array_equal(values[0], values[1])
    assert not np.array_equal(draws["rsum"][0], draws["rsum"][2])
    np.testing.assert_allclose(sum(draws[name] for name in draws if ".R@" in name), draws["rsum"])


def test_folds_are_resampled_within() -> None:
    """Whole folds that differ in difficulty add nothing to the spread."""
    image_of = np.arange(20)
    b = np.repeat([0, 99], 10)
    zeros, ones = np.zeros(20, dtype=int), np.ones(20, dtype=int)
    from camp_bench.comparison.stats import per_image

    run = per_image((b, zeros, ones), (b, zeros, ones), image_of, folds=[np.arange(10), np.arange(10, 20)])
    draws = bootstrap([run], rng=np.random.default_rng(0), resamples=50)
    assert set(draws["i2t.R@1"][0]) == {50.0}
    assert set(draws["t2i.MedR"][0]) == {(1 + 100) / 2}


def test_runs_on_other_captions_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="can't share a resample"):
        bootstrap([made_run(rng), made_run(rng, captions=4)], rng=rng)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made_run(np.random.default_rng(1), folds=3)
    difference = shares(run) - shares(run_on(run.image_of, np.random.default_rng(2), folds=3))
    one = sign_flip_p(difference, run.fold_of, rng=np.random.default_rng(0), permutations=300)
    monkeypatch.setattr(module, "CHUNK_CELLS", 1 << 30)
    two = sign_flip_p(difference, run.fold_of, rng=np.random.default_rng(0), permutations=300)
    assert one == pytest.approx(two)


def test_sign_flips_of_few_images_are_the_exact_test() -> None:
    """Of four images that all favour one side by 1, only the two patterns of equal signs are as extreme: 2 of 16."""
    difference = np.ones((4, 1))
    (p,) = sign_flip_p(difference, np.zeros(4, dtype=np.int64), rng=np.random.default_rng(0), permutations=40_000)
    assert p == pytest.approx(2 / 16, abs=0.006)


def test_sign_flip_agrees_with_scipy() -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(3)
    difference = rng.normal(0.25, 1.0, size=(60, 1))
    theirs = permutation_test(
        (difference[:, 0], np.zeros(60)),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        rng=rng,
        vectorized=True,
    ).pvalue
    (ours,) = sign_flip_p(difference, np.zeros(60, dtype=np.int64), rng=rng, permutations=20_000)
    assert ours == pytest.approx(theirs, abs=0.01)


def test_no_difference_has_p_one_and_no_p_is_zero() -> None:
    fold_of = np.zeros(50, dtype=np.int64)
    columns = np.stack([np.zeros(50), np.ones(50)], axis=1)
    none, clear = sign_flip_p(columns, fold_of, rng=np.random.default_rng(0), permutations=999)
    assert none == 1.0
    assert clear == pytest.approx(1 / 1000)


DIGITS = """
import hashlib, sys
sys.path.insert(0, "tests")
import numpy as np
from per_image_examples import made_run, run_on
from camp_bench.comparison.stats import bootstrap, shares, sign_flip_p
run = made_run(np.random.default_rng(0), images=400, tied=3)
other = run_on(run.image_of, np.random.default_rng(1), tied=3)
digest = hashlib.sha256()
for values in bootstrap([run, other], rng=np.random.default_rng(2), resamples=1000).values():
    digest.update(values.tobytes())
digest.update(sign_flip_p(shares(run) - shares(other), run.fold_of, rng=np.random.default_rng(3)).tobytes())
print(digest.hexdigest())
"""


def test_same_seed_gives_the_same_digits_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from pathlib import Path

    found = set()
    for threads in ("1", "2", "3"):
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            monkeypatch.setenv(name, threads)
        done = subprocess.run(
            [sys.executable, "-c", DIGITS],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
