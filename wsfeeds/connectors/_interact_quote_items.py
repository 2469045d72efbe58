"""What interact_quote sends: quotes of sportsbook and fancy markets.

Fields are as in docs/protocols/interact_quote.md, section 5. The strict structs are for the frames
that come in masses; every oddity is read by `read_items`.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from wsfeeds import decimals
from wsfeeds.connectors._interact_quote_wire import FANCY, FEED, SPORTSBOOK
from wsfeeds.events import Quote
from wsfeeds.opaque import exact_json

Book = Literal["sportsbook", "fancy"]

_PLAIN_LIST = re.compile(r"(?:-?[0-9]+(?:\.[0-9]+)? )+").fullmatch
_MILLISECONDS = 100_000_000_000
"""Numbers of seconds from here on would be after the year 5000: they are milliseconds."""
_LONGEST_TIME = 40
_ENCODER = msgspec.json.Encoder()


# --- the frames that come in masses -------------------------------------------------------------


class FastSports(Struct, forbid_unknown_fields=True, gc=False):
    """One outcome of a sportsbook market (section 5.1)."""

    event_id: str
    market_id: str
    product_id: str
    price: str
    status: str


class FastFancy(Struct, forbid_unknown_fields=True, gc=False):
    """One runner of a fancy market (section 5.2): lines and odds of both sides."""

    mid: str
    pid: str
    bl: str
    bo: str
    ll: str
    lo: str
    status: str
    eid: str | None = None
    ut: str | None = None


class SportsFrame(Struct, tag_field="type", tag="order-slip", gc=False):
    """G6."""

    data: list[FastSports]
    error: None = None


class FancyFrame(Struct, tag_field="type", tag="order-slip-fancy", gc=False):
    """G7 and G8."""

    data: list[FastFancy]
    error: None = None


decode_fast = msgspec.json.Decoder(SportsFrame | FancyFrame).decode


def read_fast(frame: bytes) -> list[Quote]:
    """Return the quotes of a frame whose items are whole and plain; channel and symbol are open.

    Raises:
        msgspec.MsgspecError: It is another frame, or one that needs a closer look.
    """
    message = decode_fast(frame)
    if isinstance(message, SportsFrame):
        return [_fast_sports(item) for item in message.data]
    return [_fast_fancy(item) for item in message.data]


def _fast_sports(item: FastSports) -> Quote:
    if not _PLAIN_LIST(f"{item.price} "):
        raise msgspec.ValidationError("not plain")
    return Quote(
        feed=FEED,
        channel=SPORTSBOOK,
        event_id=item.event_id or None,
        market_id=item.market_id or None,
        selection_id=item.product_id or None,
        book="sportsbook",
        back_price=item.price,
        status="open" if item.status.strip() == "1" else "locked",
        status_code=item.status,
    )


def _fast_fancy(item: FastFancy) -> Quote:
    if not _PLAIN_LIST(f"{item.bo} {item.bl} {item.lo} {item.ll} "):
        raise msgspec.ValidationError("not plain")
    time = None
    if item.ut is not None:
        time = _fast_time(item.ut)
    return Quote(
        feed=FEED,
        channel=FANCY,
        ts=time,
        event_id=item.eid or None,
        market_id=item.mid or None,
        selection_id=item.pid or None,
        book="fancy",
        back_price=item.bo,
        back_line=item.bl,
        lay_price=item.lo,
        lay_line=item.ll,
        status="open" if item.status.strip() == "1" else "locked",
        status_code=item.status,
    )


def _fast_time(text: str) -> int:
    try:
        time = _time(text)
    except decimals.Unrepresentable:
        time = None  # of this item only: the others are looked at one by one
    if time is None:
        raise msgspec.ValidationError("no time")
    return time


# --- everything else ----------------------------------------------------------------------------


class Message(Struct, gc=False):
    """Any frame that is an object; each part may be missing."""

    type: str | None = None
    data: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET
    code: Raw | UnsetType = UNSET


def error_text(message: Message) -> str:
    """Return the text of `error`, empty where there is none.

    Raises:
        msgspec.ValidationError: It is no text.
    """
    if message.error is UNSET:
        return ""
    return msgspec.json.decode(message.error, type=str | None) or ""


def error_code(message: Message) -> int | str | None:
    """Return the `code` beside an error, which nobody documented; None where it is no code."""
    try:
        return msgspec.json.decode(message.code or b"null", type=int | str | None)
    except msgspec.ValidationError:
        return None


NO_ITEMS = Raw(b"null")
_ITEMS = msgspec.json.Decoder(list[Raw] | None)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
_FIELDS: dict[Book, dict[str, str]] = {
    "sportsbook": {
        "event_id": "event_id",
        "market_id": "market_id",
        "product_id": "selection_id",
        "price": "back_price",
        "status": "status_code",
    },
    "fancy": {
        "eid": "event_id",
        "mid": "market_id",
        "pid": "selection_id",
        "bo": "back_price",
        "bl": "back_line",
        "lo": "lay_price",
        "ll": "lay_line",
        "status": "status_code",
        "ut": "ts",
    },
}
_DECIMALS = ("back_price", "back_line", "lay_price", "lay_line")


def read_items(book: Book, data: Raw) -> tuple[list[Quote], Exception | None]:
    """Return the quotes of items in any documented form, and what is wrong with the first bad one.

    Channel and symbol are open. A bad item takes nothing from the good ones beside it.

    Raises:
        msgspec.ValidationError: It is no list.
    """
    quotes: list[Quote] = []
    bad: Exception | None = None
    for item in _ITEMS.decode(data) or ():
        try:
            quotes.append(_read_item(book, item))
        except (msgspec.MsgspecError, decimals.Unrepresentable, RecursionError) as error:
            bad = bad or error
    return quotes, bad


def _read_item(book: Book, item: Raw) -> Quote:
    """Return the quote of one item.

    Raises:
        msgspec.ValidationError: A part has the wrong type.
        Unrepresentable: An exponent or a time is out of range.
    """
    members = _MEMBERS.decode(item)
    fields = _FIELDS[book]
    texts = {fields[key]: _scalar(key, members[key]) for key in members if key in fields}
    code = texts.get("status_code")
    quote_ = Quote(
        feed=FEED,
        channel=FANCY if book == "fancy" else SPORTSBOOK,
        book=book,
        event_id=texts.get("event_id") or None,
        market_id=texts.get("market_id") or None,
        selection_id=texts.get("selection_id") or None,
        status="open" if code is not None and code.strip() == "1" else "locked",
        status_code=code,
    )
    readable = True
    for field in (*_DECIMALS, "ts"):
        text = texts.get(field)
        if text is not None and text.strip():
            value = _time(text) if field == "ts" else decimals.from_text(text)
            readable = readable and value is not None
            setattr(quote_, field, value)
    if not readable:
        quote_.data = exact_json(item)
    else:
        unknown = {key: exact_json(part) for key, part in members.items() if key not in fields}
        quote_.data = Raw(_ENCODER.encode(unknown)) if unknown else None
    return quote_


def _scalar(key: str, part: Raw) -> str | None:
    """Return a string's text or a number's digits; null is as good as missing.

    Raises:
        msgspec.ValidationError: It is neither.
    """
    text = bytes(part)
    if text[:1] == b'"':
        return _TEXT.decode(text)
    if text == b"null":
        return None
    if text[:1] in b"-0123456789":
        return text.decode()
    raise msgspec.ValidationError(f"a string or a number is expected - at `$.data[...].{key}`")


def _time(text: str) -> int | None:
    """Return microseconds of an ISO 8601 time, or of seconds or milliseconds since the epoch."""
    number = decimals.from_text(text)
    if number is None:
        return decimals.iso_to_micros(text.strip())
    if len(number) > _LONGEST_TIME:
        return None
    whole, _, fraction = number.partition(".")
    if abs(int(whole)) < _MILLISECONDS:
        return decimals.seconds_to_micros(number)
    micros = int(fraction[:3].ljust(3, "0"))
    return decimals.in_range(int(whole) * 1000 + (-micros if whole[0] == "-" else micros))
