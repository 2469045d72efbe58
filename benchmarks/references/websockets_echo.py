"""The reference for feeds of opaque payloads: websockets and orjson, each message in an envelope.

Run as: websockets_echo.py URL API_URL COUNT CHANNELS SYMBOLS COMPRESSION FLUSH BOOK REQUESTS
SOCKETS. It reads less than wsfeeds does: no field is looked at.
"""

import asyncio
import itertools
import sys
import time
from typing import BinaryIO

import orjson
from websockets.asyncio.client import connect

URL, _, COUNT, CHANNEL, *_, REQUESTS, SOCKETS = sys.argv[1:]
numbers = itertools.count(1)


async def listen(symbol: str, out: BinaryIO) -> None:
    left = int(COUNT) // int(SOCKETS)
    write, dumps, loads, now = out.write, orjson.dumps, orjson.loads, time.time_ns
    async with connect(URL, compression=None, proxy=None, max_size=16_000_000) as socket:
        for _ in range(int(REQUESTS)):
            await socket.send("{}")
        async for text in socket:
            recv_ts = now() // 1000
            message = loads(text)
            if "message" in message or message.get("event") == "connected":
                continue
            left -= 1
            event = {
                "type": "message",
                "feed": "feed",
                "channel": CHANNEL,
                "symbol": symbol,
                "ts": None,
                "recv_ts": recv_ts,
                "seq": next(numbers),
                "venue_seq": None,
                "conn": 1,
                "data": message,
            }
            write(dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            if left == 0:
                break


async def main(out: BinaryIO) -> None:
    await asyncio.gather(*(listen(str(number), out) for number in range(int(SOCKETS))))


with open(1, "wb", buffering=65_536, closefd=False) as stdout:
    asyncio.run(main(stdout))
