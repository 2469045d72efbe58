"""What was asked of Cryptomus, what it has answered, and so which updates are wanted.

Protocol facts are from docs/protocols/cryptomus.md, section 5.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

import orjson

from wsfeeds.connectors._cryptomus_names import ALL, Names
from wsfeeds.protocol import Ack, Request

METHOD = re.compile(r"([a-z0-9]+)_(update|subscribe|unsubscribe)").fullmatch

BookKey = tuple[str, int | None]
"""A market and the index of a depth scale."""
Pending = tuple[str, str, frozenset[str]]
"""What a request without an answer asks: action, channel, names."""


class _Everything:
    """Contains whatever is looked for: what `all` asks for."""

    def __contains__(self, item: object) -> bool:
        return True


_EVERYTHING = _Everything()


class Requests:
    """The requests of one connection."""

    def __init__(self) -> None:
        """Start with nothing asked for."""
        self.wanted: dict[str, Container[str]] = {}
        """By channel, the names whose updates are wanted."""
        self.books: Container[BookKey] = ()
        """The books whose updates are wanted."""
        self.accepted: dict[str, frozenset[str]] = {}
        """By channel, the names that the venue has ever accepted."""
        self._asked: dict[str, frozenset[str]] = {}
        self._refused: dict[str, frozenset[str]] = {}
        self._pending: dict[str, Pending] = {}
        self._next_id = 1

    def expect(self, asked: Mapping[str, Iterable[str]]) -> None:
        """Want the updates of what is about to be asked for, by channel of the wire."""
        for channel, names in asked.items():
            self._ask(channel, frozenset(names))

    def _ask(self, channel: str, names: frozenset[str]) -> None:
        self._asked[channel] = names
        self.wanted[channel] = _EVERYTHING if ALL in names else names
        if channel == "depth":
            self.books = _EVERYTHING if ALL in names else self.expected_books

    @property
    def expected_books(self) -> frozenset[BookKey]:
        """The books that were asked for by name."""
        names = self._asked.get("depth", frozenset()) - {ALL}
        return frozenset(
            (market, int(scale)) for market, _, scale in (n.partition(":") for n in names)
        )

    def without_refused(self, channel: str, names: Names) -> Names:
        """Return the names less those that the venue has refused."""
        refused = self._refused.get(channel)
        return {n: typed for n, typed in names.items() if n not in refused} if refused else names

    def awaits(self, key: str | None) -> bool:
        """Tell whether a request with that id has no answer yet."""
        return key in self._pending

    # --- making requests

    def subscribe(self, channel: str, names: Names) -> Request:
        """Return the request for a channel's list."""
        return self._request("subscribe", channel, names, list(names))

    def unsubscribe(self, channel: str, names: Names) -> Request:
        """Return the request that takes some names off a channel's list."""
        return self._request("unsubscribe", channel, names, list(names))

    def reset(self, channel: str, names: Names) -> tuple[Request, ...]:
        """Return the request that ends a channel, if there is anything to end."""
        return (self._request("unsubscribe", channel, names, [ALL]),) if names else ()

    def _request(self, action: str, channel: str, names: Names, params: list[str]) -> Request:
        key = self._next_id
        self._next_id += 1
        frame = {"id": key, "method": f"{channel}_{action}", "params": params}
        return Request(
            frame=orjson.dumps(frame).decode(),
            key=str(key),
            action="subscribe" if action == "subscribe" else "unsubscribe",
            channel=channel,
            names=names,
        )

    # --- following them

    def sent(self, frame: str) -> Pending | None:
        """Take note of a request that was sent and return what it asks; None: it was a ping."""
        request = orjson.loads(frame)
        match = METHOD(request["method"])
        if match is None:
            return None
        channel, action = match[1], match[2]
        names = frozenset(request["params"])
        self._pending[str(request["id"])] = pending = (action, channel, names)
        if action == "subscribe":
            self._ask(channel, names)
            self._refused[channel] = self._refused.get(channel, frozenset()) - names
        elif ALL not in names:
            # Updates that are under way, or go on although the venue refuses, are not wanted.
            self._ask(channel, self._asked.get(channel, frozenset()) - names)
        return pending

    def settle(self, ack: Ack) -> Pending | None:
        """Take over what an answer leaves and return what was asked; None: nothing was."""
        pending = self._pending.pop(ack.key or "", None) or self._pending_like(ack)
        if pending is None:
            return None
        action, channel, names = pending
        if action == "subscribe":
            kept = self.accepted if ack.ok else self._refused
            kept[channel] = kept.get(channel, frozenset()) | names
        if action == "unsubscribe" and ALL in names and ack.ok:
            self._ask(channel, frozenset())
        return pending

    def _pending_like(self, ack: Ack) -> Pending | None:
        anonymous = ack.action is None and ack.key in {None, "0"}
        for key, pending in self._pending.items():
            if anonymous or pending[:2] == (ack.action, ack.channel):
                return self._pending.pop(key)
        return None

    # --- recordings

    def state(self) -> dict[str, Any]:
        """Return what decides which updates are wanted."""
        return {
            "asked": {channel: sorted(names) for channel, names in self._asked.items()},
            "pending": {
                key: [action, channel, sorted(names)]
                for key, (action, channel, names) in self._pending.items()
            },
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        for channel, names in state["asked"].items():
            self._ask(channel, frozenset(names))
        self._pending = {
            key: (action, channel, frozenset(names))
            for key, (action, channel, names) in state["pending"].items()
        }
