"""What holds for every frame of igratech, whatever its style."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfeeds.connectors.igratech import Connector, IgratechSettings
from wsfeeds.events import Event, encode
from wsfeeds.protocol import Control, Socket, Wanted

CHANNELS = tuple(channel.name for channel in Connector.channels)
OPERATIONS = ("incident", "bet", "bets-result", "balance", "stats", "settings")
KEYS = ("event", "type", "action", "channel", "cmd", "name")
PAYLOADS = ("data", "payload", "body", "params")
SPELLINGS = (
    str,
    str.upper,
    "publish-{}".format,
    "subscribe-{}".format,
    " Publish_{} ".format,
    lambda name: name.replace("-", "_"),
)


class Digits(str):
    """A JSON number as its text."""

    __slots__ = ()


def dump(value) -> str:
    """Return compact JSON in which numbers are written as they are."""
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dump(key)}:{dump(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DIGITS = st.one_of(
    st.integers().map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(
        r"-?(0|[1-9][0-9]{0,30})\.[0-9]{1,30}([eE][-+]?[0-9]{1,3})?",
        fullmatch=True,
        alphabet=st.characters(codec="ascii"),
    ),
).map(Digits)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), DIGITS, TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


def connector() -> Connector:
    one = Connector(Socket(Wanted((), CHANNELS)), IgratechSettings())
    one.receive(b'{"event":"connected"}')
    return one


def styles(name: str, payload: str) -> list[str]:
    """Return the frame in every style that has a place for a payload."""
    quoted = json.dumps(name)
    return [
        *(f'{{"{key}": {quoted}, "{part}": {payload}}}' for key in KEYS for part in PAYLOADS),
        f'{{"data": {payload}, "event": {quoted}}}',
        f"{{{quoted}: {payload}}}",
        f"[{quoted}, {payload}]",
    ]


@given(
    payload=JSON,
    operation=st.sampled_from(OPERATIONS),
    spelling=st.sampled_from(SPELLINGS),
    style=st.integers(0, len(styles("", "")) - 1),
)
def test_every_style_of_every_operation_gives_the_same_payload(payload, operation, spelling, style):
    text = dump(payload)
    frame = styles(spelling(operation), text)[style]
    (event,) = connector().receive(frame.encode())
    assert isinstance(event, Event)
    assert event.channel == operation
    assert bytes(event.data) == text.encode()  # type: ignore[attr-defined]


@given(
    members=st.dictionaries(
        TEXTS.filter(lambda key: key not in {*KEYS, *PAYLOADS}), JSON, max_size=4
    ),
    operation=st.sampled_from(OPERATIONS),
    key=st.sampled_from(KEYS),
)
def test_a_flat_frame_keeps_all_members_but_the_discriminator(members, operation, key):
    frame = dump({key: operation, **members})
    (event,) = connector().receive(frame.encode())
    assert isinstance(event, Event)
    assert bytes(event.data) == dump(members).encode()  # type: ignore[attr-defined]


@given(
    st.one_of(
        st.binary(max_size=60),
        JSON.map(lambda value: dump(value).encode()),
        st.builds(
            lambda key, value, data: dump({key: value, "data": data}).encode(),
            st.sampled_from(KEYS),
            st.one_of(TEXTS, st.sampled_from((*OPERATIONS, "logout", "connected", "pong"))),
            JSON,
        ),
    )
)
def test_any_frame_gives_something_and_never_raises(frame):
    one = Connector(Socket(Wanted(("g",), CHANNELS[:2])), IgratechSettings())
    for _ in range(2):
        incoming = one.receive(frame)
        assert incoming
        for item in incoming:
            assert isinstance(item, Event | Control)
            if isinstance(item, Event):
                json.loads(encode(item), parse_float=Decimal)


@pytest.mark.parametrize("frame", [b"[" * 100_000, b'{"event":"bet","data":' + b"[" * 100_000])
def test_deep_nesting_is_malformed(frame):
    (event,) = connector().receive(frame)
    assert isinstance(event, Event)
    assert type(event).__name__ == "Malformed"
