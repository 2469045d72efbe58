"""Text for a terminal: the venue's words made harmless, measured in cells, and painted.

Everything that a venue can choose passes `clean`: control characters, escape sequences, bidi
overrides and invisible characters become visible text. `paint` cleans whatever it is given once
more, so a view that forgets to cannot hand the terminal over. Nothing interprets markup.
"""

from __future__ import annotations

from typing import Any

import msgspec
from rich.cells import cell_len, set_cell_size

LIMIT = 400
"""Characters kept of one piece of venue text: more never fits on a line."""

Span = tuple[str, str]
"""Text and the name of its style (a key of `STYLES`, or empty)."""
Line = list[Span]

STYLES = {
    "up": "32",
    "down": "31",
    "buy": "32",
    "sell": "31",
    "good": "32",
    "warn": "33",
    "bad": "1;31",
    "name": "1",
    "note": "36",
    "dim": "2",
    "head": "2",
    "fresh_up": "1;32",
    "fresh_down": "1;31",
}
_RESET = "\x1b[0m"
_ERASE_TAIL = "\x1b[K"
_CONTROL_PICTURES = 0x2400
_DELETE = 0x7F
_UUID_LENGTH = 36
_UUID_DASHES = 4
_SURROGATES = range(0xD800, 0xE000)
_INVISIBLE = {*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}
"""Variation selectors: no text of their own, and terminals disagree about their width."""


def clean(value: object, limit: int = LIMIT) -> str:
    """Return `value` as one line of printable text, cut after `limit` characters."""
    text = value if type(value) is str else as_text(value, limit)
    if len(text) > limit:
        text = text[:limit] + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join([_visible(character) for character in text])


def as_text(value: object, limit: int = LIMIT) -> str:
    """Return what can be shown of any value: JSON for opaque parts, `-` for null."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return str(value)
    if isinstance(value, msgspec.Raw | bytes):
        return memoryview(value)[: 4 * limit].tobytes().decode("utf-8", "replace")
    if isinstance(value, bool | dict | list | tuple):
        try:
            return msgspec.json.encode(value, enc_hook=str).decode("utf-8", "replace")
        except (TypeError, ValueError, RecursionError):
            return f"<{type(value).__name__}>"
    try:
        return str(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits
        return f"<{type(value).__name__}>"


def slim(event: Any) -> Any:
    """Return an event fit to be kept for later drawing: opaque parts cut, no frame held alive."""
    kept = event.__copy__()
    for key in ("data", "team", "frame", "message", "error", "reason"):
        value = getattr(event, key, None)
        if value is not None:
            setattr(kept, key, clean(value))
    return kept


def short(symbol: object) -> str:
    """Return a symbol with a UUID at its end cut to the first eight characters."""
    name = "" if symbol is None else clean(symbol)
    before, slash, last = name.rpartition("/")
    if len(last) == _UUID_LENGTH and last.count("-") == _UUID_DASHES:
        return f"{before}{slash}{last[:8]}…"
    return name


def cells(text: str) -> int:
    """Return how many terminal cells the text takes."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return the text in exactly `width` cells: padded, or cut with an ellipsis."""
    size = cells(text)
    if size == width:
        return text
    if size < width:
        pad = " " * (width - size)
        return pad + text if right else text + pad
    return cut(text, width)


def cut(text: str, width: int) -> str:
    """Return the text in at most `width` cells, with an ellipsis where something was cut."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    return (text[: width - 1] if text.isascii() else set_cell_size(text, width - 1)) + "…"


def size(line: Line) -> int:
    """Return how many cells a line takes."""
    return sum([cells(text) for text, _ in line])


def paint(line: Line, width: int | None, *, colour: bool, cursor: bool = False) -> str:
    """Return the line as terminal output, at most `width` cells of it.

    Args:
        line: The spans from left to right.
        width: Where to cut, or None for no limit.
        colour: Whether styles become colour codes.
        cursor: Whether cursor movement may be used: text after non-ASCII text is then placed
            by column, so that terminals which measure emoji otherwise keep the alignment.
    """
    parts: list[str] = []
    used = 0
    placed = True
    for text, style in line:
        shown = text if text.isascii() and text.isprintable() else clean(text, len(text))
        if width is not None:
            shown = cut(shown, width - used)
        if not shown:
            continue
        if not placed:
            parts.append(f"\x1b[{used + 1}G")
        used += cells(shown)
        placed = not cursor or shown.isascii()
        code = STYLES.get(style) if colour else None
        parts.append(f"\x1b[{code}m{shown}{_RESET}" if code else shown)
    if cursor and (width is None or used < width):
        parts.append(_ERASE_TAIL if placed else f"\x1b[{used + 1}G{_ERASE_TAIL}")
    return "".join(parts)


def _visible(character: str) -> str:
    if character.isprintable():
        return "" if ord(character) in _INVISIBLE else character
    code = ord(character)
    if code < ord(" "):
        return chr(_CONTROL_PICTURES + code)
    if code == _DELETE:
        return "␡"
    if code not in _SURROGATES and character.isspace() and code not in {0x85, 0x2028, 0x2029}:
        return " "
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
