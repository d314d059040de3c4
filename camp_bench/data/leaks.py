"""What splits share that they shouldn't: images by id or by content, and captions.

An image of test that was trained on, or on which epochs were chosen, makes a figure worthless. Ids tell it for certain;
features that are equal to the last bit nearly so; a caption can be written twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from camp_bench.data.dataset import Split
from camp_bench.data.names import image_identity
from camp_bench.errors import DataError

__all__ = ["leak_warnings", "require_apart", "shared_captions", "shared_ids"]

CHUNK = 1024
"""Images whose first regions are read together: 8 MB."""


def require_apart(splits: Mapping[str, Split]) -> None:
    """Raise DataError where two splits have images of the same id."""
    for one, other in combinations(splits.values(), 2):
        if shared := shared_ids(one.image_ids, other.image_ids):
            raise DataError(
                f"{one.name}_ids.txt, {other.name}_ids.txt: {_count(len(shared), 'image')} in both, the first is "
                f"{shared[0]!r}; expected every image in one split; remove them from one, or the id files where they "
                f"only count the images of each split"
            )


def shared_ids(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """Return the ids that stand in both lists, whatever their suffixes. Ids that only number the images are none."""
    if any(list(ids) == [str(row) for row in range(len(ids))] for ids in (one, other)):
        return []
    there = {image_identity(image_id) for image_id in one}
    return sorted(image_id for image_id in other if image_identity(image_id) in there)


def leak_warnings(splits: Mapping[str, Split]) -> tuple[list[str], list[str]]:
    """Return what to say of images that splits share by content, and of captions that they share."""
    images, captions = [], []
    for one, other in combinations(splits.values(), 2):
        same = list(_shared_content(one, other))
        if same:
            mine, its = same[0]
            images.append(
                f"{_count(len(same), 'image')} of {other.name} with the very features of one of {one.name}, the first "
                f"is image {its} ({other.image_ids[its]}), that of image {mine} ({one.image_ids[mine]})"
            )
        if told := shared_captions(one.name, one.captions, other.name, other.captions):
            captions.append(told)
    return images, captions


def shared_captions(one: str, captions: Sequence[str], other: str, others: Sequence[str]) -> str:
    """Return what to say of captions that two splits share, or an empty text."""
    there = set(captions)
    again = [text for text in others if text in there]
    if not again:
        return ""
    return (
        f"{len(again):,} of {len(others):,} captions of {other} are captions of {one} as well, the first is "
        f"{again[0][:40]!r}"
    )


def _shared_content(one: Split, other: Split) -> Iterator[tuple[int, int]]:
    """Yield (image of one, image of other) of equal features. Of each the first region is read, the rest if need be."""
    if one.features.shape[1:] != other.features.shape[1:] or one.features.dtype != other.features.dtype:
        return
    place = {key: number for number, key in reversed(list(enumerate(_keys(one))))}
    for number, key in enumerate(_keys(other)):
        if key in place and _equal(one, place[key], other, number):
            yield place[key], number


def _keys(split: Split) -> list[bytes]:
    keys: list[bytes] = []
    for start in range(0, split.n_images, CHUNK):
        rows = split.feature_rows[start : start + CHUNK]
        regions: npt.NDArray[np.floating] = np.ascontiguousarray(split.features[rows, 0])
        keys += [hashlib.blake2b(row.data, digest_size=16).digest() for row in regions]
    return keys


def _equal(one: Split, mine: int, other: Split, its: int) -> bool:
    return np.array_equal(one.features[one.feature_rows[mine]], other.features[other.feature_rows[its]])


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
