from __future__ import annotations

import re
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camp_bench.data.dataset import Dataset, Split
from camp_bench.data.toy.captions import GROUPS, PLACE_GROUPS, Caption, Mention, write_captions
from camp_bench.data.toy.dataset import CAPTIONS_PER_IMAGE, ToyOptions, draw_pictures, make_toy, parse_toy
from camp_bench.data.toy.regions import MIN_REGIONS, RegionMaker
from camp_bench.data.toy.scenes import COLOURS, KINDS, RELATIONS, Draws, Scene, Thing, draw_scene, fits, retouch
from camp_bench.data.toy.truth import find_true_pairs
from camp_bench.errors import ConfigError

SMALL = ToyOptions(train=60, dev=20, test=60, regions=10, feature_size=16)

# Written out here rather than read from the grammar: what a reader takes these words to mean.
MEANS = {
    "guy": "man",
    "lady": "woman",
    "puppy": "dog",
    "kitten": "cat",
    "pony": "horse",
    "bike": "bicycle",
    "motorbike": "motorcycle",
    "couch": "sofa",
    "backpack": "bag",
    "mug": "cup",
    "kid": "child",
    "men": "man",
    "guys": "man",
    "women": "woman",
    "ladies": "woman",
    "children": "child",
    "kids": "child",
    "people": "person",
    "puppies": "dog",
    "ponies": "horse",
    "buses": "bus",
    "couches": "sofa",
    "benches": "bench",
    "boxes": "box",
}
SIZES = {**dict.fromkeys(("small", "little", "tiny"), "small"), **dict.fromkeys(("large", "big", "huge"), "large")}
STATES = {
    **{
        word: word
        for word in ("standing", "sitting", "running", "sleeping", "old", "new", "wooden", "metal", "plastic")
    },
    "racing": "running",
    "asleep": "sleeping",
    "nap": "sleeping",
}

KNOWN_CAPTIONS = ("A child and a bench outdoors.", "There is a big grey plastic bench and an old motorcycle.")
KNOWN_FEATURE = "0ad7233cd0b9853d0ad7233cc85f1c3e28e37a3e0ad7233c6e632f3fe2642a3f"


@pytest.fixture(scope="module")
def small() -> Dataset:
    return make_toy(SMALL)


def split_bytes(split: Split) -> tuple[object, ...]:
    assert split.also_true is not None
    return (
        split.features.tobytes(),
        split.captions,
        split.image_ids,
        split.image_of.tobytes(),
        split.also_true.tobytes(),
    )


def is_true(caption: Caption, scene: Scene) -> bool:
    """Say if the caption holds, by trying every way to point at two things: slow, and no code of the product's."""

    def matches(mention: Mention, thing: Thing) -> bool:
        named = thing.kind in GROUPS.get(mention.name, {mention.name})
        return named and all(
            getattr(mention, part) in (None, getattr(thing, part)) for part in ("colour", "size", "state")
        )

    if caption.place is not None and scene.place not in PLACE_GROUPS.get(caption.place, {caption.place}):
        return False
    if caption.second is None:
        return any(matches(caption.first, thing) for thing in scene.things)
    for i, j in permutations(range(len(scene.things)), 2):
        related = caption.relation is None or (i, caption.relation, j) in scene.relations
        related |= caption.relation == "next to" and (j, "next to", i) in scene.relations
        if related and matches(caption.first, scene.things[i]) and matches(caption.second, scene.things[j]):
            return True
    return False


@pytest.fixture(scope="module")
def pictures() -> list[tuple[Scene, list[Caption]]]:
    """The first 250 images of the default test split."""
    return draw_pictures(ToyOptions(test=250), "test")


class TestDataset:
    def test_shapes_and_types(self, small: Dataset) -> None:
        assert small.name == "toy"
        assert tuple(small.splits) == ("train", "dev", "test")
        for name, split in small.splits.items():
            n = getattr(SMALL, name)
            assert split.name == name
            assert split.features.shape == (n, SMALL.regions, SMALL.feature_size)
            assert split.features.dtype == np.float32
            assert split.features.min() > 0, "a region of zeros has no direction"
            assert np.isfinite(split.features).all()
            assert split.n_captions == n * CAPTIONS_PER_IMAGE
            assert split.image_of.dtype == np.int64
            assert np.bincount(split.image_of, minlength=n).tolist() == [5] * n
            assert split.feature_rows.tolist() == list(range(n))
        assert small.split("test").image_ids[12] == "toy-test-000012"

    def test_default_options(self) -> None:
        assert ToyOptions() == ToyOptions(train=500, dev=200, test=500, regions=36, feature_size=128, seed=0)

    def test_smallest_dataset(self) -> None:
        toy = make_toy(ToyOptions(train=1, dev=1, test=1, regions=MIN_REGIONS, feature_size=8), "toy:train=1")
        assert toy.source == "toy:train=1"
        for split in toy.splits.values():
            assert split.also_true is not None
            assert split.also_true.shape == (0, 2)
            assert split.also_true.dtype == np.int64

    def test_facts_hold_the_options(self, small: Dataset) -> None:
        assert small.facts["train"] == "60"
        assert small.facts["seed"] == "0"


class TestDeterminism:
    def test_same_options_same_bytes(self, small: Dataset) -> None:
        again = make_toy(SMALL)
        for name in small.splits:
            assert split_bytes(again.split(name)) == split_bytes(small.split(name))

    def test_another_seed_gives_other_data(self, small: Dataset) -> None:
        other = make_toy(ToyOptions(train=1, dev=1, test=60, regions=10, feature_size=16, seed=1))
        assert other.split("test").captions != small.split("test").captions
        assert not np.array_equal(other.split("test").features, small.split("test").features)

    def test_splits_differ(self, small: Dataset) -> None:
        assert small.split("train").captions[:100] != small.split("dev").captions

    def test_size_of_one_split_leaves_the_others_alone(self, small: Dataset) -> None:
        other = make_toy(ToyOptions(train=7, dev=20, test=60, regions=10, feature_size=16))
        assert split_bytes(other.split("test")) == split_bytes(small.split("test"))
        assert split_bytes(other.split("dev")) == split_bytes(small.split("dev"))

    def test_smaller_split_is_the_start_of_a_larger_one(self, small: Dataset) -> None:
        other = make_toy(ToyOptions(train=7, dev=20, test=60, regions=10, feature_size=16)).split("train")
        assert other.captions == small.split("train").captions[:35]
        np.testing.assert_array_equal(other.features, small.split("train").features[:7])

    def test_captions_do_not_depend_on_feature_shape(self, small: Dataset) -> None:
        other = make_toy(ToyOptions(train=1, dev=20, test=1, regions=8, feature_size=8))
        assert other.split("dev").captions == small.split("dev").captions

    def test_known_beginning(self) -> None:
        # Published figures are for these very bytes: a change here is a change of the dataset.
        toy = make_toy(ToyOptions(train=1, dev=1, test=2, regions=8, feature_size=8))
        assert toy.split("test").captions[:2] == KNOWN_CAPTIONS
        assert toy.split("test").features[0, 0].tobytes().hex() == KNOWN_FEATURE


class TestScenes:
    @given(seed=st.integers(0, 2**32))
    @settings(max_examples=30, deadline=None)
    def test_scenes_make_sense_and_stay_so_when_retouched(self, seed: int) -> None:
        draws = Draws(np.random.SeedSequence(seed))
        scene = draw_scene(draws)
        copy = retouch(scene, draws)
        assert fits(scene)
        assert fits(copy)
        assert 2 <= len(scene.things) <= 5
        assert 1 <= len(scene.relations) <= 2
        assert (copy.place, copy.relations) == (scene.place, scene.relations)
        [(old, new)] = [pair for pair in zip(scene.things, copy.things, strict=True) if pair[0] != pair[1]]
        assert sum(getattr(old, part) != getattr(new, part) for part in ("kind", "colour", "size", "state")) == 1

    def test_near_duplicates_exist(self, pictures: list[tuple[Scene, list[Caption]]]) -> None:
        scenes = [scene for scene, _ in pictures]
        twins = {
            number
            for number, scene in enumerate(scenes)
            for other in scenes[:number]
            if (other.place, other.relations, len(other.things)) == (scene.place, scene.relations, len(scene.things))
            and sum(a != b for a, b in zip(scene.things, other.things, strict=True)) == 1
        }
        assert 0.1 < len(twins) / len(scenes) < 0.3

    def test_every_kind_and_relation_occurs(self, pictures: list[tuple[Scene, list[Caption]]]) -> None:
        scenes = [scene for scene, _ in pictures]
        assert {thing.kind for scene in scenes for thing in scene.things} == set(KINDS)
        assert {name for scene in scenes for _, name, _ in scene.relations} == set(RELATIONS)


class TestCaptions:
    def test_form(self, pictures: list[tuple[Scene, list[Caption]]]) -> None:
        for _, captions in pictures:
            texts = [caption.text for caption in captions]
            assert len(set(texts)) == CAPTIONS_PER_IMAGE
            for text in texts:
                assert re.fullmatch(r"[A-Z][a-z]*(,? [a-z]+)+\.", text), text
                assert 5 <= len(text.split()) <= 20, text
                assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text, re.IGNORECASE), text
                assert not re.search(r"\b(\w+) \1\b", text), text

    def test_own_captions_are_true(self, pictures: list[tuple[Scene, list[Caption]]]) -> None:
        assert all(is_true(caption, scene) for scene, captions in pictures for caption in captions)

    def test_text_says_what_is_claimed(self, pictures: list[tuple[Scene, list[Caption]]]) -> None:
        nouns = {*KINDS, *GROUPS}
        for caption in (caption for _, captions in pictures for caption in captions):
            words = re.findall(r"[a-z]+", caption.text.lower())
            plural = "two" in words or "couple" in words
            mentions = [caption.first, *([caption.second] if caption.second and not plural else [])]
            singular = [word if word in MEANS or word in nouns else word.removesuffix("s") for word in words]
            said = [MEANS.get(word, word) for word in singular]
            assert sorted(word for word in said if word in nouns) == sorted(m.name for m in mentions), caption
            assert sorted(w for w in words if w in COLOURS) == sorted(m.colour for m in mentions if m.colour), caption
            assert sorted(SIZES[w] for w in words if w in SIZES) == sorted(m.size for m in mentions if m.size), caption
            assert sorted(STATES[w] for w in words if w in STATES) == sorted(m.state for m in mentions if m.state), (
                caption
            )
            assert plural == (caption.second is caption.first), caption

    def test_vocabulary_size(self, pictures: list[tuple[Scene, list[Caption]]]) -> None:
        texts = [caption.text for _, captions in pictures for caption in captions]
        assert 100 <= len({word for text in texts for word in re.findall(r"[a-z]+", text.lower())}) <= 250

    def test_forms_of_a_relation(self) -> None:
        man, cup = Thing("man", "red", None, "standing"), Thing("cup", "orange", "small", None)
        draws = Draws(np.random.SeedSequence(0))
        captions = write_captions(Scene("kitchen", (man, cup), ((0, "holding", 1),)), 300, draws)
        held = [caption for caption in captions if caption.relation == "holding"]
        assert {caption.first.name for caption in held} <= {"man", "person"}
        for words in ("holding", "carrying", "held by"):
            assert any(words in caption.text for caption in held)


class TestTruth:
    def test_also_true_agrees_with_brute_force(self, small: Dataset) -> None:
        for name in ("dev", "test"):
            pictures = draw_pictures(SMALL, name)
            captions = [caption for _, written in pictures for caption in written]
            expected = [
                (i, j)
                for i, (scene, _) in enumerate(pictures)
                for j, caption in enumerate(captions)
                if i != j // CAPTIONS_PER_IMAGE and is_true(caption, scene)
            ]
            also_true = small.split(name).also_true
            assert also_true is not None
            assert also_true.dtype == np.int64
            assert [tuple(pair) for pair in also_true.tolist()] == expected

    @given(seed=st.integers(0, 2**32))
    @settings(max_examples=20, deadline=None)
    def test_any_scenes_agree_with_brute_force(self, seed: int) -> None:
        draws = Draws(np.random.SeedSequence(seed))
        scenes = [draw_scene(draws)]
        scenes += [retouch(draws.pick(scenes), draws) for _ in range(7)]
        captions = [caption for scene in scenes for caption in write_captions(scene, 8, draws)]
        expected = [[i, j] for i, scene in enumerate(scenes) for j, text in enumerate(captions) if is_true(text, scene)]
        assert find_true_pairs(scenes, captions).tolist() == expected

    def test_two_dogs_need_two_dogs(self) -> None:
        dog, cat = Thing("dog", "brown", "small", "sitting"), Thing("cat", "black", "small", "sitting")
        scenes = [Scene("park", (dog, cat), ()), Scene("park", (dog, dog), ())]
        captions = [
            Caption("Two dogs.", Mention("dog"), Mention("dog")),
            Caption("Two animals.", *[Mention("animal")] * 2),
        ]
        assert find_true_pairs(scenes, captions).tolist() == [[0, 1], [1, 0], [1, 1]]

    def test_direction_counts_but_for_next_to(self) -> None:
        cow, car = Thing("cow", "brown", "small", "standing"), Thing("car", "red", "large", "old")
        scene = Scene("field", (cow, car), ((0, "behind", 1), (0, "next to", 1)))
        pairs = [(Mention("cow"), Mention("car")), (Mention("car"), Mention("cow"))]
        for relation, expected in (("behind", [[0, 0]]), ("next to", [[0, 0], [0, 1]]), ("watching", [])):
            captions = [Caption(relation, first, second, relation) for first, second in pairs]
            assert find_true_pairs([scene], captions).tolist() == expected

    def test_ambiguity_bounds_recall(self, pictures: list[tuple[Scene, list[Caption]]]) -> None:
        captions = [caption for _, written in pictures for caption in written]
        pairs = find_true_pairs([scene for scene, _ in pictures], captions)
        bound = np.mean(1 / np.bincount(pairs[:, 1], minlength=len(captions)))
        assert 0.65 < bound < 0.85, "0.69 on all 500 images"


class TestRegions:
    def test_concepts_are_shared_between_splits(self) -> None:
        """A linear map from mean region to words, fitted on train, finds test images far better than chance."""
        toy = make_toy(ToyOptions(train=300, dev=1, test=60, regions=16, feature_size=64))
        words = sorted({word for text in toy.split("train").captions for word in re.findall(r"[a-z]+", text.lower())})

        def bags(split: Split) -> np.ndarray:
            texts = [set(re.findall(r"[a-z]+", text.lower())) for text in split.captions]
            return np.array([[word in text for word in words] for text in texts], dtype=np.float64)

        train, test = toy.split("train"), toy.split("test")
        target = bags(train).reshape(300, 5, -1).max(1)
        mean = train.features.mean(1)
        inputs = mean - mean.mean(0)
        fitted = np.linalg.solve(inputs.T @ inputs + 3 * np.eye(64), inputs.T @ (target - target.mean(0)))
        scores = (test.features.mean(1) - mean.mean(0)) @ fitted @ bags(test).T
        own = scores[test.image_of, np.arange(300)]
        found = np.mean((scores > own).sum(0) < 10)
        assert 0.3 < found < 0.95, "chance is 0.17"

    def test_fewest_regions_still_show_everything(self) -> None:
        """Each thing, relation and the place has a region: changing any of them moves one, under the same noise."""
        maker = RegionMaker(32, np.random.SeedSequence(0))
        things = [Thing("dog", "brown", "small", "sitting")] * 5
        relations = ((0, "next to", 1), (1, "behind", 2))

        def regions(scene: Scene) -> np.ndarray:
            return maker.regions(scene, MIN_REGIONS, np.random.default_rng(0))

        seen = regions(Scene("park", tuple(things), relations))
        assert seen.shape == (MIN_REGIONS, 32)
        other = Thing("dog", "black", "small", "sitting")
        scenes = [Scene("park", (*things[:i], other, *things[i + 1 :]), relations) for i in range(5)]
        scenes += [
            Scene("field", tuple(things), relations),
            Scene("park", tuple(things), ((0, "behind", 1), (1, "behind", 2))),
            Scene("park", tuple(things), ((0, "next to", 1), (2, "behind", 1))),
        ]
        for scene in scenes:
            assert not np.array_equal(regions(scene), seen)


class TestOptions:
    def test_plain_name_is_the_default(self) -> None:
        assert parse_toy("toy") == ToyOptions()

    def test_all_keys(self) -> None:
        expected = ToyOptions(train=200, dev=50, test=100, seed=3, regions=20, feature_size=64)
        assert parse_toy("toy:train=200,dev=50,test=100,seed=3,regions=20,feature_size=64") == expected
        assert parse_toy("toy: train = 200 , dev=50,test=100,seed=3,regions=20,feature_size=64") == expected

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("toy:trian=5", "did you mean 'train'"),
            ("toy:features_size=64", "did you mean 'feature_size'"),
            ("toy:zzz=5", "expected some of train, dev, test"),
            ("toy:train=many", "train='many', expected a whole number"),
            ("toy:train=1.5", "train='1.5', expected a whole number"),
            ("toy:train=1_000", "train='1_000', expected a whole number"),
            ("toy:train=\u0661", "expected a whole number"),
            (f"toy:train={'9' * 5000}", "expected a whole number"),
            ("toy:train", "train='', expected a whole number"),
            ("toy:train=1,train=2", "'train' is given twice"),
            ("toy:train=1,", "no option ''"),
            ("toy:", "expected 'toy' or 'toy:key=value,...'"),
            ("toys", "expected 'toy' or 'toy:key=value,...'"),
            ("toy:train=0", "train=0, expected a whole number of 1 or more"),
            ("toy:train=999999999", "train=999999999, expected 1,000,000 at most"),
            ("toy:regions=1001", "regions=1001, expected 1,000 at most"),
            ("toy:seed=-1", "seed=-1, expected a whole number of 0 or more"),
            ("toy:regions=7", "regions=7, expected a whole number of 8 or more"),
            ("toy:feature_size=7", "feature_size=7, expected a whole number of 8 or more"),
        ],
    )
    def test_bad_source(self, source: str, words: str) -> None:
        with pytest.raises(ConfigError, match=re.escape(words)) as caught:
            parse_toy(source)
        assert "\n" not in str(caught.value)
