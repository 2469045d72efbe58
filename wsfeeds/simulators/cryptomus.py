"""The simulated Cryptomus: REST, tokens and the socket (docs/protocols/cryptomus.md, section 9)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, ClassVar

from wsfeeds.clock import monotonic, wall_seconds
from wsfeeds.simulators.base import Simulator
from wsfeeds.simulators.cryptomus_client import Client
from wsfeeds.simulators.cryptomus_exchange import Exchange
from wsfeeds.simulators.cryptomus_listings import LISTINGS, market_list, symbol_scales
from wsfeeds.simulators.cryptomus_messages import Messages, decimal, trimmed
from wsfeeds.simulators.cryptomus_options import CryptomusOptions
from wsfeeds.simulators.faults import COMMON, Faults
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.market import Market
from wsfeeds.simulators.options import Options
from wsfeeds.simulators.websocket import Session, Socket

_TOKEN = "/v2/user-api/exchange/account/web-socket/token"  # noqa: S105 - a path
_BALANCE = "/v2/user-api/exchange/account/balance"
_BOOK = "/v1/exchange/market/order-book/"
_TRADES = "/v1/exchange/market/trades/"


class CryptomusSimulator(Simulator):
    """Cryptomus on loopback: one user, eleven markets, an account that trades on its own."""

    feed: ClassVar[str] = "cryptomus"
    path: ClassVar[str] = "/ws"
    demo_symbols: ClassVar[tuple[str, ...]] = ("BTC_USDT", "ETH_USDT")
    supported_faults: ClassVar[frozenset[str]] = COMMON | {"token-error", "crossed-book"}
    option_type: ClassVar[type[Options]] = CryptomusOptions
    options: CryptomusOptions

    def __init__(
        self,
        *,
        seed: int = 1,
        rate: float | None = None,
        faults: Faults | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(seed=seed, rate=rate, faults=faults, options=options)
        self._tokens: dict[str, float] = {}
        self._token_digits = self.random("token")
        self._exchange = Exchange(
            self.options,
            Messages(self.options),
            self.random,
            crossed_book=self.faults.crossed_book,
            rate=self.rate,
        )

    def settings(self) -> dict[str, str]:
        """Give the credentials of the only user."""
        return {"user_id": self.options.user_id, "api_key": self.options.api_key}

    def background(self) -> Iterable[Coroutine[Any, Any, None]]:
        """Move the markets."""
        return (self._exchange.run(self.ticks),)

    async def http(self, request: Request) -> Response:
        """Answer the REST requests of section 7 and the token request of section 2."""
        if request.method not in ("GET", "HEAD"):
            return Response.json({"code": 405, "message": "Method Not Allowed"}, 405)
        path, random = request.path, self.random("market-list")
        if path in (_TOKEN, _BALANCE):
            return self._signed(request) or (self._issue() if path == _TOKEN else self._balances())
        if path == "/v2/user-api/exchange/markets":
            return Response.json({"result": market_list(random, full=False)})
        if path == "/v1/exchange/market":
            return Response.json({"result": market_list(random, full=True)})
        if path == "/v1/exchange/market/tickers":
            return _result([_rest_ticker(self._exchange.market(each)) for each in LISTINGS])
        if path == "/api/v2/symbol-scales":
            return _scales(request.param("symbol"))
        for prefix, answer in ((_BOOK, _rest_book), (_TRADES, _rest_trades)):
            if path.startswith(prefix) and path.removeprefix(prefix) in LISTINGS:
                return _result(answer(self._exchange.market(path.removeprefix(prefix))))
        return Response.json({"state": 1, "message": "Not Found"}, 404)

    async def upgrade(self, request: Request) -> Response | Session:
        """Accept an unspent token, once."""
        if request.path != self.path:
            return Response.json({"state": 1, "message": "Not Found"}, 404)
        expires = self._tokens.pop(request.param("token") or "", 0.0)
        if expires > monotonic():
            return self._serve
        if self.options.bad_token == "close":  # noqa: S105 - a toggle
            return _refuse
        return Response.json({"state": 1, "message": "Unauthorized"}, 401)

    async def _serve(self, socket: Socket) -> None:
        await Client(socket, self._exchange, self.options).serve()

    def _signed(self, request: Request) -> Response | None:
        """Refuse a request that is not signed by the user; None lets it pass (section 2)."""
        if request.headers.get("userid") != self.options.user_id:
            return Response.json({"state": 1, "message": "User not found"}, 404)
        body = base64.b64encode(request.body) + self.options.api_key.encode()
        if request.headers.get("sign") != hashlib.md5(body, usedforsecurity=False).hexdigest():
            status = int(self.options.bad_sign)
            return Response.json({"state": 1, "message": "Unauthorized"}, status)
        return None

    def _issue(self) -> Response:
        if self.token_fails():
            return Response.json({"code": 500, "message": "Server error."}, 500)
        now = monotonic()
        living = {token: expires for token, expires in self._tokens.items() if expires > now}
        self._tokens = {} if self.options.one_token else living
        token = self._token_digits.randbytes(32).hex()
        self._tokens[token] = now + self.options.token_ttl
        return Response.json({"token": token})

    def _balances(self) -> Response:
        account = self._exchange.account
        rows = []
        for currency, total in account.balances.items():
            held = account.held(currency)
            available, kept = decimal(total - held, 8, 16), decimal(held, 8, 8)
            rows.append({"ticker": currency, "available": available, "held": kept})
        return Response.json({"result": rows})


async def _refuse(socket: Socket) -> None:
    await socket.close(1008, "Unauthorized")


def _result(value: Any) -> Response:
    return Response.json({"state": 0, "result": value})


def _scales(symbol: str | None) -> Response:
    if symbol not in LISTINGS:
        return Response.json({"status": "error", "message": "Symbol not found", "data": []}, 404)
    data = symbol_scales(LISTINGS[symbol])
    return Response.json({"status": "success", "message": "success", "data": data})


def _rest_book(market: Market) -> dict[str, Any]:
    listing = market.listing
    now = int(wall_seconds() * 10_000)

    def rows(side: Mapping[int, int]) -> list[dict[str, str]]:
        return [
            {
                "price": decimal(price, listing.price_digits, 8),
                "quantity": trimmed(quantity, listing.quantity_digits),
            }
            for price, quantity in side.items()
        ]

    return {
        "timestamp": decimal(now, 4, 4),
        "bids": rows(market.bids),
        "asks": rows(market.asks),
    }


def _rest_trades(market: Market) -> list[dict[str, Any]]:
    listing = market.listing
    digits = listing.price_digits + listing.quantity_digits
    return [
        {
            "trade_id": str(trade.number),
            "price": trimmed(trade.price, listing.price_digits),
            "base_volume": trimmed(trade.price * trade.quantity, digits),
            "quote_volume": trimmed(trade.quantity, listing.quantity_digits),
            "timestamp": trade.ts,
            "type": "buy" if trade.buy else "sell",
        }
        for trade in reversed(market.trades)
    ]


def _rest_ticker(market: Market) -> dict[str, str]:
    listing, (_, _, _, volume, value) = market.listing, market.window.day
    return {
        "currency_pair": listing.symbol,
        "last_price": trimmed(market.window.last, listing.price_digits),
        "base_volume": trimmed(volume, listing.quantity_digits),
        "quote_volume": trimmed(value, listing.price_digits + listing.quantity_digits),
    }
