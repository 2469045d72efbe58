"""`wsfeeds verify`: an audit of recordings, for people or as one JSON document."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wsfeeds.cli import options as opt

if TYPE_CHECKING:
    from wsfeeds.recordings.reports import VerifyReport

_SHOW_AFTER = 1.0
_REDRAW = 0.2
_BAR = 30
_LISTED = 50


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(no_args_is_help=True)
    def verify(
        paths: Annotated[
            list[str], typer.Argument(metavar="PATH...", help="recordings, folders or files")
        ],
        repair: Annotated[
            bool, typer.Option("--repair", help="move damage aside, write a truthful manifest")
        ] = False,
        as_json: opt.Json = False,
        config: opt.Config = None,
        verbose: opt.Verbose = 0,
        quiet: opt.Quiet = False,
        log_format: opt.LogFormat = "text",
        version: opt.Version = False,  # noqa: ARG001  # eager: it never gets here
    ) -> None:
        """Check every line, number and digest of a recording; exit 5 where there is damage.

        \b
          wsfeeds verify recordings
          wsfeeds verify recordings --json | jq '.damage'
          wsfeeds verify recordings --repair
        """
        from wsfeeds.recordings import repair as repairing  # noqa: PLC0415  # `--help` needs none
        from wsfeeds.recordings import verify as verifying  # noqa: PLC0415  # as above

        console = opt.console_of(config, verbose, quiet, log_format)
        if repair:
            repairing.repair(paths, console.say)
        bar = _Bar(shown=sys.stderr.isatty() and not quiet)
        report = verifying.verify(paths, bar.update)
        bar.clear()
        from wsfeeds.cli.console import put  # noqa: PLC0415  # `--help` needs none

        if as_json:
            print_json(report)
        else:
            put("\n".join(describe(report)))
        raise typer.Exit(0 if report.ok else 5)


def print_json(report: object) -> None:
    """Print one JSON document for machines and people."""
    import msgspec  # noqa: PLC0415  # `--help` needs none

    from wsfeeds.cli.console import put  # noqa: PLC0415  # as above

    put(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())


def describe(report: VerifyReport) -> list[str]:
    """Return the report in lines for people, what matters most last."""
    from wsfeeds.cli.console import printable  # noqa: PLC0415  # as above
    from wsfeeds.cli.record_progress import size  # noqa: PLC0415  # as above

    lines = [f"gap     {_gap(gap)}" for gap in report.gaps[:_LISTED]]
    hidden = report.gap_count - len(lines)
    lines += [f"gap     and {hidden} more"] if hidden > 0 else []
    lines += [f"aside   {each}" for each in report.repaired]
    lines += [f"open    {path}" for path in report.open]
    for problem in report.damage[:_LISTED]:
        where = problem.path if problem.line is None else f"{problem.path}, line {problem.line}"
        lines.append(f"damage  {where}: {problem.cause}")
    if report.damaged > _LISTED:
        lines.append(f"damage  and {report.damaged - _LISTED} more")
    verdict = "complete" if report.ok else "DAMAGED"
    lines.append(
        f"{verdict}: {report.files} files, {report.lines} lines, {size(report.bytes)}, "
        f"{report.gap_count} reported gaps, {len(report.open)} open, {report.damaged} problems"
    )
    return [printable(line) for line in lines]


def _gap(gap: object) -> str:
    from wsfeeds.recordings.reports import GapFound  # noqa: PLC0415  # as above

    assert isinstance(gap, GapFound)
    about = " ".join(filter(None, (gap.feed, gap.channel, gap.symbol)))
    length = ""
    if gap.from_ts is not None and gap.to_ts is not None:
        length = f", {(gap.to_ts - gap.from_ts) / 1_000_000:.3f} s"
    missed = "" if gap.missed is None else f", {gap.missed} missed"
    return f"{gap.path}, line {gap.line}: {about}: {gap.reason}{length}{missed}"


class _Bar:
    """A progress bar on stderr, once the work takes more than a moment."""

    def __init__(self, *, shown: bool) -> None:
        from wsfeeds.clock import monotonic  # noqa: PLC0415  # as above

        self._shown = shown
        self._clock = monotonic
        self._next = monotonic() + _SHOW_AFTER
        self._drawn = False

    def update(self, done: int, total: int) -> None:
        """Draw how much is done."""
        if not self._shown or self._clock() < self._next or not total:
            return
        self._next = self._clock() + _REDRAW
        self._drawn = True
        full = _BAR * done // total
        share = 100 * done // total
        print(f"\r[{'#' * full}{'.' * (_BAR - full)}] {share} %", end="", file=sys.stderr)
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the bar off the terminal."""
        if self._drawn:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
