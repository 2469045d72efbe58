"""Pre-built frames: what a venue sends, with running numbers so that losses show.

The venue's time of frame number i is `EPOCH + i` seconds, so every line of the output tells which
frame it came from. A block is sent as often as needed.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice

EPOCH = 1_750_000_000
BLOCK = 9_000

Maker = Callable[[int, str], dict[str, object]]


@dataclass(frozen=True)
class Block:
    """Some thousand frames, joined: `ends[i]` is where frame number i ends."""

    data: bytes
    ends: list[int]

    def __len__(self) -> int:
        return len(self.ends)

    def part(self, first: int, count: int) -> memoryview:
        """Return `count` frames from number `first` on, not beyond the end of the block."""
        start = self.ends[first - 1] if first else 0
        return memoryview(self.data)[start : self.ends[first + count - 1]]


def symbols(count: int) -> list[str]:
    """Return that many markets."""
    return ["BTC_USDT"] if count == 1 else [f"C{number:04d}_USDT" for number in range(count)]


def trade(number: int, symbol: str) -> dict[str, object]:
    """One trade; its numbers read the same as floats, so that the scripts' lines are the same."""
    price = 107_000 + number % 1_000 + (number % 99 + 1) / 100
    one = {
        "price": price,
        "quantity": (number % 9_999 + 1) / 10_000,
        "timestamp": EPOCH + number,
        "direction": "sell" if number % 3 else "buy",
    }
    data = {"symbol": symbol, "timestamp": EPOCH + number, "trades": [one]}
    return {"id": 0, "method": "trade_update", "data": data, "error": None}


def ticker(number: int, symbol: str) -> dict[str, object]:
    """Statistics of a market."""
    data = {
        "symbol": symbol,
        "timestamp": EPOCH + number,
        "price": f"{107_000 + number % 1_000}.35",
        "open": "107042.21",
        "high": "108340.31",
        "low": "106414.03",
        "volume": "188.5412",
        "quote_volume": f"{20_265_562 + number}.31",
        "price_change": "0.04",
    }
    return {"id": 0, "method": "ticker_update", "data": data, "error": None}


def depth(levels: int, markets: int = 1) -> Maker:
    """Return the maker of book changes with that many levels on each side.

    Each market begins with a full reload. With one market and no other frames in between, every
    frame moves the best bid, and every 50th is a full reload that brings it back.
    """

    def make(number: int, symbol: str) -> dict[str, object]:
        base = 107_000 + number % 50
        bids = [[f"{base - step}.{step:02d}", f"{0.1 + step / 1000:.6f}"] for step in range(levels)]
        asks = [[f"{base + 100 + step}.{step:02d}", "0.304313"] for step in range(levels)]
        data = {
            "symbol": symbol,
            "timestamp": EPOCH + number,
            "full_reload": number % 50 == 0 or number < 3 * markets,
            "scale_index": 0,
            "asks": asks,
            "bids": bids,
        }
        return {"id": 0, "method": "depth_update", "data": data, "error": None}

    return make


def block(
    makers: list[Maker],
    markets: int = 1,
    *,
    deflated: bool = False,
    takeover: bool = False,
    size: int = BLOCK,
) -> Block:
    """Build the frames of a case: the makers in turn, each with the next market in its turn."""
    pack_one = _Deflate(takeover=takeover).pack if deflated else pack
    size -= size % len(makers)
    data = bytearray()
    ends = []
    for number, (maker, symbol) in enumerate(_turns(makers, markets, size)):
        text = json.dumps(maker(number, symbol), separators=(",", ":")).encode()
        data += pack_one(text)
        ends.append(len(data))
    return Block(bytes(data), ends)


def _turns(makers: list[Maker], markets: int, size: int) -> Iterator[tuple[Maker, str]]:
    turns = ((maker, symbol) for symbol in cycle(symbols(markets)) for maker in makers)
    return islice(turns, size)


def header(length: int, first: int) -> bytes:
    """Return the head of an unmasked WebSocket frame (RFC 6455, section 5.2)."""
    if length < 126:
        return struct.pack(">BB", first, length)
    if length < 65_536:
        return struct.pack(">BBH", first, 126, length)
    return struct.pack(">BBQ", first, 127, length)


def pack(text: bytes) -> bytes:
    """Return a text message as one frame."""
    return header(len(text), 0x81) + text


class _Deflate:
    """Compresses messages (RFC 7692, section 7.2.1).

    Even with context takeover a block can be sent again and again: it refers to nothing before it.
    """

    def __init__(self, *, takeover: bool) -> None:
        self._shared = _compressor() if takeover else None

    def pack(self, text: bytes) -> bytes:
        """Return a text message as one compressed frame."""
        deflate = self._shared or _compressor()
        packed = (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
        return header(len(packed), 0xC1) + packed


def _compressor() -> zlib._Compress:
    return zlib.compressobj(wbits=-15)
