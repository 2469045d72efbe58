"""Normalized events and session facts: the one source of keys, types, order and JSON Schema.

Every event begins with the envelope (`Event`), then has the keys of its type; encoded with
`encode`, keys come in that order, always all of them, and what the venue did not say is null.
Decimals are strings in plain notation with the venue's own digits, times are integer microseconds
since 1970-01-01 UTC.

On the way from a frame to a line, `data`, `bids` and `asks` hold checked `msgspec.Raw` text instead
of objects, so that nothing is decoded only to be encoded again; `materialize` opens them.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

DecimalText = Annotated[
    str,
    Meta(
        extra_json_schema={
            "description": "a decimal in plain notation, the venue's own digits",
            "pattern": r"^-?[0-9]+(\.[0-9]+)?$",
        }
    ),
]
Micros = Annotated[
    int, Meta(extra_json_schema={"description": "microseconds since 1970-01-01 UTC"})
]
Side = Literal["buy", "sell"]
Level = tuple[DecimalText, DecimalText]
Levels = list[Level]

SESSION_CHANNEL = "session"


class Event(msgspec.Struct, tag_field="type", kw_only=True, gc=False):
    """The envelope that every event begins with."""

    feed: str
    channel: str
    symbol: str | None = None
    ts: Micros | None = None
    recv_ts: Micros = 0
    seq: int = 0
    venue_seq: int | None = None
    conn: int = 0

    @property
    def type(self) -> str:
        """The event's type as it stands on its line."""
        return str(self.__struct_config__.tag)


class Trade(Event, tag="trade", kw_only=True, gc=False):
    """One trade; `ts` is the trade's own time, `side` the venue's direction."""

    price: DecimalText | None
    quantity: DecimalText | None
    side: Side | None = None
    trade_id: str | None = None


class LastPrice(Event, tag="last_price", kw_only=True, gc=False):
    """The price of the latest trade."""

    price: DecimalText | None


class Ticker(Event, tag="ticker", kw_only=True, gc=False):
    """Statistics of the venue's window; `volume` is in base, `quote_volume` in quote currency."""

    last: DecimalText | None = None
    open: DecimalText | None = None
    high: DecimalText | None = None
    low: DecimalText | None = None
    volume: DecimalText | None = None
    quote_volume: DecimalText | None = None
    change_percent: DecimalText | None = None


class Book(Event, tag="book", kw_only=True, gc=False):
    """Levels of an order book, `[price, quantity]` in the order sent; quantity zero removes.

    `snapshot` replaces both sides. While `synced` is false, partial updates may not be applied: the
    book they belong to is not known.
    """

    snapshot: bool
    synced: bool
    scale_index: int | None
    bids: Levels
    asks: Levels


class Bbo(Event, tag="bbo", kw_only=True, gc=False):
    """Best bid and offer of a synced book, sent when one of the four changes in value."""

    bid_price: DecimalText | None
    bid_quantity: DecimalText | None
    ask_price: DecimalText | None
    ask_quantity: DecimalText | None
    scale_index: int | None


class Order(Event, tag="order", kw_only=True, gc=False):
    """The state of one of the account's own orders; `detail` holds the venue's own words."""

    order_id: str | None
    state: str | None
    side: str | None = None
    order_type: str | None = None
    price: DecimalText | None = None
    quantity: DecimalText | None = None
    value: DecimalText | None = None
    filled_quantity: DecimalText | None = None
    filled_value: DecimalText | None = None
    client_order_id: str | None = None
    created_ts: Micros | None = None
    updated_ts: Micros | None = None
    finished_ts: Micros | None = None
    result: str | None = None
    detail: str | None = None


class Fill(Event, tag="fill", kw_only=True, gc=False):
    """One execution of the account's own orders; `transaction_id` identifies it."""

    deal_id: str | None
    transaction_id: str | None = None
    state: str | None = None
    price: DecimalText | None = None
    quantity: DecimalText | None = None
    value: DecimalText | None = None
    fee: DecimalText | None = None
    fee_currency: str | None = None
    liquidity: str | None = None


class Balance(Event, tag="balance", kw_only=True, gc=False):
    """A change of a wallet; where the venue's payload is opaque it is in `data`."""

    wallet_id: str | None = None
    currency: str | None = None
    amount: DecimalText | None = None
    old_balance: DecimalText | None = None
    new_balance: DecimalText | None = None
    data: Any = None


class Quote(Event, tag="quote", kw_only=True, gc=False):
    """Betting odds of one selection; `locked` means not on offer, not gone."""

    event_id: str | None
    market_id: str | None
    selection_id: str | None
    book: Literal["sportsbook", "fancy"]
    back_price: DecimalText | None = None
    back_line: DecimalText | None = None
    lay_price: DecimalText | None = None
    lay_line: DecimalText | None = None
    status: Literal["open", "locked"] = "locked"
    status_code: str | None = None
    data: Any = None


class Action(Event, tag="action", kw_only=True, gc=False):
    """Something that happened in a match; the last state of an `action_id` wins."""

    action_id: str | None = None
    action_type: str | None = None
    action_type_id: int | None = None
    action_subtype: str | None = None
    state: str | None = None
    period: int | None = None
    clock: str | None = None
    team: Any = None
    home_score: int | None = None
    away_score: int | None = None
    finished: bool | None = None
    fixture_status: str | None = None
    collection_status: str | None = None
    data: Any = None


class Statistics(Event, tag="statistics", kw_only=True, gc=False):
    """A full set of statistics; the latest one wins."""

    finished: bool | None = None
    data: Any = None


class Incident(Event, tag="incident", kw_only=True, gc=False):
    """Upcoming incidents of a game, as the venue sent them."""

    data: Any = None


class Bet(Event, tag="bet", kw_only=True, gc=False):
    """Bets of a game, as the venue sent them."""

    data: Any = None


class BetResult(Event, tag="bet_result", kw_only=True, gc=False):
    """A change in the status of bets, as the venue sent it."""

    data: Any = None


class SettingsEvent(Event, tag="settings", kw_only=True, gc=False):
    """The venue's settings, as it sent them."""

    data: Any = None


class SessionEvent(Event, tag="session", kw_only=True, gc=False):
    """A step in the life of a connection; secrets in `url` are replaced by `***`."""

    channel: str = SESSION_CHANNEL
    state: Literal[
        "connecting",
        "connected",
        "subscribed",
        "unsubscribed",
        "paused",
        "resumed",
        "disconnected",
        "reconnecting",
        "stopped",
    ]
    reason: str | None = None
    code: str | None = None
    attempt: int | None = None
    delay_ms: int | None = None
    url: str | None = None
    symbols: list[str] | None = None


class FeedStatus(Event, tag="feed_status", kw_only=True, gc=False):
    """The health of the venue's own upstream, in its word in lower case."""

    channel: str = SESSION_CHANNEL
    state: str


GapReason = Literal[
    "disconnect",
    "sequence",
    "crossed_book",
    "no_snapshot",
    "resubscribe",
    "stale",
    "paused",
    "restart",
]


class Gap(Event, tag="gap", kw_only=True, gc=False):
    """Data was lost or may have been; sequence bounds are the venue's numbers, inclusive."""

    channel: str = SESSION_CHANNEL
    reason: GapReason
    from_seq: int | None = None
    to_seq: int | None = None
    from_ts: Micros | None = None
    to_ts: Micros | None = None
    missed: int | None = None


class Heartbeat(Event, tag="heartbeat", kw_only=True, gc=False):
    """Evidence that the peer lives; left out unless asked for."""

    channel: str = SESSION_CHANNEL
    data: Any = None


class ErrorEvent(Event, tag="error", kw_only=True, gc=False):
    """Something was refused or failed; `fatal` if this socket ends for it."""

    channel: str = SESSION_CHANNEL
    code: int | str | None = None
    message: str
    fatal: bool = False


class Malformed(Event, tag="malformed", kw_only=True, gc=False):
    """A frame that is no JSON, or a known kind with wrong types, whole."""

    channel: str = SESSION_CHANNEL
    error: str
    frame: str
    encoding: Literal["utf8", "base64"] = "utf8"


class Unknown(Event, tag="unknown", kw_only=True, gc=False):
    """A well-formed frame of a kind that nobody documented, whole."""

    channel: str = SESSION_CHANNEL
    data: Any = None


DATA_EVENTS: tuple[type[Event], ...] = (
    Trade,
    LastPrice,
    Ticker,
    Book,
    Bbo,
    Order,
    Fill,
    Balance,
    Quote,
    Action,
    Statistics,
    Incident,
    Bet,
    BetResult,
    SettingsEvent,
)
SESSION_FACTS: tuple[type[Event], ...] = (
    SessionEvent,
    FeedStatus,
    Gap,
    Heartbeat,
    ErrorEvent,
    Malformed,
    Unknown,
)
AnyEvent = (
    Trade
    | LastPrice
    | Ticker
    | Book
    | Bbo
    | Order
    | Fill
    | Balance
    | Quote
    | Action
    | Statistics
    | Incident
    | Bet
    | BetResult
    | SettingsEvent
    | SessionEvent
    | FeedStatus
    | Gap
    | Heartbeat
    | ErrorEvent
    | Malformed
    | Unknown
)

TYPES: dict[str, type[Event]] = {
    str(event.__struct_config__.tag): event for event in (*DATA_EVENTS, *SESSION_FACTS)
}
"""Every event type by its name on the wire, data events first."""

encoder = msgspec.json.Encoder()
_line_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent, float_hook=Decimal)


def is_data(event: Event) -> bool:
    """Tell a data event, which `--count` counts, from a session fact."""
    return isinstance(event, DATA_EVENTS)


def encode(event: Event) -> bytes:
    """Return the event as one compact JSON object, without the line break."""
    return encoder.encode(event)


def decode(line: bytes | str) -> AnyEvent:
    """Return the event of one line; fractions inside opaque `data` are `decimal.Decimal`.

    Raises:
        msgspec.DecodeError: The line is no JSON.
        msgspec.ValidationError: It is no event of the contract; the message names the place.
    """
    return _line_decoder.decode(line)


def materialize(event: Event) -> AnyEvent:
    """Return the event with `data`, `bids` and `asks` as Python objects, for library users."""
    return _line_decoder.decode(encoder.encode(event))


def opaque(objects: Any) -> msgspec.Raw:
    """Return JSON text for a value to be kept in `data`."""
    return msgspec.Raw(encoder.encode(objects))
