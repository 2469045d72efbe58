"""The toggles of the simulated Cryptomus (docs/protocols/cryptomus.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass

from wsfeeds.simulators.options import Options, choice, duration, switch, text


@dataclass(frozen=True, kw_only=True)
class CryptomusOptions(Options):
    """Faithful by default; each toggle is another reading that a client must survive."""

    user_id: str = text("8f4c1d52-6f0e-4c1b-9a55-0d6f7f2b3c10", "the only user's id")
    api_key: str = text("SIMULATED-KEY-0123456789", "the only user's API key")
    token_ttl: float = duration("300s", "how long an unused token lives")
    one_token: bool = switch(False, "a new token voids the older ones")
    bad_token: str = choice("401", "close", help="refuse at the upgrade, or accept and close 1008")
    bad_sign: str = choice("401", "403", "422", help="HTTP status for a wrong signature")
    idle: float = duration("60s", "silence of the client after which the connection is closed")
    idle_close: str = choice("1000", "1001", "abort", help="how an idle connection is closed")
    ws_pings_count: bool = switch(False, "WebSocket pings count as requests")
    bad_json: str = choice("close", "error", help="close at once, or send error code 1 first")
    bad_request: str = choice("error", "close", help="what a wrongly shaped request gets")
    partial_apply: bool = switch(False, "a refused list still applies its known symbols")
    resubscribe: str = choice(
        "replace", "reject", "merge", help="what a second subscribe does to the first"
    )
    push_before_ack: bool = switch(False, "the initial push comes before its ack")
    initial_push: str = choice(
        "state", "none", "trades", help="full books and prices, nothing, or past trades as well"
    )
    event_id: str = choice("counter", "echo", help="event ids: 0 and a counter, or the request's")
    depth_interval: float = duration("100ms", "the moment of a market without --rate")
    full_reload: str = choice("periodic", "never", "silence", help="when full books are repeated")
    reload_interval: float = duration("60s", "the period, or the silence, before a full book")
    ack_method: str = choice("documented", "always", "never", help="which acks carry their method")
    trade_numbers: str = choice(
        "number", "string", "exponent", help="how trades write prices and quantities"
    )
    unknown_fields: bool = switch(False, "frames have members that nobody documented")
    whitespace: bool = switch(False, "frames are spread over several lines")
    mute_pong: bool = switch(False, "pings get no answer")
    reply_delay: float = duration("0s", "how long every reply waits")
