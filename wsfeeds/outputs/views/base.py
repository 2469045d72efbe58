"""What a view is, and the bounded table of rows that most of them keep."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from wsfeeds.events import Event
from wsfeeds.outputs.views.text import Line

MAX_ROWS = 400
MAX_TAPE = 200
MAX_KEY = 120
"""Characters of a row's key, so that a venue's own words cannot grow the memory."""

Handlers = dict[type[Event], Callable[[Any], None]]


class View(Protocol):
    """Collects what it shows as events come, in plain calls, and draws when asked."""

    name: ClassVar[str]
    handlers: Handlers

    def draw(self, width: int, height: int, now: int) -> list[Line]:
        """Return at most `height` lines of at most `width` cells; `now` is in microseconds."""
        ...


class Row:
    """The common part of a row: how busy it is and in which order it first came."""

    __slots__ = ("count", "order")

    def __init__(self) -> None:
        """Start unseen."""
        self.count = 0
        self.order = 0


R = TypeVar("R", bound=Row)


class Rows(Generic[R]):
    """Rows by key; beyond `limit` the one that was touched longest ago goes."""

    def __init__(self, make: Callable[[], R], limit: int = MAX_ROWS) -> None:
        """Make missing rows with `make`."""
        self._make = make
        self._limit = limit
        self._rows: OrderedDict[Any, R] = OrderedDict()
        self._born = 0
        self._shown: set[Any] = set()

    def __len__(self) -> int:
        return len(self._rows)

    def touch(self, key: Any) -> R:
        """Return the row of a key, as the most recent one."""
        row = self._rows.get(key)
        if row is None:
            return self._add(key)
        self._rows.move_to_end(key)
        row.count += 1
        return row

    def get(self, key: Any) -> R | None:
        """Return the row of a key, if there is one."""
        return self._rows.get(key)

    def latest(self, count: int) -> list[R]:
        """Return at most `count` rows, the one touched last first."""
        return list(islice(reversed(self._rows.values()), max(count, 0)))

    def busiest(self, count: int) -> list[tuple[Any, R]]:
        """Return at most `count` rows, the busiest, in the order of their first appearance.

        Rows that were returned before stay until others are twice as busy, so that a screen with
        too many rows is calm enough to be read.
        """
        items = list(self._rows.items())
        if len(items) > count:
            shown = self._shown
            items.sort(
                key=lambda item: item[1].count * (2 if item[0] in shown else 1), reverse=True
            )
            items = items[: max(count, 0)]
            self._shown = {key for key, _ in items}
        items.sort(key=lambda item: item[1].order)
        return items

    def _add(self, key: Any) -> R:
        key = _bounded(key)
        if key in self._rows:
            return self._rows[key]
        row = self._make()
        self._born += 1
        row.order = self._born
        row.count = 1
        self._rows[key] = row
        if len(self._rows) > self._limit:
            self._rows.popitem(last=False)
        return row


def _bounded(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple([_bounded(part) for part in key])
    return key[:MAX_KEY] if isinstance(key, str) else key
