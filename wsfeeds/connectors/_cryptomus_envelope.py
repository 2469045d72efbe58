"""The envelope of a Cryptomus frame in any documented form, and how its parts are read.

Protocol facts are from docs/protocols/cryptomus.md, sections 4 and 8.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

_MARKET = re.compile(rb'"symbol"\s*:\s*"([A-Za-z0-9_]+)"').findall
_SCALE = re.compile(rb'"scale_index"\s*:\s*"?([0-9]{1,3})"?\s*[,}]').findall


class Envelope(Struct):
    """Any frame that is an object; each part may be missing (section 4)."""

    id: Raw | UnsetType = UNSET
    method: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET
    message: Raw | UnsetType = UNSET


def says_something(part: Raw | UnsetType) -> bool:
    """Tell an error from its absence: missing, null, 0, false and what is empty are none."""
    return part is not UNSET and bool(msgspec.json.decode(part))


def text_of(part: Raw | UnsetType) -> str:
    """Return a member that is a string, else an empty one."""
    value = scalar_of(part)
    return value if isinstance(value, str) else ""


def scalar_of(part: Raw | UnsetType) -> int | str | None:
    """Return a member that is a number without fraction or a string."""
    value = None if part is UNSET else msgspec.json.decode(part)
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return value
    return None


def id_text(part: Raw | UnsetType) -> str | None:
    """Return an id as text: ids are compared as strings (section 8, row 2)."""
    value = scalar_of(part)
    return None if value is None else str(value)


def ack_status(part: Raw | UnsetType) -> str | None:
    """Return `status` of a `data` that has one."""
    if part is UNSET or bytes(part)[:1] != b"{":
        return None
    value = msgspec.json.decode(part).get("status")
    return value if isinstance(value, str) else None


def named_book(frame: bytes) -> tuple[str | None, int | None]:
    """Return market and depth scale that a broken frame still shows, None where it does not.

    It may be cut, so only its text is looked at; a name that is cut itself is none, and what names
    two markets (two frames run together, say) may be about any.
    """
    markets, scales = set(_MARKET(frame)), set(_SCALE(frame))
    if len(markets) != 1:
        return None, None
    return markets.pop().decode(), int(scales.pop()) if len(scales) == 1 else None


def error_parts(error: Raw | UnsetType) -> dict[str, int | str]:
    """Return code and message of an error in whatever form it came."""
    value = None if error is UNSET else msgspec.json.decode(error)
    if isinstance(value, dict):
        return {
            key: value[key]
            for key in ("code", "message")
            if isinstance(value.get(key), (int, str)) and not isinstance(value.get(key), bool)
        }
    return {"message": str(value)} if value is not None else {}
