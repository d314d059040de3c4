"""What `camp-bench data info` prints: a table of the splits and small histograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table

from camp_bench.data.folder.summary import SplitSummary, Summary, VocabularySummary
from camp_bench.report.foreign_text import PlainConsole

__all__ = ["print_summary"]

NARROWEST = 80
"""In less than that a table would be dots."""

BAR_WIDTH = 40
BINS = 12


def print_summary(summary: Summary) -> None:
    """Print the splits, how long captions are, and the vocabulary."""
    console = PlainConsole()
    console.width = max(console.width, NARROWEST)
    console.print(_split_table(summary.splits))
    bar = "█" if (console.encoding or "").lower().startswith("utf") else "#"
    longest = max(len(split.lengths) for split in summary.splits)
    lengths = [sum(split.lengths[n] for split in summary.splits if n < len(split.lengths)) for n in range(1, longest)]
    console.print("captions by their words, all splits")
    _print_histogram(console, _binned(lengths), bar)
    if summary.vocabulary is None:
        console.print("no vocabulary: no word occurs 4 times or more in train and dev")
        return
    _print_vocabulary(console, summary.vocabulary, bar)


def _split_table(splits: Sequence[SplitSummary]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("")
    for split in splits:
        table.add_column(split.name, justify="right")
    lines: dict[str, Callable[[SplitSummary], str]] = {
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
    for label, text in lines.items():
        table.add_row(label, *map(text, splits))
    return table


def _print_vocabulary(console: PlainConsole, vocabulary: VocabularySummary, bar: str) -> None:
    console.print(
        f"vocabulary of {'+'.join(vocabulary.splits)}: {vocabulary.tokens:,} tokens, "
        f"{vocabulary.words:,} different words, {vocabulary.known:,} of them 4 times or more",
        soft_wrap=True,
    )
    console.print(f"the most frequent: {' '.join(vocabulary.most_frequent)}", soft_wrap=True)
    console.print("words by how often they occur")
    rows = []
    for exponent, count in enumerate(vocabulary.counts):
        low, high = 2**exponent, 2 ** (exponent + 1) - 1
        rows.append((str(low) if low == high else f"{low:,}–{high:,}", count))
    _print_histogram(console, rows, bar)


def _binned(counts: Sequence[int]) -> list[tuple[str, int]]:
    """Return at most so many bins of equal width with their labels; counts: of captions with 1, 2, ... words."""
    width = -(-len(counts) // BINS)
    bins = []
    for start in range(0, len(counts), width):
        low, high = start + 1, min(start + width, len(counts))
        bins.append((str(low) if low == high else f"{low}–{high}", sum(counts[start : start + width])))
    return bins


def _print_histogram(console: PlainConsole, rows: Sequence[tuple[str, int]], bar: str) -> None:
    most, label_width = max(count for _, count in rows), max(len(label) for label, _ in rows)
    number_width = len(f"{most:,}")
    for label, count in rows:
        length = -(-count * BAR_WIDTH // most)  # rounded up, so that few are seen
        console.print(f"  {label:>{label_width}}  {count:>{number_width},}  {bar * length}")
