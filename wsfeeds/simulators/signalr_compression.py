"""Compressed hub arguments: the containers that Decode knows (docs/protocols/websocket_v2.md, 4.1).

LZ4 is written with literals only, which is valid and needs no library.
"""

from __future__ import annotations

import base64
import gzip
import struct

import orjson

KINDS = ("none", "gzip", "lz4-frame", "lz4-block", "lz4-raw")
# Magic, one 64 KiB block at most, no checksums; the last byte is the checksum of the two before.
_FRAME_HEAD = bytes.fromhex("04224d18604082")
_STORED = 0x8000_0000


def packed(value: object, kind: str) -> object:
    """Return an argument as it goes out: as it is, or its JSON compressed, in base64."""
    if kind == "none":
        return value
    data = orjson.dumps(value)
    return base64.b64encode(_PACKERS[kind](data)).decode()


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _frame(data: bytes) -> bytes:
    return _FRAME_HEAD + struct.pack("<I", _STORED | len(data)) + data + bytes(4)


def _raw(data: bytes) -> bytes:
    """One sequence of literals: a token, the rest of its length, the bytes."""
    if len(data) < 15:
        return bytes([len(data) << 4]) + data
    rest = len(data) - 15
    return b"\xf0" + b"\xff" * (rest // 255) + bytes([rest % 255]) + data


def _sized(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + _raw(data)


_PACKERS = {"gzip": _gzip, "lz4-frame": _frame, "lz4-block": _sized, "lz4-raw": _raw}
