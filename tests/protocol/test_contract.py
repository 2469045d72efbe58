"""What every connector owes the core and the contract, for each one that is found."""

from __future__ import annotations

import ast
import base64
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wsfeeds
from wsfeeds import config, connectors, events
from wsfeeds.errors import UsageError
from wsfeeds.events import Event, Malformed, Unknown
from wsfeeds.protocol import Connector, Control, FeedSettings, Socket, Wanted

PACKAGE = Path(wsfeeds.__file__).parent

# --- typed by hand from the contract ------------------------------------------------------------

# Contract, section 1: name, other names, channels in order, those on by default, needs a SYMBOL.
FEEDS = {
    "cryptomus": (
        (),
        ("trade", "ticker", "lastprice", "depth", "bbo", "order", "balance", "deal"),
        {"trade", "ticker", "lastprice", "depth"},
        True,
    ),
    "img_fastpath": (
        ("img-fastpath", "fastpath"),
        ("actions", "statistics", "stream", "details"),
        {"actions", "stream", "details"},
        True,
    ),
    "igratech": (
        (),
        ("incident", "bet", "bets-result", "balance", "stats", "settings"),
        {"incident", "bet", "bets-result", "balance", "stats", "settings"},
        False,
    ),
    "interact_quote": (
        ("interact-quote", "interact"),
        ("chloe-market", "fancy-market"),
        {"chloe-market", "fancy-market"},
        True,
    ),
}
# Contract, section 5: the keys of all feeds, those of one feed, and defaults that differ.
COMMON = {
    *("url", "allow_insecure", "compression", "transport", "coalesce", "pong_timeout"),
    *("idle_timeout", "data_timeout", "backoff_initial", "backoff_max", "max_retries"),
    *("connect_timeout", "max_frame", "proxy", "ca_file", "ciphers", "headers"),
}
OWN = {
    "cryptomus": {"api_url", "user_id", "api_key", "ping_interval"},
    "img_fastpath": {"api_url", "token", "speed", "start_position"},
    "igratech": {"ping_interval", "request_settings", "query", "first_message"},
    "interact_quote": {"token", "renew_interval"},
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "cryptomus": {"ping_interval": 45, "idle_timeout": 60, "compression": True},
    "img_fastpath": {"idle_timeout": 30, "compression": False, "speed": None},
    "igratech": {"ping_interval": 25, "idle_timeout": 60, "request_settings": False},
    "interact_quote": {"idle_timeout": 60, "renew_interval": 3000, "url": None},
}
EVERYWHERE: dict[str, Any] = {
    "pong_timeout": 10,
    "data_timeout": None,
    "allow_insecure": False,
    "transport": "auto",
    "coalesce": None,
    "backoff_initial": 0.5,
    "backoff_max": 30,
    "max_retries": None,
    "connect_timeout": 10,
    "max_frame": 16_000_000,
    "proxy": None,
    "ca_file": None,
    "headers": None,
}
REQUIRED = {
    "cryptomus": {"user_id", "api_key"},
    "img_fastpath": {"token"},
    "igratech": set(),
    "interact_quote": {"url", "token"},
}
# Contract, section 3: the keys of every event type, in order, after the envelope.
ENVELOPE = ["type", "feed", "channel", "symbol", "ts", "recv_ts", "seq", "venue_seq", "conn"]
KEYS = {
    "trade": "price quantity side trade_id",
    "last_price": "price",
    "ticker": "last open high low volume quote_volume change_percent",
    "book": "snapshot synced scale_index bids asks",
    "bbo": "bid_price bid_quantity ask_price ask_quantity scale_index",
    "order": "order_id state side order_type price quantity value filled_quantity filled_value "
    "client_order_id created_ts updated_ts finished_ts result detail",
    "fill": "deal_id transaction_id state price quantity value fee fee_currency liquidity",
    "balance": "wallet_id currency amount old_balance new_balance data",
    "quote": "event_id market_id selection_id book back_price back_line lay_price lay_line status "
    "status_code data",
    "action": "action_id action_type action_type_id action_subtype state period clock team "
    "home_score away_score finished fixture_status collection_status data",
    "statistics": "finished data",
    "incident": "data",
    "bet": "data",
    "bet_result": "data",
    "settings": "data",
    "session": "state reason code attempt delay_ms url symbols",
    "feed_status": "state",
    "gap": "reason from_seq to_seq from_ts to_ts missed",
    "heartbeat": "data",
    "error": "code message fatal",
    "malformed": "error frame encoding",
    "unknown": "data",
}
SYMBOLS = {
    "cryptomus": ("BTC_USDT", "BTC_USDT:1", "all"),
    "img_fastpath": (
        "soccer/433eac65-0000-4000-8000-000000000000",
        "tennis/2022-2789-MS027",
        "mma/433eac65-0000-4000-8000-000000000000",
    ),
    "igratech": ("12345",),
    "interact_quote": ("40789105-e@219_33753655", "44914246-e@878_55854706_f"),
}
MALFORMED_SYMBOLS = {
    "cryptomus": ["BTC-USDT", "BTC_USDT:", "BTC_USDT:x", "_USDT", "BTC_", "B T_C", "BTC_USDT:1:2"],
    "img_fastpath": ["soccer", "soccer/", "/1", "v2/soccer/", "soccer/a b"],
    "igratech": [],
    "interact_quote": ["40789105-e", "@219_33753655", "40789105-e@", "a@b@c", "a @219_1"],
}

# --- the feeds ----------------------------------------------------------------------------------

every_feed = pytest.mark.parametrize("feed", connectors.names())


def settings_of(connector: type[Connector]) -> FeedSettings:
    """Return settings with whatever a connector needs, none of them real."""
    claims = base64.urlsafe_b64encode(b'{"exp":9999999999}').rstrip(b"=").decode()
    values = {"url": "wss://venue.example/ws", "token": f"e30.{claims}.c2ln"}
    values |= {"user_id": "user", "api_key": "key-0123456789"}
    known = {key: values[key] for key in connector.required}
    return config.resolve(connector, mapping=known, env={})


def fresh(feed: str) -> Connector:
    connector = connectors.load(feed)
    wanted = Wanted(SYMBOLS[feed][:1], tuple(c.name for c in connector.channels if c.default))
    return connector(Socket(wanted), settings_of(connector))


def test_the_feeds_of_the_contract_are_there_and_no_other():
    assert set(connectors.names()) == set(FEEDS)


@every_feed
def test_names_channels_and_defaults_are_the_contracts(feed):
    connector = connectors.load(feed)
    aliases, channels, default, needs_symbols = FEEDS[feed]
    assert connector.name == feed
    assert set(connector.aliases) == set(aliases)
    assert tuple(channel.name for channel in connector.channels) == channels
    assert {channel.name for channel in connector.channels if channel.default} == default
    assert connector.needs_symbols is needs_symbols
    assert connector.title
    assert connector.symbol_help


@every_feed
def test_a_feed_is_found_by_each_of_its_names(feed):
    for name in (feed, feed.upper(), *FEEDS[feed][0]):
        assert connectors.load(name) is connectors.load(feed)


def test_an_unknown_feed_names_the_nearest_one():
    with pytest.raises(UsageError, match="cryptomus"):
        connectors.load("cryptomos")


@every_feed
def test_settings_and_their_defaults_are_the_contracts(feed):
    connector = connectors.load(feed)
    assert set(connector.settings_type.__struct_fields__) == COMMON | OWN[feed]
    assert set(connector.required) == REQUIRED[feed]
    settings = connector.settings_type()
    for key, value in {**EVERYWHERE, **DEFAULTS[feed]}.items():
        assert getattr(settings, key) == value, key


@every_feed
def test_symbols_of_the_contract_are_taken(feed):
    connector = connectors.load(feed)
    channels = tuple(channel.name for channel in connector.channels if channel.default)
    connector.check(Wanted(SYMBOLS[feed], channels), settings_of(connector))


@pytest.mark.parametrize(
    ("feed", "symbol"), [(feed, s) for feed, symbols in MALFORMED_SYMBOLS.items() for s in symbols]
)
def test_a_malformed_symbol_is_refused_by_name(feed, symbol):
    connector = connectors.load(feed)
    channels = tuple(channel.name for channel in connector.channels if channel.default)
    good = SYMBOLS[feed][0]
    with pytest.raises(UsageError) as refusal:
        connector.check(Wanted((good, symbol), channels), settings_of(connector))
    assert repr(symbol) in refusal.value.message
    assert "\n" not in refusal.value.message


@every_feed
def test_symbols_are_asked_for_where_the_contract_needs_them(feed):
    connector = connectors.load(feed)
    channels = tuple(channel.name for channel in connector.channels if channel.default)
    nothing = Wanted((), channels)
    if FEEDS[feed][3]:
        with pytest.raises(UsageError, match="SYMBOL"):
            connector.check(nothing, settings_of(connector))
    else:
        connector.check(nothing, settings_of(connector))


@every_feed
def test_a_plan_covers_everything_that_is_wanted(feed):
    connector = connectors.load(feed)
    channels = tuple(channel.name for channel in connector.channels if channel.default)
    wanted = Wanted(SYMBOLS[feed], channels)
    sockets = connector.plan(wanted, settings_of(connector))
    assert {symbol for socket in sockets for symbol in socket.wanted.symbols} == set(SYMBOLS[feed])
    assert len({socket.key for socket in sockets}) == len(sockets)


@every_feed
def test_nothing_that_is_shown_of_an_endpoint_holds_a_secret(feed):
    connector = fresh(feed)
    endpoint = connector.endpoint("one-time-token")
    secrets = [*config.secrets_of(connector.settings), "one-time-token"]
    assert len(endpoint.urls) == len(endpoint.shown) >= 1
    assert not any(secret in shown for secret in secrets for shown in endpoint.shown)
    assert not any(secret in repr(connector.settings) for secret in secrets)


@every_feed
def test_what_is_shown_of_a_request_holds_no_secret(feed):
    connector = fresh(feed)
    for chain in connector.opening():
        for request in chain:
            shown = request.frame if request.shown is None else request.shown
            assert not any(
                secret in (shown or "") for secret in config.secrets_of(connector.settings)
            )


@every_feed
@given(frame=st.binary(max_size=200))
def test_any_bytes_become_events_or_control_items(feed, frame):
    items = fresh(feed).receive(frame)
    assert items
    for item in items:
        assert isinstance(item, (Event, Control))
        if isinstance(item, Event):
            json.loads(events.encode(item))


@every_feed
@pytest.mark.parametrize(
    "frame", [b"[" * 200_000, b'{"a":' * 100_000, b'{"data":' + b"[" * 200_000, b"[" * 2_000]
)
def test_deep_nesting_is_malformed_and_kept_whole(feed, frame):
    connector = fresh(feed)
    found = [item for item in connector.receive(frame) if isinstance(item, Malformed)]
    assert [item.frame for item in found] == [frame.decode()]
    assert connector.receive(frame)


@every_feed
def test_bytes_that_are_no_text_are_kept_as_base64(feed):
    frame = b'{"a":"\xff"}'
    (found,) = (item for item in fresh(feed).receive(frame) if isinstance(item, Malformed))
    assert (found.frame, found.encoding) == (base64.b64encode(frame).decode(), "base64")


def complaint(feed: str, frame: bytes) -> Malformed:
    """Return what becomes of a bad frame that is not the first one."""
    connector = fresh(feed)
    connector.receive(b'{"type":"nobody knows"}')
    (found,) = (item for item in connector.receive(frame) if isinstance(item, Malformed))
    return found


@every_feed
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (r"\ud83d", "a lone surrogate escape, \\ud83d"),
        (r"a\uDC00\n", "a lone surrogate escape, \\uDC00"),
        (r"\ud83d\ude00 \\ud800 \ud83d\u0041", "a lone surrogate escape, \\ud83d"),
        (r"\ud83d and much more text", "a lone surrogate escape, \\ud83d"),
    ],
)
def test_half_a_surrogate_pair_is_called_what_it_is(feed, text, said):
    """Which no text in UTF-8 can hold."""
    frame = b'{"nobody knows":"%s"}' % text.encode()
    found = complaint(feed, frame)
    assert (found.error, found.frame) == (said, frame.decode())


@every_feed
@pytest.mark.parametrize("end", [r"\ud83d", r"\ud83d\u", r"\ud83d\ude0", r"\\ud83d", "a"])
def test_a_cut_frame_is_called_truncated(feed, end):
    assert "truncated" in complaint(feed, b'{"nobody knows":"%s' % end.encode()).error


@every_feed
def test_a_frame_of_an_unknown_kind_is_kept_whole(feed):
    frame = b'{"type": "nobody knows",  "n": [1.10, -0, 1e5, 12345678901234567890.1]}'
    (found,) = (item for item in fresh(feed).receive(frame) if isinstance(item, Unknown))
    kept = bytes(found.data) if isinstance(found.data, msgspec.Raw) else found.data
    assert kept == b'{"type":"nobody knows","n":[1.10,-0,1e5,12345678901234567890.1]}'


# --- the events ---------------------------------------------------------------------------------


def test_the_event_types_are_the_contracts():
    assert set(events.TYPES) == set(KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_an_events_keys_come_in_the_contracts_order(name):
    event_type: Any = events.TYPES[name]
    blanks: dict[str, Any] = {
        "feed": "f",
        "channel": "c",
        "state": "connected",
        "reason": "stale",
        "message": "m",
    }
    blanks |= {"error": "e", "frame": "f", "book": "fancy"}
    needed = set(event_type.__struct_fields__) - {"recv_ts", "seq", "conn"}
    event = event_type(**{key: blanks.get(key) for key in needed})
    assert list(json.loads(events.encode(event))) == [*ENVELOPE, *KEYS[name].split()]


@pytest.mark.parametrize("name", KEYS)
def test_nothing_that_was_not_said_is_left_out_or_made_up(name):
    event_type = events.TYPES[name]
    needed: dict[str, Any] = {
        field.name: "x" for field in msgspec.structs.fields(event_type) if field.required
    }
    line = json.loads(events.encode(event_type(**needed)))
    said = {"type", "feed", "recv_ts", "seq", "conn", *needed}
    assert {
        key: value
        for key, value in line.items()
        if key not in said and value is not None and key not in {"channel", "fatal", "encoding"}
    } == ({"status": "locked"} if name == "quote" else {})


# --- the layers ---------------------------------------------------------------------------------

FORBIDDEN = {"asyncio", "websockets", "httpx", "time", "logging", "socket", "threading", "random"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{name.name}" for name in node.names)}
    return found


@pytest.mark.parametrize(
    "path",
    [*sorted((PACKAGE / "connectors").glob("*.py")), PACKAGE / "protocol.py"],
    ids=lambda path: path.name,
)
def test_connectors_are_pure(path):
    assert not FORBIDDEN & {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize("feed", connectors.names())
def test_connectors_do_not_know_each_other(feed):
    others = {other for other in connectors.names() if other != feed}
    for path in (PACKAGE / "connectors").glob(f"*{feed}*.py"):
        for name in imports(path):
            assert not (name.startswith("wsfeeds.connectors") and any(o in name for o in others))


CORE = (
    *("errors.py", "events.py", "clock.py", "secrets.py", "decimals.py", "quantities.py"),
    *("protocol.py", "books.py", "pipeline.py", "app.py", "session/*.py", "transport/*.py"),
    *("config/*.py", "outputs/*.py", "connectors/__init__.py", "simulators/__init__.py"),
    *("simulators/base.py", "simulators/server.py", "simulators/websocket.py"),
)


@pytest.mark.parametrize("pattern", CORE)
def test_nothing_in_the_core_names_a_feed(pattern):
    """A new feed is one connector, one golden file, one simulator: no edit of the core."""
    feeds = re.compile("|".join(FEEDS), re.IGNORECASE)
    for path in PACKAGE.glob(pattern):
        code = without_docstrings(path.read_text())
        assert not feeds.findall(code), path.relative_to(PACKAGE)


def without_docstrings(source: str) -> str:
    """Return the code as Python sees it, less docstrings and comments, which may give examples."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                part
                for part in body
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ] or [ast.Pass()]
    return ast.unparse(tree)
