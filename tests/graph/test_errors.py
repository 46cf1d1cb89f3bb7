"""Bad declarations: one sentence that names file, item, field, allowed values, nearest match."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from tests.conftest import ROOT
from tests.graph.lab import CHAIN, Lab, bars, missed

FETCHED = ("market_data/bars", "market_data/quarantine")

CASES = {
    "unknown plugin": (
        "plugin: technical.rsi",
        "plugin: technical.rsj",
        (
            r"defs\.yaml:\d+: Feature 'rsi_14', field 'plugin': "
            r"unknown feature plugin 'technical\.rsj'; "
            r"allowed: .*technical\.atr.*Did you mean 'technical\.rsi'\?"
        ),
    ),
    "unknown parameter": (
        "plugin: technical.rsi, params: {length: 14}",
        "plugin: technical.rsi, params: {lenght: 14}",
        (
            r"defs\.yaml:\d+: Feature 'rsi_14', field 'params': technical\.rsi: unknown parameter "
            r"'lenght'; allowed: length\. Did you mean 'length'\?"
        ),
    ),
    "mistyped parameter": (
        "plugin: technical.rsi, params: {length: 14}",
        "plugin: technical.rsi, params: {length: fourteen}",
        (
            r"Feature 'rsi_14', field 'params': technical\.rsi: "
            r"parameter 'length' is 'fourteen': .*"
            r"integer.*allowed: int >= 2"
        ),
    ),
    "parameter out of range": (
        "plugin: technical.rsi, params: {length: 14}",
        "plugin: technical.rsi, params: {length: 1}",
        r"parameter 'length' is 1: .*greater than or equal to 2.*allowed: int >= 2",
    ),
    "unknown attribute": (
        "refit_every: 60",
        "refit_evry: 60",
        (
            r"defs\.yaml:\d+: Model 'forest': unknown attribute 'refit_evry'; allowed: .*"
            r"Did you mean 'refit_every'\?"
        ),
    ),
    "missing attribute": (
        "  horizon: 2\n",
        "",
        r"defs\.yaml:\d+: Model 'forest': attribute 'horizon' is required",
    ),
    "unknown choice": (
        "  horizon: 2\n",
        "  horizon: 2\n  scheme: expandin\n",
        (
            r"Model 'forest': attribute 'scheme' is 'expandin': .*'expanding' or 'rolling'.*"
            r"Did you mean 'expanding'\?"
        ),
    ),
    "duplicate name": (
        "name: atr_14",
        "name: rsi_14",
        r"defs\.yaml:\d+: Feature 'rsi_14' is declared twice; the other one is at .*defs\.yaml:\d+",
    ),
    "bad name": (
        "name: rsi_14",
        "name: RSI-14",
        r"Feature 'RSI-14': attribute 'name' is 'RSI-14': .*pattern",
    ),
    "unknown feature": (
        "features: [rsi_14, atr_14]",
        "features: [rsi_14, atr_41]",
        (
            r"Model 'forest', field 'features': "
            r"unknown feature 'atr_41'; allowed: atr_14, rsi_14\. "
            r"Did you mean 'atr_14'\?"
        ),
    ),
    "feature twice": (
        "features: [rsi_14, atr_14]",
        "features: [rsi_14, rsi_14]",
        r"Model 'forest', field 'features': 'rsi_14' is listed more than once",
    ),
    "unknown label": (
        "  horizon: 2\n",
        "  horizon: 2\n  label: forward_retrun\n",
        r"field 'label': unknown label 'forward_retrun'; allowed: forward_return\. Did you mean",
    ),
    "gap below the horizon": (
        "  horizon: 2\n",
        "  horizon: 2\n  gap: 1\n",
        r"Model 'forest', field 'gap' is 1; it must be at least the label horizon of 2",
    ),
    "unknown model": (
        "model: forest",
        "model: forrest",
        r"Signal 'quantile', field 'model': unknown model 'forrest'; allowed: forest\.",
    ),
    "unknown signal": (
        "signal: quantile}",
        "signal: quantil}",
        r"Strategy 'trend', field 'signal': unknown signal 'quantil'; allowed: quantile\.",
    ),
    "unknown engine": (
        "signal: quantile}",
        "signal: quantile, engine: cores}",
        r"Strategy 'trend', field 'engine': unknown engine plugin 'cores'; allowed: .*core",
    ),
    "symbol outside the universe": (
        "universe: [AAA, BBB]",
        "universe: [AAA, BBD]",
        (
            r"Strategy 'trend', field 'universe': unknown symbol 'BBD'; allowed: AAA, BBB\. "
            r"Did you mean"
        ),
    ),
    "unknown timeframe": (
        "timeframe: 1d",
        "timeframe: 1w",
        r"Strategy 'trend', field 'timeframe': unknown timeframe '1w'; allowed: 1d\.",
    ),
    "capital that is no number": (
        "signal: quantile}",
        "signal: quantile, capital: -5}",
        r"Strategy 'trend': attribute 'capital' is -5: .*greater than 0",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_document_is_one_sentence(lab: Lab, case: str) -> None:
    old, new, sentence = CASES[case]
    lab.edit_yaml(old, new)
    with pytest.raises(ConfigurationError) as error:
        lab.definitions()
    told = str(error.value)
    assert re.search(sentence, told), told
    assert "\n" not in told


@pytest.mark.parametrize("symbol", ["A|B", "../X", "A..B", "aapl", ""])
def test_symbols_that_cannot_be_partition_keys(make_lab: Callable[..., Lab], symbol: str) -> None:
    lab = make_lab()
    lab.symbols = ("AAA", symbol)
    lab.write_universe()
    with pytest.raises(
        ConfigurationError, match=r"universe\.yaml: instruments\[1\]\.symbol is .*allowed:"
    ):
        lab.definitions()


def test_a_timeframe_of_the_universe(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab()
    lab.timeframes = ("1d", "2d")
    lab.write_universe()
    with pytest.raises(ConfigurationError, match=r"timeframes\[1\] is '2d'; allowed: .*Did you"):
        lab.definitions()


def test_no_market_data(lab: Lab) -> None:
    (lab.defs_folder / "source" / "defs.yaml").unlink()
    with pytest.raises(ConfigurationError, match=r"no market data is declared.*allowed sources"):
        lab.definitions()


def test_unknown_source(lab: Lab) -> None:
    path = lab.defs_folder / "source" / "defs.yaml"
    path.write_text(path.read_text().replace("source: parquet", "source: parket"))
    with pytest.raises(ConfigurationError, match=r"field 'source': unknown source 'parket'.*Did"):
        lab.definitions()


def test_unreadable_yaml_names_file_and_line(lab: Lab) -> None:
    lab.write_yaml(CHAIN.replace("attributes: {name: rsi_14,", "attributes: {name: rsi_14"))
    with pytest.raises(Exception, match=r"line \d+") as error:
        lab.definitions()
    assert "all/defs.yaml" in str(error.value)


def with_two_rows_swapped(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[[*range(10), 11, 10, *range(12, len(frame))]]


def without_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[:0]


def with_a_twin(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame.iloc[:5], frame.iloc[4:]])


def without_closes(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="close")


def with_words_for_prices(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(close="cheap")


def without_time_zone(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_axis(pd.DatetimeIndex(frame.index).tz_localize(None), axis=0)


BROKEN: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "sorted by time": with_two_rows_swapped,
    "no bars": without_rows,
    "allowed once": with_a_twin,
    "column 'close' is missing": without_closes,
    "must be numbers": with_words_for_prices,
    "no time zone": without_time_zone,
}


def test_broken_bars_fail_with_one_sentence_and_lose_nothing(lab: Lab) -> None:
    lab.run(FETCHED)
    before, bars = [lab.head(asset, "AAA|1d") for asset in FETCHED], lab.read_bars("AAA")
    for told, spoil in BROKEN.items():
        lab.write_bars("AAA", "1d", spoil(bars).rename_axis("timestamp"))
        with pytest.raises(Exception, match=r"AAA_1d\.parquet") as error:
            lab.run(FETCHED, partition="AAA|1d")
        assert told in str(error.value).lower()
        assert [lab.head(asset, "AAA|1d") for asset in FETCHED] == before


def test_a_file_that_begins_with_the_newest_bar_is_the_same_series(lab: Lab) -> None:
    lab.run(FETCHED)
    lab.write_bars("AAA", "1d", lab.read_bars("AAA").iloc[::-1])
    assert missed(lab.run(FETCHED)) == set()


FAULTS = {
    "a null price": ("close", np.nan, "has a price that is null, or a value that is infinite"),
    "an infinite volume": ("volume", np.inf, "a value that is infinite"),
    "a price of zero": ("low", 0.0, "has a price or factor that is not above 0"),
    "a price below zero": ("open", -1.0, "has a price or factor that is not above 0"),
    "a volume below zero": ("volume", -1.0, "has an amount below 0"),
    "a high below the others": ("high", 1.0, "has a high below"),
}


@pytest.mark.parametrize(
    "fault",
    ["a null price", *(pytest.param(each, marks=pytest.mark.slow) for each in list(FAULTS)[1:])],
)
def test_a_faulty_row_goes_to_quarantine_with_its_reason_and_the_rest_lives(
    lab: Lab, fault: str
) -> None:
    name, value, reason = FAULTS[fault]
    frame = lab.read_bars("AAA")
    frame.loc[frame.index[100], name] = value
    lab.write_bars("AAA", "1d", frame)
    events = lab.run(FETCHED, partition="AAA|1d")
    kept, aside = [pd.DataFrame(lab.store.read(lab.head(asset, "AAA|1d"))) for asset in FETCHED]
    assert len(kept) + len(aside) == len(frame)
    assert list(aside["bar_timestamp"]) == [frame.index[100]]
    assert reason in aside["validation_notes"].iloc[0]
    # What was put aside is as it came, and so is the rest; the bar after the hole says so.
    raw = list(frame.columns)
    pd.testing.assert_frame_equal(
        aside.loc[:, raw].reset_index(drop=True), frame.iloc[[100]].reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(
        kept.loc[:, raw], frame.drop(frame.index[100]), check_freq=False, check_index_type=False
    )
    assert list(kept.index[kept["gap_detected"].to_numpy(dtype=bool)]) == [frame.index[101]]
    told = events["market_data/bars", "AAA|1d"].metadata
    assert (told["rows_fetched"], told["rows_appended"], told["rows_quarantined"]) == (260, 259, 1)
    # The same row again is not put aside twice, and a corrected one is a bar like any other.
    assert missed(lab.run(FETCHED, partition="AAA|1d")) == set()
    lab.write_bars("AAA", "1d", bars(260, "1d", seed=0))
    lab.run(FETCHED, partition="AAA|1d")
    kept, aside = (lab.store.read(lab.head(asset, "AAA|1d")) for asset in FETCHED)
    assert (len(kept), len(aside)) == (260, 1)


# ------------------------------------------------------------------------------ as users see it


@pytest.fixture
def broken_project(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy of the project with a misspelt parameter, and the environment to use it."""
    for name in ("hf_assets", "hf_plugins", "hf_resources"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "workspace.yaml", "dagster.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    path = tmp_path / "hf_assets" / "defs" / "features" / "defs.yaml"
    path.write_text(path.read_text().replace("length: 14", "lenght: 14", 1))
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(ROOT / "dagster.yaml", home)
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "DAGSTER_HOME": str(home),
        "HF_HOME": str(tmp_path / "state"),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
    }
    return tmp_path, environment


SENTENCE = (
    r"hf_assets/defs/features/defs\.yaml:\d+: Feature 'rsi_14', field 'params': technical\.rsi: "
    r"unknown parameter 'lenght'; allowed: length\. Did you mean 'length'\?"
)


def test_dg_check_shows_the_sentence(broken_project: tuple[Path, dict[str, str]]) -> None:
    folder, environment = broken_project
    result = subprocess.run(
        ["dg", "check", "defs"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode != 0
    assert re.search(SENTENCE, result.stdout + result.stderr)


@pytest.mark.slow
def test_dagster_dev_shows_the_sentence(broken_project: tuple[Path, dict[str, str]]) -> None:
    folder, environment = broken_project
    log = folder / "dev.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            ["dagster", "dev", "--workspace", "workspace.yaml", "--port", "0"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 90
            while not re.search(SENTENCE, log.read_text()):
                assert time.monotonic() < deadline, log.read_text()
                assert server.poll() is None, log.read_text()
                time.sleep(0.5)
        finally:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(timeout=60)
