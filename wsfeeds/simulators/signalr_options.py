"""The options of the SignalR simulators (docs/protocols/websocket_v2.md, section 8)."""

from __future__ import annotations

from dataclasses import dataclass

from wsfeeds.simulators.options import Options, choice, duration, number, switch, text
from wsfeeds.simulators.signalr_compression import KINDS

ENDS = ("never", "drop", "clean", "close", "close-reconnect", "silence", "gone")

LEGACY_ENDS = ("never", "drop", "clean", "error", "reconnect", "disconnect", "silence", "gone")


@dataclass(frozen=True, kw_only=True)
class HubOptions(Options):
    """What both generations have."""

    token: str = text("", "the bearer token that every request must carry; none: anyone may")
    subscribe_first: bool = switch(False, "nothing is pushed before the hub's Sub was called")
    compress: str = choice(*KINDS, help="how arguments are packed, in base64")
    sticky: bool = switch(False, "negotiate sets a cookie that later requests must bring")
    web_sockets: bool = switch(True, "webSockets is offered")
    server_sent_events: bool = switch(True, "serverSentEvents is offered")
    long_polling: bool = switch(True, "longPolling is offered")
    end_after: float = duration("5s", "time from the handshake to that end")
    end_connections: int = number(0, "how many connections end so, the first ones; 0: all")
    negotiate_error: str = text("", "negotiate answers with this error")


@dataclass(frozen=True, kw_only=True)
class SignalROptions(HubOptions):
    """What the page leaves open of ASP.NET Core's SignalR, and what shortens a test."""

    keepalive: float = duration("15s", "time without sending until the server pings")
    client_timeout: float = duration("30s", "silence of a client that ends its connection")
    handshake_timeout: float = duration("15s", "how long the server waits for the handshake")
    poll_timeout: float = duration("90s", "how long a poll stays open")
    max_message: int = number(32768, "bytes of the longest message from a client")
    version: int = number(1, "the highest negotiateVersion")
    redirects: int = number(0, "how many times negotiate sends the client elsewhere")
    records: str = choice(
        "whole", "split", "merged", "mixed", help="how records fill transport messages"
    )
    ask: bool = switch(False, "the server calls GetState on the client and tells what came back")
    end: str = choice(*ENDS, help="how a connection ends; close: type 7, gone: forgotten")


@dataclass(frozen=True, kw_only=True)
class LegacyOptions(HubOptions):
    """What the page leaves open of ASP.NET SignalR 2.x, and what shortens a test."""

    keepalive: float = duration("10s", "time between keepalives")
    keepalive_timeout: float = duration("20s", "what negotiate says of it; 0s: null, and none sent")
    disconnect_timeout: float = duration("30s", "how long a client without a transport is known")
    connection_timeout: float = duration("110s", "how long a poll stays open")
    long_poll_delay: float = duration("0s", "what a poll's answer asks the client to wait")
    url_path: str = text("/signalr", "the Url of negotiate: where connect and its like are")
    redirect: str = choice(
        "none", "new", "all", help="which clients are sent elsewhere; new: those of protocol 2.0"
    )
    end: str = choice(*LEGACY_ENDS, help="what happens to a connection; error: E, reconnect: T")
