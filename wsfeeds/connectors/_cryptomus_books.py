"""The books of one Cryptomus connection: which are synced, and where `bbo` asks for it, their top.

A book is keyed by market and scale; the rules are docs/protocols/cryptomus.md, section 6.2.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import msgspec
from msgspec import Raw

from wsfeeds.books import OrderBook, Top, same_top
from wsfeeds.connectors._cryptomus_frames import FEED
from wsfeeds.events import Bbo, Book, Level, Levels
from wsfeeds.protocol import Incoming, Resync, Skipped

BookKey = tuple[str, int | None]
NO_LEVELS = cast("Levels", Raw(b"[]"))
_LEVELS = msgspec.json.Decoder(list[Level])
_UNCHANGED = (Skipped(reason="unchanged top of book"),)


class Books:
    """What is known of the books; levels are kept only for `bbo`."""

    def __init__(self, channels: Collection[str]) -> None:
        """Show what these channels ask for; nothing is synced yet."""
        self.synced: set[BookKey] = set()
        self._keeps = "bbo" in channels
        self._shows = "depth" in channels
        self._books: dict[BookKey, OrderBook] = {}
        self._tops: dict[BookKey, Top] = {}

    def forget(self) -> None:
        """Start anew: nothing is known until the next full reload of each book."""
        self.synced.clear()
        self._books.clear()
        self._tops.clear()

    def update(
        self, key: BookKey, time: int | None, snapshot: bool, bids: Levels, asks: Levels
    ) -> list[Incoming] | tuple[Skipped, ...]:
        """Apply an update and return what it says: the book event, a new top, or a crossed book."""
        if snapshot:
            self.synced.add(key)
        crossed = False
        if self._keeps and key in self.synced:
            crossed = self._apply(key, snapshot, bids, asks)
        if crossed:
            self.synced.discard(key)
            self._books.pop(key, None)
            self._tops.pop(key, None)
        result: list[Incoming] = []
        if self._shows:
            result.append(
                Book(
                    feed=FEED,
                    channel="depth",
                    symbol=key[0],
                    ts=time,
                    snapshot=snapshot,
                    synced=key in self.synced,
                    scale_index=key[1],
                    bids=bids,
                    asks=asks,
                )
            )
        if crossed:
            result.append(Resync(channel="depth", symbol=key[0], reason="crossed_book"))
        elif self._keeps:
            top = self._new_top(key, time)
            if top is not None:
                result.append(top)
        return result or _UNCHANGED

    def _apply(self, key: BookKey, snapshot: bool, bids: Levels, asks: Levels) -> bool:
        """Apply an update to the kept book and tell whether that crossed it."""
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = OrderBook()
        change = book.load if snapshot else book.apply
        change(_LEVELS.decode(bids), _LEVELS.decode(asks))  # type: ignore[arg-type]
        return book.crossed()

    def _new_top(self, key: BookKey, time: int | None) -> Bbo | None:
        book = self._books.get(key)
        if book is None:
            return None
        top = book.top()
        if same_top(self._tops.get(key), top):
            return None
        self._tops[key] = top
        return Bbo(
            feed=FEED,
            channel="bbo",
            symbol=key[0],
            ts=time,
            bid_price=top[0],
            bid_quantity=top[1],
            ask_price=top[2],
            ask_quantity=top[3],
            scale_index=key[1],
        )

    def state(self) -> dict[str, Any]:
        """Return what decides which updates are synced and change the top of a book."""
        return {
            "synced": sorted(self.synced, key=str),
            "books": [
                [*key, book.bids.items(), book.asks.items()] for key, book in self._books.items()
            ],
            "tops": [[*key, list(top)] for key, top in self._tops.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.synced = {(market, scale) for market, scale in state["synced"]}
        for market, scale, bids, asks in state["books"]:
            book = self._books[market, scale] = OrderBook()
            book.load(bids, asks)
        self._tops = {(market, scale): tuple(top) for market, scale, top in state["tops"]}
