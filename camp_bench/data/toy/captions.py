"""Captions of the toy dataset: English sentences that tell a part of a scene, with what each one claims.

A caption names one thing, or two with or without their relation, some attributes, and perhaps the place.
Synonyms (dog, puppy), words for groups (child, people, outside), turned relations (behind, in front of) and
phrases that no region shows ("on a sunny day") keep the way from words to regions from being one to one.
"""

from __future__ import annotations

from dataclasses import dataclass

from camp_bench.data.toy.scenes import KINDS, PLACES, Draws, Scene, Thing

__all__ = ["GROUPS", "PLACE_GROUPS", "Caption", "Mention", "write_captions"]

GROUPS = {
    "child": frozenset({"boy", "girl"}),
    "person": frozenset(name for name, kind in KINDS.items() if kind.group == "person"),
    "animal": frozenset(name for name, kind in KINDS.items() if kind.group == "animal"),
}
PLACE_GROUPS = {
    group: frozenset(place for place, side in PLACES.items() if side == group) for group in ("outdoors", "indoors")
}

_MIN_WORDS, _MAX_WORDS = 5, 20

# Singular and plural of every name of a kind or group; kinds that aren't listed have one name and add an "s".
_NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "man": (("man", "men"), ("guy", "guys")),
    "woman": (("woman", "women"), ("lady", "ladies")),
    "dog": (("dog", "dogs"), ("puppy", "puppies")),
    "cat": (("cat", "cats"), ("kitten", "kittens")),
    "horse": (("horse", "horses"), ("pony", "ponies")),
    "sheep": (("sheep", "sheep"),),
    "bus": (("bus", "buses"),),
    "bicycle": (("bicycle", "bicycles"), ("bike", "bikes")),
    "motorcycle": (("motorcycle", "motorcycles"), ("motorbike", "motorbikes")),
    "sofa": (("sofa", "sofas"), ("couch", "couches")),
    "bench": (("bench", "benches"),),
    "bag": (("bag", "bags"), ("backpack", "backpacks")),
    "cup": (("cup", "cups"), ("mug", "mugs")),
    "box": (("box", "boxes"),),
    "child": (("child", "children"), ("kid", "kids")),
    "person": (("person", "people"),),
}
_YOUNG = frozenset({"puppy", "kitten", "pony"})  # nobody writes "a big kitten"
_SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
_POSES = {
    "standing": ("standing", "standing still"),
    "sitting": ("sitting", "sitting down"),
    "running": ("running", "running around", "racing around"),
    "sleeping": ("sleeping", "asleep", "taking a nap"),
}
_RELATIONS = {
    "next to": ("next to", "beside", "near", "close to"),
    "behind": ("behind",),
    "on": ("on", "on top of"),
    "under": ("under", "beneath", "underneath"),
    "holding": ("holding", "carrying"),
    "riding": ("riding",),
    "watching": ("watching", "looking at"),
}
_TURNED = {"next to": _RELATIONS["next to"], "behind": ("in front of",), "holding": ("held by",)}
_PLACES = {
    "beach": ("on the beach", "on a sandy beach", "at the seaside"),
    "park": ("in a park", "in the park"),
    "street": ("on a city street", "on the street", "on a road"),
    "field": ("in a grassy field", "in a field", "in a meadow"),
    "snow": ("in the snow", "in deep snow"),
    "lake": ("by a lake", "by the lake"),
    "station": ("at a train station", "at the station"),
    "kitchen": ("in a kitchen", "in the kitchen"),
    "bedroom": ("in a bedroom", "in the bedroom"),
    "living room": ("in a living room", "in the living room", "in the lounge"),
    "office": ("in an office", "at the office"),
    "classroom": ("in a classroom", "in the classroom", "in a school"),
    "outdoors": ("outdoors", "outside"),
    "indoors": ("indoors", "inside"),
}
# No region shows these: words that a model has to learn to ignore.
_ASIDES = (
    "on a sunny day",
    "on a quiet morning",
    "in the afternoon",
    "on a cold day",
    "during the holidays",
    "after a long day",
    "at the weekend",
)
_ADVERBS = ("happily", "quietly")
_OPENERS = ("a photo of", "a picture of", "an image of", "a view of", "a close shot of")


@dataclass(frozen=True, slots=True)
class Mention:
    """What a caption says of one thing: a kind or a name in GROUPS, and attributes, None where left out."""

    name: str
    colour: str | None = None
    size: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence and its claim.

    first, second: two different things that the scene has; second is None if only one is mentioned.
    relation: one of RELATIONS that holds from first to second, or None.
    place: a place, a name in PLACE_GROUPS, or None.
    """

    text: str
    first: Mention
    second: Mention | None = None
    relation: str | None = None
    place: str | None = None


def write_captions(scene: Scene, n: int, draws: Draws) -> list[Caption]:
    """Return n captions of the scene, no two with the same text, each of 5 to 20 words."""
    captions: dict[str, Caption] = {}
    while len(captions) < n:
        caption = _write(scene, draws)
        if _MIN_WORDS <= len(caption.text.split()) <= _MAX_WORDS:
            captions.setdefault(caption.text, caption)
    return list(captions.values())


def _write(scene: Scene, draws: Draws) -> Caption:
    place = None
    if draws.chance(0.4):
        place = scene.place if draws.chance(0.8) else PLACES[scene.place]
    shape = draws.below(20)
    a = draws.below(len(scene.things))
    b = (a + 1 + draws.below(len(scene.things) - 1)) % len(scene.things)
    if shape < 4:
        first, subject, does = _tell_one(scene.things[a], draws)
        return Caption(_sentence(subject, does, "is", place, draws), first, None, None, place)
    if shape < 8:
        group = _common_name(scene.things[a], scene.things[b])
        if group is not None:
            first, subject, does = _tell_pair(group, scene.things[a], scene.things[b], draws)
            return Caption(_sentence(subject, does, "are", place, draws), first, first, None, place)
        first, one = _describe(scene.things[a], draws)
        second, two = _describe(scene.things[b], draws)
        subject = f"{one} and {_another(one, two)}"
        return Caption(_sentence(subject, "", "are", place, draws), first, second, None, place)
    a, relation, b = draws.pick(scene.relations)
    first, one = _describe(scene.things[a], draws)
    second, two = _describe(scene.things[b], draws)
    if relation in _TURNED and draws.chance(0.4):
        subject, does = two, f"{draws.pick(_TURNED[relation])} {_another(two, one)}"
    else:
        subject, does = one, f"{draws.pick(_RELATIONS[relation])} {_another(one, two)}"
        state = scene.things[a].state
        if state in _POSES and relation not in ("holding", "riding", "watching") and draws.chance(0.4):
            first = Mention(first.name, first.colour, first.size, state)
            does = f"{state} {does}"
    return Caption(_sentence(subject, does, "is", place, draws), first, second, relation, place)


def _tell_one(thing: Thing, draws: Draws) -> tuple[Mention, str, str]:
    """Return mention, noun phrase and pose, more detailed than for two things lest it fit half of the images."""
    mention, phrase = _describe(thing, draws, 0.8)
    if thing.state in _POSES and draws.chance(0.8):
        mention = Mention(mention.name, mention.colour, mention.size, thing.state)
        return mention, phrase, draws.pick(_POSES[thing.state])
    return mention, phrase, ""


def _tell_pair(name: str, one: Thing, two: Thing, draws: Draws) -> tuple[Mention, str, str]:
    plural = draws.pick(_names(name))[1]
    subject = f"{draws.pick(('two', 'a couple of'))} {plural}"
    if one.state == two.state and one.state in _POSES:
        return Mention(name, state=one.state), subject, draws.pick(_POSES[one.state])
    return Mention(name), subject, ""


def _common_name(one: Thing, two: Thing) -> str | None:
    if one.kind == two.kind:
        return one.kind
    return next((name for name, kinds in GROUPS.items() if {one.kind, two.kind} <= kinds), None)


def _describe(thing: Thing, draws: Draws, detail: float = 0.5) -> tuple[Mention, str]:
    """Return what is said of a thing and the noun phrase that says it, each attribute with chance `detail`."""
    name = thing.kind
    if draws.chance(0.08):
        name = next((group for group, kinds in GROUPS.items() if name in kinds), name)
    colour = thing.colour if draws.chance(detail) else None
    size = thing.size if draws.chance(detail / 2) else None
    state = thing.state if thing.state not in _POSES and draws.chance(detail / 2) else None
    noun = draws.pick([singular for singular, _ in _names(name) if not (size == "large" and singular in _YOUNG)])
    words = [draws.pick(_SIZES[size])] if size else []
    if thing.group == "person":
        clothes = ("in a {} shirt", "wearing a {} shirt", "dressed in {}", "in {}")
        tail = [_with_article(draws.pick(clothes), colour)] if colour else []
        words += [noun, *tail]
    elif thing.group == "furniture":
        words += [word for word in (colour, state, noun) if word]  # a red wooden chair
    else:
        words += [word for word in (state, colour, noun) if word]  # an old red car
    return Mention(name, colour, size, state), f"{_article(words[0])} {' '.join(words)}"


def _names(name: str) -> tuple[tuple[str, str], ...]:
    return _NAMES.get(name, ((name, f"{name}s"),))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _with_article(pattern: str, colour: str) -> str:
    return pattern.format(colour).replace(f" a {colour}", f" {_article(colour)} {colour}")


def _another(first: str, second: str) -> str:
    """Return the second noun phrase, with "another" if it reads just like the first."""
    return f"another {second.split(' ', 1)[1]}" if first == second else second


def _sentence(subject: str, does: str, verb: str, place: str | None, draws: Draws) -> str:
    """Return a sentence about the subject in one of five forms, with a capital and a full stop."""
    where = draws.pick(_PLACES[place]) if place else ""
    aside = draws.pick(_ASIDES) if draws.chance(0.2) else ""
    there = "is" if " and " in subject else verb  # "there is a dog and a cat", but "there are two dogs"
    form = draws.below(10)
    if form < 4 and (does or where):
        # An adverb needs something that is done: "is happily sitting", never "is happily beside".
        adverb = draws.pick(_ADVERBS) if does.partition(" ")[0].endswith("ing") and draws.chance(0.2) else ""
        parts = [subject, verb, adverb, does, where, aside]
    elif form == 4 and where:
        front = [f"{where},", subject, verb, does] if does else [f"{where}, there", there, subject]
        parts = [*front, aside]
    elif form < 6:
        parts = ["there", there, subject, does, where, aside]
    elif form == 6:
        parts = [draws.pick(_OPENERS), subject, does, where, aside]
    else:
        parts = [subject, does, where, aside]
    text = " ".join(part for part in parts if part)
    return f"{text[0].upper()}{text[1:]}."
