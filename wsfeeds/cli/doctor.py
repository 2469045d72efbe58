"""`wsfeeds doctor`: can a feed be reached from here, and if not, what is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsfeeds.cli import leaving
from wsfeeds.cli import options as opt

if TYPE_CHECKING:
    from wsfeeds.cli.console import Console
    from wsfeeds.doctor import Check, DoctorReport, FeedChecked, LeftOut

_NAME_WIDTH = 11
_STATUS_WIDTH = 7


@dataclass(kw_only=True)
class Options:
    """The options of `doctor`, as given."""

    feed: str | None = None
    symbols: Sequence[str] = ()
    wait: str = "15s"
    sim: bool = False
    json: bool = False
    flags: dict[str, Any] = field(default_factory=dict)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def doctor(
        feed: Annotated[str | None, typer.Argument(metavar="[FEED]")] = None,
        symbols: Annotated[
            list[str] | None,
            typer.Argument(metavar="[SYMBOL]...", help="what to subscribe to for the last check"),
        ] = None,
        wait: Annotated[
            str, typer.Option("--wait", metavar="TIME", help="for the first event")
        ] = "15s",
        json: opt.Json = False,
        sim: opt.Sim = False,
        url: opt.Url = None,
        api_url: opt.ApiUrl = None,
        set_: opt.Set = None,
        config: opt.Config = None,
        verbose: opt.Verbose = 0,
        quiet: opt.Quiet = False,
        log_format: opt.LogFormat = "text",
        version: opt.Version = False,  # noqa: ARG001  # eager: it never gets here
    ) -> None:
        """Check settings, network, TLS, clock, token, upgrade and first event of a feed.

        Each failure comes with what to do about it; the exit code is that of the first one.

        \b
          wsfeeds doctor                          every feed that has settings
          wsfeeds doctor cryptomus
          wsfeeds doctor cryptomus --sim -v
          wsfeeds doctor --json | jq '.feeds[].checks[] | select(.status == "failed")'
        """
        console = opt.console_of(config, verbose, quiet, log_format)
        options = Options(
            feed=feed,
            symbols=symbols or (),
            wait=wait,
            sim=sim,
            json=json,
            flags=opt.flags_of(set_, url, api_url, None, no_reconnect=False),
        )
        report = leaving.run(_Doctor(options, console).run())
        if json:
            opt.print_document(report)
        raise typer.Exit(report.exit_code)


class _Doctor:
    def __init__(self, options: Options, console: Console) -> None:
        from pathlib import Path  # noqa: PLC0415  # `--help` needs none of this

        from wsfeeds import quantities  # noqa: PLC0415  # likewise

        self._options = options
        self._console = console
        self._config = Path(console.config_file) if console.config_file else None
        self._wait = quantities.parse_duration(options.wait)

    async def run(self) -> DoctorReport:
        """Check everything, telling people of each check as it is done."""
        from wsfeeds.doctor import DoctorReport  # noqa: PLC0415  # likewise
        from wsfeeds.errors import ExitCode  # noqa: PLC0415  # likewise

        feeds, left = self._choose()
        checked = [await self._feed(feed) for feed in feeds]
        self._tell_left_out(left, any_left=bool(feeds))
        codes = [check.code for each in checked for check in each.checks if check.code is not None]
        code = codes[0] if codes else 0
        if not feeds:
            code = int(ExitCode.USAGE)
        return DoctorReport(ok=code == 0, exit_code=code, feeds=checked, left_out=left)

    def _choose(self) -> tuple[list[str], list[LeftOut]]:
        from wsfeeds import connectors  # noqa: PLC0415  # likewise
        from wsfeeds.doctor import LeftOut, left_out  # noqa: PLC0415  # likewise
        from wsfeeds.errors import UsageError  # noqa: PLC0415  # likewise

        options = self._options
        if options.feed is not None:
            return [connectors.load(options.feed).name], []
        if options.flags:
            raise UsageError("--set, --url and --api-url need a FEED")
        feeds, left = [], []
        for feed in connectors.names():
            reason = None if options.sim else left_out(feed, config_file=self._config)
            if reason is None:
                feeds.append(feed)
            else:
                left.append(LeftOut(feed=feed, reason=reason))
        return feeds, left

    async def _feed(self, feed: str) -> FeedChecked:
        from wsfeeds import app  # noqa: PLC0415  # likewise
        from wsfeeds.doctor import Diagnosis, FeedChecked  # noqa: PLC0415  # likewise

        options = self._options
        asked = app.Subscription(
            feed=feed,
            symbols=options.symbols,
            flags=options.flags,
            config_file=self._config,
            sim=options.sim,
        )
        self._put(feed)
        checks = []
        async with app.simulated(asked) as wanted:
            diagnosis = Diagnosis(wanted, wait=self._wait, redactor=self._console.redactor)
            async for check in diagnosis.checks():
                checks.append(check)
                for line in describe(check, detailed=bool(self._console.verbose)):
                    self._put(line)
        return FeedChecked(feed=feed, ok=all(each.code is None for each in checks), checks=checks)

    def _tell_left_out(self, left: list[LeftOut], *, any_left: bool) -> None:
        for each in left:
            self._put(f"{each.feed}\n  left out: {each.reason}")
        if not any_left:
            self._put("nothing to check: name a feed, or set its credentials; see `wsfeeds feeds`")

    def _put(self, text: str) -> None:
        from wsfeeds.cli.console import printable, put  # noqa: PLC0415  # likewise

        if not self._options.json:
            put(printable(text))


def describe(check: Check, *, detailed: bool) -> list[str]:
    """Return a check in lines for people, and below it what to do where something is wrong."""
    took = f" ({check.ms} ms)" if detailed and check.ms is not None else ""
    name = check.name.replace("_", " ")
    lines = [f"  {check.status:{_STATUS_WIDTH}}  {name:{_NAME_WIDTH}}  {check.detail}{took}"]
    indent = " " * (_STATUS_WIDTH + _NAME_WIDTH + 6)
    if check.mend is not None:
        lines.append(f"{indent}to mend it: {check.mend}")
    if detailed:
        lines += [f"{indent}{each}" for each in check.more]
    return lines
