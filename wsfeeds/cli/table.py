"""Aligned columns of text for people, without any markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wsfeeds.cli.console import printable


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as aligned columns under their header; control characters are escaped."""
    cells = [[printable("" if cell is None else str(cell)) for cell in row] for row in rows]
    grid = [list(header), *cells]
    widths = [max(len(row[index]) for row in grid) for index in range(len(header))]
    lines = (
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in grid
    )
    return "\n".join(line.rstrip() for line in lines)
