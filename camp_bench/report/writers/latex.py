"""Documents in LaTeX, for a paper: every text escaped, no package needed but booktabs and a T1 fontenc."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from camp_bench.report.document import Cell, Document, Sheet

__all__ = ["escape", "write"]

PREAMBLE = r"% \usepackage[T1]{fontenc} \usepackage{booktabs}" + "\n"
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "_": r"\_",
    "%": r"\%",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"{'}",
    "`": r"{`}",
    "-": r"{-}",
    "[": r"{[}",
    "]": r"{]}",
    "−": r"$-$",
    "±": r"$\pm$",
    "²": r"$^2$",
    "∞": r"$\infty$",
    "×": r"$\times$",
    "–": r"--",
}
"""Beside what LaTeX acts on: a bracket after a line break would be its option, and pairs of hyphens would be a dash."""


def escape(text: str) -> str:
    """Return the text as LaTeX prints it; letters that its usual fonts lack as their number, and no line break."""
    return "".join(_escaped(letter) for letter in " ".join(text.split()))


def write(document: Document) -> str:
    """Return a table environment for each sheet, what is said beside them as lists and paragraphs."""
    parts = [PREAMBLE]
    for count, section in enumerate(document.sections, 1):
        suffix = f"-{count}" if len(document.sections) > 1 else ""
        parts += [f"{escape(text)}\n" for text in section.facts]
        for sheet in section.sheets:
            title = ": ".join(filter(None, (sheet.title, section.title)))
            parts.append(_list(sheet, title) if sheet.listed else _table(sheet, title, f"{sheet.name}{suffix}"))
        told = [item.text for item in section.remarks if item.level != "pass"]
        if told:
            parts.append(_items(map(escape, told)))
        if section.prose:
            parts.append(escape(section.prose) + "\n")
    return "\n".join(parts)


def _list(sheet: Sheet, title: str) -> str:
    lines = (": ".join(_cell(cell) for cell in row) for row in sheet.rows)
    return (f"\\paragraph{{{escape(title)}}}\n" if title else "") + _items(lines)


def _items(lines: Iterable[str]) -> str:
    return "\\begin{itemize}\n" + "".join(f"\\item {line}\n" for line in lines) + "\\end{itemize}\n"


def _table(sheet: Sheet, caption: str, label: str) -> str:
    """Return a table environment. Intervals stand on a line of their own under the values, as pages are narrow."""
    columns = "".join("r" if column.right else "l" for column in sheet.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        _line(escape(column.header) for column in sheet.columns),
        r"\midrule",
        *(line for row in sheet.rows for line in _rows(row)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {escape(text)}}}" for text in sheet.legend),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _rows(row: Sequence[Cell]) -> list[str]:
    lines = [_line(_cell(cell) for cell in row)]
    if any(cell.interval for cell in row):
        lines.append(_line(rf"{{\scriptsize {escape(cell.interval)}}}" if cell.interval else "" for cell in row))
    return lines


def _cell(cell: Cell) -> str:
    if cell.bar is not None:
        return rf"\rule{{{8 * cell.bar:.2f}em}}{{1ex}}"
    text = escape(cell.text)
    marks = f"$^{{{''.join(cell.marks)}}}$" if cell.marks else ""
    return (rf"\textbf{{{text}}}" if cell.bold else text) + marks


def _line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escaped(letter: str) -> str:
    if letter in SPECIAL:
        return SPECIAL[letter]
    if letter.isprintable() and (letter.isascii() or 0xC0 <= ord(letter) <= 0x17F):  # what T1 fonts hold
        return letter
    return f"U+{ord(letter):04X}"
