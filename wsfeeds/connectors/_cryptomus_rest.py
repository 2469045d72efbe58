"""The REST conversations of Cryptomus: token, market list, depth scales.

Protocol facts are from docs/protocols/cryptomus.md, sections 2 and 7. Error bodies come in several
shapes and `state: 0` means both success and failure, so the HTTP status decides first.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Generator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from wsfeeds import decimals
from wsfeeds.errors import CredentialsRefused, Transient, UsageError
from wsfeeds.protocol import HttpReply, HttpRequest, unavailable
from wsfeeds.secrets import Secret

_API = "https://api.cryptomus.com"
_SCALES = "https://exchange-ws.cryptomus.com"
_TOKEN_PATH = "/v2/user-api/exchange/account/web-socket/token"  # noqa: S105  # a path
_MARKETS_PATH = "/v2/user-api/exchange/markets"
_SCALES_PATH = "/api/v2/symbol-scales"
_OVERLOADED = {408, 425, 429}

Rows = Generator[HttpRequest, HttpReply, list[dict[str, Any]]]


def sign(api_key: Secret, body: bytes) -> str:
    """Return `md5(base64(body) + key)` in lower-case hex (section 2)."""
    text = base64.b64encode(body).decode() + api_key.reveal()
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def fetch_token(
    api_url: str | None, user_id: str, signature: str
) -> Generator[HttpRequest, HttpReply, str]:
    """Fetch a one-time token: the empty body is what is signed (section 2).

    Raises:
        CredentialsRefused: The venue does not know the user or the signature.
        Transient: The endpoint failed in a way that time may mend.
    """
    reply = yield HttpRequest(
        url=f"{_base(api_url, _API)}{_TOKEN_PATH}",
        headers={"userId": user_id, "sign": signature, "Content-Type": "application/json"},
    )
    body = _json(reply)
    token = _find_token(body)
    if reply.status == 200 and token is not None:
        return token
    said = _message(body)
    if 400 <= reply.status < 500 and reply.status not in _OVERLOADED:
        raise CredentialsRefused(
            f"the token endpoint refused user_id and api_key: HTTP {reply.status}{said}",
            code=reply.status,
        )
    if reply.status == 200 and isinstance(body, dict) and str(body.get("state", 0)) != "0":
        raise CredentialsRefused(f"the token endpoint refused user_id and api_key{said}")
    if reply.status == 200:
        raise Transient(f"the token endpoint answered without a token{said}")
    raise unavailable("the token endpoint", reply)


def fetch_markets(api_url: str | None) -> Rows:
    """Fetch the market list: objects with at least `symbol` (G81)."""
    reply = yield HttpRequest(url=f"{_base(api_url, _API)}{_MARKETS_PATH}")
    return [row for row in _rows("the market list", reply) if isinstance(row.get("symbol"), str)]


def fetch_scales(api_url: str | None, market: str) -> Rows:
    """Fetch the depth scales of a market: objects `{scale, index}` (G80); unknown market: none."""
    url = f"{_base(api_url, _SCALES)}{_SCALES_PATH}?symbol={quote(market, safe='')}"
    reply = yield HttpRequest(url=url)
    if reply.status in {400, 404, 422}:
        return []
    body = _json(reply)
    if (
        reply.status == 200
        and isinstance(body, dict)
        and body.get("status") not in {None, "success"}
    ):
        return []
    return _rows("the list of depth scales", reply)


def list_markets(api_url: str | None, symbols: Sequence[str]) -> Rows:
    """List markets, all or some; with names given, their depth scales too.

    Raises:
        UsageError: A name is not in the list.
    """
    markets = yield from fetch_markets(api_url)
    rows = [
        {
            "symbol": market["symbol"],
            "base": market.get("baseCurrency"),
            "quote": market.get("quoteCurrency"),
            "min_quantity": _decimal(market.get("baseMinSize")),
            "min_value": _decimal(market.get("quoteMinSize")),
            "quantity_precision": _decimal(market.get("basePrec")),
            "price_precision": _decimal(market.get("quotePrec")),
        }
        for market in markets
    ]
    if not symbols:
        return rows
    known = {row["symbol"]: row for row in rows}
    chosen = []
    for symbol in dict.fromkeys(name.partition(":")[0] for name in symbols):
        if symbol not in known:
            raise UsageError(f"the market list has no {symbol!r}; see `wsfeeds markets cryptomus`")
        scales = yield from fetch_scales(api_url, symbol)
        found = [{"index": _index(row), "scale": _decimal(row.get("scale"))} for row in scales]
        chosen.append({**known[symbol], "scales": found})
    return chosen


def existing(
    api_url: str | None, markets: list[dict[str, Any]], channel: str, names: list[str]
) -> Generator[HttpRequest, HttpReply, list[str]]:
    """Return those of the venue's names that its lists know, for a channel of the wire."""
    if channel == "balance":
        known = {row.get(key) for row in markets for key in ("baseCurrency", "quoteCurrency")} | {
            "all"
        }
        return [name for name in names if name in known]
    symbols = {row["symbol"] for row in markets} | {"all"}
    found: list[str] = []
    for name in names:
        market, _, scale = name.partition(":")
        if market not in symbols:
            continue
        if scale not in {"", "0"}:
            scales = yield from fetch_scales(api_url, market)
            if scale not in {str(_index(row)) for row in scales}:
                continue
        found.append(name)
    return found


def _base(api_url: str | None, default: str) -> str:
    return (api_url or default).rstrip("/")


def _decimal(value: Any) -> str | None:
    """Return a number in plain notation, sent as one or as text; None for anything else."""
    try:
        return decimals.from_text(str(value))
    except decimals.Unrepresentable:
        return None


def _index(scale: dict[str, Any]) -> int | None:
    return decimals.whole(_decimal(scale.get("index")))


def _json(reply: HttpReply) -> Any:
    try:
        return reply.json()
    except msgspec.DecodeError:
        return None


def _find_token(body: Any) -> str | None:
    """Find `token`, then `result.token`, then `data.token` (section 2)."""
    if not isinstance(body, dict):
        return None
    for place in (body, body.get("result"), body.get("data")):
        if isinstance(place, dict) and isinstance(place.get("token"), str) and place["token"]:
            return str(place["token"])
    return None


def _message(body: Any) -> str:
    message = body.get("message") if isinstance(body, dict) else None
    return f" ({message})" if isinstance(message, str) and message else ""


def _rows(what: str, reply: HttpReply) -> list[dict[str, Any]]:
    """Read a list in any of the four envelopes (section 7): result, data, or bare."""
    if reply.status != 200:
        raise unavailable(what, reply)
    body = _json(reply)
    rows = body
    if isinstance(body, dict):
        rows = body.get("result") if body.get("result") is not None else body.get("data")
    if not isinstance(rows, list):
        raise Transient(f"{what} answered no list")
    return [row for row in rows if isinstance(row, dict)]
