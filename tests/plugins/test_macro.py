"""Macro indicators: by hand from releases, and continued from a state."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.joins import joined
from hf_plugins.registry import features

NULL = float("nan")
DAYS = [f"2024-03-{day:02d}" for day in range(11, 19)]


def stamps(times) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times, tz="UTC", name="timestamp").as_unit("ns")


def table(columns, rows) -> pd.DataFrame:
    index = stamps([time for time, *_ in rows])
    return pd.DataFrame([each for _, *each in rows], columns=columns, index=index)


TABLES = {
    "yields": table(["long", "short"], [("2024-03-11 20:30", 4.1, 4.5), ("2024-03-13", 4.2, NULL)]),
    "vix": table(["level"], [("2024-03-12 20:15", 14.0), ("2024-03-14 20:15", 16.0)]),
    "pmi": table(["level"], [("2024-03-01 15:00", 52.2)]),
    "cpi": table(
        ["actual", "consensus"],
        [
            ("2024-03-11 12:30", 3.2, 3.1),
            ("2024-03-12 12:30", 3.0, 3.1),
            ("2024-03-13 12:30", 3.5, 3.1),
            ("2024-03-15 12:30", 3.1, 3.1),
        ],
    ),
}


def frame(plugin, days=DAYS, tables=TABLES):
    closes = np.asarray(stamps([f"{day} 20:00" for day in days]).asi8)
    sides = {side: tables[side.table] for side in plugin.sides}
    return joined(pd.DataFrame(index=stamps(days)), sides, "1d", closes)


def computed(days=DAYS, tables=TABLES, **params):
    plugin = features.create("macro.indicators", **params)
    return plugin.compute(frame(plugin, days, tables))


def test_by_hand():
    found = computed()
    assert list(found) == ["yield_curve_slope", "vix_level", "pmi", "cpi_surprise"]
    # Yields of the 11th are known after its close; from the 13th on the short one is unknown.
    np.testing.assert_allclose(found["yield_curve_slope"], [NULL, -0.4, *[NULL] * 6], rtol=1e-12)
    np.testing.assert_array_equal(found["vix_level"], [NULL, NULL, 14, 14, 16, 16, 16, 16])
    np.testing.assert_array_equal(found["pmi"], [52.2] * 8)
    np.testing.assert_allclose(found["cpi_surprise"], [0.1, -0.1, 0.4, 0.4, 0, 0, 0, 0], atol=1e-12)


def test_what_is_old_no_longer_counts():
    found = computed(max_age_days=3.0)
    # 16.0 of March 14, 20:15, is 2.99 days old at the close of the 17th.
    np.testing.assert_array_equal(found["vix_level"], [NULL, NULL, 14, 14, 16, 16, 16, NULL])
    assert np.isnan(found["pmi"].to_numpy()).all()


def test_a_release_counts_from_its_instant_and_its_lag():
    found = computed(indicators=["cpi_surprise"], lag_minutes=8 * 60)
    np.testing.assert_allclose(
        found["cpi_surprise"], [NULL, 0.1, -0.1, 0.4, 0.4, 0, 0, 0], atol=1e-12
    )


def test_a_surprise_in_deviations_of_those_before_it():
    found = computed(indicators=["cpi_surprise"], surprise_window=2, min_surprises=2)
    third = 0.4 / statistics.stdev([0.1, -0.1])
    np.testing.assert_allclose(
        found["cpi_surprise"], [NULL, NULL, third, third, 0, 0, 0, 0], rtol=1e-12, atol=1e-12
    )
    changed = {**TABLES, "cpi": TABLES["cpi"].copy()}
    changed["cpi"].loc[changed["cpi"].index[3], "actual"] = 9.1
    found = computed(
        tables=changed, indicators=["cpi_surprise"], surprise_window=2, min_surprises=2
    )
    # The window holds two: 0.1 has left it. The release itself does not scale itself.
    last = 6.0 / statistics.stdev([-0.1, 0.4])
    np.testing.assert_allclose(
        found["cpi_surprise"], [NULL, NULL, third, third, *[last] * 4], rtol=1e-9
    )


def test_surprises_that_differ_by_a_rounding_have_no_deviation():
    steps = [0.1 * each for each in range(1, 9)]
    cpi = table(
        ["actual", "consensus"],
        [(f"{day} 12:30", step + 0.1, step) for day, step in zip(DAYS, steps, strict=True)],
    )
    params = {"indicators": ["cpi_surprise"], "surprise_window": 6, "min_surprises": 2}
    found = computed(tables={"cpi": cpi}, **params)
    assert np.isnan(found["cpi_surprise"].to_numpy()).all()


@pytest.mark.parametrize("cut", range(9))
def test_a_state_continues_it_wherever_it_is_cut(cut):
    params = {"surprise_window": 2, "min_surprises": 2}
    plugin = features.create("macro.indicators", **params)
    data = frame(plugin)
    head, state = plugin.advance(data.iloc[:cut], cut, None)
    state = json.loads(json.dumps(state))
    tail, _ = plugin.advance(data.iloc[cut:], len(data) - cut, state)
    pd.testing.assert_frame_equal(pd.concat([head, tail]), plugin.compute(data), check_exact=True)


def test_tables_are_those_of_the_market_and_only_those_needed():
    plugin = features.create("macro.indicators", indicators=["vix_level"], vix="daily.VIXCLS")
    (side,) = plugin.sides
    assert (side.symbol, side.table, side.columns) == (None, "daily", ("VIXCLS",))
    assert plugin.memory.lookback == 1
    assert plugin.context is None
    plugin = features.create("macro.indicators", surprise_window=12)
    assert (plugin.memory.kind, plugin.context) == ("cumulative", 0)


def test_one_absurd_release_changes_what_it_is_known_to_alone():
    poisoned = {**TABLES, "vix": TABLES["vix"].assign(level=[14.0, 1e9])}
    before, after = computed(), computed(tables=poisoned)
    changed = (before != after) & ~(before.isna() & after.isna())
    assert changed.any().tolist() == [False, True, False, False]
    assert changed["vix_level"].tolist() == [False] * 4 + [True] * 4


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"indicators": ["pmi", "pmi"]}, "names pmi twice"),
        ({"indicators": ["gdp"]}, "pmi"),
        ({"vix": "vix"}, "vix"),
        ({"cpi_consensus": "survey.median"}, "must be a column of the table of the release, 'cpi'"),
        (
            {
                "surprise_window": 12,
                "cpi": "macro.cpi",
                "cpi_consensus": "macro.e",
                "pmi": "macro.p",
            },
            "'macro' would count as a release of the cpi, and it holds pmi, too",
        ),
        ({"surprise_window": 3}, r"must not exceed surprise_window \(3\)"),
    ],
)
def test_mistakes(params, message):
    with pytest.raises(ConfigurationError, match=message):
        features.create("macro.indicators", **params)
