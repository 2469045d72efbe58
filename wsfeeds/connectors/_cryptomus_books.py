"""The books of one Cryptomus connection: which are synced, and where `bbo` asks for it, their top.

A book is keyed by market and scale; the rules are docs/protocols/cryptomus.md, section 6.2.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, cast

import msgspec
from msgspec import Raw

from wsfeeds.books import OrderBook, Top, same_top
from wsfeeds.connectors._cryptomus_frames import FEED
from wsfeeds.connectors._cryptomus_requests import BookKey
from wsfeeds.events import Bbo, Book, Level, Levels
from wsfeeds.protocol import Incoming, Resync, Skipped

_NO_LEVELS = cast("Levels", Raw(b"[]"))
_LEVELS = msgspec.json.Decoder(list[Level])
EMPTY = (Skipped(reason="empty updates"),)
_UNCHANGED = (Skipped(reason="unchanged top of book"),)
_DEADLINE = 10.0
_TRIES = 5
_PATIENCE = 300.0


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

    def spoil(self, market: str | None, scale: int | None) -> list[str]:
        """Count a book as unknown until the next full reload; None stands for each one there is.

        Returns:
            The markets whose books were known until now.
        """
        known = {key for key in self.synced if market in {None, key[0]} and scale in {None, key[1]}}
        for each in known:
            self._forget(each)
        return sorted({market for market, _ in known})

    def _forget(self, key: BookKey) -> None:
        self.synced.discard(key)
        self._books.pop(key, None)
        self._tops.pop(key, None)

    def update(
        self, key: BookKey, time: int | None, snapshot: bool, bids: Levels, asks: Levels
    ) -> Sequence[Incoming]:
        """Apply an update and return what it says: the book event, a new top, or a crossed book."""
        if snapshot:
            self.synced.add(key)
        elif bids == _NO_LEVELS == asks:
            return EMPTY
        if self._keeps:
            return self._update_kept(key, time, snapshot, bids, asks)
        return (self._event(key, time, snapshot, bids, asks),)

    def _update_kept(
        self, key: BookKey, time: int | None, snapshot: bool, bids: Levels, asks: Levels
    ) -> Sequence[Incoming]:
        crossed = key in self.synced and self._apply(key, snapshot, bids, asks)
        if crossed:
            self._forget(key)
        result: list[Incoming] = []
        if self._shows:
            result.append(self._event(key, time, snapshot, bids, asks))
        top = None if crossed else self._new_top(key, time)
        if crossed:
            result.append(Resync(channel="depth", symbol=key[0], reason="crossed_book"))
        elif top is not None:
            result.append(top)
        return result or _UNCHANGED

    def _event(
        self, key: BookKey, time: int | None, snapshot: bool, bids: Levels, asks: Levels
    ) -> Book:
        return Book(
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


class Overdue:
    """When to ask again for the books whose full reload has not come (contract, section 4)."""

    def __init__(self) -> None:
        """Wait for nothing."""
        self.at: float | None = None
        """When to look next, in monotonic seconds."""
        self._waiting = False
        self._wait = _DEADLINE
        self._missed = 0

    def start(self, *, waiting: bool) -> None:
        """Begin to wait, now that the books are subscribed, or stop waiting."""
        self._waiting = waiting
        self.at = None

    def look(
        self, now: float, expected: AbstractSet[BookKey], synced: AbstractSet[BookKey]
    ) -> list[str]:
        """Return the markets without a full reload once it is time, and set `at`."""
        if not self._waiting:
            self.at = None
            return []
        if self.at is None:
            self.at = now + self._wait
        if now < self.at:
            return []
        self.start(waiting=False)
        missing = sorted({market for market, _ in expected - synced})
        self._missed = self._missed + 1 if missing else 0
        # A market that never sends one must not disturb the others every 10 s for ever.
        self._wait = min(_DEADLINE * 2.0 ** max(0, self._missed - _TRIES), _PATIENCE)
        return missing
