"""What is measured: the load of each case, the clients, and what the case is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import frames
from benchmarks.client import Asked
from benchmarks.feeds import (
    BINANCE,
    CRYPTOMUS,
    IGRATECH,
    IMG_FASTPATH,
    IMG_FASTPATH_50,
    INTERACT_QUOTE,
    Feed,
)
from benchmarks.frames import Maker

MIXED = ("trade", "ticker", "depth")
WEBSOCKETS = "websockets_orjson"
PICOWS = "picows_msgspec"
CHECKED = "picows_msgspec checked"
ECHO = "websockets_echo"


@dataclass(frozen=True)
class Case:
    """One load, for `wsfeeds subscribe` and the references that can do the same."""

    name: str
    channels: Sequence[str] = MIXED
    levels: int = 5
    markets: int = 1
    book: bool = False
    deflated: bool = False
    takeover: bool = False
    """Whether compressed frames refer back to earlier ones, as most venues' do."""
    piped: bool = False
    references: Sequence[str] = (WEBSOCKETS, PICOWS, CHECKED)
    feed: Feed = CRYPTOMUS
    sockets: int = 1
    """How many connections the frames come on; each has its own numbers."""
    share: float = 1.0
    """How many frames are sent, as a share of what the run's length says."""

    @property
    def events_per_frame(self) -> int:
        """A depth frame gives a best bid and offer too where a book is kept."""
        return 2 if self.book else 1

    @property
    def requests(self) -> int:
        """What a client asks before data comes."""
        return self.feed.requests or len(self.channels) * (self.feed is CRYPTOMUS)

    def block(self, count: int = frames.BLOCK) -> frames.Block:
        """Build the frames; `count` of them where a venue numbers them without end."""
        makers: dict[str, Maker] = self.feed.makers or {
            "trade": frames.trade,
            "ticker": frames.ticker,
            "depth": frames.depth(self.levels, self.markets),
        }
        chosen = [makers[channel] for channel in self.channels]
        size = frames.BLOCK if self.feed.repeats else count
        return frames.block(
            chosen, self.markets, deflated=self.deflated, takeover=self.takeover, size=size
        )

    def asked(self, count: int) -> Asked:
        """Return what clients subscribe to, to end after that many frames."""
        return Asked(
            channels=self.channels,
            markets=frames.symbols(self.markets) if self.feed is CRYPTOMUS else self.feed.symbols,
            count=count * self.events_per_frame,
            compression=self.deflated,
            book=self.book,
            feed=self.feed,
            sockets=self.sockets,
        )


CASES = (
    Case("mixed"),
    Case("trade", channels=("trade",)),
    Case("ticker", channels=("ticker",)),
    Case("depth, 5 levels", channels=("depth",)),
    Case("depth, 50 levels", channels=("depth",), levels=50, share=0.3),
    Case("depth, 5 levels, bbo", channels=("depth",), book=True, references=(WEBSOCKETS,)),
    Case(
        "depth, 50 levels, bbo",
        channels=("depth",),
        levels=50,
        book=True,
        references=(WEBSOCKETS,),
        share=0.1,
    ),
    Case("mixed, 10 markets", markets=10),
    Case("mixed, 1,000 markets", markets=1_000),
    Case("mixed, permessage-deflate", deflated=True, references=(WEBSOCKETS,), share=0.5),
    Case(
        "mixed, permessage-deflate, context takeover",
        deflated=True,
        takeover=True,
        references=(WEBSOCKETS,),
        share=0.5,
    ),
    Case("mixed, into a pipe", piped=True),
    Case(
        "img_fastpath actions",
        channels=("actions",),
        feed=IMG_FASTPATH,
        references=(ECHO,),
        share=0.2,
    ),
    Case(
        "img_fastpath actions, 50 sockets",
        channels=("actions",),
        feed=IMG_FASTPATH_50,
        sockets=50,
        references=(ECHO,),
        share=0.2,
    ),
    Case("igratech incidents", channels=("incident",), feed=IGRATECH, references=(ECHO,)),
    Case("interact_quote", channels=("chloe-market",), feed=INTERACT_QUOTE, references=(ECHO,)),
)
TO_CRYPTOFEED = (
    (
        Case("trade", channels=("trade",), references=()),
        Case("trade", channels=("trade",), feed=BINANCE),
    ),
    (
        Case("depth, 10 levels", channels=("depth",), levels=10, references=(), share=0.5),
        Case("depth, 10 levels", channels=("depth",), feed=BINANCE, share=0.5),
    ),
    (
        Case("depth, 10 levels, bbo", channels=("depth",), levels=10, book=True, share=0.3),
        Case("depth, 10 levels", channels=("depth",), feed=BINANCE, share=0.3),
    ),
)
"""Cases for `wsfeeds`, each with the same load in the form of a venue that cryptofeed knows."""
QUICK = ("mixed", "trade", "ticker", "depth, 5 levels", "depth, 5 levels, bbo")
