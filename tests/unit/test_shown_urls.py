"""What is shown of URLs: never what their queries may tell."""

from __future__ import annotations

import pytest

from wsfeeds import connectors
from wsfeeds.app import load_settings
from wsfeeds.config import masked_url, shown_url
from wsfeeds.protocol import Socket, Wanted

FIXTURE_PATH = "soccer/fixtures/433eac65-2c3c-4164-bcae-b6f27db27d0c/actions"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://a.example/ws", "ws://a.example/ws"),
        ("ws://a.example/ws?", "ws://a.example/ws"),
        ("ws://a.example/ws?x=1&y=a%20b", "ws://a.example/ws?x=***&y=***"),
        ("ws://a.example/ws?x=&bare", "ws://a.example/ws?x=&***"),
        ("wss://me:pass@a.example:9/x?x=x", "wss://me:***@a.example:9/x?x=***"),
        ("wss://me@[::1]:9/x", "wss://me@[::1]:9/x"),
        ("ws://[", "ws://["),
    ],
)
def test_the_values_of_a_query_are_masked_where_they_stand(url, shown):
    assert masked_url(url) == shown


@pytest.mark.parametrize(
    ("url", "given", "shown"),
    [
        ("ws://a/?speed=2", None, "ws://a/?speed=2"),
        ("ws://a/?x=1&speed=2", "ws://a/?x=1", "ws://a/?x=***&speed=2"),
        ("ws://a/?x=a%20b&token=***", "ws://a/?x=a+b", "ws://a/?x=***&token=***"),
        ("ws://a/?x=2", "ws://a/?x=1", "ws://a/?x=2"),
    ],
)
def test_only_what_the_user_brought_is_masked(url, given, shown):
    assert shown_url(url, given) == shown


@pytest.mark.parametrize(
    ("feed", "symbol", "url", "shown"),
    [
        (
            "cryptomus",
            "BTC_USDT",
            "wss://v.example/ws?x=unknown-1",
            "wss://v.example/ws?x=***&token=***",
        ),
        (
            "img_fastpath",
            "soccer/433eac65-2c3c-4164-bcae-b6f27db27d0c",
            "wss://v.example/?x=unknown-1",
            f"wss://v.example/{FIXTURE_PATH}?x=***&speed=fast&startPosition=3",
        ),
        ("igratech", "", "wss://v.example/a?x=unknown-1", "wss://v.example/a?x=***"),
        (
            "interact_quote",
            "1-e@1_1",
            "wss://v.example?x=unknown-1",
            "wss://v.example/quote/do-not-look-back?x=***&authorization=bearer%20***",
        ),
    ],
)
def test_every_feed_shows_its_own_parameters_and_hides_those_of_the_url(feed, symbol, url, shown):
    connector = connectors.load(feed)
    mapping = {"url": url}
    if feed == "img_fastpath":
        mapping |= {"speed": "fast", "start_position": "3"}
    if "token" in connector.required:
        mapping["token"] = "a.b.c"
    settings = load_settings(connector, mapping=mapping, require=False)
    channels = tuple(each.name for each in connector.channels if each.default)
    wanted = Wanted((symbol,) if symbol else (), channels)
    socket = connector.plan(wanted, settings)[0] if feed != "cryptomus" else Socket(wanted)
    (first, *_) = connector(socket, settings).endpoint(None).shown
    assert shown_url(first, url) == shown
