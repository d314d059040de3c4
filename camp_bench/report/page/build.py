"""Fills the page's template: every text through Jinja's autoescape, tables and figures as their writers made them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from camp_bench.comparison.published import published_for
from camp_bench.comparison.study import Disagreement, Study, disagreements, examples_of
from camp_bench.errors import ConfigError
from camp_bench.report.comparison import comparison_document, title_of
from camp_bench.report.document import Sheet
from camp_bench.report.figures import KINDS, Drawn
from camp_bench.report.figures.gates import draw_example
from camp_bench.report.figures.style import svg_element
from camp_bench.report.foreign_text import visible
from camp_bench.report.listings import published_sheet
from camp_bench.report.page.pictures import Pictures
from camp_bench.report.prose import explain, verdict
from camp_bench.report.study import commands_of, data_sheet, runs_sheet, settings_sheet
from camp_bench.report.writers.html import STYLE, html_sheet

__all__ = ["report_page"]

QUERIES = 8
EXAMPLES = 2
"""Of each model: pairs whose attention is drawn."""
TABLES = ("models", "differences", "secondary", "sources")
ALONE = ("forest", "recall", "ranks", "pareto", "training", "seeds")


@dataclass(frozen=True, slots=True)
class _Figure:
    svg: Markup
    title: str
    caption: str
    text: str


def report_page(studies: Sequence[Study], *, command: str, version: str) -> str:
    """Return the whole page. command: the line that makes it again."""
    environment = Environment(
        loader=PackageLoader("camp_bench.report.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters["shown"] = lambda text: visible(str(text), keep="\n")
    template = environment.get_template("page.html.j2")
    parts = [_part(study, f"c{number}") for number, study in enumerate(studies, 1)]
    return template.render(parts=parts, style=Markup(STYLE), command=command, version=version)


def _part(study: Study, name: str) -> dict[str, Any]:
    """Return what the template shows of one comparison."""
    table = study.table
    (section,) = comparison_document([table]).sections
    sheets = {sheet.name: sheet for sheet in section.sheets}
    queries, missing = disagreements(study, QUERIES)
    pictures = Pictures(study.rows[0].runs[0].record.dataset.source, table.split)
    figures = {kind: _figure(KINDS[kind](study), f"{name}-{kind}") for kind in ALONE}
    return {
        "name": name,
        "title": title_of(table),
        "verdict": verdict(table),
        "explained": explain(table),
        "notes": table.notes,
        "tables": {kind: _table(sheets[kind]) if kind in sheets else None for kind in TABLES},
        "compared": [
            (sheet.title, _table(sheet)) for sheet in (data_sheet(study), settings_sheet(study), runs_sheet(study))
        ],
        "commands": commands_of(study),
        "figures": figures,
        "rows": study.rows,
        "queries": [_shown(item, pictures) for item in queries],
        "missing": missing,
        "examples": list(_examples(study, name)),
        "published": _published(study),
    }


def _figure(drawn: Drawn | None, name: str) -> _Figure | None:
    if drawn is None:
        return None
    svg = Markup(svg_element(drawn.figure, name, drawn.title, drawn.text))
    return _Figure(svg, drawn.title, drawn.caption, drawn.text)


def _table(sheet: Sheet) -> Markup:
    return Markup(html_sheet(sheet))


def _examples(study: Study, name: str) -> Iterator[_Figure]:
    for row in study.rows:
        arrays = examples_of(row.runs[0])
        for example in range(min(EXAMPLES, len(arrays.get("captions", ())))):
            figure = _figure(draw_example(row, arrays, example), f"{name}-look-{row.letter}{example}")
            if figure is not None:
                yield figure


def _shown(item: Disagreement, pictures: Pictures) -> dict[str, Any]:
    """Return a query with its pictures: of the image that asks or is looked for, and of those that answer."""
    by_image = item.way == "t2i"
    return {
        "query": item,
        "picture": pictures(item.image),
        "answers": {
            letter: [(one, pictures(one.image) if by_image else "") for one in answers]
            for letter, answers in item.answers.items()
        },
    }


def _published(study: Study) -> Markup | None:
    """Return the papers' figures where they are about these data."""
    table = study.table
    try:
        rows = published_for(table.dataset, table.protocol, table.images, table.captions)
    except ConfigError:
        return None
    return _table(published_sheet(rows, metrics=table.metrics)) if rows else None
