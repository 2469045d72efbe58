"""What Cryptomus calls things: markets, depth scales, currencies, `all`.

Protocol facts are from docs/protocols/cryptomus.md, section 5.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from wsfeeds.errors import UsageError

ALL = "all"
_DEPTH = re.compile(r"([A-Za-z0-9]+_[A-Za-z0-9]+)(?::([0-9]{1,3}))?").fullmatch
_CURRENCY = re.compile(r"[A-Za-z0-9]+").fullmatch

Names = dict[str, tuple[str, ...]]
"""The venue's names of what is asked for on a channel, and the symbols typed for each."""


def wire_name(channel: str, symbol: str) -> str | None:
    """Return what a channel calls a symbol, None where it cannot take it."""
    if symbol == ALL:
        return ALL
    if channel == "balance":
        return symbol if _CURRENCY(symbol) else None
    match = _DEPTH(symbol)
    if match is None:
        return None
    if channel in {"depth", "bbo"}:
        return f"{match[1]}:{int(match[2] or 0)}"
    return match[1]


def on_wire(channels: tuple[str, ...], symbols: tuple[str, ...]) -> dict[str, Names]:
    """Return for each channel of the wire its names; `bbo` is made of `depth`."""
    result: dict[str, Names] = {}
    for channel in channels:
        names = result.setdefault("depth" if channel == "bbo" else channel, {})
        for symbol in symbols:
            name = wire_name(channel, symbol)
            if name is not None and symbol not in names.get(name, ()):
                names[name] = (*names.get(name, ()), symbol)
    return result


def expanded(channel: str, names: Names, markets: list[str] | None) -> Names:
    """Return the names to ask for where `all` is among them.

    Args:
        channel: The channel of the wire.
        names: What was asked for.
        markets: The market list, if it is known.
    """
    if ALL not in names:
        return names
    if channel != "depth" or markets is None:
        # Mixing `all` with names is undocumented (section 5): `all` speaks for them. On depth
        # that is what is left where it was added later, without a market list.
        return {ALL: tuple(dict.fromkeys(symbol for typed in names.values() for symbol in typed))}
    # Which scales depth `all` delivers is unknown (section 6.2): every market, scale 0.
    rest = {name: typed for name, typed in names.items() if name != ALL}
    return {f"{market}:0": names[ALL] for market in markets} | rest


def refuse_malformed(channels: Sequence[str], symbols: Sequence[str], symbol_help: str) -> None:
    """Refuse symbols that no chosen channel can take.

    Raises:
        UsageError: There is one.
    """
    for symbol in symbols:
        if not any(wire_name(channel, symbol) for channel in channels):
            chosen = ", ".join(channels)
            raise UsageError(f"malformed symbol {symbol!r} for {chosen}: {symbol_help}")


def refuse_idle(channels: Sequence[str], symbols: Sequence[str]) -> None:
    """Refuse channels that none of the symbols is for.

    Raises:
        UsageError: There is one.
    """
    for channel in channels:
        if not any(wire_name(channel, symbol) for symbol in symbols):
            what = "a currency such as BTC" if channel == "balance" else "a market such as BTC_USDT"
            raise UsageError(f"channel {channel!r} needs {what}, or all")
