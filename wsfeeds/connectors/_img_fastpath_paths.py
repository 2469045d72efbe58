"""What a FastPath symbol names: a fixture of a sport, its streams and their paths.

Paths are from docs/protocols/img_fastpath.md, sections 2.2 and 8. Symbols are what the contract,
section 1, calls `SPORT/FIXTURE`, with the path's own prefixes (`media/`, `v2/`) kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from wsfeeds.errors import UsageError

SYMBOL_HELP = (
    "SPORT/FIXTURE such as soccer/433eac65-2c3c-4164-bcae-b6f27db27d0c, v2/volleyball/…, "
    "media/soccer/…, tennis/2022-2789-MS027 or mma/…"
)
_SYMBOL = re.compile(
    r"/?(media/)?((?:v[0-9]+/)?[a-z][a-z0-9-]*)/([A-Za-z0-9][A-Za-z0-9._~-]*)"
).fullmatch
_SPORT = re.compile(r"/?((?:media/)?(?:v[0-9]+/)?[a-z][a-z0-9-]*)/?").fullmatch
_NO_SPORT = re.compile(r"media|v[0-9]+|(?:.*/)?fixtures").fullmatch
_OFFERED = {"tennis": ("stream", "statistics"), "mma": ("details", "actions")}
_OFFERED_BY_OTHERS = ("actions", "statistics")
DEFAULTS = ("actions", "stream", "details")
"""The first stream of every sport: what no choice of channels means."""


class Fixture(msgspec.Struct, frozen=True):
    """One match, event or fight; `media` customers have paths of their own."""

    symbol: str
    sport: str
    id: str
    media: bool = False

    @property
    def offered(self) -> tuple[str, ...]:
        """The streams that the sport has, the default one first."""
        return _OFFERED.get(self.sport, _OFFERED_BY_OTHERS)

    @property
    def generation(self) -> Literal["team", "flat"]:
        """Which protocol generation the sport speaks; tennis and MMA have flat frames."""
        return "flat" if self.sport in _OFFERED else "team"

    def chosen(self, channels: Iterable[str]) -> tuple[str, ...]:
        """Return which of the channels this sport has; its own default for the feed's defaults."""
        asked = set(channels)
        if not asked or asked == set(DEFAULTS):
            return self.offered[:1]
        return tuple(channel for channel in self.offered if channel in asked)

    def path(self, channel: str) -> str:
        """Return the path of one stream."""
        prefix = "/media" if self.media else ""
        if self.sport == "tennis":
            return f"{prefix}/tennis/events/{self.id}/{channel}"
        if self.sport == "mma" and self.media:
            return f"/media/mma/fight-{channel}/feed/{self.id}"
        if self.sport == "mma":
            return f"/mma/fights/{self.id}/{channel}"
        return f"{prefix}/{self.sport}/fixtures/{self.id}/{channel}"

    def has_replay(self, channel: str) -> bool:
        """Whether a stream can be resumed; tennis statistics take no parameters (section 8)."""
        return not (self.sport == "tennis" and channel == "statistics")


def fixture(symbol: str) -> Fixture:
    """Return what a symbol names.

    Raises:
        UsageError: The symbol is malformed.
    """
    match = _SYMBOL(symbol)
    if match is None or _NO_SPORT(match[2]):
        raise UsageError(f"malformed symbol {symbol!r}: {SYMBOL_HELP}")
    return Fixture(symbol, sport=match[2], id=match[3], media=match[1] is not None)


def sport(text: str) -> str:
    """Return a sport as it stands in paths.

    Raises:
        UsageError: It is no path segment of a sport.
    """
    match = _SPORT(text)
    if match is None or _NO_SPORT(match[1]):
        raise UsageError(
            f"malformed sport {text!r}: one such as soccer, ice-hockey, v2/volleyball or tennis"
        )
    return match[1]
