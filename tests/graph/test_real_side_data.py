"""Real articles, dividends and an index of volatility beside real days of US shares.

What stands in the files: 400 time-stamped articles on each of seven companies (October and November
2025), daily bars as traded with their splits and dividends (from April 2024, Nvidia's 10:1 split of
June 2024 included), hourly closes of the VIX (until July 2025). No filings; trailing dividends of
one share stand for them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import exchange_calendars
import numpy as np
import pandas as pd
import pytest

from tests.graph.lab import Lab, missed
from tests.plugins.scorers import tiny_bert

pytestmark = pytest.mark.slow
SYMBOLS = ("AAPL", "NVDA")
PRICES = ["open", "high", "low", "close", "volume"]
OPENING = "%Y-%m-%d 08:00"
"""What happens to a share on a day is known before it opens."""
DATE = "%a, %d %b %Y %H:%M:%S %z"

DOCUMENTS = """
type: hf_assets.SideData
attributes:
  name: news
  source: table.files
  params: {{folder: {root}, pattern: news.csv, known_at: date, time: "%a, %d %b %Y %H:%M:%S",
    symbol: tickers, text: {{title: title, summary: text}}}}
---
type: hf_assets.Scores
attributes: {{name: news_scores, of: news, plugin: text.lexicon, text: [title, summary]}}
---
type: hf_assets.SideData
attributes:
  name: dividends
  source: table.files
  params: {{folder: {root}, pattern: "{{symbol}}_dividends.csv", known_at: known, clock: UTC,
    numbers: {{dividends_ttm: dividends_ttm, shares_outstanding: shares,
      cumulative_split: cumulative_split}}}}
---
type: hf_assets.SideData
attributes:
  name: splits
  source: table.files
  params: {{folder: {root}, pattern: "{{symbol}}_splits.csv", known_at: known, clock: UTC,
    numbers: {{cumulative_split: cumulative_split}}}}
---
type: hf_assets.SideData
attributes:
  name: vix
  source: table.files
  scope: market
  params: {{folder: {root}, pattern: vix.csv, known_at: known, clock: UTC,
    numbers: {{level: level}}}}
---
type: hf_assets.Feature
attributes: {{name: sentiment, plugin: news.sentiment}}
---
type: hf_assets.Feature
attributes: {{name: momentum, plugin: news.sentiment_momentum, params: {{feature: sentiment}}}}
---
type: hf_assets.Feature
attributes: {{name: divergence, plugin: news.sentiment_divergence, params: {{feature: sentiment}}}}
---
type: hf_assets.Feature
attributes:
  name: yields
  plugin: fundamental.ratios
  params: {{table: dividends, ratios: [dividend_yield]}}
---
type: hf_assets.Feature
attributes: {{name: fear, plugin: macro.indicators,
  params: {{indicators: [vix_level], max_age_days: 5}}}}
"""
FINBERT = """
---
type: hf_assets.Scores
attributes: {{name: finbert_scores, of: news, plugin: text.finbert, text: [title],
  params: {{model: {model}, max_tokens: 32}}}}
---
type: hf_assets.Feature
attributes: {{name: finbert, plugin: news.finbert_sentiment, params: {{scores: finbert_scores}}}}
"""
FEATURES = ("sentiment", "momentum", "divergence", "yields", "fear")
ON_NEWS = {"sentiment", "momentum", "divergence", "finbert"}


class World:
    """What the files of a lab say at an instant: nothing that was known later."""

    def __init__(self, lab: Lab, data: Path, first: str) -> None:
        self.lab = lab
        days: Any = pd.read_parquet(data / "us_equities" / "daily_tiingo_44_2024_2026.parquet")
        self.days: dict[Any, Any] = {
            symbol: rows.set_index(pd.DatetimeIndex(rows["time"], name="timestamp")).sort_index()
            for symbol, rows in days[days["symbol"].isin(SYMBOLS)].groupby("symbol")
        }
        self.first = pd.Timestamp(first, tz="UTC")
        self.articles: Any = pd.read_csv(
            data / "news_sentiment" / "labelled_news_7_megacaps_2025.csv", dtype=str
        )
        self.told: Any = pd.to_datetime(self.articles["date"], format=DATE, utc=True)
        hours: Any = pd.read_parquet(
            data / "us_equities" / "hourly_10_plus_spx_vix_2020_2025.parquet"
        )
        self.vix: Any = hours[hours["symbol"] == "VIX"].sort_values("time")

    def at(self, instant: str) -> World:
        """Write all files as they were."""
        now = pd.Timestamp(instant, tz="UTC")
        root = self.lab.root
        self.articles[self.told < now].to_csv(root / "news.csv", index=False)
        known = self.vix["time"] + pd.Timedelta(hours=1)
        level = pd.DataFrame({"known": known, "level": self.vix["close"]})
        inside = (known >= self.first) & (known < now)
        level[inside].assign(known=known.dt.strftime("%Y-%m-%d %H:%M")).to_csv(
            root / "vix.csv", index=False
        )
        for symbol, rows in self.days.items():
            # A day's bar is there when the day is over.
            there = rows.loc[(rows.index >= self.first) & (rows.index < now - pd.Timedelta("1D"))]
            bars = there[PRICES].astype("float64")
            bars["dividend"], bars["split_factor"] = there["divcash"], there["splitfactor"]
            self.lab.write_bars(str(symbol), "1d", bars)
            self._actions(str(symbol), rows.loc[: there.index[-1]])
        return self

    def _actions(self, symbol: str, rows: Any) -> None:
        """Splits and trailing dividends of one share."""
        split = rows["splitfactor"].cumprod()
        changes = split[split != split.shift()]
        stamps = pd.DatetimeIndex(changes.index).strftime(OPENING)
        pd.DataFrame({"known": stamps, "cumulative_split": changes.to_numpy()}).to_csv(
            self.lab.root / f"{symbol}_splits.csv", index=False
        )
        per_first_share = rows["divcash"] * split
        year = per_first_share.rolling("365D").sum() / split
        paid = rows.index[rows["divcash"] > 0]
        pd.DataFrame(
            {
                "known": pd.DatetimeIndex(paid).strftime(OPENING),
                "dividends_ttm": year[paid].round(9).to_numpy(),
                "shares": 1.0,
                "cumulative_split": split[paid].to_numpy(),
            }
        ).to_csv(self.lab.root / f"{symbol}_dividends.csv", index=False)


@pytest.fixture
def made(make_lab: Callable[..., Lab], tmp_path: Path) -> Callable[[], tuple[Lab, tuple[str, ...]]]:
    """Labs with the documents, FinBERT among them where its libraries are installed."""
    finbert = all(map(find_spec, ("torch", "transformers")))
    model = tiny_bert.make(tmp_path / "tiny") if finbert else None

    def make() -> tuple[Lab, tuple[str, ...]]:
        lab = make_lab(symbols=SYMBOLS, rows=5)
        lab.write_universe(calendar="XNYS")
        extra = FINBERT.format(model=model) if finbert else ""
        lab.write_yaml(DOCUMENTS.format(root=lab.root) + extra)
        return lab, (*FEATURES, *(["finbert"] if finbert else []))

    return make


def values(lab: Lab, feature: str, symbol: str) -> Any:
    return lab.store.read(lab.head(f"features/{feature}", f"{symbol}|1d"))


def sessions(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """When the sessions of some daily bars ended."""
    schedule = exchange_calendars.get_calendar("XNYS").schedule["close"]
    return pd.DatetimeIndex(schedule.loc[index.tz_localize(None)])


def test_articles_dividends_and_an_index_count_from_when_they_were_known(
    made: Callable[[], tuple[Lab, tuple[str, ...]]], shared_data: Path
) -> None:
    lab, features = made()
    world = World(lab, shared_data, "2024-04-01").at("2025-11-15")
    lab.run()
    for symbol in SYMBOLS:
        found = values(lab, "sentiment", symbol)
        closes = sessions(pd.DatetimeIndex(found.index))
        own = world.articles[world.articles["tickers"].str.contains(symbol)]
        own = own.drop_duplicates(subset=["date", "title", "text"])
        told = pd.DatetimeIndex(world.told[own.index]).sort_values()
        place = np.searchsorted(closes, told, side="right")  # at the close is after it
        expected = np.bincount(place, minlength=len(closes) + 1)[: len(closes)].astype(float)
        expected[: int(np.flatnonzero(expected)[0])] = np.nan
        np.testing.assert_array_equal(found["sentiment_count"], expected)
        # Nvidia's split is in the price, and in the dividends that were paid before it.
        shares = world.days[symbol].loc[found.index[0] : found.index[-1]]
        later = shares["splitfactor"][::-1].cumprod()[::-1].shift(-1, fill_value=1.0)
        price = shares["close"] / later
        paid = (world.days[symbol]["divcash"] / later.reindex(world.days[symbol].index)).dropna()
        year = paid.rolling("365D").sum().loc[paid > 0].reindex(found.index, method="ffill")
        got = values(lab, "yields", symbol)["dividend_yield"]
        aged = got.isna()
        assert aged.sum() < 120
        np.testing.assert_allclose(got[~aged], (year / price)[~aged], rtol=1e-6)
        fear = values(lab, "fear", symbol)["vix_level"]
        known: Any = pd.DatetimeIndex(world.vix["time"] + pd.Timedelta(hours=1))
        last = np.searchsorted(known, closes) - 1
        level = world.vix["close"].to_numpy()[last]
        fresh: Any = (closes - known[last]) <= pd.Timedelta(days=5)
        np.testing.assert_array_equal(fear[fresh], level[fresh])
        assert fear[~fresh].isna().all()
        assert 0 < fresh.sum() < len(fresh)
    assert set(features) >= set(FEATURES)


def test_what_grew_little_by_little_is_what_an_empty_installation_computes(
    made: Callable[[], tuple[Lab, tuple[str, ...]]], shared_data: Path
) -> None:
    lab, features = made()
    world = World(lab, shared_data, "2025-02-03")
    for instant in ("2025-10-18", "2025-10-21", "2025-10-22 14:00", "2025-11-15"):
        world.at(instant)
        lab.run()
        assert missed(lab.run()) == set()
    # A volume that is corrected is read by none of these.
    bars = lab.read_bars("AAPL")
    bars.iloc[-30, bars.columns.get_loc("volume")] += 100.0  # type: ignore[index]
    lab.write_bars("AAPL", "1d", bars)
    assert not {name for name, _ in missed(lab.run()) if name.startswith("features/")}
    # A headline that is corrected changes what is computed of the articles of its company.
    text = (lab.root / "news.csv").read_text()
    headline = world.articles[world.articles["tickers"] == "NVDA"]["title"].iloc[-1]
    assert text.count(headline) >= 1
    (lab.root / "news.csv").write_text(
        text.replace(headline, "Shares plunged on losses and a lawsuit")
    )
    again = missed(lab.run())
    assert {key for key in again if key[0].startswith("features/")} == {
        (f"features/{name}", "NVDA|1d") for name in features if name in ON_NEWS
    }
    (lab.root / "news.csv").write_text(text)
    lab.run()
    fresh, _ = made()
    World(fresh, shared_data, "2025-02-03").at("2025-11-15")
    fresh.run()
    for name in features:
        for symbol in SYMBOLS:
            grown, whole = (each.head(f"features/{name}", f"{symbol}|1d") for each in (lab, fresh))
            assert grown.column_digests == whole.column_digests, (name, symbol)
            assert grown.row_count > 150
