"""The README, executed from top to bottom in a copy of the project."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.graph.lab import bars

BLOCK = re.compile(
    r"(?:<!-- (?P<verb>append|write): (?P<path>\S+) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)```",
    re.DOTALL,
)
COPIED = (
    "hf_assets",
    "hf_plugins",
    "hf_resources",
    "pyproject.toml",
    "workspace.yaml",
    "dagster.yaml",
    "Makefile",
    "requirements-dev.lock",
    "README.md",
    "LICENSE",
)
LAST_LINES = {
    "make demo": r"computed: 61, skipped: 0",
    "hf run --select features/rsi_21": r"computed: 5, skipped: 0",
    "hf why features/rsi_21 AAPL 1d": r"up to date",
    "hf run --symbol ACME --select 'market_data/*' --select 'features/*'": (
        r"computed: 7, skipped: 0"
    ),
    "hf plugins verify acme.technical.spread": r"every plugin keeps the contract",
    "hf run": r"computed: \d+, skipped: \d+",
}


@dataclass(frozen=True)
class Copy:
    """A copy of the project that uses the libraries of this environment."""

    folder: Path
    environment: dict[str, str]

    def command(self, line: str) -> list[str]:
        if line.startswith("make "):
            # The environment stands; make is not to build another one.
            stamps = [f"--assume-old={self.folder}/.venv/{name}" for name in STAMPS]
            line = f"make {' '.join(stamps)} {line.removeprefix('make ')}"
        return ["bash", "-c", line]

    def run(self, line: str) -> str:
        result = subprocess.run(
            self.command(line),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
        return result.stdout


STAMPS = (".libraries", ".project")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    folder = tmp_path_factory.mktemp("clone")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    binaries = Path(sys.prefix) / "bin"
    hidden = {"DAGSTER_HOME", "HF_HOME", "HF_LAKE_URL", "HF_CATALOG_URL", "MAKEFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {
        "PYTHONPATH": str(folder),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "HF_HOME": str(folder / ".hf"),
        "COLUMNS": "120",
    }
    (folder / "bars").mkdir()
    acme = bars(300).round(2)
    acme["high"] = acme[["open", "high", "close"]].max(axis=1)
    acme["low"] = acme[["open", "low", "close"]].min(axis=1)
    acme.reset_index().to_parquet(folder / "bars" / "ACME_1d.parquet")
    return Copy(folder, environment)


@pytest.mark.slow
def test_every_step_of_the_readme(copy: Copy) -> None:
    shown = []
    for block in BLOCK.finditer((ROOT / "README.md").read_text()):
        text = block["text"]
        if block["verb"]:
            path = copy.folder / block["path"]
            path.write_text((path.read_text() if block["verb"] == "append" else "") + text)
            continue
        assert block["kind"] == "bash", f"a {block['kind']} block that nothing uses:\n{text}"
        for line in text.strip().splitlines():
            shown.append(line)
            if line == "make ui":
                assert "<!DOCTYPE html>" in open_ui(copy)
                continue
            output = copy.run(line)
            if line in LAST_LINES:
                assert re.search(LAST_LINES[line], output.strip().splitlines()[-1]), output
    assert set(LAST_LINES) <= set(shown)
    # Run again, everything is there.
    assert copy.run("hf run").strip().splitlines()[-1].startswith("computed: 0, skipped: ")


def test_make_targets_that_the_text_names_exist() -> None:
    named = set(re.findall(r"`make ([a-z-]+)`", (ROOT / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= targets


def open_ui(copy: Copy) -> str:
    """Start the UI as the README says, and fetch its front page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (copy.folder / "ui.log").open("w")
    server = subprocess.Popen(
        copy.command(f"make ui PORT={port}"),
        cwd=copy.folder,
        env=copy.environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                    return page.read().decode()
            except OSError:
                assert time.monotonic() < deadline, (copy.folder / "ui.log").read_text()
                assert server.poll() is None, (copy.folder / "ui.log").read_text()
                time.sleep(0.5)
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=60)
        log.close()
