"""One connection of the simulated Cryptomus: requests, subscriptions, the idle close.

Rules: docs/protocols/cryptomus.md, sections 4, 5 and 9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from wsfeeds.clock import wall_seconds
from wsfeeds.simulators.cryptomus_exchange import PRIVATE, PUBLIC, Exchange, Topic
from wsfeeds.simulators.cryptomus_listings import CURRENCIES, LISTINGS
from wsfeeds.simulators.cryptomus_messages import full_depth, last_price, ticker
from wsfeeds.simulators.cryptomus_options import CryptomusOptions
from wsfeeds.simulators.websocket import Socket

_MALFORMED = 1007


class Client:
    """Serves one socket.

    Args:
        socket: The connection.
        exchange: What it watches.
        options: The toggles.
    """

    def __init__(self, socket: Socket, exchange: Exchange, options: CryptomusOptions) -> None:
        self.topics: dict[str, dict[Topic, None]] = {}
        self._socket = socket
        self._exchange = exchange
        self._messages = exchange.messages
        self._options = options
        self._subscribe_ids: dict[str, int] = {}
        self._events = 0

    async def serve(self) -> None:
        """Answer requests until the client leaves or errs badly."""
        self._exchange.join(self)
        self._socket.start(self._close_when_idle())
        try:
            async for message in self._socket:
                if self._options.reply_delay:
                    await asyncio.sleep(self._options.reply_delay)
                if not self._answer(message):
                    await self._socket.close(_MALFORMED, "")
                    return
                await self._socket.drain()
        finally:
            self._exchange.leave(self)

    def hear(self, channel: str, data: dict[str, Any], frame: Callable[[], bytes]) -> None:
        """Queue an event; the id of a private one is this connection's own counter."""
        if self._options.event_id == "echo":
            echoed = self._subscribe_ids.get(channel, 0)
            event_id = str(echoed) if channel in PRIVATE else echoed
            self._socket.post(self._messages.event(channel, data, event_id))
        elif channel in PRIVATE:
            self._events += 1
            self._socket.post(self._messages.event(channel, data, str(self._events)))
        else:
            self._socket.post(frame())

    async def catch_up(self) -> None:
        """Send what was heard, at the client's pace."""
        await self._socket.drain()

    async def _close_when_idle(self) -> None:
        options, socket = self._options, self._socket
        left = options.idle
        while left > 0:
            await asyncio.sleep(left)
            left = options.idle - socket.silent_for(pings=options.ws_pings_count)
        if options.idle_close == "abort":
            socket.abort()
        else:
            await socket.close(int(options.idle_close))

    def _answer(self, message: str | bytes) -> bool:
        """Answer one request; False closes the connection."""
        try:
            request = orjson.loads(message)
        except orjson.JSONDecodeError:
            if self._options.bad_json == "error":
                self._socket.queue(self._messages.bad_format(0, None))
            return False
        if not _is_request(request):
            request_id, method = _salvage(request)
            if self._options.bad_request == "close":
                return False
            self._socket.queue(self._messages.bad_format(request_id, method))
            return True
        self._dispatch(request["id"], request["method"], request["params"])
        return True

    def _dispatch(self, request_id: int, method: str, params: list[Any]) -> None:
        channel, _, verb = method.rpartition("_")
        if method == "ping":
            if not self._options.mute_pong:
                self._socket.queue(self._messages.pong(request_id))
        elif channel in PUBLIC + PRIVATE and verb == "subscribe":
            self._subscribe(request_id, channel, params)
        elif channel in PUBLIC + PRIVATE and verb == "unsubscribe":
            self._unsubscribe(request_id, channel, params)
        else:
            self._fail(request_id, "Unknown method")

    def _subscribe(self, request_id: int, channel: str, params: list[Any]) -> None:
        topics, complete = _topics(channel, params)
        current = self.topics.get(channel, {})
        if self._options.resubscribe == "reject" and current:
            self._fail(request_id, "Already subscribed")
            return
        complete = complete and bool(topics)
        if complete or (self._options.partial_apply and topics):
            merge = self._options.resubscribe == "merge"
            self.topics[channel] = current | topics if merge else topics
            self._subscribe_ids[channel] = request_id
            self._exchange.changed()
        if not complete:
            self._fail(request_id, "Unknown symbol")
            return
        ack = self._messages.ack(request_id, f"{channel}_subscribe")
        if not self._options.push_before_ack:
            self._socket.queue(ack)
        self._push(channel, topics)
        if self._options.push_before_ack:
            self._socket.queue(ack)

    def _unsubscribe(self, request_id: int, channel: str, params: list[Any]) -> None:
        current = self.topics.get(channel, {})
        topics, complete = _topics(channel, params)
        if params == ["all"] or (not params and channel in PRIVATE):
            topics, complete = current, True  # "all" of depth is every scale, not scale 0 alone
        elif not params:
            complete = False
        if complete or self._options.partial_apply:
            self.topics[channel] = {topic: None for topic in current if topic not in topics}
            self._exchange.changed()
        if complete:
            self._socket.queue(self._messages.ack(request_id, f"{channel}_unsubscribe"))
        else:
            self._fail(request_id, "Unknown symbol")

    def _push(self, channel: str, topics: Sequence[Topic] | dict[Topic, None]) -> None:
        """Push the present state of what was subscribed (section 9, initial push)."""
        if self._options.initial_push == "none" or channel in PRIVATE:
            return
        now = int(wall_seconds())
        for _, symbol, scale in topics:
            market = self._exchange.market(symbol)
            match channel:
                case "depth":
                    data = full_depth(market, scale, now)
                case "ticker":
                    data = ticker(market, now)
                case "lastprice":
                    data = last_price(market, now)
                case _ if self._options.initial_push == "trades":
                    newest_first = reversed(market.trades)
                    data = self._messages.trades(market.listing, newest_first, now)
                case _:
                    continue
            echo = self._options.event_id == "echo"
            event_id = self._subscribe_ids[channel] if echo else 0
            self._socket.post(self._messages.event(channel, data, event_id))

    def _fail(self, request_id: int, message: str) -> None:
        self._socket.queue(self._messages.other_error(request_id, message))


def _is_request(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("id")) is int
        and isinstance(value.get("method"), str)
        and isinstance(value.get("params"), list)
    )


def _salvage(value: Any) -> tuple[int, object]:
    """Give what an error reply can echo of a bad request."""
    if not isinstance(value, dict):
        return 0, None
    request_id = value.get("id")
    return (request_id if type(request_id) is int else 0), value.get("method")


def _topics(channel: str, params: list[Any]) -> tuple[dict[Topic, None], bool]:
    """Read a list of symbols; tell whether every one of them is known."""
    names = CURRENCIES if channel == "balance" else tuple(LISTINGS)
    if params == ["all"]:
        return {(channel, name, 0): None for name in names}, True
    topics: dict[Topic, None] = {}
    complete = True
    for param in params:
        name, scale = param, 0
        if channel == "depth" and isinstance(param, str):
            name, _, index = param.partition(":")
            scale = int(index) if index.isascii() and index.isdigit() else -1
        if name in names and (channel != "depth" or 0 <= scale < len(LISTINGS[name].scales)):
            topics[channel, name, scale] = None
        else:
            complete = False
    return topics, complete
