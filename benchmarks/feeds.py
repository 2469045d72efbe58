"""The feeds that are measured: how each is asked for, and what its frames look like."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace

from benchmarks import frames
from benchmarks.frames import EPOCH, Maker

_CLAIMS = base64.urlsafe_b64encode(json.dumps({"exp": 4_000_000_000}).encode()).decode().rstrip("=")
_FIXTURE = "433eac65-2c3c-4164-bcae-b6f27db27d0c"
_EVENT, _MARKET = "41115853-e", "1_31260330"


@dataclass(frozen=True)
class Feed:
    """How `wsfeeds subscribe` asks for a feed, and how the load answers."""

    name: str
    number: bytes
    """Finds the running number of a frame in a line, as a regular expression."""
    symbols: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    has_api: bool = False
    requests: int = 0
    """Requests before data comes, where it is not one for each channel."""
    greeting: bytes = b""
    answer: bytes | None = None
    """What every request is answered with; None: with its own id."""
    repeats: bool = True
    """Whether the same block of frames may come again: not where the venue counts for ever."""
    makers: dict[str, Maker] = field(default_factory=dict)


def action(number: int, _symbol: str) -> dict[str, object]:
    """An action of a match, as in docs/protocols/img_fastpath.md, section 12, G11."""
    return {
        "fixtureAction": {
            "fixtureActionSubTypeId": 10601,
            "timestamp": f"2022-07-08T18:24:42.{number % 1_000_000:06}Z",
            "actionId": f"8ec4192a-ec49-4f59-8eec-{number:012x}",
            "fixtureSeqNum": number,
            "clockTime": "21:25",
            "fixtureActionType": "Penalty Awarded",
            "fixtureActionSubType": "Foul",
            "fixtureActionTypeId": 106,
            "sendTypeId": 5,
            "sendType": "Confirmed",
            "team": {"id": "07a8cb1b-2bb9-4104-a0d4-e0ad0d7baba6", "name": "PFC Ludogorets 1945"},
            "fixtureId": _FIXTURE,
            "period": 1,
        },
        "fixtureSummary": {
            "awayTeamScore": 1,
            "currentClockTime": "21:34",
            "periods": [{"awayTeamPeriodScore": 1, "label": "1st half", "id": 1, "end": None}],
            "homeTeamScore": 0,
            "isTied": False,
            "isHomeTeamInPossesion": False,
            "finished": False,
            "currentPeriod": 1,
            "currentStatus": "Live",
        },
        "version": 1,
    }


def incident(number: int, _symbol: str) -> dict[str, object]:
    """An incident whose payload nobody documented (docs/protocols/igratech.md, section 9, G6)."""
    odds = [{"outcome": side, "odds": 1.85 + side, "line": "2.5"} for side in range(4)]
    data = {"n": number, "game": "g-1", "clock": "12:04", "open": True, "markets": odds}
    return {"event": "incident", "data": data}


def quote(number: int, _symbol: str) -> dict[str, object]:
    """A sportsbook quote (docs/protocols/interact_quote.md, section 9, G6)."""
    item = {
        "event_id": _EVENT,
        "market_id": _MARKET,
        "product_id": "1",
        "price": f"{number}.61",
        "status": "1",
    }
    return {"type": "order-slip", "data": [item]}


def binance_trade(number: int, _symbol: str) -> dict[str, object]:
    """A trade as Binance sends it, with the digits of `frames.trade`."""
    when = (EPOCH + number) * 1_000
    data = {
        "e": "aggTrade",
        "E": when,
        "s": "BTCUSDT",
        "a": number,
        "p": f"{107_000 + number % 1_000}.{number % 99 + 1:02d}",
        "q": f"0.{number % 9_999 + 1:04d}",
        "f": number,
        "l": number,
        "T": when,
        "m": number % 3 > 0,
        "M": True,
    }
    return {"stream": "btcusdt@aggTrade", "data": data}


def binance_depth(number: int, symbol: str) -> dict[str, object]:
    """A book change as Binance sends it, with ten levels a side as of `frames.depth`."""
    levels: dict[str, object] = frames.depth(10)(number, symbol)["data"]  # type: ignore[assignment]
    data = {
        "e": "depthUpdate",
        "E": (EPOCH + number) * 1_000,
        "s": "BTCUSDT",
        "U": number + 1,
        "u": number + 1,
        "b": levels["bids"],
        "a": levels["asks"],
    }
    return {"stream": "btcusdt@depth@100ms", "data": data}


CRYPTOMUS = Feed(
    "cryptomus",
    number=rb'"ts":(\d+)000000',
    secrets={"USER_ID": "bench", "API_KEY": "bench"},
    has_api=True,
)
IMG_FASTPATH = Feed(
    "img_fastpath",
    number=rb'"fixtureSeqNum":(\d+)',
    symbols=(f"soccer/{_FIXTURE}",),
    secrets={"TOKEN": "bench"},
    requests=1,
    answer=frames.pack(b'{"message":"Authorisation accepted","level":"INFO"}'),
    repeats=False,
    makers={"actions": action},
)
IMG_FASTPATH_50 = replace(
    IMG_FASTPATH,
    symbols=tuple(f"soccer/{_FIXTURE[:-2]}{number:02d}" for number in range(50)),
)
BINANCE = Feed(
    "binance",
    number=rb'"timestamp":(\d+)',
    symbols=("BTC_USDT",),
    repeats=False,
    makers={"trade": binance_trade, "depth": binance_depth},
)
IGRATECH = Feed(
    "igratech",
    number=rb'"n":(\d+)',
    greeting=frames.pack(b'{"event":"connected","data":{}}'),
    makers={"incident": incident},
)
INTERACT_QUOTE = Feed(
    "interact_quote",
    number=rb'price":"(\d+)\.61',
    symbols=(f"{_EVENT}@{_MARKET}",),
    secrets={"TOKEN": f"e30.{_CLAIMS}.c2ln"},
    requests=2,
    answer=b"",
    makers={"chloe-market": quote},
)
