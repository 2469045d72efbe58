"""The `Retry-After` header in both of its forms (RFC 9110, section 10.2.3)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from wsfeeds.clock import wall_seconds

_LONGEST = 3_600.0
"""An hour: a longer wish is a mistake of the server's."""


def seconds(value: str | None) -> float | None:
    """Return the seconds to wait, None where the header is missing or makes no sense."""
    if not value:
        return None
    text = value.strip()
    if text.isdecimal():
        return min(float(text), _LONGEST)
    try:
        wait = parsedate_to_datetime(text).timestamp() - wall_seconds()
        return min(max(0.0, wait), _LONGEST)
    except (ValueError, OverflowError):
        return None
