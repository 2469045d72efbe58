"""What the simulated ASP.NET SignalR 2.x server answers to negotiate, and what it asks of a client.

docs/protocols/websocket_v2.md, section 6.3.
"""

from __future__ import annotations

from typing import Any

import orjson

from wsfeeds.simulators.signalr_hub import OddsHub
from wsfeeds.simulators.signalr_legacy_connection import LegacyConnection
from wsfeeds.simulators.signalr_options import LegacyOptions


def terms(connection: LegacyConnection, options: LegacyOptions, path: str) -> dict[str, Any]:
    """Return the terms of a new connection, times in seconds; `path` is where its streams are."""
    return {
        "Url": path,
        "ConnectionToken": connection.token,
        "ConnectionId": connection.id,
        "KeepAliveTimeout": options.keepalive_timeout or None,
        "DisconnectTimeout": options.disconnect_timeout,
        "ConnectionTimeout": options.connection_timeout,
        "TryWebSockets": options.web_sockets,
        "TransportConnectTimeout": 5.0,
        "LongPollDelay": 0.0,
    }


def clamped(asked: str | None) -> str:
    """Clamp the client's protocol version to what the server speaks, 1.2 to 2.0."""
    try:
        major, _, minor = (asked or "1.2").partition(".")
        wanted = (int(major), int(minor or 0))
    except ValueError:
        wanted = (1, 2)
    return ".".join(map(str, min(max(wanted, (1, 2)), (2, 0))))


def hubs_problem(data: str | None) -> str | None:
    """Say what is wrong with a `connectionData`, if anything is."""
    try:
        names = [str(each["name"]) for each in orjson.loads(data or "[]")]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return "connectionData is not a list of hubs."
    unknown = [name for name in names if name.lower() != OddsHub.name.lower()]
    return f"'{unknown[0]}' Hub could not be resolved." if unknown else None
