"""Where requests of SignalR go, and what may go with them."""

from __future__ import annotations

import pytest

from wsfeeds.command.signalr_urls import same_server, without


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("http://a.example/x", "http://a.example:80/y", True),
        ("http://a.example/x", "https://a.example/x", True),
        ("https://A.example:443/x", "https://a.example/y", True),
        ("https://a.example/x", "http://a.example/x", False),
        ("http://a.example:8080/x", "http://a.example/x", False),
        ("http://a.example/x", "https://a.example:8443/x", False),
        ("http://a.example/x", "http://b.example/x", False),
        ("http://a.example/x", "http://a.example.b.example/x", False),
    ],
)
def test_another_host_port_or_a_plain_connection_is_another_server(url, other, same):
    assert same_server(url, other) is same


def test_members_leave_a_query_whose_rest_keeps_its_text():
    assert without("a=%20&B=1&&b&c%62=2&d", "b", "cb") == "a=%20&d"
