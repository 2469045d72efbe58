"""The simulated venue's JWT: HS256 with a secret of its own (docs/protocols/interact_quote.md, 3).

Written out rather than taken from a library: the claim that counts is `expires_at`, which no
library looks at.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

_HEADER = {"alg": "HS256", "typ": "JWT"}
_PARTS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class TokenRefused(Exception):
    """The token is malformed, forged or expired."""


def issue(secret: bytes, claims: Mapping[str, Any]) -> str:
    """Sign claims."""
    signed = ".".join(_written(orjson.dumps(part)) for part in (_HEADER, claims))
    return f"{signed}.{_signature(secret, signed)}"


def claims_of(player: str, issued: float, life: float, expiry: str) -> dict[str, Any]:
    """Make the claims of a player.

    Args:
        player: His id.
        issued: When, in seconds since 1970.
        life: Seconds until the token expires.
        expiry: Which claim says so: ``expires_at``, ``exp`` or ``none``.
    """
    claims: dict[str, Any] = {
        "user_id": "00000000-0000-4000-8000-000000000000",
        "player_id": player,
        "merchant_code": "sim-merchant",
        "issued_at": _time(issued),
        "language": "en",
    }
    if expiry == "expires_at":
        claims["expires_at"] = _time(issued + life)
    elif expiry == "exp":
        claims["exp"] = int(issued + life)
    return claims


def check(secret: bytes, token: str, now: float) -> float | None:
    """Verify a token.

    Returns:
        When it expires, in seconds since 1970; None for never.

    Raises:
        TokenRefused: It is malformed, forged or expired.
    """
    if not _PARTS.fullmatch(token):
        raise TokenRefused("malformed token")
    header, body, signature = token.split(".")
    if not hmac.compare_digest(signature, _signature(secret, f"{header}.{body}")):
        raise TokenRefused("invalid signature")
    try:
        claims = orjson.loads(_read(body))
        algorithm = orjson.loads(_read(header)).get("alg")
        expires = _expiry(claims)
    except (ValueError, AttributeError, binascii.Error) as error:
        raise TokenRefused("malformed token") from error
    if algorithm != "HS256":
        raise TokenRefused("unknown algorithm")
    if expires is not None and expires <= now:
        raise TokenRefused("token is expired")
    return expires


def _expiry(claims: Mapping[str, Any]) -> float | None:
    if (text := claims.get("expires_at")) is not None:
        return datetime.fromisoformat(text).timestamp()
    return claims.get("exp")


def _time(seconds: float) -> str:
    """Write a time with nine digits of the second, as the venue does."""
    whole, fraction = divmod(round(seconds * 1_000_000), 1_000_000)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction:06}634Z"


def _signature(secret: bytes, signed: str) -> str:
    return _written(hmac.digest(secret, signed.encode(), hashlib.sha256))


def _written(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def _read(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
