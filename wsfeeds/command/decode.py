"""The Decode command: base64 with gzip or LZ4 to JSON, and SignalR envelopes unwrapped.

The algorithm is that of docs/protocols/websocket_v2.md, section 4.1. Output is bounded, so that a
small message cannot become a large memory.
"""

from __future__ import annotations

import base64
import binascii
import importlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from wsfeeds.command.exact import loads

LIMIT = 64 * 1024 * 1024
"""Bytes that a payload may have at most once it is decompressed."""
_PASSES = 3
_GZIP = b"\x1f\x8b"
_LZ4_FRAME = b"\x04\x22\x4d\x18"
_LZ4_RATIO = 256
"""No LZ4 block grows by more than this factor."""
_RECORD_SEPARATOR = "\x1e"
_SPACE = str.maketrans("", "", " \t\r\n")

Encoding = Literal["base64+lz4", "base64+gzip"]


class Undecodable(ValueError):
    """The payload is not what it should be, or too large."""


class TooLarge(Undecodable):
    """The payload would become larger than `LIMIT`."""

    def __init__(self) -> None:
        super().__init__(f"it decompresses to more than {LIMIT} bytes")


def decode(payload: Any, encoding: Encoding | None = None) -> Any:
    """Return what a message says, whatever it was wrapped in.

    Args:
        payload: Text, or a JSON value that an earlier command made of it.
        encoding: What the text must be; None tries by itself and leaves other text as it is.

    Raises:
        Undecodable: With `encoding`, the payload is something else; or it is too large.
    """
    value = payload
    for turn in range(_PASSES):
        value = _opened(value)
        if isinstance(value, list):
            return [_element(each, encoding) for each in value]
        if not isinstance(value, str):
            return value
        # Only the first pass owes the encoding: what comes out of it may be plain text.
        content = _decompressed(value, encoding if turn == 0 else None)
        if content is None:
            return value
        value = content
    return _opened(value)


def _opened(value: Any) -> Any:
    """Parse text as JSON where it is, and take it out of its envelope."""
    if isinstance(value, str):
        text = value.rstrip(_RECORD_SEPARATOR)
        try:
            value = loads(text)
        except msgspec.DecodeError:
            return text
    return unwrap(value)


def unwrap(value: Any) -> Any:
    """Return what a SignalR message, a legacy call or a Socket.IO event carries."""
    match value:
        case {"type": 1, "arguments": [single]}:
            return single
        case {"type": 1, "arguments": list(several)}:
            return several
        case {"C": _, "M": list(calls)}:
            return [call["A"] for call in calls if isinstance(call, dict) and "A" in call]
        case {"H": _, "M": _, "A": arguments}:
            return arguments
        case [str(), *rest]:
            return rest
    return value


def _element(value: Any, encoding: Encoding | None) -> Any:
    """Decode one of several arguments where it is compressed without doubt."""
    if isinstance(value, list):
        return [_element(each, encoding) for each in value]
    if not isinstance(value, str):
        return value
    try:
        content = _decompressed(value, encoding)
    except TooLarge:
        raise
    except Undecodable:
        return value
    return value if content is None else _opened(content)


# --- base64 -----------------------------------------------------------------------------------


def _decompressed(text: str, encoding: Encoding | None) -> str | None:
    """Return the text within base64 and a compression; None where there is none to be found."""
    packed = _base64(text)
    if encoding is None:
        content = None if packed is None else _guess(packed)
    elif packed is None:
        raise Undecodable("it is no base64")
    elif encoding == "base64+gzip":
        content = _gunzip(packed)
    else:
        content = _any_lz4(packed)
    if content is None:
        if encoding is not None:
            raise Undecodable(f"its content is not {encoding.removeprefix('base64+')}")
        return None
    try:
        return content.decode()
    except UnicodeDecodeError:
        if encoding is None:
            return None
        raise Undecodable("its content is no UTF-8 text") from None


def _base64(text: str) -> bytes | None:
    """Read base64 strictly, in its standard or its URL-safe alphabet."""
    plain = text.translate(_SPACE)
    if not plain or not plain.isascii() or len(plain) % 4 == 1:
        return None
    padded = plain + "=" * (-len(plain) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except binascii.Error:
        pass
    if "+" in plain or "/" in plain:
        return None
    try:
        return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return None


def _guess(packed: bytes) -> bytes | None:
    if packed.startswith(_GZIP):
        return _gunzip(packed, strict=False)
    if packed.startswith(_LZ4_FRAME):
        return _lz4_frame(packed)
    # A block has no magic number: only what turns out to be JSON was one.
    for content in _lz4_blocks(packed):
        try:
            loads(content)
        except msgspec.DecodeError:
            continue
        return content
    return None


# --- containers -------------------------------------------------------------------------------


def _gunzip(packed: bytes, *, strict: bool = True) -> bytes | None:
    """Decompress gzip of one or more members; None, where not `strict`, for what is damaged."""
    whole = bytearray()
    try:
        while packed:
            member = zlib.decompressobj(wbits=31)
            whole += member.decompress(packed, LIMIT + 1 - len(whole))
            if len(whole) > LIMIT:
                raise TooLarge
            if not member.eof:
                break
            packed = member.unused_data
    except zlib.error:
        pass
    else:
        if not packed:
            return bytes(whole)
    if strict:
        raise Undecodable("its content is not whole gzip")
    return None


def _any_lz4(packed: bytes) -> bytes | None:
    if packed.startswith(_LZ4_FRAME):
        return _lz4_frame(packed)
    return next(_lz4_blocks(packed), None)


def _lz4_frame(packed: bytes) -> bytes | None:
    frames = importlib.import_module("lz4.frame")
    reader = frames.LZ4FrameDecompressor()
    try:
        whole: bytes = reader.decompress(packed, LIMIT + 1)
    except RuntimeError:
        return None
    if len(whole) > LIMIT:
        raise TooLarge
    return whole if reader.eof else None


def _lz4_blocks(packed: bytes) -> Iterator[bytes]:
    """Yield what the bytes are as a block with its size in front, then as one without."""
    blocks = importlib.import_module("lz4.block")
    if len(packed) > struct.calcsize("<I"):
        (size,) = struct.unpack_from("<I", packed)
        if 0 < size <= min(LIMIT, len(packed) * _LZ4_RATIO):
            content = _lz4_block(blocks, packed[4:], size)
            if content is not None and len(content) == size:
                yield content
    most = min(LIMIT, len(packed) * _LZ4_RATIO)
    room = min(most, max(1024, len(packed) * 8))
    while True:
        content = _lz4_block(blocks, packed, room)
        if content:
            yield content
            return
        if room == most:
            return
        room = min(most, room * 8)


def _lz4_block(blocks: Any, packed: bytes, room: int) -> bytes | None:
    try:
        content: bytes = blocks.decompress(packed, uncompressed_size=room)
    except blocks.LZ4BlockError:
        return None
    return content
