"""Stream and record venue WebSocket feeds, crypto and sports betting.

>>> async with wsfeeds.stream("cryptomus", ["BTC_USDT"], channels=["trade"]) as events:
...     async for event in events:
...         print(event.symbol, event.price)

`stream` subscribes, the event types are in `wsfeeds.events`, the errors in `wsfeeds.errors`. Names
are imported when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

import importlib

from wsfeeds._version import __version__

TYPE_CHECKING = False  # as type checkers read it; `typing` takes 10 ms to import
if TYPE_CHECKING:
    from typing import Any

    from wsfeeds.app import EventStream, stream
    from wsfeeds.events import (
        Action,
        AnyEvent,
        Balance,
        Bbo,
        Bet,
        BetResult,
        Book,
        ErrorEvent,
        Event,
        FeedStatus,
        Fill,
        Gap,
        Heartbeat,
        Incident,
        LastPrice,
        Malformed,
        Order,
        Quote,
        SessionEvent,
        SettingsEvent,
        Statistics,
        Ticker,
        Trade,
        Unknown,
    )
    from wsfeeds.recordings.replay import read

_HOMES = {
    "stream": "wsfeeds.app",
    "EventStream": "wsfeeds.app",
    "read": "wsfeeds.recordings.replay",
}

__all__ = [
    "Action",
    "AnyEvent",
    "Balance",
    "Bbo",
    "Bet",
    "BetResult",
    "Book",
    "ErrorEvent",
    "Event",
    "EventStream",
    "FeedStatus",
    "Fill",
    "Gap",
    "Heartbeat",
    "Incident",
    "LastPrice",
    "Malformed",
    "Order",
    "Quote",
    "SessionEvent",
    "SettingsEvent",
    "Statistics",
    "Ticker",
    "Trade",
    "Unknown",
    "__version__",
    "read",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name in {"errors", "events"}:
        return importlib.import_module(f"wsfeeds.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'wsfeeds' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "wsfeeds.events")), name)


def __dir__() -> list[str]:
    dunders = (name for name in globals() if name.startswith("__"))
    return sorted({*__all__, "errors", "events", *dunders})
