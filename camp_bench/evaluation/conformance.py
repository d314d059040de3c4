"""What a model has to keep to so that its figures mean what everybody's do: a suite of checks on small toy data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from camp_bench.config import resolve_settings
from camp_bench.data import open_dataset
from camp_bench.data.batches import training_batches
from camp_bench.data.corpus import Corpus, TokenizedSplit
from camp_bench.data.fingerprints import CAPTIONS_AN_IMAGE
from camp_bench.evaluation.transductive import depends_on_gallery, gallery_scores
from camp_bench.models.base import PairModel, Shape, Variant
from camp_bench.models.losses import same_image
from camp_bench.models.registry import build_model

__all__ = ["Check", "check_model"]

DATA = "toy:train=40,dev=4,test=8,regions=8,feature_size=16"
SIZES = {"dim": 16, "word_dim": 8, "min_count": 1}
"""The quick preset at these sizes is what is checked."""
STEPS, RATE = 30, 3e-3
ALONE = 24
"""Pairs of a large tile that are scored alone."""
NEAR = 1e-4
"""Of the largest score: as near as two float32 sums of the same numbers are."""
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. found: what was seen, said for whoever has to mend it; empty where it held."""

    name: str
    found: str

    @property
    def passed(self) -> bool:
        return not self.found


class _Subject:
    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        corpus = Corpus(open_dataset(DATA), ("train", "test"))
        vocabulary = corpus.vocabulary("train", 1)
        self.settings = resolve_settings(variant.settings["quick"], SIZES)
        self.train = corpus.encoded("train", vocabulary, self.settings.max_words)
        self.test = corpus.encoded("test", vocabulary, self.settings.max_words)
        self.shape = Shape(vocabulary_size=len(vocabulary), feature_size=self.test.split.feature_size)
        self.model: PairModel

    def fresh(self) -> PairModel:
        return build_model(self.variant, self.settings, self.variant.options, self.shape, 0).eval()

    def scores(self, images: range, captions: range, model: PairModel | None = None) -> Tensor:
        return gallery_scores(model or self.model, self.test, images, captions, CPU)


IMAGES, CAPTIONS = range(8), range(20)


def check_model(variant: Variant) -> Iterator[Check]:
    """Check a model and yield what was found, check by check; one that raises is a check that failed.

    Looked at: shapes, numbers, the same scores twice, scores that depend neither on the rest of a batch, nor on
    padding, tiles or the gallery, a plain form that agrees, gradients that reach every weight, and a loss that training
    lowers.
    """
    subject = _Subject(variant)
    try:
        subject.model = subject.fresh()
    except Exception as error:  # noqa: BLE001 (the model is another's: whatever it raises is the finding)
        yield Check("it can be built", _said(error))
        return
    yield Check("it can be built", "")
    for name, look in CHECKS.items():
        try:
            yield Check(name, look(subject))
        except Exception as error:  # noqa: BLE001 (as above)
            yield Check(name, _said(error))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _shapes(subject: _Subject) -> str:
    scores = subject.scores(IMAGES, CAPTIONS)
    if scores.shape != (len(IMAGES), len(CAPTIONS)):
        return f"score_tile gave shape {tuple(scores.shape)} for 8 images and 20 captions; expected (8, 20)"
    broken = int((~scores.isfinite()).sum())
    return f"{broken} of {scores.numel()} scores are NaN or infinite" if broken else ""


def _repeatable(subject: _Subject) -> str:
    first, again = subject.scores(IMAGES, CAPTIONS), subject.scores(IMAGES, CAPTIONS, subject.fresh())
    return "" if torch.equal(first, again) else "two models of one seed score differently: random numbers of its own?"


def _batch(subject: _Subject) -> str:
    alone = torch.cat([subject.scores(range(i, i + 1), CAPTIONS) for i in IMAGES])
    return _difference(subject.scores(IMAGES, CAPTIONS), alone, "images encoded alone score differently")


def _padding(subject: _Subject) -> str:
    alone = torch.cat([subject.scores(IMAGES, range(c, c + 1)) for c in CAPTIONS], 1)
    return _difference(subject.scores(IMAGES, CAPTIONS), alone, "captions without padding score differently")


def _tiles(subject: _Subject) -> str:
    rows = [
        torch.cat([subject.scores(range(i, i + 4), range(c, c + 5)) for c in CAPTIONS[::5]], 1) for i in IMAGES[::4]
    ]
    return _difference(subject.scores(IMAGES, CAPTIONS), torch.cat(rows), "tiles of 4 x 5 score differently from one")


@torch.no_grad()
def _large_tiles(subject: _Subject) -> str:
    """Score one tile with more images and captions than a run's, and some of its pairs alone with a fresh model."""
    settings = subject.settings
    images, captions = settings.tile_images + 1, settings.tile_captions + 1
    whole = _gallery_of(subject, images, captions)
    model, fresh, rng = subject.fresh(), subject.fresh(), np.random.default_rng(0)
    scores = gallery_scores(model, whole, range(images), range(captions), CPU)
    places = [(int(whole.split.image_of[c]), c) for c in rng.integers(0, captions, ALONE // 2).tolist()]
    places += [(int(rng.integers(images)), c) for c in rng.integers(0, captions, ALONE // 2).tolist()]
    alone = torch.stack([gallery_scores(fresh, whole, [i], [c], CPU)[0, 0] for i, c in places])
    tiled = torch.stack([scores[i, c] for i, c in places])
    if model.transductive:
        return ""
    return _difference(alone, tiled, f"pairs scored alone differ from those in a tile of {images} x {captions}")


def _gallery_of(subject: _Subject, images: int, captions: int) -> TokenizedSplit:
    """Return a toy split of so many images and at least so many captions, in the model's words."""
    count = max(images, -(-captions // CAPTIONS_AN_IMAGE))
    corpus = Corpus(open_dataset(DATA.replace("test=8", f"test={count}"), ("train", "test")), ("train", "test"))
    return corpus.encoded("test", corpus.vocabulary("train", 1), subject.settings.max_words)


def _gallery(subject: _Subject) -> str:
    depends = depends_on_gallery(subject.model, subject.test, CPU)
    if depends and not subject.model.transductive:
        return "scores change with the gallery, so other test queries are used; say so with `transductive = True`"
    return ""


@torch.no_grad()
def _plain(subject: _Subject) -> str:
    batch = next(training_batches(subject.train.split, subject.train.token_ids, 12, np.random.default_rng(0), CPU))
    model = subject.model
    images, captions = model.encode_images(batch.features), model.encode_captions(batch.tokens, batch.lengths)
    plain = model.score_plain(images, captions, batch.lengths)
    fast = model.score_tile(model.prepare_images(images), model.prepare_captions(captions, batch.lengths))
    return _difference(plain, fast, "score_plain and score_tile differ")


def _gradients(subject: _Subject) -> str:
    model = subject.fresh().train()
    _loss(model, subject.train, 0).backward()  # type: ignore[no-untyped-call]
    for name, weight in model.named_parameters():
        if weight.requires_grad and (weight.grad is None or not bool((weight.grad != 0).any())):
            return f"no gradient reaches {name}"
        if weight.grad is not None and not bool(weight.grad.isfinite().all()):
            return f"the gradient of {name} is NaN or infinite"
    return ""


def _learning(subject: _Subject) -> str:
    model = subject.fresh().train()
    optimizer = torch.optim.Adam([weight for weight in model.parameters() if weight.requires_grad], lr=RATE)
    losses = []
    for _ in range(STEPS):
        loss = _loss(model, subject.train, 0)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return (
        ""
        if losses[-1] < losses[0]
        else f"{STEPS} steps on one batch took the loss from {losses[0]:.4g} to {losses[-1]:.4g}"
    )


def _loss(model: PairModel, train: TokenizedSplit, seed: int) -> Tensor:
    """Return the loss on all negatives of one batch, the same for the same seed."""
    batch = next(training_batches(train.split, train.token_ids, 12, np.random.default_rng(seed), CPU))
    return model.loss(model(batch.features, batch.tokens, batch.lengths), same_image(batch.images), hardest=False)


def _difference(first: Tensor, second: Tensor, what: str) -> str:
    most, scale = float((first - second).abs().max()), float(first.abs().max())
    return "" if most <= NEAR * max(scale, 1e-6) else f"{what}, by up to {most:.3g} (largest score {scale:.3g})"


CHECKS: dict[str, Callable[[_Subject], str]] = {
    "scores are numbers, one a pair": _shapes,
    "the same seed gives the same scores": _repeatable,
    "an image's scores don't depend on its batch": _batch,
    "a caption's scores don't depend on padding or its batch": _padding,
    "scores don't depend on tiles": _tiles,
    "scores don't depend on tiles larger than a run's": _large_tiles,
    "scores don't depend on the gallery": _gallery,
    "the plain form agrees": _plain,
    "gradients reach every weight": _gradients,
    "training lowers the loss": _learning,
}
