"""`wsfeeds stats`: what a recording holds, for people or as one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from wsfeeds.cli import options as opt

if TYPE_CHECKING:
    from wsfeeds.recordings.reports import FeedStat, GapStat, SeriesStat, StatsReport

_BARS = "▁▂▃▄▅▆▇█"
_LISTED_GAPS = 20


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(no_args_is_help=True)
    def stats(
        paths: Annotated[
            list[str], typer.Argument(metavar="PATH...", help="recordings, folders or files")
        ],
        as_json: opt.Json = False,
        config: opt.Config = None,
        verbose: opt.Verbose = 0,
        quiet: opt.Quiet = False,
        log_format: opt.LogFormat = "text",
        version: opt.Version = False,  # noqa: ARG001  # eager: it never gets here
    ) -> None:
        """Summarise a recording: rates, latency, gaps and silences, per symbol.

        \b
          wsfeeds stats recordings
          wsfeeds stats recordings --json | jq '.feeds[].gaps'
        """
        from wsfeeds.cli.console import put  # noqa: PLC0415  # `--help` needs none
        from wsfeeds.cli.damage import Damage  # noqa: PLC0415  # likewise
        from wsfeeds.cli.verify import print_json  # noqa: PLC0415  # likewise
        from wsfeeds.recordings import stats as summarising  # noqa: PLC0415  # as above

        console = opt.console_of(config, verbose, quiet, log_format)
        damage = Damage()
        report = summarising.stats(paths, damage)
        if as_json:
            print_json(report)
        else:
            put("\n".join(describe(report, bars=console.stdout_can_be_drawn_on)))
        damage.summarise()
        raise typer.Exit(0)


def describe(report: StatsReport, *, bars: bool) -> list[str]:
    """Return the report in lines for people, with sparklines where they can be drawn."""
    from wsfeeds.cli.console import printable  # noqa: PLC0415  # as above

    lines: list[str] = []
    for feed in report.feeds:
        lines += ["", *_feed(feed, bars=bars)] if lines else _feed(feed, bars=bars)
    return [printable(line) for line in lines]


def _feed(feed: FeedStat, *, bars: bool) -> list[str]:
    rows = [_HEADINGS, *(_row(series, bars=bars) for series in feed.series)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    first, last = _moment(feed.first_recv_ts), _moment(feed.last_recv_ts)
    reconnects = f"{feed.connections} connections, {feed.reconnects} reconnects"
    hidden = feed.gap_count - _LISTED_GAPS
    return [
        f"{feed.feed}: {feed.events} data events, {feed.facts} session facts, {first} to {last}",
        f"  {feed.rate:g} events/s, {reconnects}, {feed.gap_count} gaps",
        *("  " + _aligned(row, widths) for row in rows if feed.series),
        *(f"  gap {_gap(gap)}" for gap in feed.gaps[:_LISTED_GAPS]),
        *([f"  and {hidden} more"] if hidden > 0 else []),
    ]


_HEADINGS = ("channel", "symbol", "events", "per s", "silence", "p50", "p90", "p99", "max", "")


def _row(series: SeriesStat, *, bars: bool) -> tuple[str, ...]:
    latency = series.latency
    spread = ("", "", "", "")
    if latency is not None:
        spread = (
            _span(latency.p50),
            _span(latency.p90),
            _span(latency.p99),
            _span(latency.max),
        )
    return (
        series.channel,
        series.symbol or "",
        str(series.events),
        f"{series.rate:g}",
        _span(series.longest_silence),
        *spread,
        sparkline(series.activity) if bars else "",
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> str:
    cells = [
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def sparkline(counts: list[int]) -> str:
    """Draw numbers as bars; none at all is a space."""
    most = max(counts, default=0)
    return "".join(_BARS[-(-count * len(_BARS) // most) - 1] if count else " " for count in counts)


def _gap(gap: GapStat) -> str:
    where = " ".join(filter(None, (gap.channel, gap.symbol)))
    length = "of unknown length" if gap.length is None else _span(gap.length)
    missed = "" if gap.missed is None else f", {gap.missed} missed"
    return f"{_moment(gap.recv_ts)} {where}: {gap.reason}, {length}{missed}"


def _moment(micros: int | None) -> str:
    from wsfeeds.clock import to_datetime  # noqa: PLC0415  # as above

    if micros is None:
        return "?"
    return to_datetime(micros).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


def _span(micros: int) -> str:
    """Return a time span for people."""
    size = abs(micros)
    for unit, name in ((60_000_000, "min"), (1_000_000, "s"), (1_000, "ms")):
        if size >= unit:
            return f"{micros / unit:.1f} {name}"
    return f"{micros} µs"
