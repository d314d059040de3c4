"""Which toy captions are true of which toy scenes: every claim against every scene, by bit masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from camp_bench.data.toy.captions import GROUPS, PLACE_GROUPS, Caption, Mention
from camp_bench.data.toy.scenes import COLOURS, KINDS, MAX_THINGS, PLACES, RELATIONS, SIZES, STATES, Scene

__all__ = ["find_true_pairs"]

Masks = npt.NDArray[np.uint8]

_CHUNK = 512
"""Captions compared at once: bounds memory to a few bytes x 512 x scenes."""

_ALONE, _ANY_TWO = "alone", "any two"  # the "relation" of a caption with one mention, and with two unrelated ones


def find_true_pairs(scenes: Sequence[Scene], captions: Sequence[Caption]) -> npt.NDArray[np.int64]:
    """Return all (scene, caption) pairs where the caption is true of the scene, (P, 2), sorted.

    True means: the scene has the things mentioned, two different ones where two are mentioned, with every
    attribute named, the relation between these very two, and the place. Other words claim nothing.
    """
    things = _Rows(_thing_masks(scenes))
    links = _Rows(_relation_masks(scenes))
    places = _Rows(_place_masks(scenes))
    found = []
    for start in range(0, len(captions), _CHUNK):
        chunk = captions[start : start + _CHUNK]
        first = _candidates(things, [caption.first for caption in chunk])
        # With one mention, the second is the same thing again: it may be any, but must be "alone" with the first.
        second = _candidates(things, [caption.second or caption.first for caption in chunk])
        names = [caption.relation or (_ANY_TWO if caption.second else _ALONE) for caption in chunk]
        link = links.take(names)
        holds = np.zeros(first.shape, dtype=bool)
        for i in range(MAX_THINGS):
            holds |= ((first & (1 << i)) != 0) & ((second & link[..., i]) != 0)
        holds &= places.take([caption.place for caption in chunk]) != 0
        caption_index, scene_index = np.nonzero(holds)
        found.append(np.stack([scene_index, caption_index + start], axis=1))
    pairs = np.concatenate(found).astype(np.int64)
    return np.asarray(pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))])


class _Rows:
    """Arrays with one entry a scene, stacked, and found again by name."""

    def __init__(self, rows: Mapping[str | None, Masks]) -> None:
        self._number = {name: i for i, name in enumerate(rows)}
        self._stack = np.stack(list(rows.values()))

    def take(self, names: Sequence[str | None]) -> Masks:
        return self._stack[[self._number[name] for name in names]]


def _candidates(things: _Rows, mentions: Sequence[Mention]) -> Masks:
    """Return the things of each scene that each mention fits, (mentions, scenes), bit i for thing i."""
    masks = things.take([mention.name for mention in mentions])
    for part in ("colour", "size", "state"):
        masks &= things.take([getattr(mention, part) for mention in mentions])
    return masks


def _thing_masks(scenes: Sequence[Scene]) -> dict[str | None, Masks]:
    """Return for each name of a kind, group or attribute which things of each scene it fits, (scenes,)."""
    names: tuple[str | None, ...] = (None, *KINDS, *GROUPS, *COLOURS, *SIZES, *STATES)
    rows = {name: np.zeros(len(scenes), dtype=np.uint8) for name in names}
    groups = {kind: [group for group, kinds in GROUPS.items() if kind in kinds] for kind in KINDS}
    for number, scene in enumerate(scenes):
        for i, thing in enumerate(scene.things):
            for name in (None, thing.kind, *groups[thing.kind], thing.colour, thing.size, thing.state):
                rows[name][number] |= 1 << i
    return rows


def _relation_masks(scenes: Sequence[Scene]) -> dict[str | None, Masks]:
    """Return for each relation and thing i which things it links i to, (scenes, MAX_THINGS)."""
    names: tuple[str | None, ...] = (_ALONE, _ANY_TWO, *RELATIONS)
    rows = {name: np.zeros((len(scenes), MAX_THINGS), dtype=np.uint8) for name in names}
    for i in range(MAX_THINGS):
        rows[_ALONE][:, i] = 1 << i
        rows[_ANY_TWO][:, i] = (1 << MAX_THINGS) - 1 - (1 << i)  # a scene's missing things are no candidates anyway
    for number, scene in enumerate(scenes):
        for a, name, b in scene.relations:
            rows[name][number, a] |= 1 << b
            if name == "next to":
                rows[name][number, b] |= 1 << a
    return rows


def _place_masks(scenes: Sequence[Scene]) -> dict[str | None, Masks]:
    """Return for each place and group of places whether each scene is there, (scenes,)."""
    single = ((place, frozenset({place})) for place in PLACES)
    known: list[tuple[str | None, frozenset[str]]] = [(None, frozenset(PLACES)), *single, *PLACE_GROUPS.items()]
    return {name: np.array([scene.place in fit for scene in scenes], dtype=np.uint8) for name, fit in known}
