"""The universe file: what it may say, and one clear sentence for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_plugins.errors import ConfigurationError
from hf_resources.instruments import Instrument, Universe, check_symbol, load_universe

LINE = "{symbol: AAPL, asset_class: equity, calendar: XNYS, price_precision: 4, size_precision: 0}"
GOOD = f"timeframes: [1h, 1d]\ninstruments:\n  - {LINE}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "universe.yaml"
    path.write_text(text)
    return path


def sentence(folder: Path, text: str, **options: list[str]) -> str:
    path = write(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load_universe(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


def second(line: str) -> str:
    return f"{GOOD}  - {line}\n"


def test_good_file(tmp_path: Path):
    btc = (
        "{symbol: BTC/USDT, asset_class: crypto, calendar: 24/7, price_precision: 2, "
        "size_precision: 5, source: binance}"
    )
    universe = load_universe(write(tmp_path, second(btc)), sources=["binance", "sample"])
    assert universe == Universe(
        ("1h", "1d"),
        (
            Instrument("AAPL", "equity", "XNYS", 4, 0),
            Instrument("BTC/USDT", "crypto", "24/7", 2, 5, "binance"),
        ),
    )
    assert universe.symbols == ("AAPL", "BTC/USDT")
    assert universe.get("AAPL").price_precision == 4


def test_lookup_names_the_nearest_symbol(tmp_path: Path):
    universe = load_universe(write(tmp_path, GOOD))
    with pytest.raises(ConfigurationError, match=r"unknown symbol 'APPL'.*Did you mean 'AAPL'\?"):
        universe.get("APPL")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            LINE.replace("symbol:", "symbl:"),
            (
                "instruments[1].symbl is not a known field; allowed: asset_class, calendar, "
                "price_precision, size_precision, source, symbol. Did you mean 'symbol'?"
            ),
        ),
        (
            LINE.replace("asset_class: equity, ", ""),
            (
                "instruments[1].asset_class is missing; allowed fields: asset_class, calendar, "
                "price_precision, size_precision, source, symbol"
            ),
        ),
        (
            LINE,
            (
                "instruments[1].symbol is 'AAPL', which instruments[0] has already; each symbol is "
                "allowed once"
            ),
        ),
        (
            LINE.replace("equity", "equty"),
            (
                "instruments[1].asset_class is 'equty'; allowed: equity, crypto, fx, metal, index, "
                "future. Did you mean 'equity'?"
            ),
        ),
        (
            LINE.replace("XNYS", "24-7"),
            (
                "instruments[1].calendar is '24-7'; allowed: 24/7, 24/5 or the four-letter code of "
                "an exchange such as XNYS. Did you mean '24/7'?"
            ),
        ),
        (
            LINE.replace("price_precision: 4", "price_precision: 4.5"),
            (
                "instruments[1].price_precision is 4.5; allowed: a whole number of decimals from 0 "
                "to 12"
            ),
        ),
        (
            LINE.replace("size_precision: 0", "size_precision: true"),
            (
                "instruments[1].size_precision is True; allowed: a whole number of decimals from 0 "
                "to 12"
            ),
        ),
        (
            LINE.replace("size_precision: 0", "size_precision: 13"),
            "instruments[1].size_precision is 13; allowed: a whole number of decimals from 0 to 12",
        ),
        (
            LINE.replace("{symbol: AAPL", "{source: 7, symbol: MSFT"),
            "instruments[1].source is 7; allowed: the key of a source",
        ),
        (
            "MSFT",
            (
                "instruments[1] is 'MSFT'; allowed: a mapping of symbol, asset_class, calendar, "
                "price_precision, size_precision, source"
            ),
        ),
    ],
)
def test_bad_instrument(tmp_path: Path, line: str, expected: str):
    assert sentence(tmp_path, second(line)) == expected


@pytest.mark.parametrize(
    ("written", "value", "hint"),
    [
        ("'A|B'", "'A|B'", ""),
        ("A..B", "'A..B'", ""),
        ("../x", "'../x'", ""),
        ("aapl", "'aapl'", ". Did you mean 'AAPL'?"),
        ("'[X]'", "'[X]'", ""),
        ("''", "''", ""),
        ("'A,B'", "'A,B'", ""),
        ("A" * 33, repr("A" * 33), ""),
        ("^GSPC", "'^GSPC'", ""),
        ('"AAPL\\n"', "'AAPL\\n'", ". Did you mean 'AAPL'?"),
        ("700", "700", "; put quotes around it so that YAML reads it as text"),
        ("true", "True", "; put quotes around it so that YAML reads it as text"),
        ("null", "None", ""),
    ],
)
def test_bad_symbol(tmp_path: Path, written: str, value: str, hint: str):
    message = sentence(tmp_path, second(LINE.replace("AAPL", written)))
    assert message == (
        f"instruments[1].symbol is {value}; allowed: 1 to 32 characters out of A-Z 0-9 . _ = ^ / "
        f"-, a letter or digit first, no '..'{hint}"
    )


@pytest.mark.parametrize("symbol", ["AAPL", "BRK.B", "BTC/USDT", "EURUSD=X", "BTC-PERP", "0700.HK"])
def test_good_symbols(symbol: str):
    assert check_symbol(symbol) == symbol


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty; it needs the fields instruments, timeframes"),
        ("# only a comment\n", "the file is empty; it needs the fields instruments, timeframes"),
        ("- AAPL\n", "the file holds a list; allowed: the fields instruments, timeframes"),
        (
            GOOD.replace("timeframes", "timeframe"),
            (
                "timeframe is not a known field; allowed: instruments, timeframes. "
                "Did you mean 'timeframes'?"
            ),
        ),
        (
            "timeframes: [1d]\n",
            "instruments is missing; allowed fields: instruments, timeframes",
        ),
        (
            GOOD.replace("1h, 1d", "1d, 1x"),
            "timeframes[1] is '1x'; allowed: 1m, 5m, 15m, 30m, 1h, 4h, 1d. Did you mean '1m'?",
        ),
        (
            GOOD.replace("1h, 1d", "60"),
            "timeframes[0] is 60; allowed: 1m, 5m, 15m, 30m, 1h, 4h, 1d.",
        ),
        (
            GOOD.replace("1h, 1d", "1d, 1d"),
            "timeframes[1] is '1d', which is there twice; name it once",
        ),
        (
            GOOD.replace("[1h, 1d]", "1d"),
            "timeframes is '1d'; allowed: a list with at least one entry",
        ),
        (
            GOOD.replace("[1h, 1d]", "[]"),
            "timeframes is []; allowed: a list with at least one entry",
        ),
        (
            "timeframes: [1d]\ninstruments:\n",
            "instruments is None; allowed: a list with at least one entry",
        ),
    ],
)
def test_bad_document(tmp_path: Path, text: str, expected: str):
    assert sentence(tmp_path, text) == expected


def test_broken_yaml_names_line_and_column(tmp_path: Path):
    message = sentence(tmp_path, "timeframes: [1d\ninstruments: []\n")
    assert message.startswith("line 2, column ")
    assert "not valid YAML" in message


def test_unknown_source_names_the_nearest(tmp_path: Path):
    line = LINE.replace("{symbol: AAPL", "{source: sampel, symbol: MSFT")
    assert sentence(tmp_path, second(line), sources=["parquet", "sample"]) == (
        "instruments[1].source is 'sampel'; allowed: parquet, sample. Did you mean 'sample'?"
    )


def test_missing_file_names_the_nearest(tmp_path: Path):
    write(tmp_path, GOOD)
    with pytest.raises(
        ConfigurationError,
        match=r"univers\.yaml: the file does not exist\. Did you mean 'universe\.yaml'\?",
    ):
        load_universe(tmp_path / "univers.yaml")
