"""What holds for every frame of cryptomus, whatever the venue sends."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wsfeeds.connectors import _cryptomus_frames as wire
from wsfeeds.connectors.cryptomus import Connector, CryptomusSettings
from wsfeeds.events import Event, Malformed, decode, encode
from wsfeeds.opaque import exact_json
from wsfeeds.protocol import Control, Skipped, Socket, Wanted, frame_text

GOLDEN = Path(__file__).parent.parent / "golden" / "cryptomus.jsonl"
CASES = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
FRAMES = sorted({f for case in CASES for f in case["frames"] if isinstance(f, str)})
CHANNELS = tuple(channel.name for channel in Connector.channels)
EVERYTHING = Wanted(("all", "BTC_USDT", "BTC_USDT:1"), CHANNELS)
REASONS = set(msgspec.structs.fields(Skipped)[0].type.__args__)


def fresh(wanted: Wanted = EVERYTHING) -> Connector:
    return Connector(Socket(wanted), CryptomusSettings())


def check(items, frame: bytes) -> None:
    """Every frame gives at least one event or exactly one counted reason."""
    assert items
    events = [item for item in items if isinstance(item, Event)]
    controls = [item for item in items if isinstance(item, Control)]
    assert events or len(controls) == 1, frame
    for item in controls:
        if isinstance(item, Skipped):
            assert item.reason in REASONS
            assert not events
    for event in events:
        decode(encode(event))  # the line is JSON and fits the schema
        if isinstance(event, Malformed):
            assert event.frame == frame_text(frame)[0]  # whole, whatever else it gave


@given(st.binary(max_size=300))
def test_any_bytes_give_events_or_one_reason(frame):
    check(fresh().receive(frame), frame)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)
METHODS = st.sampled_from([f"{c}_{a}" for c in CHANNELS for a in ("update", "subscribe")])
KEYS = sorted(set(re.findall(r'"([a-zA-Z_]+)":', " ".join(FRAMES))))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": JSON,
            "method": METHODS | st.just("pong") | JSON,
            "data": st.dictionaries(st.sampled_from(KEYS), JSON, max_size=8) | JSON,
            "error": st.none() | JSON,
            "code": st.none() | JSON,
            "message": JSON,
        },
    )
)
def test_any_envelope_gives_events_or_one_reason(frame):
    text = json.dumps(frame).encode()
    check(fresh().receive(text), text)


@st.composite
def mutated(draw: Any) -> Any:
    """A frame of the page with something cut out, doubled or put in."""
    frame = draw(st.sampled_from(FRAMES)).encode()
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(frame)))
        end = draw(st.integers(start, min(len(frame), start + 20)))
        put = draw(
            st.binary(max_size=4) | st.sampled_from([b"null", b"[]", b"{}", b"-0", b"1e999"])
        )
        frame = frame[:start] + put + frame[draw(st.sampled_from([start, end])) :]
    return frame


@given(mutated())
@example(b'{"id":' + b"9" * 5000 + b',"method":"pong"}')
@example(b'{"method":"ticker_update","data":{"symbol":"A_B","timestamp":' + b"9" * 5000 + b"}}")
@example(
    b'{"method":"depth_update","data":{"symbol":"A_B","timestamp":1,"full_reload":true,'
    b'"scale_index":0,"asks":[["' + b"9" * 5000 + b'","1"]],"bids":[]}}'
)
@example(b'{"method":"depth_update","data":{"symbol":"A_B","scale_index":"' + b"9" * 5000 + b'"}}')
def test_any_damaged_frame_gives_events_or_one_reason(frame):
    check(fresh().receive(frame), frame)


@st.composite
def numbers(draw: Any) -> Any:
    """A JSON number in any notation, and its value."""
    sign = draw(st.sampled_from(["", "-"]))
    whole = draw(st.from_regex(r"(0|[1-9][0-9]{0,24})", fullmatch=True))
    fraction = draw(st.from_regex(r"(\.[0-9]{1,30})?", fullmatch=True))
    exponent = draw(st.just("") | st.integers(-400, 400).map(lambda n: f"e{n}"))
    text = f"{sign}{whole}{fraction}{exponent}"
    return text, Decimal(text)


@given(numbers(), st.booleans(), st.sampled_from(["trade", "lastprice", "ticker", "depth"]))
def test_digits_survive_as_numbers_and_as_strings(number, quoted, channel):
    text, value = number
    token = f'"{text}"' if quoted else text
    data = {
        "trade": f'"trades":[{{"price":{token},"quantity":1,"timestamp":1}}]',
        "lastprice": f'"price":{token}',
        "ticker": f'"price":{token},"open":"1"',
        "depth": f'"full_reload":true,"scale_index":0,"asks":[[{token},"1"]],"bids":[]',
    }[channel]
    frame = f'{{"method":"{channel}_update","data":{{"symbol":"A_B","timestamp":1,{data}}}}}'
    line = json.loads(
        encode(next(i for i in fresh().receive(frame.encode()) if isinstance(i, Event)))
    )
    got = {
        "trade": lambda: line["price"],
        "lastprice": lambda: line["price"],
        "ticker": lambda: line["last"],
        "depth": lambda: line["asks"][0][0],
    }[channel]()
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", got)
    assert Decimal(got) == value
    assert Decimal(got).is_signed() == value.is_signed()
    if "e" not in text:
        assert got == text


@given(numbers(), st.sampled_from(["{}", "[{}]", '{{"a":{}}}', '{{"a":[1, {} ]}}']))
def test_digits_survive_in_opaque_parts(number, shape):
    text, _ = number
    source = shape.format(text)
    assert bytes(exact_json(source.encode())).decode() == source.replace(" ", "")


LEVEL = st.tuples(*[st.from_regex(r"-?[0-9.]{0,5}(e[0-9])?", fullmatch=True)] * 2)
PLAIN = re.compile(r'\[(\["[0-9]+(\.[0-9]+)?","[0-9]+(\.[0-9]+)?"\](,(?!\])|(?=\])))*\]')


@given(st.lists(LEVEL, max_size=5), st.booleans())
def test_plain_levels_are_left_untouched_and_no_others(levels, spaced):
    text = json.dumps(levels, separators=(", ", ": ") if spaced else (",", ":"))
    try:
        checked: Any = wire.read_levels(msgspec.Raw(text.encode()))
        read = bytes(checked).decode()
    except msgspec.ValidationError:
        assert not PLAIN.fullmatch(text)
        return
    if PLAIN.fullmatch(text):
        assert read == text
    assert [[Decimal(part) for part in level] for level in json.loads(read)] == [
        [Decimal(part) for part in level] for level in levels
    ]
    plain = re.compile(r"-?[0-9]+(\.[0-9]+)?")
    assert all(plain.fullmatch(part) for level in json.loads(read) for part in level)


@given(st.permutations(FRAMES), st.data())
@settings(max_examples=30)
def test_the_same_frames_give_the_same_events(frames, data):
    """A replay is a second run of the same frames: byte for byte the same."""
    some = frames[: data.draw(st.integers(1, 25))]
    runs = []
    for _ in range(2):
        connector = fresh()
        runs.append(
            [
                encode(item)
                for frame in some
                for item in connector.receive(frame.encode())
                if isinstance(item, Event)
            ]
        )
    assert runs[0] == runs[1]


@given(st.lists(st.sampled_from(FRAMES), max_size=12), st.data())
@settings(max_examples=60)
def test_interleaving_markets_changes_no_markets_events(frames, data):
    """Two markets' frames in any interleaving give each market the events it has alone."""
    other = [frame.replace("BTC_USDT", "ETH_USDT") for frame in frames if "BTC_USDT" in frame]
    mine = [frame for frame in frames if "BTC_USDT" in frame]
    both = list(mine)
    for frame in other:
        both.insert(data.draw(st.integers(0, len(both))), frame)
    wanted = Wanted(("BTC_USDT", "ETH_USDT"), ("trade", "ticker", "lastprice", "depth", "bbo"))

    def events(connector: Connector, some: list[str]) -> list[bytes]:
        found = [i for frame in some for i in connector.receive(frame.encode())]
        return [encode(i) for i in found if isinstance(i, Event) and i.symbol == "BTC_USDT"]

    order = [frame for frame in both if "BTC_USDT" in frame]
    assert events(fresh(wanted), both) == events(fresh(wanted), order)
