"""The contract of features."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.base import OHLCV, BaseFeature, Memory
from hf_plugins.testing import _plugin
from hf_plugins.testing._compare import (
    call,
    check_aligned,
    check_float64,
    check_no_infinity,
    check_unchanged,
    difference,
    same_past,
)
from hf_plugins.testing._plugin import Case
from hf_plugins.testing._report import Check, Violation, run_checks
from hf_plugins.testing._samples import SampleKind, sample_columns

# Rows at the end that a tail must reproduce.
_REPRODUCED = 20
_FADED = 1e-12
# Rows of a sample up to which they are hours. What looks back further counts minutes.
_HOURS = 2500
_ABSURD = 1e9
# Places, beside the special ones, at which the future is cut off: many, because an indicator that
# looks ahead at turning points only does not do so everywhere.
_CUTS = 30


class FeatureCase(Case[BaseFeature]):
    """A feature with the samples that fit its memory."""

    @property
    def rows(self) -> int:
        """Rows of a sample: beyond the look-back there is a past to forget, and a tail."""
        return max(300, (self.new().memory.lookback or 0) + 150)

    @property
    def freq(self) -> str:
        """Spacing of the rows of a sample: minutes where the plugin looks far back."""
        return "1h" if self.rows <= _HOURS else "1min"

    def sample(self, kind: SampleKind = "random_walk", n: int | None = None) -> pd.DataFrame:
        """The columns that the plugin is given."""
        return sample_columns(self.new().columns, kind, n or self.rows, freq=self.freq)

    def compute(self, data: pd.DataFrame, sample: str) -> pd.DataFrame:
        """Compute on a copy with a fresh instance."""
        return self.compute_with(self.new(), data, sample)

    def compute_with(self, plugin: BaseFeature, data: pd.DataFrame, sample: str) -> pd.DataFrame:
        """Compute on a copy."""
        result = call(f"compute on {sample}", plugin.compute, data.copy(deep=True))
        return check_aligned(result, data.index, sample)


def feature_checks(case: FeatureCase) -> list[Check]:
    """All checks of a feature."""
    return run_checks(
        case,
        [
            declarations,
            parameters,
            index_alignment,
            schema,
            determinism,
            input_untouched,
            declared_reads,
            null_policy,
            causality,
            incremental,
            carried_state,
        ],
    )


def declarations(case: FeatureCase) -> None:
    """Columns, outputs, memory and libraries are well formed and depend on the parameters alone."""
    first, second = case.new(), case.new()
    _plugin.check_names("columns", first.columns, second.columns)
    _plugin.check_names("outputs", first.outputs, second.outputs)
    _plugin.check_memory(first.memory)
    if first.memory != second.memory:
        raise Violation(f"memory differs between equal instances: {first.memory}, {second.memory}")
    context = first.context
    if context is not None and (not isinstance(context, int) or context < 0):
        raise Violation(f"the context is {context!r}, not None or a number of rows")
    if context != second.context:
        raise Violation(f"context differs between equal instances: {context}, {second.context}")
    _plugin.check_libraries(case.plugin)


def parameters(case: FeatureCase) -> None:
    """Parameters survive the way through JSON with equal values and code version, unknown fail."""
    original, rebuilt = _plugin.round_trip(case)
    data = case.sample()
    one = case.compute_with(original, data, "a random walk")
    two = case.compute_with(rebuilt, data, "a random walk")
    if found := difference(one, two):
        raise Violation(f"rebuilt from its own parameters, the plugin yields other values: {found}")
    _plugin.check_unknown_parameter(case)


def index_alignment(case: FeatureCase) -> None:
    """The result has the index of the input, also where bars are missing from it."""
    for kind in ("random_walk", "gaps"):
        case.compute(case.sample(kind), f"the sample '{kind}'")


def schema(case: FeatureCase) -> None:
    """The columns are the declared outputs, float64, on every sample, down to a single row."""
    outputs = list(case.new().outputs)
    lookback = case.new().memory.lookback or 0
    samples = {
        f"the sample '{kind}'": case.sample(kind) for kind in ("random_walk", "flat", "gaps")
    }
    for n in sorted({1, 2, 3, max(1, lookback // 2), max(1, lookback - 1)}):
        samples[f"{n} row{'s' * (n > 1)}"] = case.sample(n=n)
    for name, data in samples.items():
        result = case.compute(data, name)
        if list(result.columns) != outputs:
            raise Violation(
                f"declares the outputs {outputs}, yields {list(result.columns)} on {name}"
            )
        check_float64(result, name)


def determinism(case: FeatureCase) -> None:
    """The same input gives the same bits, from a fresh instance and from a used one."""
    data = case.sample()
    plugin = case.new()
    first = case.compute_with(plugin, data, "a random walk")
    case.compute_with(plugin, case.sample("gaps", max(2, case.rows // 2)), "the sample 'gaps'")
    again = case.compute_with(plugin, data, "a random walk")
    if found := difference(first, again):
        raise Violation(f"a second computation on the same input differs: {found}")
    if found := difference(first, case.compute(data, "a random walk")):
        raise Violation(f"another instance yields other values on the same input: {found}")


def input_untouched(case: FeatureCase) -> None:
    """The input is not changed in place."""
    for kind in ("random_walk", "gaps"):
        data = case.sample(kind)
        before = data.copy(deep=True)
        call(f"compute on the sample '{kind}'", case.new().compute, data)
        check_unchanged("the input", before, data)


def declared_reads(case: FeatureCase) -> None:
    """Columns that are not declared need not be there, and change nothing where they are."""
    data = case.sample()
    alone = case.compute(data, "the declared columns alone")
    others = [name for name in (*OHLCV, "other") if name not in data]
    wide = pd.concat(
        [sample_columns(others, n=len(data), seed=1, freq=case.freq) * 7.0, data], axis=1
    )
    if found := difference(alone, case.compute(wide, "a frame with more columns")):
        raise Violation(f"columns that are not declared as read change the values: {found}")


def null_policy(case: FeatureCase) -> None:
    """A null never raises; flat prices, zero volume, zeros and nulls never give an infinity."""
    walk = case.sample()
    rows = np.arange(len(walk))
    one_null = walk.copy()
    one_null.iloc[len(walk) // 2] = np.nan
    samples = {
        "a random walk": walk,
        "flat bars without volume": case.sample("flat"),
        "bars with gaps": case.sample("gaps"),
        "bars with one null row": one_null,
        "bars with rows of zeros": walk.mul(~np.isin(rows % 7, [0, 1]), axis=0),
        "zeros alone": walk * 0.0,
        "nulls alone": walk * np.nan,
    }
    for column in walk.columns if len(walk.columns) > 1 else ():
        samples[f"bars with nulls in {column}"] = walk.assign(
            **{column: walk[column].where(rows % 50 != 49)}
        )
    for name, data in samples.items():
        result = case.compute(data, name)
        check_float64(result, name)
        check_no_infinity(result, name)


def causality(case: FeatureCase) -> None:
    """Values do not change when the future is cut off, shuffled, absurd or missing."""
    rng = np.random.default_rng(3)
    for kind in ("random_walk", "gaps"):
        data = case.sample(kind)
        n = len(data)
        known = case.compute(data, f"the sample '{kind}'")
        # The middle row of the sample with gaps is null: the cut after it finds what fills a null
        # from later bars.
        middle = n // 2 + 1
        cuts = {1, 2, 3, middle, n - 2, n - 1, *rng.choice(np.arange(4, n - 2), _CUTS)}
        for cut in sorted(int(each) for each in cuts):
            seen = case.compute(data.iloc[:cut], f"the first {cut} rows of the sample '{kind}'")
            same_past(known, seen, cut, "is cut off")
        for cut in (n // 4, middle, n - 5):
            future = data.iloc[cut:]
            signs = np.where(np.arange(n - cut) % 2, -_ABSURD, _ABSURD)[:, None]
            for how, changed in (
                ("is shuffled", future.to_numpy()[rng.permutation(n - cut)]),
                ("takes absurd values", future.to_numpy() * signs),
                ("is null", np.full(future.shape, np.nan)),
            ):
                other = data.copy()
                other.iloc[cut:] = changed
                seen = case.compute(other, f"the sample '{kind}' whose future {how}")
                same_past(known, seen.iloc[:cut], cut, how)


def incremental(case: FeatureCase) -> None:
    """The declared look-back suffices: a tail computed alone equals the tail of the whole."""
    memory = case.new().memory
    if memory.kind == "cumulative" or memory.lookback is None:
        return
    warm = memory.lookback - 1
    samples = {"a random walk": case.sample()}
    start = len(samples["a random walk"]) - warm - _REPRODUCED
    if memory.kind == "finite":
        samples["bars with gaps"] = case.sample("gaps")
        absurd = case.sample()
        absurd.iloc[:start] *= _ABSURD
        samples["bars whose older past is absurd"] = absurd
    missing = case.sample()
    missing.iloc[max(0, start - 40) : start : 3] = np.nan
    samples["bars whose older past has nulls"] = missing
    for name, data in samples.items():
        whole = case.compute(data, name).iloc[-_REPRODUCED:]
        tail = case.compute(data.iloc[start:], f"the tail of {name}").iloc[-_REPRODUCED:]
        _reproduced(memory, whole, tail, name, len(data))


def _reproduced(
    memory: Memory, whole: pd.DataFrame, tail: pd.DataFrame, name: str, rows: int
) -> None:
    tolerance = 0.0 if memory.kind == "finite" else _FADED
    found = difference(whole, tail, tolerance=tolerance, start=rows - _REPRODUCED)
    if found:
        how = "bit for bit" if memory.kind == "finite" else f"to {_FADED:g}"
        raise Violation(
            f"declares a {memory.kind} look-back of {memory.lookback} rows, which does not "
            f"reproduce the values {how} on {name}: {found} (computed on all {rows} rows, and on "
            "the look-back alone)"
        )


def carried_state(case: FeatureCase) -> None:
    """Where there is a state, rows computed after it have the bits of the whole, however cut."""
    context = case.new().context
    if context is None:
        return
    for kind in ("random_walk", "gaps", "flat"):
        data = case.sample(kind)
        known = case.compute(data, f"the sample '{kind}'")
        for edges in _chunkings(len(data)):
            state: dict[str, Any] | None = None
            for start, end in itertools.pairwise(edges):
                values, state = _advance(case, data, start, end, state, context)
                if found := difference(known.iloc[start:end], values, start=start):
                    raise Violation(
                        f"the state after row {start - 1} of the sample '{kind}' does not continue "
                        f"it: {found} (computed at once, and from the state)"
                    )


def _chunkings(rows: int) -> list[list[int]]:
    """Ways to cut so many rows: not at all, row by row from the start and later, and anyhow."""
    rng = np.random.default_rng(17)
    some = sorted(int(each) for each in rng.choice(np.arange(1, rows), 7, replace=False))
    half = rows // 2
    return [
        [0, rows],
        [*range(min(rows, 60)), rows],
        [0, *range(half - 20, half + 20), rows],
        [0, 1, 1, *some, rows, rows],  # nothing appended changes nothing
    ]


def _advance(
    case: FeatureCase,
    data: pd.DataFrame,
    start: int,
    end: int,
    state: dict[str, Any] | None,
    context: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows ``start`` to ``end`` by a fresh instance, and the state after them through JSON."""
    what = f"rows {start} to {end - 1}"
    given = data.iloc[max(0, start - context) : end]
    before = None if state is None else json.loads(json.dumps(state))
    result = call(
        f"advance over {what}", case.new().advance, given.copy(deep=True), end - start, state
    )
    if not isinstance(result, tuple) or len(result) != 2:
        raise Violation(f"advance over {what} does not yield values and a state")
    values, after = result
    check_aligned(values, data.index[start:end], what)
    if state != before:
        raise Violation(f"advance over {what} changes the state that it was given")
    if not isinstance(after, Mapping):
        raise Violation(f"the state after {what} is a {type(after).__name__}, not a mapping")
    try:
        return values, json.loads(json.dumps(after, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise Violation(f"the state after {what} is not JSON: {error}") from None
