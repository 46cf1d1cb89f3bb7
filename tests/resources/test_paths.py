from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_plugins.errors import DataError
from hf_resources import paths


def test_paths_follow_the_layout() -> None:
    feature = paths.folder("features", "rsi_14", "technical.rsi", "BTC/USDT", "1h")
    assert feature == "feature-store/technical.rsi/BTC_2FUSDT/1h"
    other = paths.folder("predictions", "us_lgbm", "ml.lightgbm", "^GSPC", "1d")
    assert other == "predictions/us_lgbm/_5EGSPC/1d"
    chunk = paths.chunk_path(feature, "ab" * 32, "2013-02", "c0ffee" * 11)
    assert chunk == f"{feature}/{'ab' * 32}-2013-02-c0ffeec0ffeec0ff.parquet"
    model = paths.attachment_path(other, "ab" * 32, "model.zip", "c0ffee" * 11)
    assert model == f"{other}/{'ab' * 32}-model-c0ffeec0ffeec0ff.zip"


@given(st.text())
def test_a_quoted_symbol_is_one_harmless_segment_and_can_be_read_back(symbol: str) -> None:
    try:
        symbol.encode()
    except UnicodeEncodeError:
        return
    quoted = paths.quote(symbol)
    assert re.fullmatch(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]*", quoted)
    restored = unquote(re.sub(r"_([0-9A-F]{2})", r"%\1", quoted)) if symbol else "_"
    assert restored == symbol or (symbol == "" and quoted == "_")


def test_symbols_that_look_alike_after_quoting_do_not_collide() -> None:
    symbols = ["BTC/USDT", "BTC_2FUSDT", "BTC_USDT", "BTCUSDT", "EURUSD=X", "..", ".", "", "_"]
    assert len({paths.quote(symbol) for symbol in symbols}) == len(symbols)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a b", ".hidden", "a\\b"])
def test_a_name_that_is_no_segment_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="may only hold letters"):
        paths.folder("models", name, "k", "AAPL", "1d")
    with pytest.raises(DataError, match="may only hold letters"):
        paths.folder("features", "f", name, "AAPL", "1d")
