"""What a simulated hub still has to send, whichever transport comes to take it."""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random

from wsfeeds.simulators.faults import Frame, FrameFaults

RS = "\x1e"
_MOST_WAITING = 256
_MERGED = 3


class Outlet:
    """A bounded queue of messages with the ends a connection can come to.

    Args:
        faults: What happens to data messages.
    """

    def __init__(self, faults: FrameFaults) -> None:
        self._faults = faults
        self._waiting: deque[Frame] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = self._broken = self._stalled = False

    @property
    def over(self) -> bool:
        """Whether nothing more can be put in."""
        return self._ended or self._broken

    def reply(self, message: str) -> None:
        """Put in a reply or a keepalive, which no fault touches."""
        self._put(message.encode(), False)

    def push(self, message: str) -> None:
        """Put in data, to which the frame faults apply."""
        for payload, binary in self._faults.apply((message.encode(), False)):
            self._put(payload, binary)

    async def room(self) -> None:
        """Wait for a client that takes slowly."""
        await self._room.wait()

    def end(self) -> None:
        """Let what waits be taken, then nothing more."""
        self._ended = True
        self._wake()

    def snap(self) -> None:
        """Break the connection at once."""
        self._broken = True
        self._wake()

    def stall(self) -> None:
        """Fall silent for good: nothing is sent, yet nothing ends."""
        self._stalled = True

    async def take(self, most: int | None = None) -> list[Frame]:
        """Wait for messages and take them; none means the end.

        Raises:
            ConnectionResetError: The connection is to be broken.
        """
        while True:
            if self._broken:
                raise ConnectionResetError("the connection is broken on purpose")
            if not self._stalled:
                if self._waiting:
                    return self._some(most)
                if self._ended:
                    return []
            self._news.clear()
            await self._news.wait()

    def _some(self, most: int | None) -> list[Frame]:
        count = len(self._waiting) if most is None else min(most, len(self._waiting))
        frames = [self._waiting.popleft() for _ in range(count)]
        if len(self._waiting) < _MOST_WAITING:
            self._room.set()
        return frames

    def _put(self, payload: bytes, binary: bool) -> None:
        if self.over:
            return
        self._waiting.append((payload, binary))
        self._wake()

    def _wake(self) -> None:
        if len(self._waiting) >= _MOST_WAITING and not self.over:
            self._room.clear()
        else:
            self._room.set()
        self._news.set()


class RecordOutlet(Outlet):
    """An outlet of records that end in U+001E, in messages that need not be whole records.

    Args:
        faults: What happens to data records.
        shape: `whole`: a record a message; `split`: a record in several messages; `merged`: three
            records a message; `mixed`: messages end anywhere.
        random: Where records are cut.
    """

    def __init__(self, faults: FrameFaults, shape: str, random: Random) -> None:
        super().__init__(faults)
        self._shape = shape
        self._random = random
        self._held = ""
        self._count = 0

    def end(self) -> None:
        """Let what waits be taken, then nothing more."""
        self._release()
        super().end()

    def _put(self, payload: bytes, binary: bool) -> None:
        if binary or self._shape == "whole":
            super()._put(payload, binary)
            return
        record = payload.decode()
        if self._shape == "split":
            for piece in self._pieces(record):
                super()._put(piece.encode(), False)
            return
        self._held += record
        self._count += 1
        if self._shape == "merged" and self._count >= _MERGED:
            self._release()
        elif self._shape == "mixed" and self._count >= 2:
            cut = len(self._held) - self._random.randrange(max(len(record), 1))
            super()._put(self._held[:cut].encode(), False)
            self._held, self._count = self._held[cut:], 1

    def _pieces(self, record: str) -> list[str]:
        """Cut a record between characters: each text message is UTF-8 by itself."""
        places = sorted(self._random.randrange(len(record) + 1) for _ in range(2))
        pieces = record[: places[0]], record[places[0] : places[1]], record[places[1] :]
        return [piece for piece in pieces if piece]

    def _release(self) -> None:
        if self._held:
            held, self._held, self._count = self._held, "", 0
            super()._put(held.encode(), False)
