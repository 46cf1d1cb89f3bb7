"""Draw the pages of the examples and write what their data has: docs/images and docs/universes.md.

    python docs/screenshots.py --data ../shared/data

The examples are run against their vendors replayed from real rows, in a state of their own that is
thrown away; a webserver shows that state to a headless Chromium. Nothing else writes these images
and tables.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import dagster as dg  # noqa: E402

from tests.universes.replays import EXAMPLES  # noqa: E402
from tests.universes.running import Ran, run_example  # noqa: E402

IMAGES = ROOT / "docs" / "images"
DOCUMENT = ROOT / "docs" / "universes.md"
EXAMPLE_NAMES = ("us_equities", "crypto_perps")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Image, example, width, height and path of the page.
PAGES = (
    (
        "us_graph",
        "us_equities",
        1500,
        930,
        "/locations/hf_assets/asset-groups/market_data/lineage",
    ),
    (
        "us_bars",
        "us_equities",
        1800,
        1200,
        "/assets/market_data/bars?view=partitions&partition=AAPL%7C5m",
    ),
    ("us_run", "us_equities", 1500, 900, "/runs/{run}"),
    (
        "us_gaps",
        "us_equities",
        1500,
        1000,
        "/assets/market_data/bars?view=checks&checkDetail=gaps",
    ),
    (
        "us_quality",
        "us_equities",
        1800,
        900,
        "/assets/market_data/bars?view=checks&checkDetail=quality",
    ),
    (
        "crypto_enriched",
        "crypto_perps",
        1800,
        820,
        "/assets/market_data/enriched?view=partitions&partition=BTCUSDT%7C1h",
    ),
)


def main() -> None:
    """Run, draw and write."""
    parser = argparse.ArgumentParser(description="Draw the pages of the examples.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the shared data")
    parser.add_argument("--example", choices=EXAMPLE_NAMES, help="one of them; else all")
    given = parser.parse_args()
    data: Path = given.data.resolve()
    if CHROMIUM is None:
        parser.error("needs chromium (Debian package chromium)")
    with tempfile.TemporaryDirectory(prefix="hf_") as scratch:
        for name in [given.example] if given.example else EXAMPLE_NAMES:
            home = Path(scratch) / name
            ran = run_example(name, EXAMPLES / name, home, data, runs=1)
            write_table(name, table(ran))
            with site(name, home) as address:
                for image, example, width, height, path in PAGES:
                    if example == name:
                        target = path.format(run=first_run(home))
                        draw(address + target, IMAGES / f"{image}.png", width, height)


# -------------------------------------------------------------------------------------- pages


@contextmanager
def site(name: str, home: Path) -> Iterator[str]:
    """The address of a webserver on the state of an example."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "HF_DEFS": str(EXAMPLES / name),
        "HF_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "PYTHONPATH": str(ROOT),
    }
    command = [str(Path(sys.executable).parent / "dagster-webserver"), "-w", "workspace.yaml"]
    with (home / "webserver.log").open("w") as log:
        server = subprocess.Popen(  # noqa: S603 - a command of our own
            [*command, "-p", str(port), "-h", "127.0.0.1"],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not answers(address):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit((home / "webserver.log").read_text())
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=60)


def answers(address: str) -> bool:
    """Whether the webserver is up."""
    try:
        urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - the address is ours
    except OSError:
        return False
    return True


def draw(address: str, file: Path, width: int, height: int) -> None:
    """Save what the browser shows once it has loaded."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(  # noqa: S603 - a command of our own
            [
                str(CHROMIUM),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                *("--disable-component-update", "--hide-scrollbars"),
                *(f"--window-size={width},{height}", f"--user-data-dir={profile}"),
                *("--virtual-time-budget=40000", f"--screenshot={file}", address),
            ],
            capture_output=True,
            timeout=240,
            check=True,
        )


def first_run(home: Path) -> str:
    """The run that fetched the bars."""
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        return instance.get_runs()[-1].run_id


# -------------------------------------------------------------------------------------- tables


def table(ran: Ran) -> str:
    """What was kept, put aside and found, one line a series."""
    header = (
        *("Series", "From (UTC)", "To (UTC)", "Stored", "Aside", "Gaps", "Missing"),
        *("Outliers", "Odd volumes", "Score"),
    )
    lines = []
    for symbol, timeframe in ran.partitions:
        bars = ran.head("market_data", "bars", (symbol, timeframe))
        aside = ran.head("market_data", "quarantine", (symbol, timeframe))
        status = ran.status(symbol, timeframe)
        faults = {fault["check"]: fault["rows"] for fault in status["faults"]}
        lines.append(
            (
                f"{symbol} {timeframe}",
                f"{bars.start_date:%Y-%m-%d %H:%M}",
                f"{bars.end_date:%Y-%m-%d %H:%M}",
                f"{bars.row_count:,}",
                f"{aside.row_count:,}",
                f"{status['gaps']:,}",
                f"{status['missing_bars']:,}",
                f"{faults.get('outlier', 0):,}",
                f"{faults.get('volume_anomaly', 0):,}",
                f"{status['quality_score']:.4f}",
            )
        )
    return markdown(header, lines, numbers=7)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> str:
    """A Markdown table whose last columns are numbers."""
    words = len(header) - numbers
    rule = ["---"] * words + ["---:"] * numbers
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def write_table(name: str, text: str) -> None:
    """Put a table between its markers in the document."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    document = DOCUMENT.read_text(encoding="utf-8")
    pattern = re.compile(f"(?<={re.escape(begin)}\n).*?(?={re.escape(end)})", re.DOTALL)
    if not pattern.search(document):
        raise SystemExit(f"{DOCUMENT.name} has no lines '{begin}' and '{end}'")
    DOCUMENT.write_text(pattern.sub(lambda _: text + "\n", document), encoding="utf-8")


if __name__ == "__main__":
    main()
