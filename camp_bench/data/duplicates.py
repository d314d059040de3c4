"""Images of a split that are the same or nearly: no two independent draws, so statistics resample them as one.

    nearly equal features   the mean over regions less the split's mean, at a cosine of ALIKE or more
    nearly equal texts      at least half of the captions of one, case and spaces aside, are captions of the other

Albums, video frames and pictures posted twice make such groups. What is alike of something alike is one group with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from camp_bench.data.dataset import Split

__all__ = ["similar_images"]

ALIKE = 0.95
"""Of 1,000 photographs of Flickr8k no two come above 0.89 (36 grid features each)."""
MOST_COMPARED = 20_000
"""Images up to which all are compared with all; of more, only those whose features have equal means are found."""
COMMONEST = 50
"""A caption that more images have than this says little of any of them."""
ROWS = 1024


def similar_images(split: Split) -> npt.NDArray[np.int32]:
    """Return the group of each image, (images,): the number of the first image of those that are alike."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [*_alike_in_text(split), *_alike_in_features(split)]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(split.n_images, split.n_images))
    _, group = connected_components(graph, directed=False)
    first = np.unique(group, return_index=True)[1]
    return np.asarray(first[group], dtype=np.int32)


def _alike_in_text(split: Split) -> Iterator[tuple[int, int]]:
    texts: list[set[str]] = [set() for _ in range(split.n_images)]
    for caption, image in zip(split.captions, split.image_of.tolist(), strict=True):
        texts[image].add(" ".join(caption.lower().split()))
    images_of: dict[str, list[int]] = defaultdict(list)
    for image, own in enumerate(texts):
        for text in own:
            images_of[text].append(image)
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for images in images_of.values():
        if len(images) <= COMMONEST:
            for pair in combinations(images, 2):
                shared[pair] += 1
    for (one, other), count in shared.items():
        if 2 * count >= min(len(texts[one]), len(texts[other])):
            yield one, other


def _alike_in_features(split: Split) -> Iterator[tuple[int, int]]:
    if not split.feature_size:
        return
    starts = range(0, split.n_images, ROWS)
    means = np.concatenate([split.gather(np.arange(at, min(at + ROWS, split.n_images))).mean(axis=1) for at in starts])
    if split.n_images > MOST_COMPARED:
        _, first, group = np.unique(means, axis=0, return_index=True, return_inverse=True)
        yield from zip(first[group.ravel()].tolist(), range(split.n_images), strict=True)
        return
    centred = means - means.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    centred /= np.where(lengths > 0, lengths, 1.0)
    for at in starts:
        near = centred[at : at + ROWS] @ centred.T >= ALIKE
        for row, column in np.argwhere(near).tolist():
            if at + row < column:
                yield at + row, column
