"""Region features of the toy dataset: what a detector might give for a scene, without any pixels.

A thing's vector is its kind's vector, partly multiplied by its attributes' gains and partly added to their
vectors, then cut off just above zero: attributes can be read off, but not all of them by a linear map. Several noisy
regions show each thing, some partly covered by another; one or more show each related pair and the place;
the rest is clutter that no caption names.

Only +, -, * and comparisons touch the numbers, elementwise and in a fixed order. IEEE 754 fixes these to the
bit, while exp, tanh or a matrix product may differ in the last bit from one machine or library to the next.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from camp_bench.data.toy.scenes import (
    COLOURS,
    KINDS,
    MAX_RELATIONS,
    MAX_THINGS,
    PLACES,
    RELATIONS,
    SIZES,
    STATES,
    Scene,
    Thing,
)

__all__ = ["MIN_REGIONS", "RegionMaker"]

MIN_REGIONS = MAX_THINGS + MAX_RELATIONS + 1
"""One region for each thing, relation and the place: with fewer a caption might be true and nothing show it."""

# Strengths next to a kind's vector, whose entries have variance 1. They are set so that a linear map from the
# mean region to words does far better than chance and leaves much to models that look at single regions.
_GAIN, _ATTRIBUTE = 0.5, 0.4
_LOOKS = 1.0
_NOISE = 1.0
_CLUTTER = 1.5
_CLUTTER_CLASSES = 12
_FLOOR = 0.01  # not 0: a short feature could be all zeros, which has no direction and turns cosines into NaN

_Vector = npt.NDArray[np.float32]


class RegionMaker:
    """Turns scenes into region features with one set of concept vectors, shared by all splits of a dataset.

    feature_size: the length of a feature. seed: fixes the concept vectors; noise comes with each call.
    """

    def __init__(self, feature_size: int, seed: np.random.SeedSequence) -> None:
        rng = np.random.Generator(np.random.PCG64(seed))
        self.feature_size = feature_size
        attributes = COLOURS + SIZES + STATES
        self._kind = {name: _bell(rng, feature_size) for name in KINDS}
        self._attribute = {name: _bell(rng, feature_size) for name in attributes}
        self._gain = {name: _bell(rng, feature_size) for name in attributes}
        self._relation = {name: _bell(rng, feature_size) for name in RELATIONS}
        self._place = {name: _bell(rng, feature_size) for name in PLACES}
        self._clutter = _bell(rng, _CLUTTER_CLASSES, feature_size)
        # The subject of a pair is multiplied by this, so that "a dog behind a car" isn't "a car behind a dog".
        self._subject = _bell(rng, feature_size)

    def regions(self, scene: Scene, n: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """Return the features of a scene in no particular order, (n, feature_size) float32, n >= MIN_REGIONS."""
        # No two dogs look the same: what sets a thing apart shows in all its regions, so no pooling averages it away.
        looks = np.float32(_LOOKS) * _bell(rng, MAX_THINGS, self.feature_size)
        things = [self._thing(thing) + look for thing, look in zip(scene.things, looks, strict=False)]
        pairs = [self._pair(things[a], name, things[b]) for a, name, b in scene.relations]
        shown = np.stack([*things, *pairs, self._place[scene.place]])
        clutter = np.float32(_CLUTTER) * (self._clutter + _bell(rng, *self._clutter.shape))
        concepts = np.concatenate([shown, clutter])

        # Every concept shown gets one region for itself; beyond that, half of the regions show a thing again, some of
        # them partly covered, and the others anything, mostly clutter.
        chance = rng.random((5, n))
        anything = _below(len(concepts), chance[0])
        which = np.where(chance[1] < 0.5, _below(len(things), chance[0]), anything)
        which[: len(shown)] = np.arange(len(shown))
        cover = np.where(chance[2] < 0.4, np.float32(0.4), np.float32(0))
        cover[: len(shown)] = 0
        beside = concepts[_below(len(concepts), chance[3])]
        seen = concepts[which] * (1 - cover)[:, None] + beside * cover[:, None]
        features = np.maximum(seen + np.float32(_NOISE) * _bell(rng, n, self.feature_size), np.float32(_FLOOR))
        return np.asarray(features[np.argsort(chance[4], kind="stable")])

    def _thing(self, thing: Thing) -> _Vector:
        vector = self._kind[thing.kind]
        for name in (thing.colour, thing.size, thing.state):
            if name is not None:
                vector = vector + np.float32(_GAIN) * self._kind[thing.kind] * self._gain[name]
                vector = vector + np.float32(_ATTRIBUTE) * self._attribute[name]
        return vector

    def _pair(self, subject: _Vector, relation: str, other: _Vector) -> _Vector:
        if relation != "next to":  # where neither of the two is the subject
            subject = subject * self._subject
        return np.float32(0.5) * (subject + other) + self._relation[relation]


def _below(n: int, chance: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return (chance * n).astype(np.int64)


def _bell(rng: np.random.Generator, *shape: int) -> _Vector:
    """Return bell-shaped noise of mean 0 and variance 1: the sum of three uniforms, exact on every machine."""
    total = rng.random(shape, dtype=np.float32)
    total += rng.random(shape, dtype=np.float32)
    total += rng.random(shape, dtype=np.float32)
    return np.float32(2) * (total - np.float32(1.5))
