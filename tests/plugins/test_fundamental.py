"""Fundamental ratios: by hand from filings, splits and prices."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.features.fundamental import COLUMNS, PARTS
from hf_plugins.joins import joined
from hf_plugins.registry import features

NULL = float("nan")
DAYS = ["2024-05-01", "2024-05-02", "2024-05-03", "2024-05-06", "2024-05-07"]
FILING = {
    "net_income_ttm": 50.0,
    "revenue_ttm": 400.0,
    "dividends_ttm": 20.0,
    "equity": 250.0,
    "total_assets": 1000.0,
    "total_debt": 300.0,
    "shares_outstanding": 100.0,
    "cumulative_split": 2.0,
}


def stamps(times) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times, tz="UTC", name="timestamp").as_unit("ns")


def table(rows) -> pd.DataFrame:
    return pd.DataFrame([row for _, row in rows], index=stamps([time for time, _ in rows]))


FILINGS = table([("2024-05-01 21:30", FILING)])
SPLITS = table(
    [("1980-12-12", {"cumulative_split": 1.0}), ("2000-06-21", {"cumulative_split": 2.0})]
)


def computed(filings=FILINGS, splits=SPLITS, price=(10.0,) * 5, splits_table="splits", **params):
    plugin = features.create("fundamental.ratios", splits=splits_table, **params)
    own = pd.DataFrame({"raw_close": np.array(price, float)}, index=stamps(DAYS))
    closes = np.asarray(stamps([f"{day} 20:00" for day in DAYS]).asi8)
    tables = {"filings": filings, "splits": splits}
    sides = {side: tables[side.table] for side in plugin.sides}
    return plugin.compute(joined(own.loc[:, list(plugin.reads)], sides, "1d", closes))


def test_by_hand():
    found = computed()
    # 100 shares at 10 are worth 1000.
    expected = {
        "price_to_earnings": 20.0,
        "price_to_book": 4.0,
        "price_to_sales": 2.5,
        "earnings_yield": 0.05,
        "dividend_yield": 0.02,
        "return_on_equity": 0.2,
        "return_on_assets": 0.05,
        "debt_to_equity": 1.2,
        "net_margin": 0.125,
    }
    assert list(found) == list(expected) == list(PARTS)
    assert found.iloc[0].isna().all()  # filed after the first bar's close
    for row in range(1, 5):
        np.testing.assert_allclose(found.iloc[row], list(expected.values()), rtol=1e-14)


def test_a_filing_counts_from_its_acceptance_not_from_its_period():
    later = table([("2024-05-01 21:30", FILING), ("2024-05-03 20:01", FILING | {"equity": 500.0})])
    found = computed(filings=later, ratios=["price_to_book"])["price_to_book"]
    np.testing.assert_allclose(found, [NULL, 4.0, 4.0, 2.0, 2.0])
    lagged = computed(filings=later, ratios=["price_to_book"], lag_minutes=2 * 24 * 60)
    np.testing.assert_allclose(lagged["price_to_book"], [NULL, NULL, NULL, 2.0, 2.0])


def test_a_split_after_the_filing_changes_no_ratio():
    """4:1 on May 3: a quarter of the price, four times the shares; filings know of it later."""
    splits = pd.concat([SPLITS, table([("2024-05-03 13:30", {"cumulative_split": 8.0})])])
    price = (10.0, 10.0, 2.5, 2.5, 2.5)
    counted_after = FILING | {"shares_outstanding": 400.0, "cumulative_split": 8.0}
    filings = table([("2024-05-01 21:30", FILING), ("2024-05-06 21:30", counted_after)])
    found = computed(filings=filings, splits=splits, price=price)
    for row in range(2, 5):
        np.testing.assert_allclose(found.iloc[row], found.iloc[1], rtol=1e-14)
    # Without the splits the price to earnings would have fallen to a quarter.
    wrong = computed(filings=filings, splits=splits, price=price, splits_table="")
    assert wrong["price_to_earnings"].iloc[2] == 5.0


def test_what_loses_money_has_no_price_to_earnings_but_an_earnings_yield():
    found = computed(filings=table([("2024-05-01 21:30", FILING | {"net_income_ttm": -50.0})]))
    assert np.isnan(found["price_to_earnings"].to_numpy()).all()
    np.testing.assert_allclose(found["earnings_yield"].iloc[1:], -0.05)
    np.testing.assert_allclose(found["return_on_equity"].iloc[1:], -0.2)


@pytest.mark.parametrize(
    ("amount", "value", "undefined"),
    [
        ("equity", -1.0, {"price_to_book", "return_on_equity", "debt_to_equity"}),
        ("equity", 0.0, {"price_to_book", "return_on_equity", "debt_to_equity"}),
        ("revenue_ttm", 0.0, {"price_to_sales", "net_margin"}),
        ("total_assets", 0.0, {"return_on_assets"}),
        ("dividends_ttm", NULL, {"dividend_yield"}),
        ("total_debt", NULL, {"debt_to_equity"}),
        (
            "shares_outstanding",
            0.0,
            {
                "price_to_earnings", "price_to_book", "price_to_sales", "earnings_yield",
                "dividend_yield",
            },
        ),
        (
            "cumulative_split",
            0.0,
            {
                "price_to_earnings", "price_to_book", "price_to_sales", "earnings_yield",
                "dividend_yield",
            },
        ),
    ],
)  # fmt: skip
def test_what_is_undefined_is_null_and_nothing_else(amount, value, undefined):
    found = computed(filings=table([("2024-05-01 21:30", FILING | {amount: value})]))
    assert set(found.columns[found.iloc[1:].isna().all()]) == undefined
    assert set(found.columns[found.iloc[1:].isna().any()]) == undefined


def test_an_old_filing_no_longer_counts():
    found = computed(max_age_days=2.0, ratios=["net_margin", "price_to_earnings"])
    # Accepted on May 1 at 21:30: 1.94 days old at the close of May 3, 4.94 at that of May 6.
    assert found["net_margin"].notna().tolist() == [False, True, True, False, False]
    assert found["price_to_earnings"].notna().tolist() == [False, True, True, False, False]


def test_no_price_no_ratio_of_it():
    found = computed(price=(10.0, NULL, 0.0, -1.0, 10.0))
    assert found["price_to_book"].notna().tolist() == [False, False, False, False, True]
    assert found["net_margin"].notna().tolist() == [False, True, True, True, True]


def test_only_what_the_ratios_take_is_read():
    plugin = features.create("fundamental.ratios", ratios=["net_margin", "return_on_equity"])
    (filed,) = plugin.sides
    assert filed.columns == ("net_income_ttm", "revenue_ttm", "equity")
    assert plugin.reads == ()
    plugin = features.create("fundamental.ratios", ratios=["price_to_book"])
    assert plugin.reads == ("raw_close",)
    assert plugin.sides[0].columns == ("equity", "shares_outstanding", "cumulative_split")
    assert plugin.sides[1].table == "splits"
    plugin = features.create("fundamental.ratios", ratios=["price_to_book"], splits="")
    assert plugin.sides[0].columns == ("equity", "shares_outstanding")
    assert len(plugin.sides) == 1


def test_columns_of_another_name():
    found = computed(
        filings=FILINGS.rename(columns={"net_income_ttm": "ProfitLoss"}),
        columns={"net_income_ttm": "ProfitLoss"},
    )
    pd.testing.assert_frame_equal(found, computed())


def test_one_absurd_price_changes_its_bar_alone():
    before, after = computed(), computed(price=(10.0, 10.0, 1e9, 10.0, 10.0))
    changed = ((before != after) & ~(before.isna() & after.isna())).any(axis=1)
    assert changed.tolist() == [False, False, True, False, False]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"ratios": []}, "ratios"),
        ({"ratios": ["price_to_book", "price_to_book"]}, "names price_to_book twice"),
        ({"ratios": ["price_to_bok"]}, "price_to_book"),
        ({"columns": {"net_incom": "x"}}, r"no 'net_incom'.*Did you mean 'net_income_ttm'"),
        ({"columns": {"equity": "x", "total_debt": "x"}}, "two amounts the same column"),
        ({"max_age_days": 0}, "max_age_days"),
    ],
)
def test_mistakes(params, message):
    with pytest.raises(ConfigurationError, match=message):
        features.create("fundamental.ratios", **params)


def test_every_amount_is_taken_by_a_ratio():
    taken = {part for parts in PARTS.values() for part in parts}
    assert taken - {"market_value"} | {"shares_outstanding", "cumulative_split"} == set(COLUMNS)
