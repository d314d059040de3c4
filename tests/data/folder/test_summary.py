"""What is counted of a dataset, against counts by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from camp_bench.data import open_folder
from camp_bench.data.folder.summary import summarize


def test_counts_of_a_small_folder(tmp_path: Path) -> None:
    captions = {
        "train": ["a dog", "a dog", "a dog", "a cat sits"],  # a: 4, dog: 3, cat, sits: 1
        "dev": ["the dog", "one"],  # dog: 4 with train
        "test": ["a bird", "dog"],  # 1 of 3 is unknown
    }
    for split, lines in captions.items():
        np.save(tmp_path / f"{split}_ims.npy", np.ones((2, 3, 4), dtype=np.float16))
        (tmp_path / f"{split}_caps.txt").write_text("\n".join(lines))
        (tmp_path / f"{split}_index.txt").write_text("0\n1\n" if len(lines) == 2 else "0\n0\n0\n1\n")
    summary = summarize(open_folder(tmp_path))
    train, dev, test = summary.splits
    assert (train.images, train.captions, train.captions_an_image) == (2, 4, (1, 3))
    assert (train.regions, train.feature_size, train.dtype, train.feature_bytes) == (3, 4, "float16", 48)
    assert train.lengths == (0, 0, 3, 1)
    assert [train.length_at(share) for share in (0.0, 0.5, 1.0)] == [2, 2, 3]
    assert [dev.length_at(share) for share in (0.0, 1.0)] == [1, 2]
    assert test.unknown_share == 1 / 3
    words = summary.vocabulary
    assert words is not None
    assert (words.splits, words.tokens, words.words, words.known) == (("train", "dev"), 12, 6, 2)
    assert words.most_frequent[:2] == ("a", "dog")
    assert words.counts == (4, 0, 2)  # cat, sits, the, one once; a and dog 4 to 7 times


def test_a_folder_of_test_alone_has_no_vocabulary(tmp_path: Path) -> None:
    np.save(tmp_path / "test_ims.npy", np.ones((1, 3, 4), dtype=np.float32))
    (tmp_path / "test_caps.txt").write_text("a\n" * 5)
    summary = summarize(open_folder(tmp_path, ()))
    assert summary.vocabulary is None
    assert [split.unknown_share for split in summary.splits] == [None]
