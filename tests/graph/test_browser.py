"""The pages that a person sees, in headless Chromium on a real webserver."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.graph.lab import Lab
from tests.graph.test_backfill import CODE_LOCATION
from tests.graph.test_events import FEATURES, FIVE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian package chromium)"),
]


@pytest.fixture
def site(make_lab: Callable[..., Lab]) -> Iterator[tuple[Lab, str]]:
    """A lab after one run over five symbols and two timeframes, and the address of its web UI."""
    timeframes = ("1h", "1d")
    lab = make_lab(symbols=FIVE, timeframes=timeframes, yaml_text=FEATURES, rows=80, shared=True)
    lab.run()
    file = lab.root / "code_location.py"
    file.write_text(CODE_LOCATION.format(package=lab.package))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = lab.root / "webserver.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "dagster-webserver"),
                *("-f", str(file), "-p", str(port), "-h", "127.0.0.1"),
            ],
            env={**os.environ, "DAGSTER_HOME": str(lab.root / "dagster")},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(address, timeout=5).close()
                    break
                except OSError:
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.5)
            yield lab, address
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=60)


def page(address: str) -> str:
    """What the browser has drawn, as HTML."""
    with tempfile.TemporaryDirectory() as profile:
        result = subprocess.run(
            [
                str(CHROMIUM),
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                *("--disable-component-update", "--window-size=1500,1200"),
                *(f"--user-data-dir={profile}", "--virtual-time-budget=25000"),
                *("--dump-dom", address),
            ],
            capture_output=True,
            text=True,
            timeout=180,
            check=True,
        )
    return result.stdout


def test_the_page_of_a_partition_is_in_sync_until_its_input_changes(
    site: tuple[Lab, str],
) -> None:
    lab, address = site
    asset = f"{address}/assets/features/rsi_14?partition=CCC%7C1h&view=partitions"
    shown = page(asset)
    assert "CCC|1h" in shown
    assert "Materialized" in shown
    assert lab.head("features/rsi_14", "CCC|1h").version_hash in shown
    assert "nsynced" not in shown
    # The word does appear once there is reason to: the closes of CCC in 1h change.
    frame = lab.read_bars("CCC", "1h")
    frame.loc[frame.index[-1], ["high", "close"]] += 1
    lab.write_bars("CCC", "1h", frame)
    lab.run(["market_data/bars", "market_data/enriched"], partition="CCC|1h")
    assert "nsynced" in page(asset)
    other = f"{address}/assets/features/rsi_14?partition=CCC%7C1d&view=partitions"
    assert "nsynced" not in page(other)


def test_the_asset_page_tells_how_it_is_computed(site: tuple[Lab, str]) -> None:
    _, address = site
    shown = page(f"{address}/assets/features/rsi_14")
    assert "How it is computed" in shown
    assert "technical.rsi" in shown
    assert "inputs_changed" in shown
