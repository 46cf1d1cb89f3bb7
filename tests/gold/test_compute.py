"""The whole matrix: its form, its toggles, and that threads leave no trace in it.

What the values are is compared with the reference in ``test_against_reference``.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pandas as pd
import pytest

from hf_plugins.features import gold
from hf_plugins.features.gold.compute import compute_bars
from hf_plugins.features.gold.families import FAMILIES, Step, families
from hf_plugins.features.gold.inversion import INVERTED
from hf_plugins.features.gold.join import join
from hf_plugins.features.gold.tape import CHUNK, Tape
from tests.gold import synthetic

ROWS = 9_400  # beyond the longest look-back, and in three chunks


@cache
def market() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    frames = synthetic.frames(ROWS, seed=11)
    return frames, gold.compute(frames)


def test_form():
    frames, whole = market()
    assert tuple(whole.columns) == gold.names()
    assert set(whole.dtypes) == {np.dtype("float64")}
    assert whole.index.equals(join(frames).index)
    assert whole.index.name == "timestamp"
    assert str(whole.index.dtype) == "datetime64[ns, UTC]"
    assert len(whole) > 2 * CHUNK


def test_every_column_has_values_none_is_infinite_and_nulls_come_first():
    _, whole = market()
    values = whole.to_numpy()
    assert not np.isinf(values).any()
    known = ~np.isnan(values)
    assert known[-1].all()
    assert (known[1:] >= known[:-1]).all()


def test_without_alpha101_the_rest_is_the_same():
    frames, whole = market()
    pd.testing.assert_frame_equal(
        gold.compute(frames, alpha101=False), whole.iloc[:, :105], check_exact=True
    )


def test_inversion_turns_the_sign_of_its_list_and_of_nothing_else():
    frames, whole = market()
    upright = compute_bars(join(frames), families(), inverted=False)
    for name in whole:
        sign = -1.0 if name in INVERTED else 1.0
        np.testing.assert_array_equal(whole[name], sign * upright[name], err_msg=name)
    assert np.nanmax(np.abs(upright["beta_xag_to_xau_120"])) > 0.0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_alone_has_the_bits_of_the_whole(family):
    frames, whole = market()
    alone = compute_bars(join(frames), [family])
    pd.testing.assert_frame_equal(
        alone, whole.loc[:, list(FAMILIES[family].names)], check_exact=True
    )


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_bits(workers):
    frames, whole = market()
    bars = join(frames)
    tape = Tape(families(), len(bars))
    for array in (tape.values, *tape.series.values()):
        array[...] = 123 if array.dtype == np.int64 else 1e300  # nothing left over may be read
    tape.put(bars)
    tape.fill(0, len(bars), workers)
    for row, name in enumerate(tape.names):
        sign = -1.0 if name in INVERTED else 1.0
        np.testing.assert_array_equal(sign * tape.features[row], whole[name], err_msg=name)


def test_chunks_do_not_wait_for_each_other_but_where_they_say_so():
    frames, whole = market()
    bars = join(frames)
    tape = Tape(families(), len(bars))
    tape.values[...] = 1e300
    tape.put(bars)
    for stage in tape.stages:
        for task in reversed(list(tape._tasks(stage, dict.fromkeys(stage, 0), len(bars)))):
            tape.fill_step(*task)
    for row, name in enumerate(tape.names):
        sign = -1.0 if name in INVERTED else 1.0
        np.testing.assert_array_equal(sign * tape.features[row], whole[name], err_msg=name)


def test_computations_side_by_side_do_not_disturb_each_other():
    frames, whole = market()
    with ThreadPoolExecutor(3) as pool:
        for found in pool.map(gold.compute, [frames] * 3):
            pd.testing.assert_frame_equal(found, whole, check_exact=True)


def test_the_input_is_not_changed():
    frames = synthetic.frames(600, seed=2)
    before = {symbol: frame.copy(deep=True) for symbol, frame in frames.items()}
    gold.compute(frames)
    for symbol, frame in frames.items():
        pd.testing.assert_frame_equal(frame, before[symbol], check_exact=True)


@pytest.mark.parametrize("rows", [0, 1, 2, 13, 60, 61])
def test_few_bars_give_few_values(rows):
    frames, whole = market()
    last = whole.index[rows - 1] if rows else whole.index[0] - pd.Timedelta(minutes=1)
    found = gold.compute(
        {symbol: frame.loc[frame.index <= last] for symbol, frame in frames.items()}
    )
    pd.testing.assert_frame_equal(found, whole.iloc[:rows], check_exact=True, check_freq=False)


def test_a_failure_in_a_thread_is_raised(monkeypatch):
    frames, _ = market()
    bars = join(frames)
    tape = Tape(["candles"], len(bars))
    tape.put(bars)

    def broken(start: int, stop: int, out: np.ndarray) -> None:
        raise ZeroDivisionError(f"rows {start} to {stop}")

    step = tape.stages[0][0]
    monkeypatch.setattr(tape, "stages", [[Step(broken, step.writes)]])
    monkeypatch.setattr(tape, "_out", dict.fromkeys(tape.steps, tape.features))
    with pytest.raises(ZeroDivisionError, match="rows 0 to"):
        tape.fill(0, len(bars))


def test_a_kernel_is_given_series_by_the_names_of_its_parameters():
    def kernel(start: int, stop: int, low: object, high: object, out: object) -> None:
        """Reads low before high."""

    assert Step(kernel, ("a",)).reads == ("low", "high")
    assert Step(kernel, ("a",), of="vix_close").reads == ("vix_close", "vix_close")
