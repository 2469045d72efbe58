"""What interact_quote is sent: the URL with its token, and commands.

Protocol facts are from docs/protocols/interact_quote.md, sections 2 to 4.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any, Literal
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from wsfeeds import decimals
from wsfeeds.secrets import MASK

FEED = "interact_quote"
SPORTSBOOK = "chloe-market"
FANCY = "fancy-market"
PATH = "/quote/do-not-look-back"
Market = tuple[str, str]
"""Event id and market id: what the venue tells subscriptions apart by (section 4)."""

_SUBSCRIBE = re.compile(r"order-slip-quote@(?:chloe|fancy)-market")
_UNSUBSCRIBE = "unsubscribe-order-slip-quote"
_ENCODER = msgspec.json.Encoder()


# --- the URL and the token (sections 2 and 3) ---------------------------------------------------


def address(base: str, token: str) -> tuple[str, str]:
    """Return the URL to open and the same with the token replaced."""
    parts = urlsplit(base)
    path = parts.path.rstrip("/")
    if not path.endswith(PATH):
        path += PATH
    parts = parts._replace(path=path)
    return _with_token(parts, quote(bare(token), safe="")), _with_token(parts, MASK)


def bare(token: str) -> str:
    """Return a token without blanks around it and without a `bearer` of its own."""
    token = token.strip()
    return token[7:].strip() if token[:7].lower() == "bearer " else token


def expiry(token: str) -> float | None:
    """Return when a JWT ends, in seconds since the epoch; None where that cannot be told.

    The venue's claim is `expires_at`, a time with nine fractional digits; `exp` is the usual one.
    The signature is the server's business.
    """
    parts = bare(token).split(".")
    if len(parts) != 3:
        return None
    middle = parts[1].rstrip("=")
    try:
        text = base64.b64decode(middle + "=" * (-len(middle) % 4), altchars=b"-_", validate=True)
        claims = msgspec.json.decode(text, type=dict[str, Any])
    except (binascii.Error, ValueError, msgspec.MsgspecError, RecursionError):
        return None
    named = claims.get("expires_at")
    micros = decimals.iso_to_micros(named) if isinstance(named, str) else None
    if micros is not None:
        return micros / 1_000_000
    seconds = claims.get("exp")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return float(seconds) if abs(seconds) < 1e15 and math.isfinite(seconds) else None


def _with_token(parts: SplitResult, token: str) -> str:
    # `%20` and never `+`: the venue's own words.
    query = "&".join(filter(None, (parts.query, f"authorization=bearer%20{token}")))
    return urlunsplit(parts._replace(query=query))


# --- commands (section 4) -----------------------------------------------------------------------


def market_of(symbol: str) -> Market | None:
    """Return event and market of `EVENT@MARKET`, None where it is malformed."""
    event, at, market = symbol.partition("@")
    sound = event and at and market and "@" not in market and "#" not in symbol
    return (event, market) if sound and not any(map(str.isspace, symbol)) else None


def family(market_id: str) -> Literal["chloe-market", "fancy-market"]:
    """Return the channel of a market: ids of fancy markets end in `_f`."""
    return "fancy-market" if market_id.endswith("_f") else "chloe-market"


def command(text: str) -> str:
    """Return a client frame; the field's misspelling is the protocol."""
    return _ENCODER.encode({"commend": text}).decode()


def subscribe(symbol: str) -> str:
    """Return G3 or G4."""
    return command(f"order-slip-quote@{family(symbol)}#{symbol}")


def unsubscribe(symbol: str) -> str:
    """Return G5."""
    return command(f"{_UNSUBSCRIBE}#{symbol}")


class Sent(Struct):
    """A client frame."""

    commend: str


def read_command(frame: str) -> tuple[str, str]:
    """Return what a client frame asks for (`subscribe`, `unsubscribe` or the bare word), of what.

    Raises:
        msgspec.MsgspecError: It is no client frame.
    """
    verb, _, symbol = msgspec.json.decode(frame, type=Sent).commend.partition("#")
    if _SUBSCRIBE.fullmatch(verb):
        return "subscribe", symbol
    return ("unsubscribe" if verb == _UNSUBSCRIBE else verb), symbol
