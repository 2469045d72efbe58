"""Compares wsfeeds with programs written by hand for the same task; see README.md."""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from dataclasses import dataclass
from typing import Any

from benchmarks import client, latency, recording, report, startup, throughput, transports
from benchmarks.cases import CASES, CHECKED, ECHO, PICOWS, QUICK, WEBSOCKETS, Case
from benchmarks.load import Load
from benchmarks.throughput import Figure

PARTS = ("throughput", "cryptofeed", "transports", "recording", "latency", "memory", "startup")


@dataclass(frozen=True)
class Length:
    """How long a run is."""

    count: int
    rounds: int
    rates: tuple[int, ...]
    seconds: float
    messages: tuple[int, ...]


QUICK_RUN = Length(60_000, 3, (1_000, 10_000), 1.0, (100_000, 300_000))
FULL_RUN = Length(300_000, 7, (1_000, 10_000, 30_000), 5.0, (100_000, 1_000_000, 10_000_000))


def main() -> None:
    """Run what was asked for, print tables and save the figures."""
    asked = _arguments()
    length = QUICK_RUN if asked.quick else FULL_RUN
    load = Load()
    results: dict[str, Any] = {"machine": report.machine()}
    print("\n".join(f"{key}: {value}" for key, value in results["machine"].items()))
    if "throughput" in asked.parts:
        results["throughput"] = _throughput(load, _chosen(asked), length)
    if "cryptofeed" in asked.parts:
        results["cryptofeed"] = _cryptofeed(load, length)
    if "transports" in asked.parts:
        results["transports"] = _transports(load, length)
    if "recording" in asked.parts:
        results["recording"] = _recording(load, length)
    if "latency" in asked.parts:
        results["latency"] = _latency(load, length)
    if "memory" in asked.parts:
        results["memory"] = _memory(load, length)
    if "startup" in asked.parts:
        results["startup"] = _startup(length)
    print(f"\nsaved as {report.save(results)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=__doc__,
        epilog="--quick takes a minute or two, everything about an hour.",
    )
    parser.add_argument("parts", nargs="*", default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="few cases, short runs")
    parser.add_argument("-k", metavar="TEXT", help="only cases whose name contains this")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {min(unknown)!r}; parts are {', '.join(PARTS)}")
    return asked


def _chosen(asked: argparse.Namespace) -> list[Case]:
    if asked.k is not None:
        return [case for case in CASES if asked.k in case.name]
    return [case for case in CASES if not asked.quick or case.name in QUICK]


def _throughput(load: Load, cases: list[Case], length: Length) -> dict[str, Any]:
    results: dict[str, Any] = {}
    rows = []
    for case in cases:
        figures = throughput.measure(case, load, count=length.count, rounds=length.rounds)
        names = (ECHO if case.feed.makers else WEBSOCKETS, PICOWS, CHECKED)
        ratios = {name: throughput.ratio(figures, name) for name in names}
        by_name = {figure.client: figure for figure in figures}
        medians = [
            by_name[name].median if name in by_name else None for name in ("wsfeeds", *names)
        ]
        rows.append([case.name, *medians, *ratios.values(), _spread(figures[0])])
        results[case.name] = {"us_per_message": _values(figures), "ratios": ratios}
    head = ("case", "wsfeeds", "websockets_*", "picows", "checked", *["ratio"] * 3, "spread")
    report.table("CPU per message, µs (medians; ratios of wsfeeds to each)", head, rows)
    return results


def _cryptofeed(load: Load, length: Length) -> dict[str, Any]:
    if importlib.util.find_spec("cryptofeed") is None:
        print("\ncryptofeed is not installed: nothing to compare with")
        return {}
    results: dict[str, Any] = {}
    rows = []
    rounds = min(length.rounds, 5)
    for name, figures in throughput.to_cryptofeed(load, count=length.count, rounds=rounds):
        share = throughput.ratio(figures, throughput.CRYPTOFEED)
        rows.append([name, *(figure.median for figure in figures), share])
        results[name] = {"us_per_message": _values(figures), "ratio": share}
    head = ("", "wsfeeds", "cryptofeed", "ratio")
    report.table("CPU per message, µs: wsfeeds and cryptofeed, each its own venue", head, rows)
    return results


def _spread(figure: Figure) -> str:
    return f"{min(figure.values):.2f}-{max(figure.values):.2f}"


def _values(figures: list[Figure]) -> dict[str, list[float]]:
    return {figure.client: [round(value, 4) for value in figure.values] for figure in figures}


def _transports(load: Load, length: Length) -> dict[str, Any]:
    rounds = min(length.rounds, 5)
    many = transports.measure(CASES[0], load, count=2 * length.count, rounds=rounds)
    single = transports.measure(CASES[0], load, count=10_000, rounds=rounds, rate=10_000)
    rows = [[a.client, a.median, b.median] for a, b in zip(many, single, strict=True)]
    head = ("", "all at once", "10,000/s, one by one")
    report.table("CPU per frame of the transport alone, µs", head, rows)
    return {"at once": _values(many), "10,000/s": _values(single)}


def _recording(load: Load, length: Length) -> dict[str, Any]:
    rounds = min(length.rounds, 5)
    figures = recording.measure(CASES[0], load, count=length.count, rounds=rounds)
    rows = [
        [figure.client, figure.median, throughput.ratio([figure, figures[0]], figures[0].client)]
        for figure in figures
    ]
    report.table("CPU per message, µs, mixed", ("", "wsfeeds", "to subscribe"), rows)
    return _values(figures)


def _latency(load: Load, length: Length) -> dict[str, Any]:
    case = CASES[0]
    block, requests = case.block(), case.requests
    results: dict[str, Any] = {}
    rows = []
    loads = [(rate, 1) for rate in length.rates] + [(max(length.rates[:2]), 50)]
    for rate, burst in loads:
        name = f"{rate:,}/s" + (f" in bursts of {burst}" if burst > 1 else "")
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(min(length.rounds, 5)):
            order = latency.order(block, requests, rate=rate, seconds=length.seconds, burst=burst)
            asked = case.asked(order.count)
            flushing = client.Asked(asked.channels, asked.markets, asked.count, flush=True)
            programs = [
                client.wsfeeds(load, asked),
                client.wsfeeds(load, asked, coalesce="1ms"),
                *(client.reference(load, flushing, name) for name in (WEBSOCKETS, PICOWS)),
            ]
            for program in programs:
                order = latency.order(
                    block, requests, rate=rate, seconds=length.seconds, burst=burst
                )
                one = latency.percentiles(latency.measure(program, load, order))
                found.setdefault(program.name, []).append(one)
        results[name] = found
        for program_name, ones in found.items():
            shares = [statistics.median(one[share] for one in ones) for share in ones[0]]
            rows.append([f"{name}, {program_name}", *(round(share) for share in shares)])
    report.table("Latency, µs from sending to reading the line", ("", "p50", "p99", "p99.9"), rows)
    return results


def _memory(load: Load, length: Length) -> dict[str, Any]:
    case = CASES[0]
    peaks = {count: throughput.peak(case, load, count=count) / 1024 for count in length.messages}
    report.table(
        "Memory at most, MiB",
        ("messages", "wsfeeds"),
        [[f"{count:,}", peak] for count, peak in peaks.items()],
    )
    return {str(count): round(peak, 2) for count, peak in peaks.items()}


def _startup(length: Length) -> dict[str, Any]:
    figures = [*startup.help_time(length.rounds), *startup.first_event(length.rounds)]
    rows = [[figure.client, round(figure.median), _spread(figure)] for figure in figures]
    report.table("Start-up, ms", ("", "median", "spread"), rows)
    return _values(figures)


main()
