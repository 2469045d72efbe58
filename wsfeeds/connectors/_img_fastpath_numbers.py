"""The venue's numbers on one stream: what is new, what is missing, where to resume.

A stream's numbers may count per fixture or start again at 1 on every connection, and a start
position may mean "skip so many" or "from the nth" (docs/protocols/img_fastpath.md, sections
2.4 and 5.2). Nothing here depends on which: a resume overlaps what is known, and the overlap tells
how far the numbers of the new connection are shifted.

`Numbers` outlives connections, a `Passage` is one connection's walk through it. Whether a frame is
new depends on frames alone; only the verdict on a hole depends on time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec

_REMEMBERED = 16_384
"""Frames of which the keys are kept; older numbers count as known."""
_HELD = 4_096
_MOST_RANGES = 1_024
_PROVES_FIXTURE_NUMBERS = 16
"""A new frame above this cannot be an early number of a fresh count with its start lost."""
_FUTILE = 3
_CALM = 64
_SPARED = 3


class Mark(msgspec.Struct, frozen=True):
    """What identifies a data frame: its number, and who said what when."""

    number: int | None
    identity: str = ""
    send: str = ""
    time: str = ""

    @property
    def content(self) -> str:
        """What a replayed frame has in common with the first one whatever its number is."""
        return f"{self.identity}|{self.send}|{self.time}" if self.time else ""

    def key(self, number: int) -> str:
        """What two frames share that are one: action, number, send type."""
        return f"{self.identity}|{number}|{self.send}"


class Hole(msgspec.Struct, frozen=True):
    """Numbers that are missing, inclusive; `lost` if no resume brings them."""

    first: int
    last: int
    lost: bool = False


class Numbers:
    """All that is known of one stream's numbers; they count as the first connection's did."""

    def __init__(self, floor: int = 0, *, overlaps: bool = True) -> None:
        """Know nothing yet.

        Args:
            floor: The start position of the first connection, and the lowest ever asked for.
            overlaps: Whether a resume counts frames and repeats one (team sports) or goes on at
                the number after the last (tennis, MMA).
        """
        self.floor = floor
        self.overlaps = overlaps
        self.ranges: list[list[int]] = []
        self.unplaced: dict[str, list[int]] = {}
        self.astray = False
        self.over = False
        self.begun = False
        self.unnumbered: dict[str, None] = {}
        self.unnumbered_count = 0
        self.last_low: int | None = None
        self.overflow: Hole | None = None
        self.futile = 0
        self.spared = (0, 0)
        self._calm = 0
        self._keys: dict[str, int] = {}
        self._contents: dict[str, tuple[int, ...]] = {}
        self._forgotten = 0

    # --- recordings

    def state(self) -> dict[str, Any]:
        """Return all that is known, as JSON values."""
        known: dict[str, Any] = msgspec.to_builtins(vars(self))
        return known

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        vars(self).update(state)
        self._contents = {key: tuple(places) for key, places in state["_contents"].items()}
        self.overflow = msgspec.convert(state["overflow"], Hole | None)
        self.spared = (state["spared"][0], state["spared"][1])

    # --- what is known

    @property
    def high(self) -> int:
        """The highest number so far, 0 before any."""
        return self.ranges[-1][1] if self.ranges else 0

    @property
    def resumed(self) -> bool:
        """Whether a new connection goes on with something."""
        return bool(self.ranges or self.unnumbered_count)

    @property
    def placed(self) -> bool:
        """Whether all that came has its place in the count."""
        return not self.astray and not self.unplaced

    def holes(self) -> Iterator[Hole]:
        """Yield the holes, the lowest first."""
        for (_, high, _), (low, _, _) in itertools.pairwise(self.ranges):
            yield Hole(high + 1, low - 1)

    def hole(self) -> Hole | None:
        """Return the lowest hole."""
        return next(self.holes(), None)

    def position(self) -> int:
        """Return the start position of the next connection, so that it loses nothing."""
        hole = self.hole()
        late = hole is not None and self.last_low is not None and self.last_low > hole.first
        if self.begun and not self.resumed and not self.overlaps:
            return max(self.floor, 1)
        if not self.placed or late or not self.resumed:
            return self.floor
        if not self.ranges:
            return self.floor + max(0, self.unnumbered_count - 1)
        _, high, count = self.ranges[0]
        return self.floor + max(0, count - 1) if self.overlaps else max(self.floor, high + 1)

    def knows(self, mark: Mark, number: int) -> bool:
        """Tell whether this very frame came before under this number."""
        if mark.key(number) in self._keys:
            return True
        return number <= self._forgotten and any(
            low <= number <= high for low, high, _ in self.ranges
        )

    def places(self, mark: Mark) -> tuple[int, ...]:
        """Return the numbers under which a frame of this content came before."""
        return self._contents.get(mark.content, ())

    # --- what is learned

    def add(self, mark: Mark, number: int) -> None:
        """Take in a new frame under its number."""
        self.remember(mark, number)
        before = len(self.ranges)
        grows = number == self.high + 1
        self._insert(number)
        if len(self.ranges) < before:
            self.futile = 0
        if len(self.ranges) > _MOST_RANGES:
            self._overflow()
        self._calm = self._calm + 1 if grows else 0
        if self._calm >= _CALM:
            self.futile = 0

    def remember(self, mark: Mark, number: int) -> None:
        """Keep what identifies a frame, and forget the oldest ones."""
        self._keys[mark.key(number)] = number
        if mark.content:
            self._contents[mark.content] = (*self._contents.get(mark.content, ()), number)
        while len(self._keys) > _REMEMBERED:
            self._forgotten = max(self._forgotten, self._keys.pop(next(iter(self._keys))))
        while len(self._contents) > _REMEMBERED:
            del self._contents[next(iter(self._contents))]

    def hold(self, mark: Mark) -> bool:
        """Take in a frame whose number says nothing yet and tell whether it is new."""
        assert mark.number is not None
        self.astray = True
        if not mark.content:
            return True
        held = self.unplaced.setdefault(mark.content, [])
        if mark.number in held:
            return False
        held.append(mark.number)
        while len(self.unplaced) > _HELD:
            del self.unplaced[next(iter(self.unplaced))]
        return True

    def release(self, mark: Mark) -> bool:
        """Forget one frame held before, and tell whether there was one of this content."""
        held = self.unplaced.get(mark.content) if mark.content else None
        if not held:
            return False
        held.pop()
        if not held:
            del self.unplaced[mark.content]
        return True

    def give_up(self) -> None:
        """Count the lowest hole as filled."""
        (low, _, count), (_, high, more) = self.ranges[:2]
        self.ranges[:2] = [[low, high, count + more]]
        self.futile += 1

    def _overflow(self) -> None:
        """Give up the lowest hole because there are too many."""
        hole = self.hole()
        assert hole is not None
        first = hole.first if self.overflow is None else self.overflow.first
        self.overflow = Hole(first, hole.last, lost=True)
        self.give_up()

    def _insert(self, number: int) -> None:
        """Put a number into the sorted list of `[low, high, frames]`."""
        ranges = self.ranges
        for index in range(len(ranges) - 1, -1, -1):
            found = ranges[index]
            if number > found[1] + 1:
                ranges.insert(index + 1, [number, number, 1])
                return
            if number >= found[0]:
                found[1] = max(found[1], number)
                found[2] += 1
                self._join(index)
                return
            if number == found[0] - 1 and (index == 0 or ranges[index - 1][1] < number - 1):
                found[0] = number
                found[2] += 1
                return
        ranges.insert(0, [number, number, 1])

    def _join(self, index: int) -> None:
        after = self.ranges[index + 1 : index + 2]
        if after and after[0][0] == self.ranges[index][1] + 1:
            self.ranges[index][1] = after[0][1]
            self.ranges[index][2] += after[0][2]
            del self.ranges[index + 1]


class Passage:
    """One connection's walk through the numbers of a stream."""

    def __init__(self, numbers: Numbers) -> None:
        """Start where nothing is lost; what is known does not change by that."""
        self.numbers = numbers
        self.start = numbers.position()
        self._resumed = numbers.resumed
        self._at_floor = self.start == numbers.floor
        certain = not self._resumed or self._at_floor or not numbers.overlaps
        self._shift: int | None = 0 if certain else None
        self._high_before = numbers.high
        self._low: int | None = None
        self._top = 0
        self._held: list[Mark] = []
        self._suspect: Hole | None = None

    def state(self) -> dict[str, Any]:
        """Return where the walk has come to, as JSON values; the numbers tell for themselves."""
        walked = {name: value for name, value in vars(self).items() if name != "numbers"}
        state: dict[str, Any] = msgspec.to_builtins(walked)
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        vars(self).update(state)
        self._held = msgspec.convert(state["_held"], list[Mark])
        self._suspect = msgspec.convert(state["_suspect"], Hole | None)

    @property
    def open(self) -> bool:
        """Whether something is missing or has no place yet."""
        return bool(self._held) or self.numbers.hole() is not None

    def take(self, mark: Mark) -> bool:
        """Take in a data frame and tell whether it is new."""
        number, numbers = mark.number, self.numbers
        if number is None:
            return self._take_unnumbered(mark)
        if number < 1:
            # The dummy that tennis begins with (section 8) is outside of the count; what follows
            # it is the number 1.
            numbers.begun = numbers.begun or number == 0
            known = numbers.knows(mark, number)
            if not known:
                numbers.remember(mark, number)
            return not known
        if self._shift is None:
            self._place(mark, number)
        if self._shift is None:
            new = numbers.hold(mark)
            if new:
                self._held.append(mark)
            return new
        return self._take_placed(mark, number + self._shift)

    def settle(self) -> Hole | None:
        """Return what must be done about a hole that was there at the last call as well.

        A `lost` one is to be reported and is forgotten; any other needs a new connection.
        """
        numbers = self.numbers
        if numbers.overflow is not None:
            lost, numbers.overflow = numbers.overflow, None
            return lost
        hole = Hole(0, 0) if self._held else numbers.hole()
        passed = bool(self._held) or (hole is not None and hole.last < self._top)
        if hole is None or not passed:
            self._suspect = None
            return None
        # Frames may come in another order: what misses at one call may be there at the next.
        if self._suspect != hole:
            self._suspect = hole
            return None
        self._suspect = None
        hopeless = self._was_replayed(hole) or numbers.futile >= _FUTILE
        if self._held or not hopeless or self._is_spared(hole):
            return hole
        numbers.give_up()
        return Hole(hole.first, hole.last, lost=True)

    def _is_spared(self, hole: Hole) -> bool:
        """Give a hole another chance, some times, where a later one needs a resume anyway."""
        numbers = self.numbers
        if numbers.futile >= _FUTILE or all(map(self._was_replayed, numbers.holes())):
            return False
        first, times = numbers.spared
        numbers.spared = (hole.first, times + 1 if first == hole.first else 1)
        return numbers.spared[1] <= _SPARED

    def _was_replayed(self, hole: Hole) -> bool:
        """Tell whether this connection was to bring what misses, began early enough and did not."""
        began = self._at_floor or (self._low is not None and self._low < hole.first)
        return began and hole.last < self._high_before

    def _place(self, mark: Mark, number: int) -> None:
        """Learn from a frame that came before how the numbers of this connection are shifted."""
        numbers = self.numbers
        places = numbers.places(mark)
        if number in places or (not mark.content and numbers.knows(mark, number)):
            self._shift = 0
        elif places and places[-1] > number:
            self._shift = places[-1] - number
        elif number > max(_PROVES_FIXTURE_NUMBERS, numbers.ranges[0][1] if numbers.ranges else 0):
            self._shift = 0
        if self._shift is None:
            return
        numbers.astray = False
        for held in self._held:
            numbers.release(held)
            assert held.number is not None
            place = held.number + self._shift
            self._walk(place)
            if not numbers.knows(held, place):
                numbers.add(held, place)
        self._held.clear()

    def _take_placed(self, mark: Mark, number: int) -> bool:
        numbers = self.numbers
        numbers.astray = False
        self._walk(number)
        if numbers.knows(mark, number):
            return False
        came_before = numbers.release(mark)
        numbers.add(mark, number)
        return not came_before

    def _walk(self, number: int) -> None:
        self._low = number if self._low is None else min(self._low, number)
        self._top = max(self._top, number)
        self.numbers.last_low = self._low

    def _take_unnumbered(self, mark: Mark) -> bool:
        numbers = self.numbers
        known = bool(mark.content) and mark.content in numbers.unnumbered
        if known and self._resumed:
            return False
        if mark.content:
            numbers.unnumbered[mark.content] = None
            while len(numbers.unnumbered) > _REMEMBERED:
                del numbers.unnumbered[next(iter(numbers.unnumbered))]
        numbers.unnumbered_count += 1
        return True
