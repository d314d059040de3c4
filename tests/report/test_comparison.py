"""Comparisons as text: what fits a terminal, what each format escapes, what the paragraph says."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from comparison_examples import write_run
from rich.console import Console

from camp_bench.comparison import CompareOptions, Comparison, compare
from camp_bench.errors import ConfigError
from camp_bench.report import FORMATS, WRITERS, comparison_document, explain, format_of
from camp_bench.report.document import Cell, Column, Document, Section, Sheet
from camp_bench.report.writers import latex, markdown, terminal
from camp_bench.report.writers.terminal import raised

NASTY = r"=1+1_x{} \input{a}|<b>&amp;%#$^~`*[a](b)é∞" + "\x1b[31m"


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    results = tmp_path_factory.mktemp("results")
    for seed in range(3):
        write_run(results, model="camp", seed=seed, level=1.0)
        write_run(results, model="scan:t2i-lse", seed=seed, level=1.5)
        write_run(results, model="vsepp", seed=seed, level=1.52)
    return compare(results, CompareOptions(resamples=300, rope=3.0))


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    results = tmp_path_factory.mktemp("nasty")
    write_run(results, model=NASTY, run_id="one", dataset={"name": NASTY})
    write_run(results, model="vsepp", dataset={"name": NASTY})
    return compare(results, CompareOptions(resamples=300))


def drawn(document: Document, width: int) -> str:
    buffer = io.StringIO()
    Console(file=buffer, width=width, highlight=False).print(terminal.write(document))
    return buffer.getvalue()


def render(tables: list[Comparison], form: str, *, explained: bool = False) -> str:
    return WRITERS[form](comparison_document(tables, explained=explained))


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_terminal_is_never_overrun_and_nothing_is_cut(table: Comparison, width: int) -> None:
    text = drawn(comparison_document([table], explained=True), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    tables = [line for line in text.splitlines() if line.startswith("a  ")]
    assert tables
    assert all("camp" in line for line in tables)  # no part without the model's name
    for row in table.rows:
        for item in row.estimates.values():
            assert f"{item.value:.1f}" in text or f"{item.value:.0f}" in text
    low, high = table.rows[0].estimates["rsum"].low, table.rows[0].estimates["rsum"].high
    assert f"[{low:.1f}, {high:.1f}]" in text


def test_long_names_are_folded_and_figures_kept_whole() -> None:
    columns = (Column("", right=False), Column("model", right=False), *(Column(f"R@{k}", "i2t") for k in (1, 5, 10)))
    letters = tuple("bcdefghij")
    rows = [
        (Cell("a"), Cell("package.module:Model"), *(Cell(f"{k}0.5", f"[{k}0.1, {k}0.9]", letters) for k in (1, 5, 9))),
        (Cell("b"), Cell("camp:cross_attention_new:masked"), *(Cell(f"{k}.5", f"[{k}.1, {k}.9]") for k in (1, 5, 9))),
    ]
    text = drawn(Document("", (Section(sheets=(Sheet("models", "Models", columns, tuple(rows), ()),)),), None), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("camp:cross_a") == 2  # all three figures have no room beside the name
    for row in rows:
        for cell in row[2:]:
            assert f"{cell.text}{raised(cell.marks)} {cell.interval}" in text


def test_every_interval_and_p_value_has_a_scope_beside_it(table: Comparison) -> None:
    models, differences, secondary, sources = comparison_document([table]).sheets
    assert [row[0].text for row in sources.rows[:3]] == [row.label for row in table.rows]
    assert len(sources.rows) == 6
    assert any("scope method" in line for line in models.legend)
    assert any("scope method" in line for line in differences.legend)
    assert not any("scope checkpoints" in line for sheet in (models, differences) for line in sheet.legend)
    assert "scope checkpoints" in secondary.legend[0]
    assert len(differences.rows) == 9


def test_best_is_bold_and_marks_name_the_beaten(table: Comparison) -> None:
    models = comparison_document([table]).sheets[0]
    headers = [column.header for column in models.columns]
    cell = models.rows[0][headers.index("rsum")]
    assert cell.bold
    assert cell.marks == ("b", "c")
    assert raised(cell.marks) == "ᵇᶜ"
    assert raised(("q", "a1")) == "(q)ᵃ¹"
    assert any("bold" in line for line in models.legend)


def test_csv_is_the_frame_and_starts_no_formula(table: Comparison, nasty: Comparison) -> None:
    lines = list(csv.DictReader(io.StringIO(render([table], "csv"))))
    assert len(lines) == len(table.to_records())
    assert float(lines[0]["value"]) == table.to_records()[0]["value"]
    text = render([nasty], "csv")
    for line in csv.DictReader(io.StringIO(text)):
        assert not line["model"].startswith(("=", "+", "-", "@"))
        assert line["dataset"].startswith("'=1+1")
    assert "\x1b" not in text


def test_json_holds_everything(table: Comparison) -> None:
    (found,) = json.loads(render([table], "json", explained=True))
    assert found["rows"][0]["estimates"]["rsum"]["value"] == table.rows[0].estimates["rsum"].value
    assert found["pairs"][0]["tests"][0]["p_adjusted"] == table.pairs[0].tests[0].p_adjusted
    assert found["explanation"] == explain(table)


def test_markdown_has_as_many_cells_in_each_line(nasty: Comparison) -> None:
    text = render([nasty], "markdown", explained=True)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert "<b>" not in text
    assert r"\[a\](b)" in text
    assert markdown.escape("# a\nb") == r"\# a b"
    assert markdown.escape("+7.7") == "+7.7"


class Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_balanced_and_escaped(nasty: Comparison) -> None:
    parser = Balance()
    parser.feed(render([nasty], "html", explained=True))
    assert parser.open == []
    assert "b" not in parser.tags
    assert "script" not in parser.tags


def test_latex_leaves_nothing_that_acts(nasty: Comparison) -> None:
    text = latex.escape(NASTY)
    rest = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar|&|[{}$#_%&])", "", text
    )
    rest = re.sub(r"\$\\infty\$", "", rest)
    assert not set(rest) & set("\\$&#_%~^")
    assert rest.count("{") == rest.count("}")
    assert "\x1b" not in render([nasty], "latex")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_latex_compiles(table: Comparison, nasty: Comparison, tmp_path: Path) -> None:
    body = render([table, nasty], "latex", explained=True)
    document = (
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}\\begin{document}\n"
        f"{body}\\end{{document}}\n"
    )
    (tmp_path / "doc.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "doc.tex"],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "table"])
def test_every_format_names_every_row_and_several_tables(table: Comparison, nasty: Comparison, form: str) -> None:
    text = render([table, nasty], form)
    for label in ("camp", "scan:t2i", "vsepp"):
        assert label in text


def test_format_is_asked_for_or_told_by_the_suffix() -> None:
    assert format_of(None, None) == "table"
    assert format_of(None, Path("a.TEX")) == "latex"
    assert format_of("json", Path("a.tex")) == "json"
    with pytest.raises(ConfigError, match="did you mean 'latex'"):
        format_of("latx", None)
    with pytest.raises(ConfigError, match=r"-o t\.pdf: '\.pdf' is no format; expected \.md"):
        format_of(None, Path("t.pdf"))
    assert format_of(None, Path("table.txt")) == format_of(None, Path("table")) == "table"


def test_the_paragraph_says_what_was_done_and_found(table: Comparison) -> None:
    text = explain(table)
    first = table.pairs[0].tests[0]
    for words in (
        "3 models (camp, scan:t2i-lse and vsepp), each in 3 runs of different seeds",
        "120 images, 600 captions",
        "scope method",
        "Satterthwaite",
        "Holm's method over 9 tests (3 pairs; rsum, i2t.R@1 and t2i.R@1)",
        f"camp above scan:t2i-lse (rsum {first.difference:+.1f} [{first.low:.1f}, {first.high:.1f}]",
        "Not significant at scope method, which doesn't show equality: scan:t2i-lse against vsepp",
        "margin of ±3 points",
    ):
        assert words in text, words
    assert "bootstrap" not in text  # at this scope there is none
    assert "sign flips" not in text


def test_the_paragraph_of_checkpoints_speaks_of_no_method(nasty: Comparison) -> None:
    text = explain(nasty)
    assert "scope checkpoints" in text
    assert "Satterthwaite" not in text
    assert "300 random sign flips" in text


def test_the_paragraph_turns_negative_differences(tmp_path: Path) -> None:
    write_run(tmp_path, model="camp", level=2.5)
    write_run(tmp_path, model="vsepp", level=0.5)
    text = explain(compare(tmp_path, CompareOptions(resamples=300, sort="model")))
    found = re.search(r"vsepp above camp \(rsum \+([\d.]+) \[([\d.]+), ([\d.]+)\]", text)
    assert found is not None
    value, low, high = map(float, found.groups())
    assert low < value < high
