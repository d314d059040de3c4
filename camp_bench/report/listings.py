"""Lays out lists: of models and baselines, the papers' figures, the queries on which two models differ."""

from __future__ import annotations

from collections.abc import Sequence

from camp_bench.comparison import PublishedRow, QueryDifferences
from camp_bench.report.document import Cell, Column, Document, Section, Sheet, listed_rows, number, section_of

__all__ = ["listing_document", "published_document", "published_sheet", "queries_document"]


def listing_document(title: str, columns: tuple[str, str], pairs: Sequence[tuple[str, str]]) -> Document:
    """Return names and what each is, one a line. columns: what they are called where headers are shown."""
    sheet = Sheet(
        "list",
        "",
        (Column(columns[0], right=False, whole=True), Column(columns[1], right=False)),
        listed_rows(pairs),
        listed=True,
    )
    return Document(title, (Section(sheets=(sheet,)),), [dict(zip(columns, pair, strict=True)) for pair in pairs])


def published_document(rows: Sequence[PublishedRow]) -> Document:
    """Return papers' figures as a document of their own."""
    return Document("Published figures", (Section(sheets=(published_sheet(rows),)),), rows)


def published_sheet(rows: Sequence[PublishedRow], metrics: Sequence[str] | None = None) -> Sheet:
    """Return papers' figures, one line each; metrics: those to show, None for all."""
    shown = [name for name in rows[0].metrics if metrics is None or name in metrics]
    columns = [Column("method", right=False), Column("features", "about", right=False), Column("models", "about")]
    if len({row.protocol for row in rows}) > 1:
        columns.insert(1, Column("protocol", right=False))
    columns += [Column(name, section_of(name)) for name in shown]
    columns += [Column("source", "source", right=False)]
    lines = []
    for row in rows:
        cells = [Cell(row.method), Cell(row.features), Cell(str(row.members))]
        if columns[1].header == "protocol":
            cells.insert(1, Cell(row.protocol))
        lines.append((*cells, *(Cell(number(row.metrics[name])) for name in shown), Cell(row.source)))
    legend = ("published, not measured here: other code, other seeds, one run each, so without intervals and tests",)
    return Sheet("published", "Published figures", tuple(columns), tuple(lines), legend)


def queries_document(found: QueryDifferences) -> Document:
    """Return the queries on which two models differ most, one line each."""
    columns = [Column("way", right=False), Column("query"), Column("image", right=False)]
    columns += [Column(f"rank {found.first}"), Column(f"rank {found.second}"), Column("caption", right=False)]
    lines = [
        tuple(
            Cell(text)
            for text in (
                item.way,
                str(item.query),
                item.image,
                _rank(item.first_rank),
                _rank(item.second_rank),
                item.text,
            )
        )
        for item in found.rows
    ]
    legend = [f"of {found.total:,} queries both ways, those whose ranks differ by the largest factor; means over seeds"]
    legend += [
        "i2t: an image that looks for its captions, of which the first is shown; t2i: a caption looks for its image"
    ]
    legend += [found.missing_text] if found.missing_text else []
    title = f"Queries on which {found.first} and {found.second} differ most"
    keep = [place for place, _ in enumerate(columns) if not found.missing_text or place not in (2, 5)]
    kept = tuple(tuple(line[place] for place in keep) for line in lines)
    sheet = Sheet("queries", title, tuple(columns[place] for place in keep), kept, tuple(legend))
    return Document(title, (Section(sheets=(sheet,)),), found)


def _rank(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"
