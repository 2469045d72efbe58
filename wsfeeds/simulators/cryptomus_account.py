"""The account of the simulated Cryptomus: it trades on its own, and every number fits the others.

Shapes: docs/protocols/cryptomus.md, sections 6.5 to 6.7 and 11 (G53 to G73). Amounts are
integers of 1e-8, which is exact because no market has more digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from wsfeeds.simulators.cryptomus_listings import CURRENCIES
from wsfeeds.simulators.cryptomus_messages import decimal, ulid
from wsfeeds.simulators.market import Listing, Market, Trade

_DIGITS = 8
_PLACES = 16
_TAKER_FEE = 10  # hundredths of a percent
_MAKER_FEE = 8
_MAX_OPEN = 4
_WALLETS_MS = 1_726_000_000_000
_START = {"USDT": 40_000_000 * 10**_DIGITS, "BTC": 300 * 10**_DIGITS, "SHIB": 10**9 * 10**_DIGITS}

Notice = tuple[str, str, dict[str, Any]]
"""A private event: its channel, the symbol or currency, and its data."""


@dataclass
class Order:
    """One order of the account; quantities are in steps of its market."""

    order_id: str
    listing: Listing
    buy: bool
    price: int | None
    quantity: int
    created: int
    filled: int = 0
    value: int = 0
    client_id: str | None = None

    @property
    def left(self) -> int:
        """What is not filled yet."""
        return self.quantity - self.filled


@dataclass
class Account:
    """The wallets and orders of the only user.

    Args:
        random: The only source of chance.
    """

    random: Random
    notices: list[Notice] = field(default_factory=list)
    balances: dict[str, int] = field(init=False)
    orders: list[Order] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.balances = {
            currency: _START.get(currency, 1_000_000 * 10**_DIGITS) for currency in CURRENCIES
        }
        self._wallets = {currency: ulid(_WALLETS_MS, self.random) for currency in CURRENCIES}

    def held(self, currency: str) -> int:
        """What open orders keep of a wallet."""
        total = 0
        for order in self.orders:
            if order.buy and order.listing.quote == currency:
                total += _value(order.listing, order.price or 0, order.left)
            elif not order.buy and order.listing.base == currency:
                total += _base(order.listing, order.left)
        return total

    def act(self, market: Market, now: float) -> list[Trade]:
        """Place or cancel an order now and then; give the trades that the account took."""
        chance = self.random.random()
        mine = [order for order in self.orders if order.listing is market.listing]
        if mine and (chance < 0.06 or len(mine) >= _MAX_OPEN):
            self._cancel(mine[0], market, now)
        elif chance < 0.25:
            return self._place(market, now, mine)
        return []

    def match(self, market: Market, trades: Iterable[Trade], now: float) -> None:
        """Fill the resting orders that somebody else's trades reached."""
        for trade in trades:
            for order in [order for order in self.orders if order.listing is market.listing]:
                if order.price == trade.price and order.buy != trade.buy and trade.quantity:
                    size = min(order.left, trade.quantity)
                    self._reserve(market, trade.price, -size)
                    self._fill(order, [(trade.price, size)], now, "maker")
                    break

    def take_notices(self) -> list[Notice]:
        """Give what happened since the last call."""
        notices, self.notices = self.notices, []
        return notices

    def _place(self, market: Market, now: float, mine: list[Order]) -> list[Trade]:
        random, listing = self.random, market.listing
        buy = random.random() < 0.5
        taking = random.random() < 0.4 and all(order.buy == buy for order in mine)
        price: int | None
        if taking:
            price = market.best_ask if buy else market.best_bid
        else:
            room = random.randrange(3)
            price = market.best_bid - room if buy else market.best_ask + room
        quantity = random.randint(max(1, listing.lot // 20), max(2, listing.lot))
        if price < 1 or not self._affords(listing, buy, price, quantity):
            return []
        if taking and random.random() < 0.3:
            price = None
        if price is not None and any(order.price == price for order in mine):
            return []  # one order a price keeps it plain whose turn it is
        order = Order(
            order_id=ulid(int(now * 1000), random),
            listing=listing,
            buy=buy,
            price=price,
            quantity=quantity,
            created=int(now),
            client_id=f"sim-{random.getrandbits(32):08x}" if random.random() < 0.3 else None,
        )
        self.orders.append(order)
        self._tell(order, "created")
        if not taking:
            self._rest(order, market)
            return []
        return self._take(order, market, now)

    def _take(self, order: Order, market: Market, now: float) -> list[Trade]:
        limit = order.price
        trades = market.take(buy=order.buy, quantity=order.quantity, now=now, limit=limit)
        if trades:
            fills = [(trade.price, trade.quantity) for trade in trades]
            self._fill(order, fills, now, "taker")
        if order.left and order.price is None:
            self._cancel(order, market, now)
        elif order.left:
            self._rest(order, market)
        return trades

    def _rest(self, order: Order, market: Market) -> None:
        assert order.price is not None
        market.change(order.price, order.left, buy=order.buy)
        self._reserve(market, order.price, order.left)

    def _cancel(self, order: Order, market: Market, now: float) -> None:
        self.orders.remove(order)
        if order.price is not None:
            self._reserve(market, order.price, -order.left)
            market.change(order.price, -order.left, buy=order.buy)
        self._tell(order, "finished", finishTs=int(now), state="cancelled", internal="cancelled")

    def _fill(self, order: Order, fills: list[tuple[int, int]], now: float, role: str) -> None:
        listing, moment = order.listing, int(now * 1000)
        deal = ulid(moment, self.random)
        paid = got = fees = 0
        for price, size in fills:
            value = _value(listing, price, size)
            fee = value * (_TAKER_FEE if role == "taker" else _MAKER_FEE) // 10_000
            order.filled += size
            order.value += value
            paid, got, fees = paid + value, got + _base(listing, size), fees + fee
            info = {
                "dealId": deal,
                "symbol": listing.symbol,
                "dealState": "completed",
                "transactionId": ulid(moment, self.random),
                "filledPrice": decimal(price, listing.price_digits, _PLACES),
                "filledQuantity": decimal(size, listing.quantity_digits, _PLACES),
                "filledValue": decimal(value, _DIGITS, _PLACES),
                "fee": decimal(fee, _DIGITS, _PLACES),
                "feeCurrency": listing.quote,
                "tradeRole": role,
                "committedAt": int(now),
            }
            self.notices.append(("deal", listing.symbol, {"info": info}))
        if order.left:
            self._tell(order, "updated", updateTs=int(now))
        else:
            self.orders.remove(order)
            self._tell(order, "finished", finishTs=int(now), state="completed", internal="filled")
        self._move(listing.base, got if order.buy else -got)
        self._move(listing.quote, -paid - fees if order.buy else paid - fees)

    def _move(self, currency: str, amount: int) -> None:
        old = self.balances[currency]
        self.balances[currency] = new = old + amount
        info = {
            "walletId": self._wallets[currency],
            "currencyCode": currency,
            "amount": decimal(abs(amount), _DIGITS, _PLACES),
            "oldBalance": decimal(old, _DIGITS, _PLACES),
            "newBalance": decimal(new, _DIGITS, _DIGITS),
        }
        self.notices.append(("balance", currency, {"info": info}))

    def _tell(self, order: Order, kind: str, **more: Any) -> None:
        listing = order.listing
        price, value = order.price, None
        if price is not None:
            value = decimal(_value(listing, price, order.quantity), _DIGITS, _PLACES)
        info: dict[str, Any] = {
            "id": order.order_id,
            "symbol": listing.symbol,
            "orderType": "market" if price is None else "limit",
            "direction": "buy" if order.buy else "sell",
            "price": None if price is None else decimal(price, listing.price_digits, _PLACES),
            "quantity": decimal(order.quantity, listing.quantity_digits, _PLACES),
            "value": value,
            "filledQuantity": decimal(order.filled, listing.quantity_digits, _PLACES),
            "filledValue": decimal(order.value, _DIGITS, _PLACES),
            "clientOid": order.client_id,
            "createTs": order.created,
        }
        if "internal" in more:
            more["internalState"] = more.pop("internal")
        self.notices.append(("order", listing.symbol, {"type": kind, "info": info | more}))

    def _affords(self, listing: Listing, buy: bool, price: int, quantity: int) -> bool:
        currency = listing.quote if buy else listing.base
        needs = _value(listing, price * 2, quantity) if buy else _base(listing, quantity)
        return self.balances[currency] - self.held(currency) >= needs

    @staticmethod
    def _reserve(market: Market, price: int, quantity: int) -> None:
        left = market.reserved.get(price, 0) + quantity
        if left:
            market.reserved[price] = left
        else:
            market.reserved.pop(price, None)


def _value(listing: Listing, price: int, quantity: int) -> int:
    return int(price * quantity * 10 ** (_DIGITS - listing.price_digits - listing.quantity_digits))


def _base(listing: Listing, quantity: int) -> int:
    return int(quantity * 10 ** (_DIGITS - listing.quantity_digits))
