"""The embedded dataset `toy`: generated scenes, region features and captions, any size, no download.

What is generated, for each of the splits train, dev and test:
    scenes      2 to 5 things with colour, size and state, 1 or 2 relations and a place; about one in five is
                an earlier scene with one thing changed, so that a caption may hang on a single word
    features    (images, regions, feature_size) float32, see `toy_regions`
    captions    five an image, each telling a part of its scene, see `toy_captions`
    also_true   every other image that a caption is true of, see `toy_truth`

A caption that tells a part may be true of several images and only one counts as its own, so no model gets
all recalls to 100 %: that bound belongs to the data, as it does in real ones.

Same options, same bytes, on any machine. Splits draw from seeds of their own, so the size of one doesn't
change another, and a smaller split is the start of a larger one.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import numpy as np

from camp_bench.data.dataset import Dataset, Split
from camp_bench.data.toy.captions import Caption, write_captions
from camp_bench.data.toy.regions import MIN_REGIONS, RegionMaker
from camp_bench.data.toy.scenes import Draws, Scene, draw_scene, retouch
from camp_bench.data.toy.truth import find_true_pairs
from camp_bench.errors import ConfigError, nearest

__all__ = ["CAPTIONS_PER_IMAGE", "ToyOptions", "draw_pictures", "make_toy", "parse_toy"]

CAPTIONS_PER_IMAGE = 5

_SPLITS = ("train", "dev", "test")
_RETOUCHED = 0.2
_LEAST = {"train": 1, "dev": 1, "test": 1, "regions": MIN_REGIONS, "feature_size": 8, "seed": 0}
_MOST = {"train": 10**6, "dev": 10**6, "test": 10**6, "regions": 1000, "feature_size": 2**16, "seed": 10**18 - 1}
_KEYS = ", ".join(_LEAST)


@dataclass(frozen=True, slots=True)
class ToyOptions:
    """Images in each split, shape of the features, and seed; ConfigError for a value out of range."""

    train: int = 500
    dev: int = 200
    test: int = 500
    regions: int = 36
    feature_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"toy: {name}={value}, expected a whole number of {least} or more; raise it")
            if value > _MOST[name]:
                raise ConfigError(f"toy: {name}={value}, expected {_MOST[name]:,} at most; lower it")


def parse_toy(source: str) -> ToyOptions:
    """Read "toy" or "toy:train=200,seed=3".

    ConfigError for another name, an unknown or repeated key, or a value that is no number or out of range.
    """
    name, colon, listed = source.partition(":")
    if name != "toy" or (colon and not listed):
        raise ConfigError(f"data '{source}': expected 'toy' or 'toy:key=value,...' with keys {_KEYS}")
    values: dict[str, int] = {}
    for part in listed.split(",") if listed else ():
        key, _, text = (piece.strip() for piece in part.partition("="))
        if key not in _LEAST:
            raise ConfigError(f"data '{source}': no option '{key}'{nearest(key, _LEAST)}; expected some of {_KEYS}")
        if key in values:
            raise ConfigError(f"data '{source}': '{key}' is given twice; keep one of the two")
        # int() alone would also take "1_000" and digits of other scripts, and raise its own error for very long ones.
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ConfigError(
                f"data '{source}': {key}='{text}', expected a whole number from {_LEAST[key]} to {_MOST[key]:,}; "
                f"write it as in {key}={_LEAST[key]}"
            )
        values[key] = int(text)
    return ToyOptions(**values)


def make_toy(options: ToyOptions, source: str = "toy") -> Dataset:
    """Return the dataset "toy" with splits train, dev and test."""
    world = np.random.SeedSequence(options.seed, spawn_key=(len(_SPLITS),))
    maker = RegionMaker(options.feature_size, world)
    splits = {name: _make_split(name, options, maker) for name in _SPLITS}
    facts = {key: str(value) for key, value in asdict(options).items()}
    return Dataset(name="toy", source=source, splits=splits, facts=facts)


def draw_pictures(options: ToyOptions, split: str) -> list[tuple[Scene, list[Caption]]]:
    """Return what lies behind a split: for each image its scene and its captions with what they claim."""
    draws = Draws(_seed(options, split, 0))
    pictures: list[tuple[Scene, list[Caption]]] = []
    for _ in range(getattr(options, split)):
        again = bool(pictures) and draws.chance(_RETOUCHED)
        scene = retouch(draws.pick(pictures)[0], draws) if again else draw_scene(draws)
        pictures.append((scene, write_captions(scene, CAPTIONS_PER_IMAGE, draws)))
    return pictures


def _seed(options: ToyOptions, split: str, use: int) -> np.random.SeedSequence:
    """Return a seed of its own for each split and use: 0 for scenes and captions, 1 for noise."""
    return np.random.SeedSequence(options.seed, spawn_key=(_SPLITS.index(split), use))


def _make_split(name: str, options: ToyOptions, maker: RegionMaker) -> Split:
    pictures = draw_pictures(options, name)
    n = len(pictures)
    noise = np.random.Generator(np.random.PCG64(_seed(options, name, 1)))
    features = np.empty((n, options.regions, options.feature_size), dtype=np.float32)
    for row, (scene, _) in enumerate(pictures):
        features[row] = maker.regions(scene, options.regions, noise)
    captions = [caption for _, written in pictures for caption in written]
    image_of = np.repeat(np.arange(n, dtype=np.int64), CAPTIONS_PER_IMAGE)
    pairs = find_true_pairs([scene for scene, _ in pictures], captions)
    return Split(
        name=name,
        features=features,
        feature_rows=np.arange(n, dtype=np.int64),
        image_ids=tuple(f"toy-{name}-{number:06d}" for number in range(n)),
        captions=tuple(caption.text for caption in captions),
        image_of=image_of,
        also_true=pairs[image_of[pairs[:, 1]] != pairs[:, 0]],
    )
