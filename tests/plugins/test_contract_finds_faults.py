"""The contract suite at work: plugins that are wrong in one way fail the check that says so."""

from __future__ import annotations

import json
import pickle
import time
import zipfile
import zlib
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import pandas as pd
import pytest
from pydantic import Field

from hf_plugins.base import (
    BacktestResult,
    BaseBacktestEngine,
    BaseFeature,
    BaseModel,
    BaseSignalGenerator,
    Memory,
    Params,
    Plugin,
)
from hf_plugins.engines.core import CoreEngine
from hf_plugins.testing import contract_checks
from hf_plugins.testing._models import find_pickle


def failures(plugin: type[Plugin], **params: Any) -> dict[str, str]:
    return {
        check.name: check.detail for check in contract_checks(plugin, **params) if not check.passed
    }


# ------------------------------------------------------------------------------------- features


class Mean(BaseFeature):
    """Right: the mean of the close over five bars. The faulty ones below are changes of it."""

    lookback = 5

    @property
    def reads(self):
        return ("close",)

    @property
    def outputs(self) -> tuple[str, ...]:
        return ("mean",)

    @property
    def memory(self):
        return Memory.finite(self.lookback)

    def values(self, close: pd.Series) -> Any:
        past = np.full((len(close), 5), np.nan)
        for lag in range(5):
            past[lag:, lag] = close.to_numpy()[: max(0, len(close) - lag)]
        return past.mean(axis=1)

    def compute(self, data):
        values = pd.Series(self.values(cast(pd.Series, data["close"])), index=data.index)
        return pd.DataFrame({"mean": values})


class LookAhead(Mean):
    def values(self, close):
        return close.shift(-1)


class Centred(Mean):
    def values(self, close):
        return close.rolling(5, center=True).mean()


class FullSampleScale(Mean):
    def values(self, close):
        return super().values(close) / close.std()


class DailyHigh(Mean):
    """The highest close of the day, known to the bars of the morning."""

    def values(self, close):
        days = cast(pd.DatetimeIndex, close.index).floor("D")
        return close.groupby(days).transform("max").to_numpy()


class BackFilled(Mean):
    """Causal but for a null, which takes the next bar's price."""

    def values(self, close):
        return super().values(close.bfill())


class Pivots(Mean):
    """Peaks of five bars, marked at the peak, where they are known two bars later only."""

    def values(self, close):
        return (close == close.rolling(5, center=True).max()).astype(float)


class SampleColumns(Mean):
    def compute(self, data):
        result = super().compute(data)
        return result if len(data) > 4 else result.drop(columns="mean")


class SampleType(Mean):
    def compute(self, data):
        result = super().compute(data)
        return result.astype(object) if len(data) < 4 else result


class Float32(Mean):
    def compute(self, data):
        return super().compute(data).astype("float32")


class Random(Mean):
    def values(self, close):
        return super().values(close) * (1 + 1e-12 * np.random.default_rng().random(len(close)))


class Remembers(Mean):
    calls = 0

    def values(self, close):
        self.calls += 1
        return super().values(close) + self.calls


class Clock(Mean):
    def values(self, close):
        return super().values(close) + time.perf_counter_ns()


class AddsColumn(Mean):
    def compute(self, data):
        data["close_squared"] = data["close"] ** 2
        return super().compute(data)


class FillsInput(Mean):
    def compute(self, data):
        data.loc[data["close"].isna(), "close"] = 0.0
        return super().compute(data)


class ShortMemory(Mean):
    lookback = 4


class RunningSum(Mean):
    """The window of pandas: right but for the rounding that an outlier leaves behind."""

    def values(self, close):
        return close.rolling(5).mean()


class ShortFade(Mean):
    """An exponential average whose influence is far from 1e-12 after the look-back declared."""

    @property
    def memory(self):
        return Memory.fading(50)

    def values(self, close):
        return close.ewm(alpha=0.1, adjust=False).mean()


class Expanding(Mean):
    def values(self, close):
        return close.expanding().mean()


class UndeclaredRead(Mean):
    def values(self, close):
        return close

    def compute(self, data):
        result = super().compute(data)
        return result * 2 if "volume" in data else result


class NeedsVolume(Mean):
    def compute(self, data):
        return pd.DataFrame({"mean": data["volume"]})


class Infinite(Mean):
    lookback = 2

    def values(self, close):
        return close / close.shift(1) - 1


class RaisesOnNull(Mean):
    def values(self, close):
        if close.isna().any():
            raise ValueError("no nulls, please")
        return super().values(close)


class DropsRows(Mean):
    def compute(self, data):
        return super().compute(data).dropna()


class Renumbers(Mean):
    def compute(self, data):
        return super().compute(data).reset_index(drop=True)


class WrongOutputs(Mean):
    @property
    def outputs(self):
        return ("average",)


class UnknownLibrary(Mean):
    libraries = ("numpy", "no-such-distribution")


class NamesFromTheClock(Mean):
    @property
    def outputs(self):
        return (f"mean_{time.perf_counter_ns()}",)


class TolerantParams(Params):
    model_config: ClassVar[Any] = {"extra": "ignore"}


class IgnoresTypos(Mean):
    Params = TolerantParams


class WindowParams(Params):
    window: Annotated[int, Field(ge=1)] = 5


class ForgetsParameters(Mean):
    Params = WindowParams

    def parameters(self):
        return {}

    def values(self, close):
        return super().values(close) * cast(WindowParams, self.params).window


def test_the_right_one_passes():
    assert failures(Mean) == {}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    ("plugin", "check", "says"),
    [
        (LookAhead, "causality", "looks into the future"),
        (Centred, "causality", "looks into the future"),
        (FullSampleScale, "causality", "looks into the future"),
        (DailyHigh, "causality", "looks into the future"),
        (BackFilled, "causality", "looks into the future"),
        (Pivots, "causality", "looks into the future"),
        (SampleColumns, "schema", r"declares the outputs \['mean'\], yields \[\] on 1 row"),
        (SampleType, "schema", "type object, not float64"),
        (Float32, "schema", "type float32, not float64"),
        (WrongOutputs, "schema", r"declares the outputs \['average'\], yields \['mean'\]"),
        (Random, "determinism", "a second computation on the same input differs"),
        (Remembers, "determinism", "a second computation on the same input differs"),
        (Clock, "determinism", "a second computation on the same input differs"),
        (AddsColumn, "input_untouched", "changed in place: its columns were"),
        (FillsInput, "input_untouched", "changed in place: close at row"),
        (ShortMemory, "incremental", "finite look-back of 4 rows, which does not reproduce"),
        (RunningSum, "incremental", "does not reproduce the values bit for bit"),
        (ShortFade, "incremental", "fading look-back of 50 rows, which does not reproduce"),
        (Expanding, "incremental", "finite look-back of 5 rows, which does not reproduce"),
        (UndeclaredRead, "declared_reads", "not declared as read change the values"),
        (NeedsVolume, "declared_reads", "raised KeyError: 'volume'"),
        (Infinite, "null_policy", "is infinite at row"),
        (RaisesOnNull, "null_policy", "raised ValueError: no nulls, please"),
        (DropsRows, "index_alignment", "is not that of the input: 296 rows"),
        (Renumbers, "index_alignment", "is not that of the input"),
        (UnknownLibrary, "declarations", "no-such-distribution, which are not installed"),
        (NamesFromTheClock, "declarations", "outputs differ between equal instances"),
        (IgnoresTypos, "parameters", "an unknown parameter is accepted"),
    ],
)
def test_a_wrong_feature_fails(plugin, check, says):
    found = failures(plugin)
    assert check in found, f"failed instead: {found}"
    assert pd.Series([found[check]]).str.contains(says).all(), found[check]


def test_parameters_that_are_forgotten_are_found():
    assert failures(ForgetsParameters) == {}, "with defaults nothing is lost"
    assert "yields other values" in failures(ForgetsParameters, window=7)["parameters"]


class Carried(BaseFeature):
    """Right: the exponential average of the changes of the close, with its state."""

    rows_before = 1

    @property
    def context(self):
        return self.rows_before

    @property
    def reads(self):
        return ("close",)

    @property
    def outputs(self):
        return ("average",)

    @property
    def memory(self):
        return Memory.cumulative()

    def compute(self, data):
        return self.advance(data, len(data), None)[0]

    def start(self, state: Any) -> float:
        return 0.0 if state is None else state["average"]

    def after(self, average: float) -> dict[str, Any]:
        return {"average": average}

    def changes(self, data: pd.DataFrame, appended: int) -> list[float]:
        close = data["close"].to_numpy()
        return [0.0, *np.diff(close)][len(close) - appended :]

    def advance(self, data, appended, state):
        average, values = self.start(state), []
        for change in self.changes(data, appended):
            average += 0.1 * (change - average) if np.isfinite(change) else 0.0
            values.append(average)
        index = data.index[len(data) - appended :]
        return pd.DataFrame({"average": np.array(values)}, index=index), self.after(average)


class StartsAnew(Carried):
    def start(self, state):
        return 0.0


class RoundsItsState(Carried):
    def after(self, average):
        return {"average": round(average, 12)}


class StateWithNan(Carried):
    def after(self, average):
        return {"average": average, "last": float("nan")}


class StateOfNumpy(Carried):
    def after(self, average):
        return {"average": np.array([average])}


class NeedsMoreContext(Carried):
    rows_before = 0


class ChangesItsState(Carried):
    def start(self, state):
        average = super().start(state)
        if state is not None:
            state["average"] = 0.0
        return average


class YieldsAll(Carried):
    def advance(self, data, appended, state):
        values, after = super().advance(data, appended, state)
        return values.reindex(data.index), after


class StateInTheInstance(Carried):
    kept = 0.0

    def start(self, state):
        return 0.0 if state is None else self.kept

    def after(self, average):
        self.kept = average
        return {}


class NoAdvance(Mean):
    @property
    def context(self):
        return 0


def test_a_right_state_passes():
    assert failures(Carried) == {}


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (StartsAnew, "does not continue it: average at row"),
        (RoundsItsState, "does not continue it: average at row"),
        (NeedsMoreContext, "does not continue it: average at row"),
        (StateInTheInstance, "does not continue it: average at row"),
        (StateWithNan, "is not JSON: Out of range float values"),
        (StateOfNumpy, "is not JSON: Object of type ndarray"),
        (ChangesItsState, "changes the state that it was given"),
        (YieldsAll, "is not that of the input"),
        (NoAdvance, "NotImplementedError: NoAdvance carries no state"),
    ],
)
def test_a_wrong_state_fails(plugin, says):
    found = failures(plugin)
    assert list(found) == ["carried_state"]
    assert says in found["carried_state"]


def test_a_finding_names_row_time_and_both_values():
    detail = failures(LookAhead)["causality"]
    pattern = (
        r"looks into the future: mean at row 0 \(2020-01-01 00:00:00\+00:00\) is \d+\.\d+ and null "
        r"\(before and after what follows row 0 is cut off\)"
    )
    assert pd.Series([detail]).str.fullmatch(pattern).all(), detail


# --------------------------------------------------------------------------------------- models


class Least(BaseModel):
    """Right: least squares."""

    suffix = ".json"
    weights: np.ndarray | None = None

    def train(self, X, y):
        self.weights = np.linalg.lstsq(X.to_numpy(), y.to_numpy(), rcond=None)[0]

    def predict(self, X):
        if self.weights is None:
            raise RuntimeError("not fitted")
        return pd.Series((X.to_numpy() * self.weights).sum(axis=1), index=X.index)

    def save(self, path):
        path.write_text(json.dumps(cast(np.ndarray, self.weights).tolist()))

    def load(self, path):
        self.weights = np.array(json.loads(path.read_text()))


class Untrained(Least):
    weights = np.zeros(4)


class Unseeded(Least):
    def train(self, X, y):
        super().train(X, y)
        self.weights = cast(np.ndarray, self.weights) + np.random.default_rng().normal(size=4)


class WarmStart(Least):
    def train(self, X, y):
        before = self.weights
        super().train(X, y)
        if before is not None:
            self.weights = (before + cast(np.ndarray, self.weights) * 1.1) / 2


class Pickled(Least):
    def save(self, path):
        path.write_bytes(pickle.dumps(self.weights))

    def load(self, path):
        self.weights = pickle.loads(path.read_bytes())


class PickledInZip(Least):
    def save(self, path):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights.pkl", pickle.dumps(self.weights, protocol=0))

    def load(self, path):
        with zipfile.ZipFile(path) as archive:
            self.weights = pickle.loads(archive.read("weights.pkl"))


class Rounded(Least):
    def save(self, path):
        path.write_text(json.dumps(cast(np.ndarray, self.weights).round(9).tolist()))


class Renumbered(Least):
    def predict(self, X):
        return super().predict(X).reset_index(drop=True)


class ScalesByAll(Least):
    def predict(self, X):
        return super().predict(X) / X.to_numpy().std()


class SortsLabels(Least):
    def train(self, X, y):
        X["constant"] = 1.0
        super().train(X.drop(columns="constant"), y)


def test_the_right_model_passes():
    assert failures(Least) == {}


@pytest.mark.parametrize(
    ("plugin", "check"),
    [
        (Untrained, "untrained"),
        (Unseeded, "determinism"),
        (WarmStart, "determinism"),
        (Pickled, "safe_file"),
        (PickledInZip, "safe_file"),
        (Rounded, "saved_and_loaded"),
        (Renumbered, "index_alignment"),
        (ScalesByAll, "causality"),
        (SortsLabels, "input_untouched"),
    ],
)
def test_a_wrong_model_fails(plugin, check):
    assert check in failures(plugin)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_are_found(protocol):
    for value in ({"a": [1, 2.0]}, np.arange(3), Memory.finite(3)):
        content = pickle.dumps(value, protocol)
        assert find_pickle(content, "model") == "model"
        assert find_pickle(zlib.compress(content), "model") == "model, expanded,"


@pytest.mark.parametrize(
    "content", [b"", b"tree\nversion=v4\n", b'{"weights": [1.0]}', b"\x93NUMPY\x01\x00v\x00{'<f8'}"]
)
def test_other_files_are_no_pickles(content):
    assert find_pickle(content, "model") is None


# -------------------------------------------------------------------------------------- signals


class Sign(BaseSignalGenerator):
    """Right: the sign of the prediction, none where there is none."""

    @property
    def memory(self):
        return Memory.finite(1)

    def target(self, prediction: pd.Series) -> pd.Series:
        return pd.Series(np.sign(prediction), index=prediction.index).fillna(0.0)

    def generate(self, predictions):
        return self.target(cast(pd.Series, predictions["prediction"])).to_frame("target")


class RanksOverAll(Sign):
    def target(self, prediction):
        return prediction.rank(pct=True).fillna(0.0)


class TooLarge(Sign):
    def target(self, prediction):
        return super().target(prediction) * 1.5


class Null(Sign):
    def target(self, prediction):
        return pd.Series(np.sign(prediction), index=prediction.index)


class Whole(Sign):
    def target(self, prediction):
        return super().target(prediction).astype("int64")


class Holds(Sign):
    def target(self, prediction):
        return prediction.where(prediction.abs() > 0.02).ffill().clip(-1, 1).fillna(0.0)


def test_the_right_signal_passes():
    assert failures(Sign) == {}


@pytest.mark.parametrize(
    ("plugin", "check", "says"),
    [
        (RanksOverAll, "causality", "looks into the future"),
        (TooLarge, "schema", "1.5; allowed: -1 to 1, never null"),
        (Null, "schema", "is null; allowed: -1 to 1, never null"),
        (Whole, "schema", "int64, not float64"),
        (Holds, "incremental", "finite look-back of 1 rows"),
    ],
)
def test_a_wrong_signal_fails(plugin, check, says):
    found = failures(plugin)
    assert says in found.get(check, ""), found


# -------------------------------------------------------------------------------------- engines


class Wrapped(CoreEngine):
    """The project's own engine; the faulty ones below change what goes in or comes out."""

    def run(self, prices, signals, *, bars_per_year):
        return super().run(prices, signals, bars_per_year=bars_per_year)


class SameBar(Wrapped):
    """Fills the target of a bar at that bar's open."""

    def run(self, prices, signals, *, bars_per_year):
        early = signals.shift(-1, fill_value=0.0)
        return super().run(prices, early, bars_per_year=bars_per_year)


class AtClose(Wrapped):
    """Fills at the next bar's close."""

    def run(self, prices, signals, *, bars_per_year):
        return super().run(
            prices.assign(open=prices["close"]), signals, bars_per_year=bars_per_year
        )


class HiddenCost(Wrapped):
    """Falls back to a commission where none is wanted."""

    def __init__(self, **params: Any) -> None:
        super().__init__(**{**params, "commission": params.get("commission") or 0.0005})


class FreeOfCharge(Wrapped):
    def __init__(self, **params: Any) -> None:
        super().__init__(**{**params, "commission": 0.0})


class Scaled(Wrapped):
    """Normalises the equity by its own end."""

    def run(self, prices, signals, *, bars_per_year):
        result = super().run(prices, signals, bars_per_year=bars_per_year)
        equity = result.equity.copy()
        equity["equity"] *= 1 + 1e-9 * equity["equity"].iloc[-1]
        return BacktestResult(equity, result.trades, result.metrics)


class DefaultSharpe(Wrapped):
    def run(self, prices, signals, *, bars_per_year):
        result = super().run(prices, signals, bars_per_year=bars_per_year)
        shown = {
            name: value if value is not None else 0.0 for name, value in result.metrics.items()
        }
        return BacktestResult(result.equity, result.trades, {"sharpe": 0.0, **shown})


class InfiniteMetric(Wrapped):
    def run(self, prices, signals, *, bars_per_year):
        result = super().run(prices, signals, bars_per_year=bars_per_year)
        return BacktestResult(result.equity, result.trades, {"profit_factor": float("inf")})


class UndeclaredVolume(Wrapped):
    @property
    def reads(self):
        return ("open", "close")

    def run(self, prices, signals, *, bars_per_year):
        idle = prices["volume"] == 0
        return super().run(prices[~idle], signals, bars_per_year=bars_per_year)


class WritesPrices(Wrapped):
    def run(self, prices, signals, *, bars_per_year):
        prices["mid"] = (prices["high"] + prices["low"]) / 2
        return super().run(prices, signals, bars_per_year=bars_per_year)


def test_the_right_engine_passes():
    assert failures(Wrapped) == {}


@pytest.mark.parametrize(
    ("plugin", "check"),
    [
        (SameBar, "next_open"),
        (SameBar, "causality"),
        (AtClose, "next_open"),
        (HiddenCost, "next_open"),
        (HiddenCost, "costs"),
        (FreeOfCharge, "costs"),
        (Scaled, "causality"),
        (Scaled, "flat_targets"),
        (DefaultSharpe, "metrics"),
        (InfiniteMetric, "metrics"),
        (WritesPrices, "input_untouched"),
        (UndeclaredVolume, "declared_reads"),
    ],
)
def test_a_wrong_engine_fails(plugin: type[BaseBacktestEngine], check):
    assert check in failures(plugin)
