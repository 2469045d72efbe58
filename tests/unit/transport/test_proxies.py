"""Which proxy a URL goes through."""

from __future__ import annotations

import pytest

from wsfeeds.addresses import is_loopback
from wsfeeds.transport.proxies import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
)
def test_loopback_is_known_by_name_and_address(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "10.0.0.1", "0.0.0.0", "", "127.1.example"])
def test_nothing_else_is_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/", "wss://localhost/", "https://[::1]:8/"])
def test_loopback_is_never_proxied(url):
    assert proxy_for(url, PROXY, {"HTTPS_PROXY": PROXY}) is None


@pytest.mark.parametrize("url", ["wss://venue.example/ws", "https://venue.example/"])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_https_proxy_is_honoured_for_tls(url, name):
    assert proxy_for(url, None, {name: PROXY}) == PROXY


@pytest.mark.parametrize("url", ["ws://venue.example/ws", "http://venue.example/"])
def test_https_proxy_is_not_for_plain_connections(url):
    assert proxy_for(url, None, {"HTTPS_PROXY": PROXY}) is None
    assert proxy_for(url, PROXY, {}) == PROXY


def test_the_setting_wins_over_the_environment():
    setting = "https://127.0.0.1:1080"
    assert proxy_for("wss://venue.example", setting, {"HTTPS_PROXY": PROXY}) == setting


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS5"])
@pytest.mark.parametrize(
    ("given", "place"), [("p:9", "p:9"), ("p", "p:1080"), ("[::1]", "[::1]:1080")]
)
def test_a_socks_proxy_always_resolves_the_name(scheme, given, place):
    proxy, expected = f"{scheme}://u%40:s%3A@{given}", f"socks5h://u%40:s%3A@{place}"
    assert proxy_for("ws://venue.example", proxy, {}) == expected
    assert proxy_for("wss://venue.example", None, {"HTTPS_PROXY": proxy}) == expected


@pytest.mark.parametrize("scheme", ["http", "https", "socks5h"])
def test_a_user_without_a_password_has_an_empty_one(scheme):
    """The libraries refuse or forget it otherwise."""
    assert proxy_for("wss://venue.example", f"{scheme}://me@p:9", {}) == f"{scheme}://me:@p:9"


@pytest.mark.parametrize(
    "rules", ["*", "venue.example", "example", ".example", "*.example", "a, VENUE.example ,b"]
)
def test_no_proxy_exempts_hosts(rules):
    assert proxy_for("wss://venue.example/", PROXY, {"NO_PROXY": rules}) is None


@pytest.mark.parametrize("rules", ["", "other.example", "enue.example", ".venue.example.org"])
def test_no_proxy_exempts_no_others(rules):
    assert proxy_for("wss://venue.example/", PROXY, {"NO_PROXY": rules}) == PROXY
