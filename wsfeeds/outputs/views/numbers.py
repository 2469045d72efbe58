"""Numbers on a screen: the venue's digits, compared and aligned without ever becoming a float."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from wsfeeds.outputs.views.text import clean

MAX_DIGITS = 48
"""Characters shown of one number; longer ones are cut visibly."""
_SECOND = 1_000_000
_MINUTE = 60
_HOUR = 3_600


def number(value: object) -> Decimal | None:
    """Return the value to compare with, or None where there is no number."""
    if not isinstance(value, str) or len(value) > 4 * MAX_DIGITS:
        return None
    try:
        parsed = Decimal(value)
    except InvalidOperation:
        return None
    return parsed if parsed.is_finite() else None


def direction(old: object, new: object) -> int:
    """Return 1 where the number rose, -1 where it fell, 0 where it did not or cannot be told."""
    if old == new:
        return 0
    before, after = number(old), number(new)
    if before is None or after is None or before == after:
        return 0
    return 1 if after > before else -1


def arrow(way: int) -> str:
    """Return the sign of a direction, one cell wide."""
    return "▲" if way > 0 else "▼" if way < 0 else " "


def tint(way: int) -> str:
    """Return the style of a direction."""
    return "up" if way > 0 else "down" if way < 0 else ""


def digits(value: object) -> str:
    """Return the venue's digits, or `-` where it sent none."""
    return "-" if value is None or value == "" else clean(value, MAX_DIGITS)


def signed(value: object) -> str:
    """Return a change with its sign, plus included."""
    parsed = number(value)
    return f"+{digits(value)}" if parsed is not None and parsed > 0 else digits(value)


def difference(high: object, low: object) -> str | None:
    """Return `high - low` in plain notation, exactly, or None."""
    top, bottom = number(high), number(low)
    if top is None or bottom is None:
        return None
    gap = top - bottom
    return format(gap, "f") if abs(gap.as_tuple().exponent) <= MAX_DIGITS else None  # type: ignore[arg-type]


def parts(text: str) -> tuple[int, int]:
    """Return the characters before the decimal point and those from it on."""
    whole, point, fraction = text.partition(".")
    return len(whole), len(point) + len(fraction)


def align(texts: Sequence[str]) -> list[str]:
    """Return the numbers padded so that their decimal points stand in one column."""
    measured = [parts(text) for text in texts]
    before = max((whole for whole, _ in measured), default=0)
    after = max((rest for _, rest in measured), default=0)
    return [
        " " * (before - whole) + text + " " * (after - rest)
        for text, (whole, rest) in zip(texts, measured, strict=True)
    ]


def span_text(micros: int) -> str:
    """Return a length of time for people: `0.4s`, `12s`, `3m05s`, `2h10m`."""
    if micros < 0:
        return f"-{span_text(-micros)}"
    seconds = micros // _SECOND
    if seconds < 10:
        return f"{micros / _SECOND:.1f}s"
    if seconds < _MINUTE:
        return f"{seconds}s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE}m{seconds % _MINUTE:02d}s"
    return f"{seconds // _HOUR}h{seconds % _HOUR // _MINUTE:02d}m"


def age_text(micros: int) -> str:
    """Return how long ago something was, in whole seconds: no flicker while events flow."""
    return span_text(max(0, micros)) if micros >= 10 * _SECOND else f"{max(0, micros) // _SECOND}s"
