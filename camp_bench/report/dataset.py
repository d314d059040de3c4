"""Lays out a dataset: its splits, how long captions are, the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from camp_bench.data.folder.summary import SplitSummary, Summary
from camp_bench.report.document import Cell, Column, Document, Section, Sheet

__all__ = ["dataset_document"]

BINS = 12

LINES: dict[str, Callable[[SplitSummary], str]] = {
    "images": lambda split: f"{split.images:,}",
    "captions": lambda split: f"{split.captions:,}",
    "captions an image": lambda split: "–".join(map(str, sorted(set(split.captions_an_image)))),
    "images in the file": lambda split: split.stored,
    "regions": lambda split: str(split.regions),
    "feature size": lambda split: f"{split.feature_size:,}",
    "dtype": lambda split: split.dtype,
    "MB of features": lambda split: f"{split.feature_bytes / 1e6:,.1f}",
    "words: fewest": lambda split: str(split.length_at(0.0)),
    "words: median": lambda split: str(split.length_at(0.5)),
    "words: most": lambda split: str(split.length_at(1.0)),
    "unknown words": lambda split: "–" if split.unknown_share is None else f"{split.unknown_share:.1%}",
}


def dataset_document(title: str, summary: Summary) -> Document:
    """Return the splits as columns, and small histograms."""
    columns = (Column("", right=False), *(Column(split.name) for split in summary.splits))
    rows = tuple((Cell(label), *(Cell(text(split)) for split in summary.splits)) for label, text in LINES.items())
    longest = max(len(split.lengths) for split in summary.splits)
    lengths = [sum(split.lengths[n] for split in summary.splits if n < len(split.lengths)) for n in range(1, longest)]
    splits = Sheet("splits", "", columns, rows)
    counted = _histogram("lengths", "captions by their words, all splits", _binned(lengths))
    return Document(title, (Section(sheets=(splits, counted)), _vocabulary(summary)), summary)


def _vocabulary(summary: Summary) -> Section:
    vocabulary = summary.vocabulary
    if vocabulary is None:
        return Section(facts=("no vocabulary: no word occurs 4 times or more in train and dev",))
    counted = (
        f"vocabulary of {'+'.join(vocabulary.splits)}: {vocabulary.tokens:,} tokens, "
        f"{vocabulary.words:,} different words, {vocabulary.known:,} of them 4 times or more"
    )
    facts = (counted, f"the most frequent: {' '.join(vocabulary.most_frequent)}")
    rows = []
    for exponent, count in enumerate(vocabulary.counts):
        low, high = 2**exponent, 2 ** (exponent + 1) - 1
        rows.append((str(low) if low == high else f"{low:,}–{high:,}", count))
    return Section(facts=facts, sheets=(_histogram("words", "words by how often they occur", rows),))


def _binned(counts: Sequence[int]) -> list[tuple[str, int]]:
    """Return at most so many bins of equal width with their labels; counts: of captions with 1, 2, ... words."""
    width = -(-len(counts) // BINS)
    bins = []
    for start in range(0, len(counts), width):
        low, high = start + 1, min(start + width, len(counts))
        bins.append((str(low) if low == high else f"{low}–{high}", sum(counts[start : start + width])))
    return bins


def _histogram(name: str, title: str, rows: Sequence[tuple[str, int]]) -> Sheet:
    most = max(count for _, count in rows)
    cells = tuple((Cell(label), Cell(f"{count:,}", value=count), Cell("", bar=count / most)) for label, count in rows)
    return Sheet(name, title, (Column("how many"), Column("count"), Column("", right=False)), cells, listed=True)
