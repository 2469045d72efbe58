"""`wsfeeds markets`: what can be subscribed on a feed, from the venue's own list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from wsfeeds import app
from wsfeeds.cli import leaving
from wsfeeds.cli.console import Console
from wsfeeds.cli.table import table


class Scale(msgspec.Struct):
    """A depth scale of a market: `index` is what follows the colon in BTC_USDT:1."""

    index: int | None
    scale: str | None


class Market(msgspec.Struct, omit_defaults=True):
    """One thing that can be subscribed; keys other than `symbol` depend on the feed."""

    symbol: str
    base: str | None = None
    quote: str | None = None
    min_quantity: str | None = None
    min_value: str | None = None
    quantity_precision: str | None = None
    price_precision: str | None = None
    scales: list[Scale] = []
    name: str | None = None
    status: str | None = None
    collection_status: str | None = None
    start: str | None = None
    type: str | None = None
    coverage_level: str | None = None


def fetch(
    feed: str,
    symbols: Sequence[str],
    *,
    sport: str | None,
    sim: bool,
    flags: dict[str, Any],
    console: Console,
) -> list[dict[str, Any]]:
    """Fetch the list.

    Raises:
        WsfeedsError: It cannot be had; the exit code is the error's.
    """
    wanted = app.Subscription(
        feed=feed,
        symbols=symbols,
        flags=flags,
        sim=sim,
        config_file=Path(console.config_file) if console.config_file else None,
    )
    return leaving.run(app.list_markets(wanted, sport=sport, redactor=console.redactor))


def show(rows: list[dict[str, Any]]) -> str:
    """Return the list as a table for people."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["symbol"]
    header = [column.upper().replace("_", " ") for column in columns]
    return table(header, ([_cell(row.get(column)) for column in columns] for row in rows))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(f"{item['index']}={item['scale']}" for item in value)
    return "" if value is None else str(value)
