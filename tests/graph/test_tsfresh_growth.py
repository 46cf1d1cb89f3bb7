"""Windows of tsfresh on a series that grows: those that stand are not computed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from hf_resources.datasets import DatasetRef
from tests.graph.lab import Lab, bars

WINDOW, ROWS, APPENDED = 20, 120, 24
FEATURE = f"""
type: hf_assets.Feature
attributes:
  name: shape
  plugin: automated.tsfresh
  params:
    feature_set: listed
    window: {WINDOW}
    calculators:
      skewness: null
      change_quantiles: [{{ql: 0.2, qh: 0.8, isabs: true, f_agg: var}}]
"""
SHAPE = DatasetRef("features", "shape", "AAA", "1h")


@pytest.mark.slow
def test_only_new_windows_are_computed_and_equal_the_whole(
    make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tsfresh.feature_extraction import feature_calculators

    real = feature_calculators.skewness
    computed: list[pd.Timestamp] = []

    def skewness(x: Any) -> Any:
        computed.append(x.index[-1])
        return real(x)

    skewness.__dict__.update(real.__dict__)
    monkeypatch.setattr(feature_calculators, "skewness", skewness)

    options: dict[str, Any] = {
        "yaml_text": FEATURE,
        "symbols": ("AAA",),
        "timeframes": ("1h",),
    }
    lab = make_lab(rows=ROWS, **options)
    lab.run()
    assert len(computed) == ROWS - WINDOW + 1
    computed.clear()
    lab.write_bars("AAA", "1h", bars(ROWS + APPENDED, "1h", seed=0))
    lab.run()
    assert len(computed) == APPENDED
    computed.clear()
    lab.run()
    assert not computed

    whole = make_lab(rows=ROWS + APPENDED, **options)
    whole.run()
    grown, fresh = lab.store.head(SHAPE), whole.store.head(SHAPE)
    assert grown is not None
    assert fresh is not None
    assert grown.row_count == ROWS + APPENDED
    assert grown.column_digests == fresh.column_digests
