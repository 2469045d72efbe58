"""Tables that fit: columns as wide as their content, the least important ones left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wsfeeds.outputs.views.numbers import align
from wsfeeds.outputs.views.text import Line, Span, cells, fit

_GAP = "  "


class Column(NamedTuple):
    """A column: its title, how it is aligned and how long it stays when there is no room."""

    title: str
    importance: int
    """The column with the lowest number goes first."""
    align: str = "left"
    """`left`, `right`, or `point` for numbers whose decimal points stand below each other."""
    widest: int = 26
    least: int = 6
    """How far a column may shrink before others are left out."""


def table(columns: Sequence[Column], rows: Sequence[Sequence[Span]], width: int) -> list[Line]:
    """Return the heading and one line a row, cut to the columns that fit in `width`."""
    texts = [_column_texts(column, [row[i][0] for row in rows]) for i, column in enumerate(columns)]
    wanted = [
        min(column.widest, max([cells(column.title), *map(cells, cell_texts)]))
        for column, cell_texts in zip(columns, texts, strict=True)
    ]
    kept = _shrink(columns, wanted, width)
    heading = [(columns[i].title, "head") for i in kept]
    lines = [_join(columns, kept, wanted, heading)]
    for number, row in enumerate(rows):
        spans = [(texts[i][number], row[i][1]) for i in kept]
        lines.append(_join(columns, kept, wanted, spans))
    return lines


def beside(left: list[Line], right: list[Line], left_width: int) -> list[Line]:
    """Return two blocks side by side, the left one `left_width` cells wide."""
    lines: list[Line] = []
    for number in range(max(len(left), len(right))):
        one = left[number] if number < len(left) else []
        other = right[number] if number < len(right) else []
        lines.append([*_clip(one, left_width), *other])
    return lines


def heading(title: str, width: int) -> Line:
    """Return a rule with a title."""
    return [("─ ", "head"), (title, "head"), (" " + "─" * max(0, width - cells(title) - 3), "head")]


def _clip(line: Line, width: int) -> Line:
    clipped: Line = []
    used = 0
    for text, style in line:
        shown = text if used + cells(text) <= width else fit(text, width - used)
        clipped.append((shown, style))
        used += cells(shown)
        if used >= width:
            return clipped
    return [*clipped, (" " * (width - used), "")]


def _column_texts(column: Column, texts: list[str]) -> list[str]:
    return align(texts) if column.align == "point" else texts


def _total(kept: Sequence[int], wanted: Sequence[int]) -> int:
    return sum(wanted[i] for i in kept) + len(_GAP) * (len(kept) - 1)


def _shrink(columns: Sequence[Column], wanted: list[int], width: int) -> list[int]:
    """Choose the columns to keep; narrows left-aligned ones in `wanted` before dropping any."""
    kept = list(range(len(columns)))
    while len(kept) > 1:
        excess = _total(kept, wanted) - width
        elastic = [i for i in kept if columns[i].align == "left" and wanted[i] > columns[i].least]
        if excess <= 0 or sum(wanted[i] - columns[i].least for i in elastic) >= excess:
            break
        kept.remove(min(kept, key=lambda i: columns[i].importance))
    excess = _total(kept, wanted) - width
    for i in sorted(kept, key=lambda i: -wanted[i]):
        if excess > 0 and columns[i].align == "left":
            less = min(excess, max(0, wanted[i] - columns[i].least))
            wanted[i] -= less
            excess -= less
    return kept


def _join(
    columns: Sequence[Column], kept: Sequence[int], wanted: Sequence[int], spans: Sequence[Span]
) -> Line:
    line: Line = []
    for place, (text, style) in zip(kept, spans, strict=True):
        if line:
            line.append((_GAP, ""))
        right = columns[place].align != "left"
        line.append((fit(text, wanted[place], right=right), style))
    return line
