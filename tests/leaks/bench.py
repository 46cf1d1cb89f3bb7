"""A planted leak: a feature, or the join before it, that looks ahead; and an honest twin.

What the leaks are is in ``columns`` and ``sides``; here is what they share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins import joins
from hf_plugins.base import OHLCV, BaseFeature, Memory, Side
from hf_plugins.certificate import Certificate, Inputs, certify
from hf_plugins.certificate.verdict import Level
from hf_plugins.testing._worlds import WorldKind, sample_inputs

Values = Callable[..., Any]
"""From the frame of a feature to its values: an array, a series, or a frame of several columns."""
TWENTY = Memory.finite(20)
MakeInputs = Callable[[BaseFeature], Inputs]


@dataclass(frozen=True)
class Leak:
    """One leak of the corpus.

    ``leaky`` and ``honest`` yield the values, or with ``state`` a function that does, made anew
    where a new process would begin. ``join`` is the wrong join; with it ``leaky`` is an honest
    feature. ``inputs``: where the samples of the contract suite have not what it takes.
    """

    name: str
    family: str
    wrong: str
    leaky: Values
    honest: Values | None = None
    memory: Memory = TWENTY
    reads: tuple[str, ...] = OHLCV
    sides: tuple[Side, ...] = ()
    outputs: tuple[str, ...] = ("value",)
    world: WorldKind = "steady"
    join: Any = None
    inputs: MakeInputs | None = None
    state: bool = False

    def certificate(self, level: Level, *, honest: bool = False, seed: int = 3) -> Certificate:
        """Of the leak, or of its twin, on the samples; published by another process."""
        join = joins.joined if honest or self.join is None else self.join
        values = self.honest if honest and self.honest is not None else self.leaky
        publisher, plugin = self._plugin(values), self._plugin(values)
        inputs = (self.inputs or self._sampled)(plugin)
        frame = join(inputs.own, inputs.sides, inputs.timeframe, inputs.closes)
        published = publisher.compute(frame.copy())
        return certify(plugin, inputs, published, seed=seed, level=level, join=join)

    def _sampled(self, plugin: BaseFeature) -> Inputs:
        return sample_inputs(plugin, self.world, 400, seed=5)

    def _plugin(self, values: Values) -> BaseFeature:
        leak, function = self, values() if self.state else values

        class Planted(BaseFeature):
            @property
            def reads(self) -> tuple[str, ...]:
                return leak.reads

            @property
            def sides(self) -> tuple[Side, ...]:
                return leak.sides

            @property
            def outputs(self) -> tuple[str, ...]:
                return leak.outputs

            @property
            def memory(self) -> Memory:
                return leak.memory

            def compute(self, data: pd.DataFrame) -> pd.DataFrame:
                with np.errstate(all="ignore"):
                    found = function(data)
                if isinstance(found, pd.DataFrame):
                    return found
                column = np.asarray(found, dtype=np.float64)
                return pd.DataFrame({leak.outputs[0]: column}, index=data.index)

        return Planted()


def returns(data: Any) -> Any:
    """Return of each bar's close on the close before."""
    return data["close"] / data["close"].shift(1) - 1.0


def mean(values: Any, window: int) -> Any:
    """Trailing mean, two-pass, so that a tail has the bits of the whole."""
    return values.rolling(window).apply(np.mean, raw=True)


def by_name(leaks: list[Leak]) -> Mapping[str, Leak]:
    """The corpus by name; a name is taken once."""
    found = {leak.name: leak for leak in leaks}
    assert len(found) == len(leaks), "two leaks have one name"
    return found
