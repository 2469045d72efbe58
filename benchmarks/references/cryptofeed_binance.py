"""The reference among libraries: cryptofeed's own Binance parser between a socket and a file.

Run as: cryptofeed_binance.py URL API_URL COUNT CHANNELS SYMBOLS COMPRESSION FLUSH BOOK
Its exchanges are bound to their own addresses, so frames reach `message_handler` from a plain
`websockets` client, which is what cryptofeed uses itself; each object becomes a JSON line.
"""

import asyncio
import sys
import time
from typing import Any, BinaryIO

from cryptofeed.defines import BINANCE, L2_BOOK, TRADES
from cryptofeed.exchanges import Binance
from cryptofeed.symbols import Symbols
from cryptofeed.types import OrderBook
from websockets.asyncio.client import connect
from yapic import json

URL, _, COUNT, *_ = sys.argv[1:]
PAIR = "BTC-USDT"


async def main(out: BinaryIO) -> None:
    count, seen = int(COUNT), 0
    write, dumps, now = out.write, json.dumpb, time.time

    async def trade(one: Any, _: float) -> None:
        nonlocal seen
        seen += 1
        write(dumps(one.to_dict(numeric_type=str)) + b"\n")

    async def book(one: Any, _: float) -> None:
        nonlocal seen
        seen += 1
        write(dumps(one.to_dict(delta=True, numeric_type=str)) + b"\n")

    Symbols.set(BINANCE, {PAIR: "BTCUSDT"}, {"instrument_type": {}, "tick_size": {}})
    feed = Binance(
        symbols=[PAIR],
        channels=[TRADES, L2_BOOK],
        callbacks={TRADES: trade, L2_BOOK: book},
    )
    feed._reset()  # noqa: SLF001
    # Instead of the snapshot that it would fetch from Binance.
    feed._l2_book[PAIR] = OrderBook(feed.id, PAIR, bids={}, asks={})  # noqa: SLF001
    feed.last_update_id[PAIR] = 0
    async with connect(URL, compression=None, proxy=None, max_size=16_000_000) as socket:
        while seen < count:
            await feed.message_handler(await socket.recv(), None, now())


with open(1, "wb", buffering=65_536, closefd=False) as stdout:
    asyncio.run(main(stdout))
