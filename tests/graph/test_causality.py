"""The causality check: a certificate for each version, once, and what it says of a leak."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from hf_assets import certification
from hf_assets.cli import certificate as command
from hf_plugins.base import BaseFeature, Memory, Side
from hf_plugins.certificate import ASPECTS, Certificate
from hf_resources.certificates import Certificates
from tests.graph.lab import Lab, bars, registered

FEATURES = """
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
---
type: hf_assets.Feature
attributes: {name: beside, plugin: test.beside, symbols: [AAA], timeframes: [1h]}
"""
RSI = FEATURES.partition("---")[0]
LEAK = """
type: hf_assets.Feature
attributes: {name: scaled, plugin: test.scaled}
---
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
"""
NEWS = """
type: hf_assets.SideData
attributes:
  name: news
  source: table.files
  params: {{folder: {folder}, pattern: news.csv, known_at: published, clock: UTC, symbol: tickers,
    text: [title]}}
---
type: hf_assets.Scores
attributes: {{name: news_scores, of: news, plugin: text.lexicon, text: [title]}}
---
type: hf_assets.Feature
attributes: {{name: news_sentiment, plugin: news.sentiment}}
---
type: hf_assets.Feature
attributes: {{name: swing, plugin: news.sentiment_momentum}}
"""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Beside(BaseFeature):
    """The close less that of a peer, of the last day that is over, and of another feature."""

    calls: ClassVar[list[int]] = []

    @property
    def reads(self) -> tuple[str, ...]:
        return ("close",)

    @property
    def sides(self) -> tuple[Side, ...]:
        return (
            Side("peer", ("close",), symbol="BBB", join="inner"),
            Side("day", ("close",), timeframe="1d"),
            Side("of", ("rsi_14",), feature="rsi_14"),
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("beside",)

    @property
    def memory(self) -> Memory:
        return Memory.finite(1)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        self.calls.append(len(data))
        others = data[["peer_close", "day_close", "of_rsi_14"]].sum(axis=1, skipna=False)
        return (data["close"] - others).to_frame("beside")


class Scaled(BaseFeature):
    """The close in units of the deviation of the whole sample."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("scaled",)

    @property
    def memory(self) -> Memory:
        return Memory.finite(20)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return (data["close"] / np.std(data["close"].to_numpy())).to_frame("scaled")


@pytest.fixture
def uncertified() -> None:
    """Here certificates are made."""


@pytest.fixture(autouse=True)
def _plugins() -> Iterator[None]:
    with registered(beside=Beside, scaled=Scaled):
        yield


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab(yaml_text=FEATURES, timeframes=("1h", "1d"), rows=600)


def evaluations(lab: Lab) -> dict[str, Any]:
    job = lab.definitions().resolve_job_def("features_causality")
    result = job.execute_in_process(instance=lab.instance, run_config=QUIET)
    return {each.asset_key.path[-1]: each for each in result.get_asset_check_evaluations()}


def show(lab: Lab, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    """What the command prints."""

    class Loaded:
        store = lab.store

        @staticmethod
        def load() -> Any:
            return Loaded()

        def task(self, key: str) -> Any:
            assert key in [name for each in lab.tasks() for name in each.names()]

    monkeypatch.setattr(command, "Session", Loaded)
    return CliRunner().invoke(command.certificate, arguments)


def certificate(lab: Lab, name: str, partition: str) -> Certificate:
    found = Certificates(lab.store).of([lab.head(f"features/{name}", partition)])
    assert len(found) == 1
    return next(iter(found.values())).certificate


def test_a_run_certifies_what_it_makes_and_nothing_twice(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.run()
    assert certificate(lab, "beside", "AAA|1h").ok
    assert certificate(lab, "rsi_14", "BBB|1d").ok
    Beside.calls.clear()
    again = evaluations(lab)
    assert Beside.calls == []
    assert {name: each.passed for name, each in again.items()} == {"rsi_14": True, "beside": True}
    found = again["rsi_14"]
    assert found.description == "no look-ahead found in 4 partitions"
    assert not found.blocking
    assert found.metadata["certified_now"].value == 0
    assert found.metadata["rows_certified"].value == 4 * 600
    assert "ok   technical.rsi, quick" in found.metadata["certificate"].value
    of_all = certificate(lab, "beside", "AAA|1h")
    assert {each.name: each.verdict for each in of_all.aspects} == dict.fromkeys(ASPECTS, "ok")
    assert of_all.rows == 600
    shown = show(lab, monkeypatch, "features/rsi_14", "AAA", "1h")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"rsi_14.*version [0-9a-f]{12}, 600 rows", shown.output)
    assert "ok        truncated" in shown.output


def test_what_was_appended_is_certified_and_says_so(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(symbols=("AAA",), yaml_text=RSI, timeframes=("1h",), rows=600)
    lab.run()
    before = certificate(lab, "rsi_14", "AAA|1h")
    lab.write_bars("AAA", "1h", bars(640, "1h", seed=0))
    lab.run()
    found = certificate(lab, "rsi_14", "AAA|1h")
    assert (before.continues, before.rows) == (False, 600)
    assert (found.continues, found.rows) == (True, 40)
    assert found.ok
    assert "40 rows appended" in found.sentence
    growth = next(each for each in found.aspects if each.name == "growth")
    assert (growth.verdict, growth.rows, growth.note) == ("ok", 40, "from the state")
    # A revision of the past is no append.
    frame = lab.read_bars("AAA", "1h")
    frame.iloc[300, [frame.columns.get_loc(name) for name in ("high", "close")]] *= 1.001
    lab.write_bars("AAA", "1h", frame)
    lab.run(force=True)  # a source is not asked for its whole history else
    found = certificate(lab, "rsi_14", "AAA|1h")
    assert (found.continues, found.rows) == (False, 640)


def test_news_are_cut_off_at_the_close_of_trading(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(symbols=("AAA",), yaml_text="", rows=120)
    rng = np.random.default_rng(4)
    instants = pd.Timestamp("2020-01-02") + pd.to_timedelta(rng.integers(0, 9_000_000, 80), "s")
    words = rng.choice(["profit rises", "loss widens", "meeting held"], len(instants))
    rows = [f"{at},{text} {at:%j},AAA" for at, text in zip(sorted(instants), words, strict=True)]
    (lab.root / "files").mkdir()
    (lab.root / "files" / "news.csv").write_text("\n".join(["published,title,tickers", *rows]))
    lab.write_yaml(NEWS.format(folder=lab.root / "files"))
    lab.run()
    for name in ("news_sentiment", "swing"):
        found = certificate(lab, name, "AAA|1d")
        assert {each.name: each.verdict for each in found.aspects} == dict.fromkeys(ASPECTS, "ok")


def test_a_leak_is_an_error_that_blocks_nothing(
    make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab(symbols=("AAA",), yaml_text=LEAK, rows=300)
    lab.run()
    found = evaluations(lab)["scaled"]
    assert not found.passed
    assert found.severity.value == "ERROR"
    assert found.description == "1 of 1 partitions look ahead or depend on how they are cut"
    (row,) = found.metadata["findings"].records
    assert row.data["partition"] == "AAA|1d"
    assert row.data["finding"].startswith("looks into the future: 'scaled' at 20")
    shown = show(lab, monkeypatch, "scaled", "AAA", "1d")
    assert shown.exit_code == 1
    assert "violated  truncated" in shown.output
    assert evaluations(lab)["rsi_14"].passed
    # A version that grew out of one with a violation is not taken on trust.
    lab.write_bars("AAA", "1d", bars(310, seed=0))
    lab.run()
    assert not certificate(lab, "scaled", "AAA|1d").continues


def test_the_values_that_stand_are_compared(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one computation with another: what was published by other code than this is found."""
    original = Beside.compute

    def other(self: Beside, data: pd.DataFrame) -> pd.DataFrame:
        return original(self, data) + 1e-9

    with monkeypatch.context() as patched:
        patched.setattr(Beside, "compute", other)
        patched.setattr(certification, "certify_heads", lambda *args, **options: {})
        lab.run()
    found = evaluations(lab)["beside"]
    assert not found.passed
    assert not certificate(lab, "beside", "AAA|1h").ok
