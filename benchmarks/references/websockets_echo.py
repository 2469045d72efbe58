"""The reference for feeds of opaque payloads: websockets and orjson, each message in an envelope.

Run as: websockets_echo.py URL API_URL COUNT CHANNELS SYMBOLS COMPRESSION FLUSH BOOK REQUESTS
It reads less than wsfeeds does: no field is looked at.
"""

import asyncio
import sys
import time
from typing import BinaryIO

import orjson
from websockets.asyncio.client import connect

URL, _, COUNT, CHANNEL, *_, REQUESTS = sys.argv[1:]


async def main(out: BinaryIO) -> None:
    count, seq = int(COUNT), 0
    write, dumps, loads, now = out.write, orjson.dumps, orjson.loads, time.time_ns
    async with connect(URL, compression=None, proxy=None, max_size=16_000_000) as socket:
        for _ in range(int(REQUESTS)):
            await socket.send("{}")
        async for text in socket:
            recv_ts = now() // 1000
            message = loads(text)
            if "message" in message or message.get("event") == "connected":
                continue
            seq += 1
            event = {
                "type": "message",
                "feed": "feed",
                "channel": CHANNEL,
                "symbol": None,
                "ts": None,
                "recv_ts": recv_ts,
                "seq": seq,
                "venue_seq": None,
                "conn": 1,
                "data": message,
            }
            write(dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            if seq >= count:
                break


with open(1, "wb", buffering=65_536, closefd=False) as stdout:
    asyncio.run(main(stdout))
