"""The tables for a paper: LaTeX with booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pez.evaluation.report.tables import Cell, Line, Table

SMALL = "Made with small shipped models: it does not show how good prompts are on large ones."
NEEDS = "% \\usepackage{booktabs}\n% \\usepackage{amssymb}\n% \\usepackage[T1]{fontenc}\n"
_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "−": "$-$",
    "–": "--",
    "×": r"$\times$",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "\u202f": r"\,",
}


def escape(text: str) -> str:
    """Text that LaTeX prints literally, on one line."""
    return "".join(_SPECIAL.get(sign) or (" " if sign.isspace() else sign) for sign in text)


def latex(tables: Iterable[Table]) -> str:
    """All tables, one after the other; each can be used in a paper by itself."""
    return NEEDS + "".join("\n" + _table(table) for table in tables)


def _table(table: Table) -> str:
    notes = [table.title + ".", *table.notes, *([SMALL] if table.small else [])]
    columns = "l" + "r" * (len(table.head) - 1)
    label = re.sub(r"[^a-z0-9]+", "-", table.key.lower()).strip("-")
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{escape(' '.join(notes))}}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(escape, table.head)) + r" \\",
        r"\midrule",
        *(_line(line) for line in table.lines),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(line: Line) -> str:
    rule = "\\midrule\n" if line.rule else ""
    return rule + " & ".join((escape(line.name), *map(_cell, line.cells))) + r" \\"


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    text += {"up": r"\,$\blacktriangle$", "down": r"\,$\blacktriangledown$"}.get(cell.mark, "")
    return text + (rf" {{\scriptsize {escape(cell.small)}}}" if cell.small else "")
