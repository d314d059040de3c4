"""Sheets in LaTeX, for a paper: every text escaped, no package needed but booktabs and a T1 fontenc."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from camp_bench.report.document import Cell, Sheet

__all__ = ["escape_latex", "latex_sheet"]

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


def escape_latex(text: str) -> str:
    """Return the text as LaTeX prints it; letters that its usual fonts lack as their number, and no line break."""
    return "".join(_escaped(letter) for letter in " ".join(text.split()))


def latex_sheet(sheet: Sheet, caption: str, label: str) -> str:
    """Return a table environment. Intervals stand on a line of their own under the values, as pages are narrow."""
    columns = "".join("r" if column.right else "l" for column in sheet.columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        _line(escape_latex(column.header) for column in sheet.columns),
        r"\midrule",
        *(line for row in sheet.rows for line in _rows(row)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip\parbox{{\linewidth}}{{\scriptsize {escape_latex(text)}}}" for text in sheet.legend),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _rows(row: Sequence[Cell]) -> list[str]:
    lines = [_line(_cell(cell) for cell in row)]
    if any(cell.interval for cell in row):
        lines.append(_line(rf"{{\scriptsize {escape_latex(cell.interval)}}}" if cell.interval else "" for cell in row))
    return lines


def _cell(cell: Cell) -> str:
    text = escape_latex(cell.text)
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
