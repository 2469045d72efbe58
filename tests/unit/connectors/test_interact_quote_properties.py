"""What holds for every frame of interact_quote."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from wsfeeds.connectors import _interact_quote_items as items
from wsfeeds.connectors.interact_quote import Connector, InteractQuoteSettings
from wsfeeds.events import Event, Quote, encode
from wsfeeds.protocol import Control, Socket, Wanted

CHANNELS = ("chloe-market", "fancy-market")
SYMBOLS = ("41115853-e@1_31260330", "44914246-e@878_55854706_f")
SPORTS = {"event_id": "41115853-e", "market_id": "1_31260330", "product_id": "1"}
FANCY = {"eid": "44914246-e", "mid": "878_55854706_f", "pid": "1"}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?", fullmatch=True).map(
    lambda text: text.strip()
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), FLOATS, TEXTS)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
MEMBERS = st.sampled_from(
    [*SPORTS, *FANCY, "price", "status", "bl", "bo", "ll", "lo", "ut", "type", "data", "error"]
)
TYPES = st.sampled_from(["order-slip", "order-slip-fancy", "order-slipt-fancy", "alive", "error"])
FRAMES = st.one_of(
    st.binary(max_size=60),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"type": TYPES},
        optional={
            "data": st.one_of(
                st.lists(st.dictionaries(MEMBERS, SCALARS | PLAIN, max_size=6), max_size=3), JSON
            ),
            "error": JSON,
        },
    ).map(lambda value: json.dumps(value).encode()),
)


def connector() -> Connector:
    return Connector(Socket(Wanted(SYMBOLS, CHANNELS)), InteractQuoteSettings())


def one_quote(kind: str, members: str) -> Quote:
    frame = f'{{"type":"{kind}","data":[{{{members}}}]}}'
    (event,) = connector().receive(frame.encode())
    assert isinstance(event, Quote)
    return event


@given(st.lists(FRAMES, max_size=4))
def test_any_frames_give_something_and_never_raise(frames):
    one = connector()
    for frame in frames:
        incoming = one.receive(frame)
        assert incoming
        for item in incoming:
            assert isinstance(item, Event | Control)
            if isinstance(item, Event):
                json.loads(encode(item), parse_float=Decimal)


@given(price=PLAIN, quoted=st.booleans())
def test_the_digits_of_a_price_survive_as_text_and_as_number(price, quoted):
    value = json.dumps(price) if quoted else price
    members = json.dumps(SPORTS)[1:-1]
    quote = one_quote("order-slip", f'{members},"price":{value},"status":"1"')
    assert quote.back_price == price


@given(st.tuples(PLAIN, PLAIN, PLAIN, PLAIN), st.booleans())
def test_the_digits_of_lines_and_odds_survive(values, quoted):
    written = [json.dumps(value) if quoted else value for value in values]
    parts = ",".join(f'"{key}":{value}' for key, value in zip(FANCY_KEYS, written, strict=True))
    quote = one_quote("order-slip-fancy", f'{json.dumps(FANCY)[1:-1]},{parts},"status":"1"')
    assert (quote.back_price, quote.back_line, quote.lay_price, quote.lay_line) == values


FANCY_KEYS = ("bo", "bl", "lo", "ll")


@given(
    st.sampled_from(["sportsbook", "fancy"]),
    st.lists(PLAIN, min_size=4, max_size=4),
    st.sampled_from(["1", " 1", "0", "-3", ""]),
    st.sampled_from(["2023-11-07T08:29:39.306Z", "1699345779", "1699345779306"]),
)
def test_the_fast_path_reads_what_the_tolerant_one_reads(book, values, status, time):
    if book == "sportsbook":
        kind = "order-slip"
        item = SPORTS | {"price": values[0], "status": status}
    else:
        kind = "order-slip-fancy"
        item = FANCY | dict(zip(FANCY_KEYS, values, strict=True)) | {"status": status, "ut": time}
    text = json.dumps([item]).encode()
    fast = items.read_fast(b'{"type":"%s","data":%s}' % (kind.encode(), text))
    assert (fast, None) == items.read_items(book, Raw(text))


@given(st.dictionaries(TEXTS.filter(lambda key: key not in {*SPORTS, "price", "status"}), JSON))
def test_members_that_nobody_documented_are_kept(extra):
    quote = one_quote("order-slip", json.dumps(SPORTS | extra)[1:-1])
    kept = None if quote.data is None else json.loads(bytes(quote.data))
    assert kept == (extra or None)


@pytest.mark.parametrize(
    "frame",
    [
        b"[" * 100_000,
        b'{"type":"alive","data":' + b"[" * 100_000,
        b'{"type":"order-slip","data":[{"x":' + b"[" * 100_000,
        b'{"type":"order-slip-fancy","data":[{"mid":"878_55854706_f","ut":"'
        + b"9" * 5000
        + b'"}]}',
    ],
)
def test_hostile_frames_are_taken_calmly(frame):
    (event,) = connector().receive(frame)
    assert isinstance(event, Event)
    assert event.ts is None
