"""The contract of signal generators."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hf_plugins.base import BaseSignalGenerator
from hf_plugins.testing import _plugin
from hf_plugins.testing._compare import (
    call,
    check_aligned,
    check_float64,
    check_unchanged,
    difference,
    place,
    same_past,
    shown,
)
from hf_plugins.testing._plugin import Case
from hf_plugins.testing._report import Check, Violation, run_checks
from hf_plugins.testing._samples import sample_predictions

_KINDS = ("returns", "probabilities", "constant", "nulls")
_REPRODUCED = 20


class SignalCase(Case[BaseSignalGenerator]):
    """A signal generator with samples of predictions."""

    @property
    def rows(self) -> int:
        """Rows of a sample."""
        return max(300, (self.new().memory.lookback or 0) + 150)

    def sample(self, kind: str = "returns", n: int | None = None) -> pd.DataFrame:
        """The columns that the plugin reads."""
        return sample_predictions(self.new().reads, kind, n or self.rows)

    def generate(
        self, data: pd.DataFrame, sample: str, plugin: BaseSignalGenerator | None = None
    ) -> pd.DataFrame:
        """Generate on a copy, with a fresh instance unless one is given."""
        result = call(
            f"generate on {sample}", (plugin or self.new()).generate, data.copy(deep=True)
        )
        return check_aligned(result, data.index, sample)


def signal_checks(case: SignalCase) -> list[Check]:
    """All checks of a signal generator."""
    return run_checks(
        case,
        [
            declarations,
            parameters,
            index_alignment,
            schema,
            determinism,
            input_untouched,
            causality,
            incremental,
        ],
    )


def declarations(case: SignalCase) -> None:
    """Reads, memory and libraries are well formed and depend on the parameters alone."""
    first, second = case.new(), case.new()
    _plugin.check_names("reads", first.reads, second.reads)
    _plugin.check_memory(first.memory)
    _plugin.check_libraries(case.plugin)


def parameters(case: SignalCase) -> None:
    """Parameters survive the way through JSON with equal targets and code version, unknown fail."""
    original, rebuilt = _plugin.round_trip(case)
    data = case.sample()
    one, two = (case.generate(data, "returns", each) for each in (original, rebuilt))
    if found := difference(one, two):
        raise Violation(f"rebuilt from its own parameters, the plugin yields other values: {found}")
    _plugin.check_unknown_parameter(case)


def index_alignment(case: SignalCase) -> None:
    """The targets have the index of the predictions."""
    for kind in _KINDS:
        case.generate(case.sample(kind), f"the sample '{kind}'")


def schema(case: SignalCase) -> None:
    """There is a target, float64, in [-1, 1], never null, on every sample, down to a single row."""
    samples = {f"the sample '{kind}'": case.sample(kind) for kind in _KINDS}
    samples["predictions that are all null"] = case.sample() * np.nan
    samples["absurd predictions"] = case.sample() * 1e12
    for n in (1, 2, 5):
        samples[f"{n} row{'s' * (n > 1)}"] = case.sample(n=n)
    columns: list[str] | None = None
    for name, data in samples.items():
        result = case.generate(data, name)
        if "target" not in result:
            raise Violation(f"there is no column 'target' on {name}: {list(result.columns)}")
        columns = columns or list(result.columns)
        if list(result.columns) != columns:
            raise Violation(f"the columns are {list(result.columns)} on {name}, {columns} before")
        check_float64(result.loc[:, ["target"]], name)
        target = result["target"].to_numpy()
        wrong = np.flatnonzero(~(np.abs(target) <= 1.0))
        if wrong.size:
            row = int(wrong[0])
            raise Violation(
                f"the target at {place(result.index, row)} of {name} is {shown(target[row])}; "
                "allowed: -1 to 1, never null"
            )


def determinism(case: SignalCase) -> None:
    """The same predictions give the same targets, from a fresh instance and from a used one."""
    data = case.sample()
    plugin = case.new()
    first = case.generate(data, "returns", plugin)
    case.generate(case.sample("nulls"), "predictions with nulls", plugin)
    if found := difference(first, case.generate(data, "returns", plugin)):
        raise Violation(f"a second run on the same predictions differs: {found}")
    if found := difference(first, case.generate(data, "returns")):
        raise Violation(f"another instance yields other targets: {found}")


def input_untouched(case: SignalCase) -> None:
    """The predictions are not changed in place."""
    for kind in ("returns", "nulls"):
        data = case.sample(kind)
        before = data.copy(deep=True)
        call(f"generate on the sample '{kind}'", case.new().generate, data)
        check_unchanged("the frame of predictions", before, data)


def causality(case: SignalCase) -> None:
    """Targets do not change when later predictions are cut off, absurd or missing."""
    for kind in ("returns", "probabilities", "nulls"):
        data = case.sample(kind)
        n = len(data)
        known = case.generate(data, f"the sample '{kind}'")
        for cut in sorted({1, 2, n // 9, n // 5, n // 3 + 1, n // 2, (2 * n) // 3, n - 1}):
            seen = case.generate(data.iloc[:cut], f"the first {cut} rows of '{kind}'")
            same_past(known, seen, cut, "is cut off")
        for cut in (n // 4, n // 2, n - 5):
            for how, factor in (("takes absurd values", -1e9), ("is null", np.nan)):
                other = data.copy()
                other.iloc[cut:] *= factor
                seen = case.generate(other, f"the sample '{kind}' whose future {how}")
                same_past(known, seen.iloc[:cut], cut, how)


def incremental(case: SignalCase) -> None:
    """The declared look-back suffices: targets of a tail equal the tail of the targets."""
    memory = case.new().memory
    if memory.kind == "cumulative" or memory.lookback is None:
        return
    for kind in ("returns", "probabilities", "nulls"):
        data = case.sample(kind)
        start = len(data) - (memory.lookback - 1) - _REPRODUCED
        whole = case.generate(data, f"the sample '{kind}'").iloc[-_REPRODUCED:]
        tail = case.generate(data.iloc[start:], f"the tail of '{kind}'").iloc[-_REPRODUCED:]
        tolerance = 0.0 if memory.kind == "finite" else 1e-12
        first = len(data) - _REPRODUCED
        if found := difference(whole, tail, tolerance=tolerance, start=first):
            raise Violation(
                f"declares a {memory.kind} look-back of {memory.lookback} rows, which does not "
                f"reproduce the targets on the sample '{kind}': {found} (generated from all "
                f"{len(data)} rows, and from the look-back alone)"
            )
