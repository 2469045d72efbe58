"""What docs/operations.md shows does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def blocks(language: str, word: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [block for block in found if word in block]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `recordings/` in it: closed segments of every compression."""
    place = tmp_path_factory.mktemp("operations")
    for compression in ("none", "zstd", "gzip"):
        options = ["--compress", compression, "-n", "60", "-q"]
        command = [sys.executable, "-m", "wsfeeds", "record", "cryptomus", "--sim", *options]
        subprocess.run(command, cwd=place, check=True, timeout=60, env=environment())
    return place


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_reads_typed_events(folder: Path) -> None:
    (program,) = blocks("python", "wsfeeds.read")
    assert "BTC_USDT 107" in run(folder, sys.executable, "-c", program)


@pytest.mark.slow
def test_duckdb_takes_folders_as_partitions_and_every_compression(folder: Path) -> None:
    (program,) = blocks("python", "duckdb")
    counted = run(folder, sys.executable, "-c", f"{program}\nprint(trades.fetchall())")
    trades = sum(
        run(folder, sys.executable, "-m", "wsfeeds", "replay", str(path), "--speed", "max").count(
            '"type":"trade"'
        )
        for path in (folder / "recordings").rglob("*.events.jsonl*")
    )
    rows = re.findall(r"'(\w+_USDT)', (\d+), Decimal", counted)
    assert {symbol for symbol, _ in rows} == {"BTC_USDT", "ETH_USDT"}
    assert sum(int(count) for _, count in rows) == trades


@pytest.mark.slow
def test_polars_keeps_prices_as_text(folder: Path) -> None:
    (program,) = blocks("python", "polars")
    shown = run(folder, sys.executable, "-c", f"{program}\nprint(trades.row(0))")
    assert re.match(r"\('(BTC|ETH)_USDT', '[0-9.]+'\)", shown)


@pytest.mark.slow
def test_pandas_keeps_prices_as_text_from_every_compression(folder: Path) -> None:
    """Nothing is rounded: what pandas holds is what the lines say, digit for digit."""
    (program,) = blocks("python", "pandas")
    show = "import json\nprint(json.dumps(trades.values.tolist()))"
    shown = json.loads(run(folder, sys.executable, "-W", "error", "-c", f"{program}\n{show}"))
    replayed = run(
        folder, sys.executable, "-m", "wsfeeds", "replay", "recordings", "--speed", "max"
    )
    events = map(json.loads, replayed.splitlines())
    trades = [[each["symbol"], each["price"]] for each in events if each["type"] == "trade"]
    assert trades
    assert sorted(shown) == sorted(trades)


def test_jq_reads_plain_segments(folder: Path) -> None:
    (block,) = blocks("sh", "@csv")
    command = block.splitlines()[0]
    assert re.match(r'"(BTC|ETH)_USDT","[0-9.]+","[0-9.]+"', run(folder, "sh", "-c", command))


def test_the_example_of_all_feeds_records_all_feeds(folder: Path) -> None:
    config = str(ROOT / "configs" / "all-feeds.toml")
    command = [sys.executable, "-m", "wsfeeds", "record", "--config", config, "--sim"]
    run(folder, *command, "-n", "150", "--dir", "all")
    feeds = {path.name for path in (folder / "all").glob("feed=*")}
    named = ("cryptomus", "igratech", "img_fastpath", "interact_quote")
    assert feeds == {f"feed={name}" for name in named}
    run(folder, sys.executable, "-m", "wsfeeds", "verify", "all")
