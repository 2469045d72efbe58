"""Splits a read into WebSocket frames (RFC 6455, section 5.2): the common kind fast, no other.

What venues send in masses are whole, uncompressed text messages below 64 KiB. Cutting those out
takes a tenth of what a full parser takes, and everything else is left to one.
"""

from __future__ import annotations

from collections.abc import Callable

MAX_LENGTH = 65_535
"""The longest payload that is cut out here."""
_TEXT = 0x81
_LENGTH_16, _LENGTH_64 = 126, 127
_MASKED = 0x80


def take_texts(data: bytes, at: int, longest: int, on_frame: Callable[[bytes, bool], None]) -> int:
    """Call `on_frame` for each whole text message from `at` on, and return where that ends.

    Args:
        data: Bytes in which a frame begins at `at`.
        at: Where to begin.
        longest: The longest payload to take, `MAX_LENGTH` at most; -1 takes none.
        on_frame: Takes the payload, and False: it is text.
    """
    end = len(data)
    while end - at > 1 and data[at] == _TEXT:
        length = data[at + 1]
        start = at + 2
        if length >= _LENGTH_16:
            start = at + 4
            if length != _LENGTH_16 or start > end:
                break
            length = data[at + 2] << 8 | data[at + 3]
        stop = start + length
        if stop > end or length > longest:
            break
        on_frame(data[start:stop], False)
        at = stop
    return at


def size_of_other(data: bytes, at: int, longest: int) -> int:
    """Return the size of the frame at `at` if it is none for `take_texts`; 0 needs more bytes."""
    have = len(data) - at
    if have < 2:
        return 0
    marked = data[at + 1]
    length = marked & ~_MASKED
    head = 2 + (0, 2, 8)[(length >= _LENGTH_16) + (length == _LENGTH_64)]
    if have < head:
        return 0
    if length >= _LENGTH_16:
        length = int.from_bytes(data[at + 2 : at + head], "big")
    if data[at] == _TEXT and head < 10 and marked < _MASKED and length <= longest:
        return 0
    return head + length + (4 if marked & _MASKED else 0)
