"""Captions in blocks: every word once, captions whole, and few places left blank."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from camp_bench.models.scan.packing import STEP, pack_captions


def test_three_captions_by_hand() -> None:
    """The longest first: 5 alone, then 4 with 2 behind it, which fills the block."""
    (pack,) = pack_captions([2, 5, 4], 6, 2)
    assert pack.captions.tolist() == [1, 2, 0]
    assert pack.owner.tolist() == [0, 0, 0, 0, 0, 3, 1, 1, 1, 1, 2, 2]
    assert pack.position.tolist() == [0, 1, 2, 3, 4, 0, 0, 1, 2, 3, 0, 1]
    assert pack.blocks == 2
    assert pack.blank


@given(st.lists(st.integers(1, 12), min_size=1, max_size=60), st.integers(12, 40), st.integers(1, 4))
def test_every_word_has_one_place(lengths: list[int], width: int, blocks: int) -> None:
    packs = pack_captions(lengths, width, blocks)
    assert sorted(caption for pack in packs for caption in pack.captions.tolist()) == list(range(len(lengths)))
    for pack in packs:
        captions, owner, position = pack.captions.tolist(), pack.owner.tolist(), pack.position.tolist()
        assert 1 <= pack.blocks <= blocks
        assert len(owner) == pack.blocks * width if pack.blocks > 1 else len(owner) % STEP == 0
        words = Counter((captions[o], p) for o, p in zip(owner, position, strict=True) if o < len(captions))
        assert words == Counter((caption, p) for caption in captions for p in range(lengths[caption]))
        assert pack.blank == (len(captions) in owner)
        block = len(owner) // pack.blocks
        for number in range(len(captions)):  # one run, within one block
            places = [place for place, o in enumerate(owner) if o == number]
            assert places == list(range(places[0], places[0] + len(places)))
            assert places[0] // block == places[-1] // block


def test_little_room_is_lost() -> None:
    lengths = [7 + (5 * i) % 11 for i in range(200)]
    packs = pack_captions(lengths, 48, 8)
    assert sum(lengths) / sum(len(pack.owner) for pack in packs) > 0.95
