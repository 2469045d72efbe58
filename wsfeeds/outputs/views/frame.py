"""A frame drawn in place: it fills the screen, and only lines that changed are written again."""

from __future__ import annotations

from typing import Protocol

from wsfeeds.outputs.views.text import Line, paint

REDRAW_ALL = 16
"""Drawings after which unchanged lines are written again, over whatever else was printed."""
_HOME = "\x1b[H"
_ERASE_BELOW = "\x1b[J"
_BEGIN = "\x1b[?25l\x1b[?7l"
"""Hide the cursor and do not wrap, only while a frame is drawn: a kill leaves no mess behind."""
_END = "\x1b[?7h\x1b[?25h"


class TextSink(Protocol):
    """Where the text goes; the sink decides how a slow terminal is waited for."""

    def write(self, text: str, /) -> object:
        """Take the text, whole."""
        ...


class Frame:
    """The screen as it was drawn last.

    The first drawing pushes what is on the screen into the scrollback; the alternate screen is not
    used, so that the last frame stays. A screen that changed its size is drawn anew.
    """

    def __init__(self, sink: TextSink, *, colour: bool) -> None:
        """Write to `sink`, each drawing in one piece."""
        self._sink = sink
        self._colour = colour
        self._size: tuple[int, int] | None = None
        self._shown: list[str] = []
        self._drawings = 0

    def draw(self, lines: list[Line], width: int, height: int) -> None:
        """Show the lines from the top of the screen; missing ones are blank."""
        painted = [paint(line, width, colour=self._colour, cursor=True) for line in lines[:height]]
        painted += ["\x1b[K"] * (height - len(painted))
        parts = [_BEGIN]
        if self._size != (width, height):
            parts.append("\n" * height if self._size is None else "")
            parts.append(_HOME + _ERASE_BELOW)
            self._shown = []
        elif self._drawings % REDRAW_ALL == 0:
            self._shown = []
        shown = self._shown
        for row, text in enumerate(painted):
            if row >= len(shown) or shown[row] != text:
                parts.append(f"\x1b[{row + 1};1H{text}")
        parts.append(f"\x1b[{height};1H{_END}")
        self._size, self._shown = (width, height), painted
        self._drawings += 1
        self._sink.write("".join(parts))

    def finish(self, lines: list[Line], width: int) -> None:
        """Leave these lines on the screen, the cursor below them."""
        painted = [paint(line, width, colour=self._colour, cursor=True) for line in lines]
        top = _BEGIN + _HOME if self._size is not None else _BEGIN
        self._sink.write(top + "\n".join(painted) + "\r\n" + _ERASE_BELOW + _END)
