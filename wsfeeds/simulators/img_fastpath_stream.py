"""One simulated FastPath stream: how its packets arrive, are kept and are replayed.

Packets are numbered by their place in the script, so every replay gives the same frames
(docs/protocols/img_fastpath.md, sections 2.4, 5.2, 6 and 8).
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass

import orjson

from wsfeeds.simulators.img_fastpath_frames import Packet, Style, connection_state
from wsfeeds.simulators.img_fastpath_health import Health

_UPSTREAM_BEATS = 6
_DAY = 86_400


@dataclass(frozen=True)
class Pace:
    """How fast simulated time passes, and when the upstream fails.

    Args:
        speedup: Simulated seconds a second.
        rate: Frames a second of each stream, evenly spread; None keeps the match's own rhythm.
        check: Seconds between the venue's looks at its upstream.
        silence: Seconds of silence that count as an outage.
        outage_at: When the upstream falls silent, in seconds since the match began.
        outage: For how long it does.
    """

    speedup: float
    rate: float | None = None
    check: float = 10.0
    silence: float = 30.0
    outage_at: float = 0.0
    outage: float = 0.0

    def mends(self, at: float) -> float:
        """Give the time at which something that happens now reaches the venue."""
        end = self.outage_at + self.outage
        return end if self.outage_at <= at < end else at


class Timetable:
    """When each packet of a script is due, and which time stands in it.

    Args:
        packets: In the order of their arrival.
        pace: How fast simulated time passes.
        live: Times in the frames follow the clock on the wall; else they lie a day back.
    """

    def __init__(self, packets: Sequence[Packet], pace: Pace, *, live: bool) -> None:
        self._arrivals = [packet.at for packet in packets]
        self._pace = pace
        self._live = live
        self.start = time.time_ns() // 1000
        if not live:
            self.start -= _DAY * 1_000_000

    def due(self, index: int) -> float:
        """Seconds from the start until a packet arrives."""
        if self._pace.rate is not None:
            return (index + 1) / self._pace.rate
        return (self._arrivals[index] - self._arrivals[0]) / self._pace.speedup

    def stamp(self, at: float) -> int:
        """Turn simulated seconds into microseconds since 1970."""
        seconds = at - self._arrivals[0]
        if self._live:
            rate = self._pace.rate
            seconds /= self._pace.speedup
            seconds = bisect_right(self._arrivals, at) / rate if rate is not None else seconds
        return self.start + round(seconds * 1_000_000)


class Feed:
    """One stream of one fixture.

    Args:
        packets: The script.
        pace: How fast it is played.
        style: How frames are written.
        live: It is played once; else it is over and can be replayed only.
        first: The number of the first packet.
        watched_health: Whether connection status frames exist on this stream.
    """

    def __init__(
        self,
        packets: Sequence[Packet],
        pace: Pace,
        style: Style,
        *,
        live: bool,
        first: int = 1,
        watched_health: bool = True,
    ) -> None:
        self.packets = packets
        self.first = first
        self.over = not live
        self.log: list[int | bytes] = [] if live else list(range(len(packets)))
        self._pace = pace
        self._style = style
        self._live = live
        self._health = Health(pace.silence) if watched_health else None
        self._news = asyncio.Event()
        self._times: Timetable | None = None

    @property
    def times(self) -> Timetable:
        """When packets are due, counted from the first use."""
        if self._times is None:
            self._times = Timetable(self.packets, self._pace, live=self._live)
        return self._times

    def encode(self, index: int, number: int | None = None) -> bytes:
        """Write a packet with its own number, or with another one."""
        own = index + self.first if number is None else number
        return self._style.encode(self.packets[index].body, self.times.stamp, own)

    def last(self) -> Packet | None:
        """Give the latest packet that arrived."""
        index = next((entry for entry in reversed(self.log) if isinstance(entry, int)), None)
        return None if index is None else self.packets[index]

    async def play(self) -> None:
        """Let the packets arrive one after the other, until the script is over."""
        tasks = [asyncio.ensure_future(work) for work in (self._beat(), self._watch())]
        clock = asyncio.get_running_loop().time
        start, times = clock(), self.times
        try:
            for index in range(len(self.packets)):
                at = self._pace.mends(times.due(index))
                if (wait := start + at - clock()) > 0:
                    await asyncio.sleep(wait)
                self._heard(clock() - start)
                self._append(index)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.over = True
        self._tell()

    async def follow(
        self, skip: int, *, fast: bool, per_connection: bool = False
    ) -> AsyncGenerator[tuple[bytes, bool], None]:
        """Give frames from the start: history at once, then what arrives.

        A match that is over is replayed in its original timing, or without pauses.

        Args:
            skip: How many packets to leave out.
            fast: No pauses.
            per_connection: Number from 1 on every connection.

        Yields:
            A frame, and whether it is data; a connection status is not.
        """
        joined, paced = len(self.log), self.over and not fast
        clock = asyncio.get_running_loop().time
        start = clock() - (self.times.due(skip) if paced and skip < len(self.packets) else 0.0)
        sent = position = 0
        async for place, entry in self._entries():
            if isinstance(entry, bytes):
                if place >= joined:
                    yield entry, False
                continue
            position += 1
            if position <= skip:
                continue
            if paced and (wait := start + self.times.due(entry) - clock()) > 0:
                await asyncio.sleep(wait)
            sent += 1
            yield self.encode(entry, sent if per_connection else None), True

    async def latest(self) -> AsyncGenerator[tuple[bytes, bool], None]:
        """Give the first packet and the latest one, then what arrives: a stream without replay."""
        yield self.encode(0), True
        seen = max((entry for entry in self.log if isinstance(entry, int)), default=0)
        if seen:
            yield self.encode(seen), True
        async for _, entry in self._entries():
            if isinstance(entry, int) and entry > seen:
                yield self.encode(entry), True

    async def _entries(self) -> AsyncIterator[tuple[int, int | bytes]]:
        place = 0
        while True:
            while place < len(self.log):
                yield place, self.log[place]
                place += 1
            if self.over:
                return
            await self._news.wait()

    def _append(self, entry: int | bytes) -> None:
        self.log.append(entry)
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _heard(self, now: float) -> None:
        if self._health is not None:
            self._announce(self._health.heard(now))

    def _announce(self, state: str | None) -> None:
        if state is not None:
            self._append(orjson.dumps(connection_state(state, time.time_ns() // 1000)))

    async def _beat(self) -> None:
        """The upstream says that it lives, except during an outage."""
        period, clock = self._pace.silence / _UPSTREAM_BEATS, asyncio.get_running_loop().time
        start = clock()
        while True:
            await asyncio.sleep(period)
            now = clock() - start
            if self._pace.mends(now) == now and self.log:
                self._heard(now)

    async def _watch(self) -> None:
        """The venue looks whether its upstream lives."""
        clock = asyncio.get_running_loop().time
        start = clock()
        for turn in range(1, 2**31):
            await asyncio.sleep(start + turn * self._pace.check - clock())
            if self._health is not None:
                self._announce(self._health.check(clock() - start))


async def play_all(feeds: Sequence[Feed]) -> None:
    """Play the streams of one fixture side by side."""
    async with asyncio.TaskGroup() as group:
        for feed in feeds:
            group.create_task(feed.play())
