"""Side tables in the graph: news, filings and releases as assets that features read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, cast

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from hf_assets import graph
from hf_assets.cli.run import _runs
from hf_assets.cli.session import Session
from hf_plugins.base import SENTIMENT, BaseFeature, BaseScorer, Material, Memory, Params, Side
from hf_plugins.errors import ConfigurationError
from hf_resources.calendars import expected_bars
from hf_resources.instruments import Instrument
from tests.graph.lab import Lab, bars, missed, registered
from tests.graph.test_automation import Harness


class TonesParams(Params):
    of: str = "tone"
    join: str = "asof"
    column: str = "sentiment"
    lag_minutes: int = 0
    symbol: str | None = None
    made_by: str = ""


class Tones(BaseFeature):
    """A column of a side table, as it is joined."""

    Params: ClassVar[type[Params]] = TonesParams

    @property
    def reads(self) -> tuple[str, ...]:
        return ("close",)

    @property
    def sides(self) -> tuple[Side, ...]:
        declared: Any = self.params
        return (
            Side(
                "news",
                (declared.column,),
                symbol=declared.symbol,
                table=declared.of,
                join=declared.join,
                lag_minutes=declared.lag_minutes,
                made_by=declared.made_by,
            ),
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("tone",)

    @property
    def memory(self) -> Memory:
        return Memory.finite(2)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return data.iloc[:, [1]].set_axis(["tone"], axis=1)


class Running(Tones):
    """The running sum of the words of articles: exact only with the state that it left."""

    @property
    def memory(self) -> Memory:
        return Memory.cumulative()

    @property
    def context(self) -> int:
        return 0

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return self.advance(data, len(data), None)[0]

    def advance(self, data: pd.DataFrame, appended: int, state: Any) -> tuple[pd.DataFrame, Any]:
        assert len(data) == appended  # a context of no rows
        before = state["total"] if state else 0.0
        added = np.nan_to_num(data.iloc[:, 1].to_numpy())
        total = np.cumsum(np.r_[before, added])[1:]
        return pd.DataFrame({"tone": total}, index=data.index), {"total": float(total[-1])}


class Words(BaseScorer):
    """Scores by the number of words; counts what it is given."""

    seen: ClassVar[list[str]] = []
    fails_at: ClassVar[str] = ""

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        for text in texts:
            if self.fails_at and self.fails_at in text:
                raise KeyboardInterrupt
        self.seen.extend(texts)
        return pd.DataFrame(
            [[0.0, 0.0, 1.0, len(text.split()) / 10, 0.0] for text in texts],
            columns=list(SENTIMENT),
        )


class WeighedParams(Params):
    path: str


class Weighed(Words):
    """Scores by a file."""

    Params: ClassVar[type[Params]] = WeighedParams

    @property
    def material(self) -> Material:
        return Material(cast(WeighedParams, self.params).path)

    def load(self, path: Path) -> None:
        self.weight = float(path.read_text())

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        return super().score(texts).assign(sentiment=self.weight)


@pytest.fixture(autouse=True)
def _plugins() -> Iterator[None]:
    Words.seen.clear()
    with registered(tones=Tones, running=Running, words=Words, weighed=Weighed):
        yield


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each computation of a feature with a finite memory."""
    seen: list[int] = []
    real = graph._read_by

    def read_by(plugin: BaseFeature, *arguments: Any) -> pd.DataFrame:
        frame = real(plugin, *arguments)
        if type(plugin) is Tones:
            seen.append(len(frame))
        return frame

    monkeypatch.setattr(graph, "_read_by", read_by)
    return seen


NEWS = """
type: hf_assets.SideData
attributes:
  name: news
  source: table.files
  params: {{folder: {folder}, pattern: news.csv, known_at: published, clock: UTC, symbol: tickers,
    text: [title, summary]}}
---
type: hf_assets.Scores
attributes: {{name: tone, of: news, plugin: test.words, text: [title, summary]}}
---
type: hf_assets.Feature
attributes: {{name: last_tone, plugin: test.tones}}
---
type: hf_assets.Feature
attributes: {{name: articles, plugin: test.tones, params: {{join: count}}}}
"""
HEADER = "published,title,summary,tickers"
ARTICLES = [
    "2020-01-03 10:00:00,One,,AAA",
    "2020-01-03 12:00:00,Two words,,AAA BBB",
    "2020-01-03 12:00:00,Three words here,,AAA",
    '2020-01-05 09:00:00,Two,"of four words",BBB',
]
SIDE = ("side_data/news", "side_data/tone")
OF_NEWS = {*SIDE, "features/last_tone", "features/articles"}


def news(lab: Lab, *rows: str) -> None:
    (lab.root / "files").mkdir(exist_ok=True)
    (lab.root / "files" / "news.csv").write_text("\n".join([HEADER, *rows]) + "\n")


@pytest.fixture
def make(make_lab: Callable[..., Lab], tmp_path: Path) -> Callable[..., Lab]:
    def made(text: str = NEWS, articles: Sequence[str] = ARTICLES, **options: Any) -> Lab:
        lab = make_lab(**{"yaml_text": "", "rows": 10, **options})
        news(lab, *articles)
        lab.write_yaml(text.format(folder=lab.root / "files"))
        return lab

    return made


def read(lab: Lab, asset: str, partition: str) -> pd.DataFrame:
    return lab.store.read(lab.head(asset, partition))


def test_articles_scores_and_features(make: Callable[..., Lab]) -> None:
    lab = make()
    events = lab.run()
    table = read(lab, "side_data/news", "AAA|event")
    assert list(table["title"]) == ["One", "Two words", "Three words here"]
    # Two articles of one second are two rows, in the order of the file.
    assert list(table.index - table.index[1]) == [
        pd.Timedelta(hours=-2),
        pd.Timedelta(0),
        pd.Timedelta(microseconds=1),
    ]
    shown = events["side_data/news", "AAA|event"].metadata["dagster/column_schema"]
    assert shown.columns[0].description == "from when on the row is known, UTC"
    shown = events["features/last_tone", "AAA|1d"].metadata["dagster/column_schema"]
    assert shown.columns[0].description == "open time, UTC"
    assert list(read(lab, "side_data/tone", "AAA|event")["sentiment"]) == [0.1, 0.2, 0.3]
    assert list(read(lab, "side_data/tone", "BBB|event")["sentiment"]) == [0.2, 0.4]
    last = read(lab, "features/last_tone", "AAA|1d")["tone"]
    assert last.isna().tolist() == [True] * 2 + [False] * 8
    assert set(last.dropna()) == {0.3}
    counts = read(lab, "features/articles", "BBB|1d")["tone"]
    np.testing.assert_array_equal(counts, [np.nan, np.nan, 1, 0, 1, 0, 0, 0, 0, 0])
    assert lab.head("features/articles", "AAA|1d").identity["inputs"].keys() == {
        "market_data/enriched",
        "side_data/tone|AAA|event",
    }
    assert missed(lab.run()) == set()


def test_a_changed_headline_recomputes_what_depends_on_it_and_nothing_else(
    make: Callable[..., Lab],
) -> None:
    lab = make()
    lab.run()
    Words.seen.clear()
    news(lab, ARTICLES[0].replace("One", "One more"), *ARTICLES[1:])
    again = lab.run()
    assert missed(again) == {
        *((key, "AAA|event") for key in SIDE),
        *((key, "AAA|1d") for key in ("features/last_tone", "features/articles")),
    }
    assert "title changed" in again["side_data/tone", "AAA|event"].reason
    assert Words.seen == ["One more"]


def test_no_text_is_scored_twice(make: Callable[..., Lab]) -> None:
    lab = make()
    lab.run()
    # "Two words" is in the tables of both symbols.
    assert sorted(Words.seen) == ["One", "Three words here", "Two words", "Two. of four words"]
    Words.seen.clear()
    news(lab, *ARTICLES, "2020-01-06 09:00:00,One,,BBB", "2020-01-06 10:00:00,New,,BBB")
    lab.run()
    assert Words.seen == ["New"]
    lab.run(force=True)
    assert Words.seen == ["New"]
    # Another table, another text of the same words, the same scorer.
    lab.edit_yaml("name: tone, of", "name: tone2, of")
    lab.edit_yaml("plugin: test.tones}", "plugin: test.tones, params: {of: tone2}}")
    lab.edit_yaml("{join: count}", "{of: tone2, join: count}")
    lab.run(["side_data/tone2"])
    assert Words.seen == ["New"]


def test_a_killed_run_does_not_start_over(
    make: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_resources.text_scores.SCORED", 2)
    articles = [f"2020-01-03 1{hour}:00:00,Number {hour},,AAA" for hour in range(7)]
    lab = make(articles=articles, symbols=("AAA",))
    monkeypatch.setattr(Words, "fails_at", "Number 5")
    lab.run(["side_data/news"])
    with pytest.raises(BaseException):  # noqa: B017, PT011  (Dagster wraps what ends a run)
        lab.run(["side_data/tone"])
    assert len(Words.seen) == 4
    monkeypatch.setattr(Words, "fails_at", "")
    lab.run()
    assert sorted(Words.seen) == sorted(f"Number {hour}" for hour in range(7))


def test_a_late_article_recomputes_and_a_later_one_does_not(
    make: Callable[..., Lab], computed: list[int]
) -> None:
    lab = make(symbols=("AAA",))
    lab.run()
    # Ten days end with the tenth of January; what is known after that changes no bar.
    news(lab, *ARTICLES, "2020-01-11 00:00:01,Later by far than all,,AAA")
    computed.clear()
    again = lab.run()
    assert ("features/articles", "AAA|1d") in missed(again)
    assert computed == [2, 1]
    news(
        lab,
        *ARTICLES,
        "2020-01-10 23:59:59,In time,,AAA",
        "2020-01-11 00:00:01,Later by far than all,,AAA",
    )
    computed.clear()
    lab.run()
    assert computed == [10, 10]
    assert read(lab, "features/articles", "AAA|1d")["tone"].iloc[-1] == 1


MACRO = """
type: hf_assets.SideData
attributes:
  name: macro
  source: table.files
  scope: market
  params: {{folder: {folder}, pattern: macro.csv, known_at: released, clock: America/New_York,
    pivot: {{series: series, value: value}}, numbers: {{cpi: CPI, rate: FF}}}}
---
type: hf_assets.Feature
attributes: {{name: inflation, plugin: test.tones, params: {{of: macro, column: cpi}}}}
"""


@pytest.mark.slow
def test_a_table_of_the_market_is_one_for_all(make: Callable[..., Lab]) -> None:
    lab = make(MACRO, timeframes=("1h", "1d"), rows=60)
    rows = ["released,series,value", "2020-01-02 08:30,CPI,2.5", "2020-01-02 14:00,FF,1.5"]
    (lab.root / "files" / "macro.csv").write_text("\n".join(rows))
    events = lab.run()
    assert ("side_data/macro", "event") in events
    hours = read(lab, "features/inflation", "BBB|1h")["tone"]
    # 08:30 in New York is 13:30 UTC: known when the bar that opens at 13:00 closes.
    assert hours.first_valid_index() == pd.Timestamp("2020-01-02 13:00", tz="UTC")
    with (lab.root / "files" / "macro.csv").open("a") as file:
        file.write("\n2020-01-02 18:00,CPI,2.6\n")
    again = lab.run()
    assert {key for key in missed(again) if key[0] == "features/inflation"} == {
        ("features/inflation", f"{symbol}|{timeframe}")
        for symbol in ("AAA", "BBB")
        for timeframe in ("1h", "1d")
    }


CASES = [
    ("side_data/tone", "BBB|event", "side_data/news", {"BBB|event"}),
    ("features/last_tone", "AAA|1h", "side_data/tone", {"AAA|event"}),
    ("features/last_tone", "BBB|1d", "market_data/enriched", {"BBB|1d"}),
    ("features/of_peer", "AAA|1h", "side_data/tone", {"BBB|event"}),
    ("features/of_peer", "AAA|1h", "market_data/enriched", {"AAA|1h"}),
    ("features/inflation", "BBB|1h", "side_data/macro", {"event"}),
]


def test_parents_of_a_partition(make: Callable[..., Lab]) -> None:
    peer = (
        "---\ntype: hf_assets.Feature\n"
        "attributes: {{name: of_peer, plugin: test.tones, params: {{symbol: BBB}}}}\n"
    )
    lab = make(NEWS + "---\n" + MACRO + peer, timeframes=("1h", "1d"), rows=5)
    asset_graph = lab.definitions().resolve_asset_graph()
    for child, key, parent, expected in CASES:
        found = asset_graph.get_parent_partition_keys_for_child(
            key, dg.AssetKey(parent.split("/")), dg.AssetKey(child.split("/"))
        )
        assert set(found.partitions_subset.get_partition_keys()) == expected, child


@pytest.mark.slow
def test_automation_asks_for_what_reads_a_table_that_changed(make: Callable[..., Lab]) -> None:
    lab = make(NEWS + "---\n" + MACRO)
    macro = lab.root / "files" / "macro.csv"
    macro.write_text("released,series,value\n2020-01-02 08:30,CPI,2\n2020-01-02 08:30,FF,1\n")
    lab.run()
    ticks = Harness(lab)
    ticks.until_quiet()
    news(lab, *ARTICLES, "2020-01-06 10:00:00,New,,BBB")
    lab.run(["side_data/news"])
    assert ticks.until_quiet() == [
        {("side_data/tone", "BBB|event")},
        {("features/last_tone", "BBB|1d"), ("features/articles", "BBB|1d")},
    ]
    macro.write_text(macro.read_text() + "2020-01-04 08:30,CPI,3\n")
    lab.run(["side_data/macro"])
    assert ticks.until_quiet() == [{("features/inflation", f"{each}|1d") for each in lab.symbols}]
    assert ticks.sweep() == []


def test_a_command_for_one_timeframe_takes_the_tables_with_it(make: Callable[..., Lab]) -> None:
    session = Session(make(NEWS + "---\n" + MACRO, timeframes=("1h", "1d"), rows=5).tree)
    runs = list(_runs(session, session.tasks, ["AAA"], ["1d"]))
    wanted = [(run.tasks[0].names()[0], run.partitions) for run in runs]
    assert wanted == [
        ("side_data/macro", [("*", "event")]),
        ("side_data/news", [("AAA", "event")]),
        ("market_data/bars", [("AAA", "1d")]),
    ]


def exchange(lab: Lab, timeframe: str, stamps: Sequence[str]) -> None:
    """The bars of a few days of an exchange."""
    lab.write_universe(calendar="XNYS")
    frame = bars(len(stamps), timeframe)
    frame.index = pd.DatetimeIndex(stamps, tz="UTC", name="timestamp")
    for symbol in lab.symbols:
        lab.write_bars(symbol, timeframe, frame)


# Thanksgiving 2019: closed on Thursday the 28th, trading until 13:00 New York (18:00 UTC) on Friday
# the 29th; on other days until 16:00 (21:00 UTC).
THANKSGIVING = ["2019-11-26", "2019-11-27", "2019-11-29", "2019-12-02", "2019-12-03"]


def test_what_is_said_after_hours_counts_for_the_next_session(
    make: Callable[..., Lab], computed: list[int]
) -> None:
    told = {
        "2019-11-26 20:59:59": 0,
        "2019-11-26 21:00:00": 1,  # with the close, so not before it
        "2019-11-28 15:00:00": 2,  # the holiday
        "2019-11-29 17:59:59": 2,
        "2019-11-29 18:00:01": 3,  # after the early close
        "2019-11-30 12:00:00": 3,  # a Saturday
        "2019-12-02 21:30:00": 4,
        "2019-12-03 21:00:01": 5,  # after the last session
    }
    articles = [f"{at},Article {number},,AAA" for number, at in enumerate(told)]
    lab = make(articles=articles, symbols=("AAA",), rows=5)
    exchange(lab, "1d", THANKSGIVING)
    lab.run()
    counts = read(lab, "features/articles", "AAA|1d")["tone"]
    assert list(counts) == [float(list(told.values()).count(place)) for place in range(5)]
    # Before the slot of the last day is over, and after its close: no bar that stands changes.
    computed.clear()
    news(lab, *articles, "2019-12-03 21:30:00,One more,,AAA")
    lab.run()
    assert computed == [2, 1]


def test_an_hourly_bar_ends_with_the_session(make: Callable[..., Lab]) -> None:
    day = [f"2019-11-29 {hour}:30" for hour in (14, 15, 16, 17)]  # the last one ends at 18:00
    articles = ["2019-11-29 17:59:00,In,,AAA", "2019-11-29 18:10:00,After,,AAA"]
    lab = make(articles=articles, symbols=("AAA",), timeframes=("1h",), rows=8)
    exchange(lab, "1h", [*day, "2019-12-02 14:30", "2019-12-02 15:30"])
    lab.run()
    counts = read(lab, "features/articles", "AAA|1h")["tone"]
    np.testing.assert_array_equal(counts, [np.nan, np.nan, np.nan, 1, 1, 0])
    calendar = lab.head("features/articles", "AAA|1h").identity["params"]["calendar"]
    assert calendar == "XNYS"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("plugin: test.tones}", "plugin: test.tones, params: {of: tnoe}}", r"'tnoe'.*'tone'"),
        (
            "plugin: test.tones}",
            "plugin: test.tones, params: {column: sentimnt}}",
            r"column of tone 'sentimnt'.*'sentiment'",
        ),
        (
            "plugin: test.tones}",
            "plugin: test.tones, params: {of: news, column: title}}",
            r"'title' of news is text.*declare Scores",
        ),
        (
            "plugin: test.tones}",
            "plugin: test.tones, params: {made_by: text.other}}",
            r"made by test.words; it must be made by text.other",
        ),
        ("{join: count}", "{join: inner}", r"joined inner.*allowed: asof, count, sum"),
        ("plugin: test.words", "plugin: test.word", r"field 'plugin'.*'test.words'"),
        ("of: news, plugin", "of: nwes, plugin", r"side table with texts 'nwes'.*'news'"),
        ("words, text: [title, summary]", "words, text: [titel]", r"in news 'titel'.*'title'"),
        ("table.files", "table.fils", r"source of side tables 'table.fils'.*'table.files'"),
        ("symbol: tickers", "missing: []", r"without \{symbol\}.*scope: market"),
        ("name: tone, of", "name: news, of", r"Scores 'news' is called as the side table"),
    ],
)
def test_what_is_wrong_is_told(make: Callable[..., Lab], old: str, new: str, told: str) -> None:
    lab = make(rows=5)
    lab.edit_yaml(old, new)
    with pytest.raises(ConfigurationError, match=told):
        lab.definitions()


def test_symbols_without_a_table_have_no_feature(make: Callable[..., Lab]) -> None:
    lab = make(NEWS.replace("source: table.files", "source: table.files\n  symbols: [BBB]"))
    assert lab.covered()["features/articles"] == [("BBB", "1d")]
    assert lab.covered()["side_data/tone"] == [("BBB", "event")]
    lab.run()
    assert lab.store.heads("features", "articles").keys() == {("BBB", "1d")}


@pytest.mark.slow
def test_a_symbol_without_articles_has_an_empty_table(make: Callable[..., Lab]) -> None:
    lab = make(articles=ARTICLES[:1])
    lab.run()
    assert lab.head("side_data/tone", "BBB|event").row_count == 0
    assert np.isnan(read(lab, "features/articles", "BBB|1d")["tone"].to_numpy()).all()
    assert missed(lab.run()) == set()
    news(lab, *ARTICLES)
    lab.run()
    assert np.nansum(read(lab, "features/articles", "BBB|1d")["tone"].to_numpy()) == 2


def test_a_blank_text_has_no_score(make: Callable[..., Lab]) -> None:
    lab = make(articles=["2020-01-03 10:00:00, ,,AAA", *ARTICLES])
    lab.run()
    scores = read(lab, "side_data/tone", "AAA|event")
    assert scores["sentiment"].isna().tolist() == [True, False, False, False]
    assert lab.head("side_data/tone", "AAA|event").summary["texts_blank"] == 1


def test_a_missing_model_is_an_error_and_another_one_scores_anew(make: Callable[..., Lab]) -> None:
    lab = make(symbols=("AAA",))
    weights = lab.root / "weights"
    lab.edit_yaml("plugin: test.words", f"plugin: test.weighed, params: {{path: {weights}}}")
    lab.run(["side_data/news"])
    with pytest.raises(Exception, match=r"weights' does not exist \(looked for at"):
        lab.run(["side_data/tone"])
    assert lab.store.heads("side_data", "tone") == {}
    assert Words.seen == []
    for weight in (0.5, 0.25):
        weights.write_text(str(weight))
        found = lab.run(["side_data/tone"])["side_data/tone", "AAA|event"]
        assert list(read(lab, "side_data/tone", "AAA|event")["sentiment"]) == [weight] * 3
    assert "parameter material" in found.reason
    assert len(Words.seen) == 6


def test_what_the_docs_show_can_be_loaded(make_lab: Callable[..., Lab]) -> None:
    page = Path(__file__).parents[2] / "docs" / "side_data.md"
    blocks = [part.split("```")[0] for part in page.read_text().split("```yaml\n")[1:]]
    assert len(blocks) == 4
    lab = make_lab(yaml_text="", rows=5)
    for block in blocks:
        lab.write_yaml(block)
        assert any(name.startswith("side_data/") for name in lab.asset_names())


def test_the_description_tells_the_scorer(make: Callable[..., Lab]) -> None:
    lab = make()
    spec = lab.definitions().resolve_asset_graph().get(dg.AssetKey(["side_data", "tone"]))
    assert "Scores by the number of words" in str(spec.description)
    assert spec.group_name == "side_data"


SEVERAL = """
type: hf_assets.SideData
attributes:
  name: news
  source: table.files
  params: {{folder: {folder}, pattern: news.csv, known_at: published, clock: UTC, symbol: tickers,
    text: [title, summary]}}
---
type: hf_assets.Scores
attributes: {{name: tone, of: news, plugin: test.words, text: [title]}}
---
type: hf_assets.Feature
attributes: {{name: last_tone, plugin: test.tones, params: {{lag_minutes: 90}}}}
---
type: hf_assets.Feature
attributes: {{name: articles, plugin: test.tones, params: {{join: count}}}}
---
type: hf_assets.Feature
attributes: {{name: tones, plugin: test.tones, params: {{join: sum, lag_minutes: 5}}}}
---
type: hf_assets.Feature
attributes: {{name: total, plugin: test.running, params: {{join: sum}}}}
"""


def by_hand(
    closes: np.ndarray, known: np.ndarray, values: np.ndarray, hour: int
) -> dict[str, list[float]]:
    """What the four features are, row by row; all times in microseconds."""
    found: dict[str, list[float]] = {name: [] for name in ("last_tone", "articles", "tones")}
    minute, running, total = hour // 60, 0.0, []
    for place, close in enumerate(closes):
        before = closes[place - 1] if place else close - hour
        now = [v for at, v in zip(known, values, strict=True) if before <= at < close]
        lagged = [
            v for at, v in zip(known, values, strict=True) if before <= at + 5 * minute < close
        ]
        past = [v for at, v in zip(known, values, strict=True) if at + 90 * minute < close]
        ever = any(at < close for at in known)
        found["last_tone"].append(past[-1] if past else np.nan)
        found["articles"].append(float(len(now)) if ever else np.nan)
        found["tones"].append(sum(lagged, 0.0) if lagged else np.nan)
        running += sum(now, 0.0)
        total.append(running)
    return found | {"total": total}


@pytest.mark.slow
@pytest.mark.parametrize("calendar", ["XNYS", "24/7"])
def test_tails_have_the_bits_of_the_whole(
    make: Callable[..., Lab], computed: list[int], calendar: str
) -> None:
    """Rows of both kinds come in any order, some of them late; holidays and half days included."""
    random = np.random.default_rng(7)
    instrument = Instrument("AAA", "equity", calendar, 4, 0)
    start, end = datetime(2019, 11, 25, tzinfo=UTC), datetime(2020, 1, 10, tzinfo=UTC)
    grid = expected_bars(instrument, "1h", start, end)
    opens, closes = grid.opens[:160], grid.closes[:160]
    hour = 3_600_000_000
    drawn = random.integers(opens[0] - 30 * hour, closes[-1] + 30 * hour, 120) // 1_000_000
    nights = [*(np.flatnonzero(np.diff(opens) > hour) + 1), 70]
    night = int(next(place for place in nights if place >= 64))  # a bar after one, if there are any
    in_the_night = closes[night - 1] // 1_000_000 + 2 * 3600
    drawn = np.sort(np.r_[drawn, drawn[::15], in_the_night])  # some in the same second
    words = random.integers(1, 9, len(drawn))
    late = random.choice(len(drawn), 4, replace=False)
    titles = [" ".join([f"w{row}"] * count) for row, count in enumerate(words)]
    lab = make(SEVERAL, articles=[], symbols=("AAA",), timeframes=("1h",), rows=5)
    lab.write_universe(calendar=calendar)
    frame = bars(160, "1h")
    frame.index = pd.DatetimeIndex(opens.astype("datetime64[us]"), name="timestamp").tz_localize(
        "UTC"
    )
    seen = []
    steps = (  # bars, and up to the close of which bar articles have come
        (night, night + 2),
        (night + 1, night + 2),  # the first bar after a night, with its news
        (110, night + 2),
        (110, 90),  # rows after all that were known, and before the close of bars that stand
        (113, 120),
        (160, 150),
        (160, None),
    )
    for rows, came in steps:
        lab.write_bars("AAA", "1h", frame.iloc[:rows])
        there = np.arange(len(drawn))
        if came is not None:
            there = np.setdiff1d(np.flatnonzero(drawn * 1_000_000 < closes[came]), late)
        stamps = drawn[there].astype("datetime64[s]")
        news(lab, *(f"{at},{titles[row]},,AAA" for at, row in zip(stamps, there, strict=True)))
        computed.clear()
        lab.run()
        seen.append([*computed])
        known = read(lab, "side_data/tone", "AAA|event").index.as_unit("us").asi8  # type: ignore[attr-defined]
        expected = by_hand(closes[:rows], known, words[there] / 10, hour)
        for name, values in expected.items():
            found = read(lab, f"features/{name}", "AAA|1h")["tone"].to_numpy()
            np.testing.assert_array_equal(found, values, err_msg=f"{name} {rows} {came}")
    # A bar more and the one before it; where news are counted, the one that tells since when.
    assert seen[1] == [3, 2, 3]
    assert seen[3] == [110] * 3


REAL = """
type: hf_assets.SideData
attributes:
  name: news
  source: table.files
  params: {{folder: {news}, pattern: labelled_news_7_megacaps_2025.csv, known_at: date,
    time: "%a, %d %b %Y %H:%M:%S", symbol: tickers, text: {{title: title, summary: text}}}}
---
type: hf_assets.Scores
attributes: {{name: news_scores, of: news, plugin: text.lexicon, text: [title, summary]}}
---
type: hf_assets.Feature
attributes: {{name: news_sentiment, plugin: news.sentiment}}
"""


@pytest.mark.slow
def test_real_articles_meet_real_sessions(make_lab: Callable[..., Lab], shared_data: Path) -> None:
    import exchange_calendars

    folder = shared_data / "news_sentiment"
    lab = make_lab(yaml_text=REAL.format(news=folder), symbols=("AAPL",), rows=5)
    lab.write_universe(calendar="XNYS")
    prices = pd.read_parquet(shared_data / "us_equities" / "daily_tiingo_44_2024_2026.parquet")
    prices = prices[prices["symbol"] == "AAPL"].set_index("time").sort_index()
    prices.index = pd.DatetimeIndex(prices.index, name="timestamp").tz_convert("UTC")
    prices = prices.loc["2025-09-25":"2025-11-14", ["open", "high", "low", "close", "volume"]]
    lab.write_bars("AAPL", "1d", prices.astype("float64"))
    lab.run()
    found = read(lab, "features/news_sentiment", "AAPL|1d")
    articles = pd.read_csv(folder / "labelled_news_7_megacaps_2025.csv")
    articles = articles[articles["tickers"].str.contains("AAPL")]
    told = pd.to_datetime(articles["date"], format="%a, %d %b %Y %H:%M:%S %z", utc=True)
    repeats = pd.DataFrame(articles).duplicated(subset=["date", "title", "text"])
    told = pd.DatetimeIndex(told[~repeats.to_numpy()])
    closes = pd.DatetimeIndex(
        exchange_calendars.get_calendar("XNYS")
        .schedule["close"]
        .loc[found.index[0].tz_localize(None) : found.index[-1].tz_localize(None)]
    )
    bins = np.searchsorted(closes, told.sort_values())
    expected = np.bincount(bins, minlength=len(closes) + 1)[: len(closes)].astype(float)
    first = int(np.flatnonzero(expected)[0])
    expected[:first] = np.nan
    np.testing.assert_array_equal(found["sentiment_count"], expected)
    scored = found["sentiment_score"].to_numpy()
    np.testing.assert_array_equal(np.isnan(scored), ~(expected > 0))
    assert missed(lab.run()) == set()
