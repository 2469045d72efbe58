"""The reference by hand at the limit: picows and msgspec, the lines of `wsfeeds subscribe`.

Run as: picows_msgspec.py URL API_URL COUNT CHANNELS SYMBOLS COMPRESSION FLUSH BOOK [checked]
Typed structs in, typed structs out, levels untouched, one write per read. No checks at all, or
with `checked` the one that the promise of exact decimals cannot do without: that they are plain.
"""

import asyncio
import os
import re
import sys
import time
import urllib.request

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

URL, API_URL, COUNT, CHANNELS, SYMBOLS, COMPRESSION, FLUSH, BOOK, *CHECKED = sys.argv[1:]
LEVEL = rb'\["[0-9]++(?:\.[0-9]++)?+","[0-9]++(?:\.[0-9]++)?+"\]'
plain_levels = re.compile(rb"\[(?:%b(?:,%b)*+)?+\]" % (LEVEL, LEVEL)).fullmatch
plain_two = re.compile(r"(?:-?[0-9]++(?:\.[0-9]++)?+ ){2}").fullmatch
plain_seven = re.compile(r"(?:-?[0-9]++(?:\.[0-9]++)?+ ){7}").fullmatch
Raw = msgspec.Raw
now = time.time_ns


class TradeIn(msgspec.Struct, gc=False):
    price: Raw
    quantity: Raw
    timestamp: int
    direction: str


class TradesData(msgspec.Struct, gc=False):
    symbol: str
    trades: list[TradeIn]


class TickerData(msgspec.Struct, gc=False):
    symbol: str
    timestamp: int
    price: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    price_change: str


class DepthData(msgspec.Struct, gc=False):
    symbol: str
    timestamp: int
    full_reload: bool
    scale_index: int
    asks: Raw
    bids: Raw


class TradeFrame(msgspec.Struct, tag_field="method", tag="trade_update", gc=False):
    data: TradesData


class TickerFrame(msgspec.Struct, tag_field="method", tag="ticker_update", gc=False):
    data: TickerData


class DepthFrame(msgspec.Struct, tag_field="method", tag="depth_update", gc=False):
    data: DepthData


class Line(msgspec.Struct, tag_field="type", gc=False):
    feed: str
    channel: str
    symbol: str
    ts: int
    recv_ts: int
    seq: int
    venue_seq: None
    conn: int


class Trade(Line, tag="trade", gc=False):
    price: str
    quantity: str
    side: str
    trade_id: None


class Ticker(Line, tag="ticker", gc=False):
    last: str
    open: str
    high: str
    low: str
    volume: str
    quote_volume: str
    change_percent: str


class Book(Line, tag="book", gc=False):
    snapshot: bool
    synced: bool
    scale_index: int
    bids: Raw
    asks: Raw


decode = msgspec.json.Decoder(TradeFrame | TickerFrame | DepthFrame).decode
encode = msgspec.json.Encoder().encode


def check(data: TradesData | TickerData | DepthData) -> None:
    if type(data) is TradesData:
        for one in data.trades:
            if not plain_two(f"{str(one.price, 'ascii')} {str(one.quantity, 'ascii')} "):
                raise ValueError(data)
    elif type(data) is TickerData:
        if not plain_seven(
            f"{data.price} {data.open} {data.high} {data.low} "
            f"{data.volume} {data.quote_volume} {data.price_change} "
        ):
            raise ValueError(data)
    elif not (plain_levels(data.bids) and plain_levels(data.asks)):
        raise ValueError(data)


class Listener(WSListener):
    def __init__(self) -> None:
        self.seq = 0
        self.acks = len(CHANNELS.split(","))
        self.count = int(COUNT)
        self.buffer = bytearray()
        self.recv_ts = 0
        self.fresh = True

    def on_ws_connected(self, transport: WSTransport) -> None:
        for number, channel in enumerate(CHANNELS.split(","), 1):
            names = [f"{name}:0" if channel == "depth" else name for name in SYMBOLS.split(",")]
            request = {"id": number, "method": f"{channel}_subscribe", "params": names}
            transport.send(WSMsgType.TEXT, msgspec.json.encode(request))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.fresh:
            self.recv_ts = now() // 1000
        last = self.fresh = frame.last_in_buffer
        if self.acks:
            self.acks -= 1
            return
        recv_ts = self.recv_ts
        data = decode(frame.get_payload_as_memoryview()).data
        if CHECKED:
            check(data)
        buffer = self.buffer
        seq = self.seq = self.seq + 1
        kind = type(data)
        if kind is TradesData:
            for one in data.trades:
                ts = one.timestamp * 1_000_000
                price, quantity = str(one.price, "ascii"), str(one.quantity, "ascii")
                buffer += encode(
                    Trade("cryptomus", "trade", data.symbol, ts, recv_ts, seq, None, 1,
                          price, quantity, one.direction, None)
                )  # fmt: skip
        elif kind is TickerData:
            ts = data.timestamp * 1_000_000
            buffer += encode(
                Ticker("cryptomus", "ticker", data.symbol, ts, recv_ts, seq, None, 1,
                       data.price, data.open, data.high, data.low,
                       data.volume, data.quote_volume, data.price_change)
            )  # fmt: skip
        else:
            ts = data.timestamp * 1_000_000
            buffer += encode(
                Book("cryptomus", "depth", data.symbol, ts, recv_ts, seq, None, 1,
                     data.full_reload, True, data.scale_index, data.bids, data.asks)
            )  # fmt: skip
        buffer.append(10)
        if last or len(buffer) > 65_536:
            os.write(1, buffer)
            buffer.clear()
        if seq >= self.count:
            transport.disconnect()


async def main(token: str) -> None:
    transport, _ = await ws_connect(Listener, f"{URL}?token={token}", read_buffer_init_size=262_144)
    await transport.wait_disconnected()


answer = urllib.request.urlopen(f"{API_URL}/token").read()
asyncio.run(main(msgspec.json.decode(answer)["token"]))
