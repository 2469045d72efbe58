"""The lines of a segment, whatever it is stored as; a bad one is named by file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec import Raw

from wsfeeds import events
from wsfeeds.errors import RecordingDamaged
from wsfeeds.events import AnyEvent, Event
from wsfeeds.outputs.recorder_codec import open_listed, read_errors
from wsfeeds.outputs.recorder_files import PART
from wsfeeds.outputs.recorder_scan import blocks

_T = TypeVar("_T")
OnDamage = Callable[[RecordingDamaged], None]
"""Told of what cannot be read, file and line named; the rest is read on."""
_OPAQUE = {"data", "bids", "asks", "team"}
"""Fields whose text is passed on as it is."""
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_NULL = Raw(b"null")


class FrameLine(msgspec.Struct, kw_only=True):
    """One line of a frames segment; an `open` line says what its connection is."""

    recv_ts: int
    conn: int
    dir: Literal["in", "out", "open"]
    frame: str = ""
    base64: bool = False
    run: str | None = None
    url: str | None = None
    symbols: list[str] = []
    channels: list[str] = []
    settings: dict[str, Any] = {}


def _kept_raw(event: type[Event]) -> type[Event]:
    """Return a struct like the event's whose opaque fields are not opened, or the event itself."""
    opaque = [name for name in event.__struct_fields__ if name in _OPAQUE]
    if not opaque:
        return event
    hints = get_type_hints(event, include_extras=True)
    fields = [(name, Raw if name in opaque else hints[name]) for name in event.__struct_fields__]
    return msgspec.defstruct(  # type: ignore[return-value]
        event.__name__,
        fields,
        tag_field="type",
        tag=str(event.__struct_config__.tag),
        kw_only=True,
        gc=False,
    )


_EXACT = {_kept_raw(event): event for event in events.TYPES.values()}
_Union: Any = None
for _type in _EXACT:
    _Union = _type if _Union is None else _Union | _type
_exact = msgspec.json.Decoder(_Union)
_typed: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent, float_hook=Decimal)
_frames = msgspec.json.Decoder(FrameLine)


def refuse(damage: RecordingDamaged) -> None:
    """Let nobody read on behind damage."""
    raise damage


def read_events(path: Path, on_damage: OnDamage = refuse) -> Iterator[AnyEvent]:
    """Yield the events of a segment with everything in them as Python objects.

    Raises:
        RecordingDamaged: A line is none, or the file cannot be expanded; `on_damage` decides.
    """
    return _decoded(path, _typed, on_damage)


def read_exact(path: Path, on_damage: OnDamage = refuse) -> Iterator[Event]:
    """Yield the events of a segment as a connector makes them: opaque parts stay JSON text.

    Raises:
        RecordingDamaged: A line is none, or the file cannot be expanded; `on_damage` decides.
    """
    for event in _decoded(path, _exact, on_damage):
        real = _EXACT[event.__class__]
        if real is event.__class__:
            yield event
            continue
        fields = msgspec.structs.asdict(event)
        for name in _OPAQUE & fields.keys():
            if fields[name] == _NULL:
                fields[name] = None
        yield real(**fields)


def read_frames(path: Path, on_damage: OnDamage = refuse) -> Iterator[FrameLine]:
    """Yield the lines of a frames segment.

    Raises:
        RecordingDamaged: A line is none, or the file cannot be expanded; `on_damage` decides.
    """
    return _decoded(path, _frames, on_damage)


def _plain_blocks(path: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield a segment in blocks of whole lines; the torn last line of an open one is left out.

    With each comes the path that it was found at.

    Raises:
        RecordingDamaged: The file cannot be read, or a closed one ends within a line.
    """
    lines = 0
    try:
        path, file = open_listed(path)
        with file:
            for block in blocks(file):
                if block.endswith(b"\n"):
                    yield path, block
                    lines += block.count(b"\n")
                    continue
                whole = block[: block.rfind(b"\n") + 1]
                if whole:
                    yield path, whole
                if not path.name.endswith(PART):
                    raise RecordingDamaged(f"{path}: the last line is torn")
    except OSError as error:
        raise _rest(path, lines, f"cannot be read: {error.strerror or error}") from error
    except read_errors() as error:
        raise _rest(path, lines, f"cannot be expanded: {error}") from error


def _rest(path: Path, lines: int, cause: str) -> RecordingDamaged:
    where = f", from line {lines + 1} on" if lines else ""
    damage = RecordingDamaged(f"{path}{where}: {cause}")
    damage.rest = True
    return damage


def _decoded(path: Path, decoder: msgspec.json.Decoder[_T], on_damage: OnDamage) -> Iterator[_T]:
    before = 0
    try:
        for found, block in _plain_blocks(path):
            try:
                decoded = decoder.decode_lines(block)
            except _UNREADABLE:
                yield from _one_by_one(found, before, block, decoder.decode, on_damage)
            else:
                yield from decoded
            before += block.count(b"\n")
    except RecordingDamaged as damage:
        on_damage(damage)


def _one_by_one(
    path: Path,
    before: int,
    block: bytes,
    decode: Callable[[bytes], _T],
    on_damage: OnDamage,
) -> Iterator[_T]:
    """Yield what can be decoded; each bad line is named."""
    for number, line in enumerate(block.split(b"\n")[:-1], before + 1):
        try:
            decoded = decode(line)
        except _UNREADABLE as error:
            damage = RecordingDamaged(f"{path}, line {number}: {error}")
            damage.__cause__ = error
            on_damage(damage)
        else:
            yield decoded
