"""The markets of the simulated Cryptomus, and how its documents write them.

Shapes: docs/protocols/cryptomus.md, sections 7 and 11 (G80, G81).
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from wsfeeds.simulators.cryptomus_messages import decimal, trimmed, ulid
from wsfeeds.simulators.market import Listing

_LISTED_MS = 1_710_000_000_000


class _Row(NamedTuple):
    symbol: str
    price: int
    price_digits: int
    quantity_digits: int
    lot: int
    scales: tuple[int, ...]
    base_precision: int
    quote_precision: int


# Price and quantity digits together never exceed 8, the digits of a balance, so that a trade's
# value is exact. The two precisions are those of the market list, which the stream ignores.
_ROWS = (
    _Row("BTC_USDT", 10715255, 2, 6, 120_000, (1, 10, 100, 1000), 8, 6),
    _Row("ETH_USDT", 244718, 2, 5, 150_000, (1, 10, 100), 8, 6),
    _Row("TRX_USDT", 272696, 6, 2, 90_000, (1, 10, 100, 1000), 4, 8),
    _Row("SHIB_USDT", 1180, 8, 0, 4_000_000, (1, 10), 0, 8),
    _Row("LTC_USDT", 8491, 2, 4, 60_000, (1, 10, 100), 8, 4),
    _Row("SOL_USDT", 14327, 2, 4, 80_000, (1, 10, 100), 8, 4),
    _Row("DOGE_USDT", 16215, 5, 1, 40_000, (1, 10, 100), 2, 8),
    _Row("XRP_USDT", 21034, 4, 2, 50_000, (1, 10, 100), 4, 6),
    _Row("TON_USDT", 2873, 3, 3, 200_000, (1, 10), 4, 6),
    _Row("BNB_USDT", 6453, 1, 4, 20_000, (1, 10, 100), 6, 4),
    _Row("ETH_BTC", 22840, 6, 2, 300, (1, 10, 100), 8, 8),
)

_NAMES = {
    "BTC": "Bitcoin",
    "ETH": "Ethereum",
    "TRX": "TRON",
    "SHIB": "Shiba Inu",
    "LTC": "Litecoin",
    "SOL": "Solana",
    "DOGE": "Dogecoin",
    "XRP": "XRP",
    "TON": "Toncoin",
    "BNB": "BNB",
    "USDT": "Tether USD",
}

LISTINGS = {
    row.symbol: Listing(
        row.symbol, row.price, row.price_digits, row.quantity_digits, row.lot, row.scales
    )
    for row in _ROWS
}
"""Every market by its symbol, in the order of the market list."""

CURRENCIES = tuple(_NAMES)
"""Every currency of the markets."""


def market_list(random: Random, *, full: bool) -> list[dict[str, str]]:
    """Write the market list: the full edition has names and 16 decimals, the other 8."""
    digits = 16 if full else 8
    rows = []
    for row in _ROWS:
        listing = LISTINGS[row.symbol]
        document = {
            "id": ulid(_LISTED_MS, random),
            "symbol": row.symbol,
            "baseCurrency": listing.base,
            "quoteCurrency": listing.quote,
            "baseMinSize": decimal(1, row.quantity_digits, digits),
            "quoteMinSize": decimal(1, 1, digits),
            "baseMaxSize": decimal(10_000_000_000, 0, digits),
            "quoteMaxSize": decimal(99_999_999, 0, digits),
            "basePrec": str(row.base_precision),
            "quotePrec": str(row.quote_precision),
        }
        if full:
            document["baseCurrencyFullName"] = _NAMES[listing.base]
            document["quoteCurrencyFullName"] = _NAMES[listing.quote]
        rows.append(document)
    return rows


def symbol_scales(listing: Listing) -> list[dict[str, str | int]]:
    """Write the depth scales of a market."""
    return [
        {"scale": trimmed(width, listing.price_digits), "index": index}
        for index, width in enumerate(listing.scales)
    ]
