"""Scenes of the toy dataset: a few things with attributes, how they relate, and where they are.

A scene is what is true of an image. Regions are drawn from it (`toy_regions`) and captions tell a part
of it (`toy_captions`), so which caption is true of which image is known and not a matter of opinion.
Scenes are closed: a relation that a scene doesn't list doesn't hold in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

__all__ = [
    "COLOURS",
    "KINDS",
    "MAX_RELATIONS",
    "MAX_THINGS",
    "PLACES",
    "RELATIONS",
    "SIZES",
    "STATES",
    "Draws",
    "Kind",
    "Scene",
    "Thing",
    "draw_scene",
    "fits",
    "retouch",
]

MAX_THINGS = 5
MAX_RELATIONS = 2

COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "grey", "orange", "pink")
SIZES = ("small", "large")
POSES = ("standing", "sitting", "running", "sleeping")
AGES = ("old", "new")
MATERIALS = ("wooden", "metal", "plastic")
STATES = POSES + AGES + MATERIALS
RELATIONS = ("next to", "behind", "on", "under", "holding", "riding", "watching")
PLACES = {
    **dict.fromkeys(("beach", "park", "street", "field", "snow", "lake", "station"), "outdoors"),
    **dict.fromkeys(("kitchen", "bedroom", "living room", "office", "classroom"), "indoors"),
}

_FUR = ("black", "white", "brown", "grey")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of things: its group, the places it's seen in, and the attribute values it can have."""

    group: str
    places: frozenset[str]
    colours: tuple[str, ...] = COLOURS
    sizes: tuple[str, ...] = SIZES
    states: tuple[str, ...] = ()


_ANYWHERE = frozenset(PLACES)
_INDOORS = frozenset(place for place, side in PLACES.items() if side == "indoors")
_OUTDOORS = _ANYWHERE - _INDOORS
_ROADS = frozenset({"street", "station", "snow", "park", "field"})
_PERSON = Kind("person", _ANYWHERE, sizes=(), states=POSES)  # the colour of a person is that of the shirt
_PET = Kind("animal", _ANYWHERE, colours=_FUR, states=POSES)
_GRAZER = Kind("animal", _OUTDOORS, colours=_FUR, states=("standing", "running", "sleeping"))
_VEHICLE = Kind("vehicle", _ROADS, states=AGES)
_FURNITURE = Kind("furniture", _ANYWHERE, states=MATERIALS)
_ITEM = Kind("item", _ANYWHERE)

KINDS: dict[str, Kind] = {
    **dict.fromkeys(("man", "woman", "boy", "girl"), _PERSON),
    **dict.fromkeys(("dog", "cat"), _PET),
    **dict.fromkeys(("horse", "cow", "sheep"), _GRAZER),
    "bird": Kind("animal", _OUTDOORS, states=("standing", "sitting", "sleeping")),
    **dict.fromkeys(("car", "truck", "bus", "bicycle", "motorcycle"), _VEHICLE),
    "boat": Kind("vehicle", frozenset({"beach", "lake"}), states=AGES),
    **dict.fromkeys(("chair", "table"), _FURNITURE),
    "bench": Kind("furniture", _OUTDOORS, states=MATERIALS),
    "bed": Kind("furniture", frozenset({"bedroom"}), states=("wooden", "metal")),
    "sofa": Kind("furniture", frozenset({"living room", "bedroom", "office"})),
    **dict.fromkeys(("ball", "umbrella", "book", "bag", "phone", "cup", "guitar", "box"), _ITEM),
    "kite": Kind("item", _OUTDOORS),
    "laptop": Kind("item", _INDOORS),
}

_SMALL_ANIMALS = frozenset({"dog", "cat", "bird"})
_SEATS = frozenset({"chair", "bench", "bed", "sofa"})
_MOUNTS = frozenset({"horse", "bicycle", "motorcycle"})


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: its kind and its attributes; None where the kind has no such attribute."""

    kind: str
    colour: str
    size: str | None
    state: str | None

    @property
    def group(self) -> str:
        return KINDS[self.kind].group


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is true of an image: place, 2 to 5 things, 1 or 2 relations (subject, relation, object)."""

    place: str
    things: tuple[Thing, ...]
    relations: tuple[tuple[int, str, int], ...]


class Draws:
    """Random choices from one generator, read in blocks because scalar draws would be most of the run time.

    Only `Generator.random` is used: its stream is the one least likely to change between numpy versions.
    """

    def __init__(self, seed: np.random.SeedSequence) -> None:
        self._rng = np.random.Generator(np.random.PCG64(seed))
        self._block: list[float] = []

    def _next(self) -> float:
        if not self._block:
            self._block = self._rng.random(4096).tolist()
        return self._block.pop()

    def below(self, n: int) -> int:
        """Return an integer from 0 to n - 1."""
        return int(self._next() * n)

    def chance(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self._next() < probability

    def pick(self, items: Sequence[_T]) -> _T:
        """Return one of `items`, each as likely as the others."""
        return items[self.below(len(items))]


def draw_scene(draws: Draws) -> Scene:
    """Return a new scene whose things suit its place and whose relations make sense."""
    place = draws.pick(tuple(PLACES))
    kinds = [name for name, kind in KINDS.items() if place in kind.places]
    groups = sorted({KINDS[name].group for name in kinds})
    things: list[Thing] = []
    for _ in range(2 + draws.below(MAX_THINGS - 1)):
        # A second thing of a kind already there makes "two dogs", and attributes needed to tell them apart.
        group = draws.pick(groups)
        choice = [name for name in kinds if KINDS[name].group == group]
        kind = draws.pick(things).kind if things and draws.chance(0.15) else draws.pick(choice)
        things.append(_draw_thing(kind, draws))
    scene = Scene(place, tuple(things), ())
    for _ in range(MAX_RELATIONS):
        scene = _relate(scene, draws)
    return scene


def retouch(scene: Scene, draws: Draws) -> Scene:
    """Return a copy of the scene with one thing's kind, or one attribute of it, changed: a hard negative."""
    while True:
        spot = draws.below(len(scene.things))
        thing = scene.things[spot]
        kind = KINDS[thing.kind]
        change = draws.below(4)
        if change == 0:
            changed = replace(thing, kind=draws.pick([name for name in KINDS if KINDS[name].group == kind.group]))
        elif change == 1:
            changed = replace(thing, colour=draws.pick(kind.colours))
        elif change == 2:
            changed = replace(thing, size=_pick_or_none(kind.sizes, draws))
        else:
            changed = replace(thing, state=_pick_or_none(kind.states, draws))
        copy = replace(scene, things=(*scene.things[:spot], changed, *scene.things[spot + 1 :]))
        if changed != thing and fits(copy):
            return copy


def fits(scene: Scene) -> bool:
    """Say whether every thing suits its place and attributes, and every relation its two things."""
    for thing in scene.things:
        kind = KINDS[thing.kind]
        if scene.place not in kind.places or thing.colour not in kind.colours:
            return False
        if thing.size not in (kind.sizes or (None,)) or thing.state not in (kind.states or (None,)):
            return False
    return all(_makes_sense(scene.things[a], name, scene.things[b]) for a, name, b in scene.relations)


def _pick_or_none(values: Sequence[str], draws: Draws) -> str | None:
    return draws.pick(values) if values else None


def _draw_thing(name: str, draws: Draws) -> Thing:
    kind = KINDS[name]
    size, state = _pick_or_none(kind.sizes, draws), _pick_or_none(kind.states, draws)
    return Thing(name, draws.pick(kind.colours), size, state)


def _relate(scene: Scene, draws: Draws) -> Scene:
    """Add a relation between two things that have none yet; the scene as it is where there is no such pair."""
    related = {frozenset((a, b)) for a, _, b in scene.relations}
    # A held cup isn't also on the table: apart from furniture, a thing takes part in one relation of this sort.
    placed = {i for a, name, b in scene.relations if _places(name) for i in (a, b)}
    options: dict[str, list[tuple[int, int]]] = {}
    for a, subject in enumerate(scene.things):
        for b, other in enumerate(scene.things):
            if a == b or frozenset((a, b)) in related:
                continue
            taken = a in placed or (b in placed and other.group != "furniture")
            for name in RELATIONS:
                if _makes_sense(subject, name, other) and not (_places(name) and taken):
                    options.setdefault(name, []).append((a, b))
    if not options:
        return scene
    name = draws.pick(tuple(options))  # by name first, or the relations that fit everything would crowd out the rest
    a, b = draws.pick(options[name])
    return replace(scene, relations=(*scene.relations, (a, name, b)))


def _places(relation: str) -> bool:
    return relation in ("on", "under", "holding", "riding")


def _makes_sense(subject: Thing, relation: str, other: Thing) -> bool:
    group, state = subject.group, subject.state
    light = group == "item" or subject.kind in _SMALL_ANIMALS
    on_furniture = other.group == "furniture" and state != "running"
    seated = group == "person" and state in ("sitting", "sleeping") and other.kind in _SEATS
    return {
        "next to": True,
        "behind": group != "item" and other.group != "item",
        "on": on_furniture and (light or seated),
        "under": on_furniture and light and other.kind != "sofa",
        "holding": group == "person" and state != "sleeping" and other.group == "item",
        "riding": group == "person" and state == "sitting" and other.kind in _MOUNTS and other.state != "sleeping",
        "watching": group in ("person", "animal") and state != "sleeping",
    }[relation]
