"""What is scored: random images and captions of the sizes asked for, or the test split of a dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from camp_bench.data import open_dataset
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.data.dataset import Split
from camp_bench.data.tokenizers import tokenize
from camp_bench.data.vocabulary import Vocabulary, build_vocabulary
from camp_bench.errors import ConfigError
from camp_bench.records.throughput import RANDOM, Workload

__all__ = [
    "DISTINCT_FEATURES",
    "VOCABULARY_SIZE",
    "check_workload",
    "open_items",
    "random_items",
    "random_lengths",
    "repeat_items",
    "take_items",
]

VOCABULARY_SIZE = 10_000
"""Words that random captions are drawn from: about as many as Flickr30K's captions have."""
SPLIT = "test"
SEED = 0
DISTINCT_FEATURES = 64
"""So many random images have features of their own, others repeat them: speed does not depend on it, memory does."""
GOLDEN = (5**0.5 - 1) / 2
LIMITS = {"images": 10**7, "captions": 10**7, "regions": 10**4, "dim": 2**16, "feature_size": 2**20}
MAX_WORDS = 10_000


def check_workload(workload: Workload) -> None:
    """Raise ConfigError for sizes that make no sense."""
    for name, most in LIMITS.items():
        value = getattr(workload, name)
        if value is not None and not 1 <= value <= most:
            raise ConfigError(f"{name}: got {value}, expected a whole number from 1 to {most:,}")
    if not 1 <= workload.words <= MAX_WORDS:
        raise ConfigError(f"words: got {workload.words:g}, expected a number from 1 to {MAX_WORDS:,}")


def open_items(data: str) -> tuple[TokenizedSplit, int]:
    """Return the test split of a dataset in the words of its own captions, and how many different words these are.

    Raises as `open_dataset` does. Which word is which makes no difference to speed, so no other split is read.
    """
    split = open_dataset(data, [SPLIT] if Path(data).is_dir() else None).split(SPLIT)
    tokens = [tokenize(caption) for caption in split.captions]
    vocabulary: Vocabulary = build_vocabulary(tokens, 1)
    return TokenizedSplit(split, [vocabulary.encode(words) for words in tokens]), len(vocabulary)


def take_items(items: TokenizedSplit, workload: Workload) -> tuple[TokenizedSplit, Workload]:
    """Return the first images of a dataset with their first captions, and the workload that they are.

    Raises ConfigError where the dataset has fewer than the workload asks for.
    """
    split = items.split
    images = _enough("images", workload.images, split.n_images)
    part, _ = items.subset(np.arange(images))
    captions = part.split.n_captions if workload.captions is None else workload.captions
    captions = _enough(f"captions of the first {images} images", captions, part.split.n_captions)
    chosen = np.linspace(0, part.split.n_captions, captions, endpoint=False).astype(np.int64)
    ids = [part.token_ids[int(i)] for i in chosen]
    texts = tuple(part.split.captions[int(i)] for i in chosen)
    part = TokenizedSplit(replace(part.split, captions=texts, image_of=part.split.image_of[chosen]), ids)
    return part, msgspec.structs.replace(
        workload,
        images=images,
        captions=captions,
        regions=split.n_regions,
        feature_size=split.feature_size,
        words=float(np.mean([len(tokens) for tokens in ids])),
    )


def _enough(what: str, wanted: int | None, there: int) -> int:
    if wanted is not None and wanted > there:
        raise ConfigError(f"{what}: got {wanted}, and the data has {there}; ask for {there} or fewer")
    return wanted or there


def random_items(workload: Workload) -> tuple[TokenizedSplit, Workload]:
    """Return random images and captions, the same for the same sizes, and the workload with their true mean length."""
    assert workload.images is not None
    assert workload.captions is not None
    rng = np.random.default_rng(SEED)
    rows = min(workload.images, DISTINCT_FEATURES)
    lengths = random_lengths(workload.captions, workload.words)
    split = Split(
        name=SPLIT,
        features=rng.random((rows, workload.regions, workload.feature_size), dtype=np.float32),
        feature_rows=np.arange(workload.images) % rows,
        image_ids=tuple(map(str, range(workload.images))),
        captions=(RANDOM,) * workload.captions,
        image_of=np.arange(workload.captions) * workload.images // workload.captions,
    )
    tokens = [rng.integers(VOCABULARY_SIZE, size=length).tolist() for length in lengths]
    return TokenizedSplit(split, tokens), msgspec.structs.replace(workload, words=float(lengths.mean()))


def random_lengths(count: int, words: float) -> npt.NDArray[np.int64]:
    """Return lengths from half to one and a half times `words`, in no order, any stretch of them with the same mean.

    They are the fractional parts of the golden ratio's multiples, so no generator's version can change them.
    """
    places = np.modf((np.arange(count) + 0.5) * GOLDEN)[0]
    lengths: npt.NDArray[np.int64] = np.maximum(1, np.floor(words * (0.5 + places) + 0.5)).astype(np.int64)
    return lengths


def repeat_items(items: TokenizedSplit, images: int, captions: int) -> TokenizedSplit:
    """Return so many times as many images and captions, the same ones again."""
    split = items.split
    n = split.n_images
    own = np.concatenate([split.image_of + n * (copy % images) for copy in range(captions)])
    larger = replace(
        split,
        feature_rows=np.tile(split.feature_rows, images),
        image_ids=split.image_ids * images,
        captions=split.captions * captions,
        image_of=own,
        also_true=None,
    )
    return TokenizedSplit(larger, list(items.token_ids) * captions)
