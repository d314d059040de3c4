"""What others wrote is shown as text, whatever it holds, by all that prints."""

from __future__ import annotations

import io
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from examples import TINY, example_record, example_throughput
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from camp_bench.cli import counting, main
from camp_bench.cli.output import Show, say, write_text
from camp_bench.comparison import group_results
from camp_bench.records import list_records, read_record
from camp_bench.report.document import Cell, Column, Document, Remark, Section, Sheet
from camp_bench.report.foreign_text import PlainColumn, PlainConsole, one_line, plain, visible
from camp_bench.report.results import results_section
from camp_bench.report.throughput import throughput_document
from camp_bench.report.writers import WRITERS, terminal

NAME = "clip[base] [/red] :cat: \x1b[2J"
SHOWN = r"clip[base] [/red] :cat: \x1b[2J"


def nasty(text: str) -> Section:
    """Return a section with the text in every place that there is for one."""
    sheet = Sheet("s", text, (Column(text, right=False),), ((Cell(text),),), (text,))
    return Section(text, (text,), (sheet,), (Remark(text), Remark(text, "note")), text)


@pytest.mark.parametrize("form", [form for form in WRITERS if form != "json"])
def test_every_format_makes_every_text_safe(form: str) -> None:
    text = WRITERS[form](Document("title", (nasty("=1|<script>alert(1)</script>`$\\input{x}\x1b[2J\n# a"),), None))
    assert "\x1b" not in text
    for acts in {"latex": ("\\input", "`$"), "csv": ("\n=", "\n# a"), "html": ("<script",)}.get(
        form, ("<script", " `", "=1|", "\n# a")
    ):
        assert acts not in text, acts


def test_control_characters_are_spelt_out_and_letters_kept() -> None:
    assert visible("Zoë\x1b[31m\x00\x9b\u202e\ud800\n") == r"Zoë\x1b[31m\x00\x9b\u202e\ud800\n"
    assert visible("a\nb\t", keep="\n") == "a\nb\\t"
    assert one_line("a\tb\n\x07c") == r"a b \x07c"
    assert plain(NAME, "bold").plain == SHOWN


@pytest.mark.parametrize("terminal", [False, True])
def test_a_plain_console_shows_strings_and_cells_as_they_are(terminal: bool) -> None:
    stream = io.StringIO()
    console = PlainConsole(file=stream, width=100, force_terminal=terminal, color_system=None)
    table = Table("a\nb", NAME)
    table.add_row(NAME, NAME)
    console.print(NAME)
    console.print(NAME, style="bold")
    console.print(table)
    console.print(table, markup=True)
    assert stream.getvalue().count(SHOWN) == 8
    assert "\x1b[2J" not in stream.getvalue()


def test_a_plain_column_shows_a_task_as_it_is() -> None:
    progress = Progress(console=Console(file=io.StringIO()))
    progress.add_task(NAME)
    text = PlainColumn("{task.description}").render(progress.tasks[0])
    assert (text.plain, text.spans) == (SHOWN, [])


def test_tables_show_names_as_they_are_on_any_console() -> None:
    (group,) = group_results([example_record(model=NAME)])
    for console in (Console, PlainConsole):
        stream = io.StringIO()
        console(file=stream, width=140).print(terminal.write(Document("", (results_section(group), nasty(NAME)), None)))
        assert stream.getvalue().count(SHOWN) == 10
    report = example_throughput()
    report = msgspec.structs.replace(report, models=(msgspec.structs.replace(report.models[0], model=NAME),))
    stream = io.StringIO()
    Console(file=stream, width=160).print(terminal.write(throughput_document(report)))
    assert stream.getvalue().count(SHOWN) == 3  # the line of the summary, the heading, the warning


@pytest.mark.parametrize("name", ["[/red]", "clip[base]", ":cat:"])
def test_added_systems_keep_their_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    np.save("scores.npy", np.random.default_rng(0).normal(size=(5, 25)).astype(np.float32))
    assert main(["add", "--name", name, "--data", TINY, "--scores", "scores.npy", "--results", "r"]) == 0
    assert f"\n{name} " in capsys.readouterr().out
    (folder,) = list_records("r")
    assert read_record(folder).config.model == name


def test_words_of_captions_command_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "train_ims.npy", np.ones((1, 3, 4), dtype=np.float32))
    (tmp_path / "train_caps.txt").write_text("[red] \x1bc\x9b \u202edog\n" * 5, encoding="utf-8")
    assert main(["data", "info", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert not re.search("[\x1b\x9b\u202e]", out)
    assert r"\x1b" in out
    assert r"\u202edog" in out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_and_formats_command_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, told in ((Terminal(), r"\x9b"), (io.StringIO(), "\x9b")):
        monkeypatch.setattr("sys.stdout", stream)
        say(NAME)
        write_text("a\x9b\t1\n", None)
        Show(None, None)(Document("", (Section(facts=(NAME,)),), None))
        assert stream.getvalue() == f"{SHOWN}\na{told}\t1\n{SHOWN}\n"


def test_a_bar_shows_what_is_done_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    console = PlainConsole(file=stream, force_terminal=True, color_system=None, width=120)
    monkeypatch.setattr(counting, "PlainConsole", lambda **_: console)
    with counting.counted("images") as progress:
        progress(NAME, 1, 2)
    assert SHOWN in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()


def test_errors_command_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(tmp_path / NAME)]) == 2
    assert SHOWN in capsys.readouterr().err
