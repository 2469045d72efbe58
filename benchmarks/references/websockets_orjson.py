"""The reference by hand: websockets and orjson, the same lines as `wsfeeds subscribe cryptomus`.

Run as: websockets_orjson.py URL API_URL COUNT CHANNELS SYMBOLS COMPRESSION FLUSH BOOK
No reconnect, no keepalive, no checks: what a good script of fifty lines does.
"""

import asyncio
import bisect
import sys
import time
import urllib.request
from typing import BinaryIO

import orjson
from websockets.asyncio.client import connect

URL, API_URL, COUNT, CHANNELS, SYMBOLS, COMPRESSION, FLUSH, BOOK = sys.argv[1:]


class Side:
    """One side of a book: sorted prices and the quantity at each."""

    def __init__(self) -> None:
        self.prices: list[float] = []
        self.levels: dict[float, list[str]] = {}

    def apply(self, levels: list[list[str]], *, snapshot: bool) -> None:
        if snapshot:
            self.prices, self.levels = [], {}
        for level in levels:
            price = float(level[0])
            if float(level[1]) == 0:
                if self.levels.pop(price, None) is not None:
                    del self.prices[bisect.bisect_left(self.prices, price)]
                continue
            if price not in self.levels:
                bisect.insort(self.prices, price)
            self.levels[price] = level


def best(bids: Side, asks: Side) -> list[str | None]:
    bid = bids.levels[bids.prices[-1]] if bids.prices else [None, None]
    ask = asks.levels[asks.prices[0]] if asks.prices else [None, None]
    return [*bid, *ask]


async def main(token: str, out: BinaryIO) -> None:  # noqa: C901  # calls would cost it time
    count, flush = int(COUNT), FLUSH == "yes"
    write, dumps, loads, now = out.write, orjson.dumps, orjson.loads, time.time_ns
    line = orjson.OPT_APPEND_NEWLINE
    books: dict[str, tuple[Side, Side]] = {}
    tops: dict[str, list[str | None]] = {}
    compression = "deflate" if COMPRESSION == "yes" else None
    async with connect(
        f"{URL}?token={token}", compression=compression, proxy=None, max_size=16_000_000
    ) as socket:
        for number, channel in enumerate(CHANNELS.split(","), 1):
            names = [f"{name}:0" if channel == "depth" else name for name in SYMBOLS.split(",")]
            request = {"id": number, "method": f"{channel}_subscribe", "params": names}
            await socket.send(dumps(request).decode())
        seq = 0
        async for text in socket:
            recv_ts = now() // 1000
            message = loads(text)
            method = message.get("method")
            data = message["data"]
            if method == "trade_update":
                for trade in data["trades"]:
                    seq += 1
                    event = {
                        "type": "trade",
                        "feed": "cryptomus",
                        "channel": "trade",
                        "symbol": data["symbol"],
                        "ts": trade["timestamp"] * 1_000_000,
                        "recv_ts": recv_ts,
                        "seq": seq,
                        "venue_seq": None,
                        "conn": 1,
                        "price": str(trade["price"]),
                        "quantity": str(trade["quantity"]),
                        "side": trade["direction"],
                        "trade_id": None,
                    }
                    write(dumps(event, option=line))
            elif method == "ticker_update":
                seq += 1
                event = {
                    "type": "ticker",
                    "feed": "cryptomus",
                    "channel": "ticker",
                    "symbol": data["symbol"],
                    "ts": data["timestamp"] * 1_000_000,
                    "recv_ts": recv_ts,
                    "seq": seq,
                    "venue_seq": None,
                    "conn": 1,
                    "last": data["price"],
                    "open": data["open"],
                    "high": data["high"],
                    "low": data["low"],
                    "volume": data["volume"],
                    "quote_volume": data["quote_volume"],
                    "change_percent": data["price_change"],
                }
                write(dumps(event, option=line))
            elif method == "depth_update":
                seq += 1
                event = {
                    "type": "book",
                    "feed": "cryptomus",
                    "channel": "depth",
                    "symbol": data["symbol"],
                    "ts": data["timestamp"] * 1_000_000,
                    "recv_ts": recv_ts,
                    "seq": seq,
                    "venue_seq": None,
                    "conn": 1,
                    "snapshot": data["full_reload"],
                    "synced": True,
                    "scale_index": data["scale_index"],
                    "bids": data["bids"],
                    "asks": data["asks"],
                }
                write(dumps(event, option=line))
                if BOOK == "yes":
                    symbol = data["symbol"]
                    bids, asks = books.setdefault(symbol, (Side(), Side()))
                    bids.apply(data["bids"], snapshot=data["full_reload"])
                    asks.apply(data["asks"], snapshot=data["full_reload"])
                    top = best(bids, asks)
                    if tops.get(symbol) != top:
                        tops[symbol] = top
                        seq += 1
                        event = {
                            "type": "bbo",
                            "feed": "cryptomus",
                            "channel": "bbo",
                            "symbol": symbol,
                            "ts": data["timestamp"] * 1_000_000,
                            "recv_ts": recv_ts,
                            "seq": seq,
                            "venue_seq": None,
                            "conn": 1,
                            "bid_price": top[0],
                            "bid_quantity": top[1],
                            "ask_price": top[2],
                            "ask_quantity": top[3],
                            "scale_index": data["scale_index"],
                        }
                        write(dumps(event, option=line))
            if flush:
                out.flush()
            if seq >= count:
                break
        out.flush()


answer = urllib.request.urlopen(f"{API_URL}/token").read()
with open(1, "wb", buffering=65_536, closefd=False) as stdout:
    asyncio.run(main(orjson.loads(answer)["token"], stdout))
