"""Speed of the 107 gold features: whole history, one live bar, first run, memory.

All on the generator that ships with the project, kernels compiled before the clock starts unless
the figure says otherwise. Times are minima of several runs, as other work on the machine only ever
adds to them. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]  # the slow reference lives with the tests

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

SEED = 1
HISTORY = 9_000
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def main() -> None:
    """Measure, print tables, and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=180_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--live-bars", type=int, default=6_000)
    parser.add_argument("--reference-bars", type=int, default=120, help="0 leaves the ratio out")
    parser.add_argument("--update", type=Path, help="Markdown file whose table is replaced")
    parser.add_argument("--process", choices=PROCESSES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        print(json.dumps(PROCESSES[options.process](options.folder)))
        return
    from hf_plugins.features.gold.tape import default_workers

    figures: dict[str, Any] = {"benchmark": "gold", "rows": options.rows}
    figures["threads"] = default_workers()
    figures |= whole(options.rows, options.repeats)
    figures["families_ms_one_thread"] = families(options.rows, options.repeats)
    figures["scaling_s"] = scaling(options.rows, options.repeats)
    figures["live_us"] = live(options.live_bars)
    figures |= appended(options.rows)
    figures |= lake_read(options.rows, options.repeats)
    if options.reference_bars:
        figures |= against_reference(options.reference_bars, figures["whole_s"] / options.rows)
    figures |= fresh_processes(options.rows)
    if options.update:
        text = options.update.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        options.update.write_text(
            f"{before}{BEGIN}\n{table(figures)}\n{END}{after}", encoding="utf-8"
        )
    print(json.dumps(figures))


def table(figures: dict[str, Any]) -> str:
    """The figures as Markdown."""
    live, memory = figures["live_us"], figures["peak_mib"]
    rows = [
        (f"{figures['rows']:,} bars, frames in, frame out", f"{figures['whole_s']} s"),
        ("of which the join", f"{figures['join_s']} s"),
        *((f"{int(count):,} bars", f"{each} s") for count, each in figures["scaling_s"].items()),
        ("one live bar, median and 99th percentile", f"{live['p50']} and {live['p99']} us"),
        ("at the hourly refit of the levels", f"{live['refit_p50']} and {live['refit_p99']} us"),
        *(
            (f"rows appended to a history: {count}", f"{figures[f'append_{count}_ms']} ms")
            for count in (1, 60)
            if f"append_{count}_ms" in figures
        ),
        ("107 columns from the lake, polars", f"{figures['read_client_ms']} ms"),
        ("107 columns from the lake, pandas", f"{figures['read_store_ms']} ms"),
        ("one plain Parquet file, polars", f"{figures['read_plain_ms']} ms"),
        ("first run, no kernel compiled", f"{figures['first_run_s']} s"),
        ("a later process, imports included", f"{figures['later_process_s']} s"),
        ("peak memory, frames included", f"{memory} MiB"),
    ]
    if "times_faster" in figures:
        rows.append(("straightforward code takes", f"{figures['times_faster']:,} times as long"))
    lines = ["| What | Figure |", "| --- | --: |", *(f"| {what} | {each} |" for what, each in rows)]
    lines += ["", "| Family | ms, one thread |", "| --- | --: |"]
    families = figures["families_ms_one_thread"].items()
    lines += [f"| {name} | {each} |" for name, each in sorted(families, key=lambda item: -item[1])]
    lines += ["", f"With {figures['threads']} threads; `shared` is what several families read."]
    return "\n".join(lines)


def generated(rows: int) -> dict[str, pd.DataFrame]:
    """Six instruments that share ``rows`` minutes."""
    from hf_plugins.features.gold import generator

    return generator.generate(rows, SEED)


def fastest(run: Callable[[], Any], repeats: int) -> float:
    """Least seconds of several runs."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def whole(rows: int, repeats: int) -> dict[str, float]:
    """Frames in, frame out."""
    from hf_plugins.features import gold
    from hf_plugins.features.gold.join import join

    frames = generated(rows)
    gold.compute(frames)
    seconds = fastest(lambda: gold.compute(frames), repeats)
    joining = fastest(lambda: join(frames), repeats)
    print(f"{rows} bars, 107 features: {seconds:.2f} s, of which the join {joining:.3f} s")
    return {"whole_s": round(seconds, 3), "join_s": round(joining, 4)}


def families(rows: int, repeats: int) -> dict[str, float]:
    """Milliseconds of the kernels of each family on one thread.

    A series that one family alone reads counts with it, the others apart.
    """
    from hf_plugins.features.gold.families import FAMILIES, plan
    from hf_plugins.features.gold.join import join
    from hf_plugins.features.gold.tape import Tape

    bars = join(generated(rows))
    tape = Tape(FAMILIES, len(bars))
    tape.put(bars)
    own = {step: family for family, each in FAMILIES.items() for step in each.steps}
    owner = dict.fromkeys(tape.steps, "shared")
    for step in tape.steps:
        users = [name for name in FAMILIES if any(step in stage for stage in plan([name]))]
        owner[step] = own.get(step) or (users[0] if len(users) == 1 else "shared")
    spent = dict.fromkeys([*FAMILIES, "shared"], 0.0)
    for step in tape.steps:
        run = partial(tape.fill_step, step, 0, len(bars))
        spent[owner[step]] += fastest(run, repeats)
    print(f"{'family':20s} columns       ms   ns/bar   (one thread)")
    for family, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        columns = len(FAMILIES[family].names) if family in FAMILIES else 0
        print(f"{family:20s} {columns:7d} {seconds * 1e3:8.1f} {seconds / len(bars) * 1e9:8.0f}")
    return {family: round(seconds * 1e3, 1) for family, seconds in spent.items()}


def scaling(rows: int, repeats: int) -> dict[int, float]:
    """Seconds for a quarter, half, once and twice as many bars."""
    from hf_plugins.features import gold

    found = {}
    for count in (rows // 4, rows // 2, rows, rows * 2):
        frames = generated(count)
        found[count] = round(fastest(partial(gold.compute, frames), repeats), 3)
        print(f"{count:7d} bars {found[count]:7.2f} s {found[count] / count * 1e6:6.2f} us/bar")
    return found


def live(bars: int) -> dict[str, float]:
    """Microseconds of one update, between refits of the levels and at them."""
    from hf_plugins.features.gold import LiveFeatures
    from hf_plugins.features.gold.join import join

    frames = generated(HISTORY + bars + 2)
    index = join(frames).index
    history = {symbol: frame.loc[frame.index < index[HISTORY]] for symbol, frame in frames.items()}
    records = {
        symbol: frame.loc[index[HISTORY:]].to_dict("records") for symbol, frame in frames.items()
    }
    features = LiveFeatures(history)
    plain, refit = [], []
    for number, stamp in enumerate(index[HISTORY:]):
        quotes = {symbol: rows[number] for symbol, rows in records.items()}
        due = stamp.floor("h") != index[HISTORY + number - 1].floor("h")
        started = time.perf_counter()
        features.update(stamp, quotes)
        seconds = time.perf_counter() - started
        if number:  # the first one rebuilds what is carried along
            (refit if due else plain).append(seconds * 1e6)
    found = {
        "p50": round(float(np.percentile(plain, 50)), 1),
        "p99": round(float(np.percentile(plain, 99)), 1),
        "refit_p50": round(float(np.percentile(refit, 50)), 1),
        "refit_p99": round(float(np.percentile(refit, 99)), 1),
    }
    print("live update, microseconds:", found)
    return found


def appended(rows: int) -> dict[str, float]:
    """Milliseconds of the plugin where a minute, or an hour, was appended to a history."""
    from hf_plugins.features.gold.join import COLUMNS, join
    from hf_plugins.registry import features

    bars = join(generated(min(rows, 20_000)))
    data = pd.DataFrame({COLUMNS[name]: each for name, each in bars.series.items()}, bars.index)
    plugin = features.create("gold.features107")
    context = plugin.context or 0
    if len(data) < context + 60:
        return {}
    found = {}
    for name, count in (("append_1_ms", 1), ("append_60_ms", 60)):
        cut = len(data) - count
        _, state = plugin.advance(data.iloc[:cut], cut, None)
        tail = data.iloc[cut - context :]
        run = partial(plugin.advance, tail, count, state)
        found[name] = round(fastest(run, 10) * 1e3, 1)
    print(f"appended to a history, milliseconds: {found}")
    return found


def lake_read(rows: int, repeats: int) -> dict[str, float]:
    """All 107 columns from the lake, after a hit, against one plain Parquet file with polars."""
    import polars as pl

    from hf_plugins.features import gold
    from hf_plugins.versioning import Identity, Implementation
    from hf_resources.client import Client
    from hf_resources.datasets import DatasetRef, Definition
    from hf_resources.settings import Settings

    ref = DatasetRef("features", "gold_features107", "XAUUSD", "1m")
    definition = Definition(ref.layer, ref.name, "gold.features107", {}, "", "gold")
    with tempfile.TemporaryDirectory() as folder:
        client = Client.open(Settings.from_env({"HF_HOME": folder}))
        frame = gold.compute(generated(rows))
        identity = Identity(
            plugin_key=definition.plugin_key,
            params={},
            symbol=ref.symbol,
            timeframe=ref.timeframe,
            start_date=frame.index[0].isoformat(),
            end_date=frame.index[-1].isoformat(),
            source_fingerprint="",
            code_version="",
            implementation=Implementation({}, {}),
            inputs={},
        )
        started = time.perf_counter()
        dataset = client.store.publish(ref, identity, definition=definition, frame=frame)
        published = time.perf_counter() - started
        ask = partial(client.features, ref.symbol, ref.timeframe, [ref.name])
        plain = Path(folder) / "plain.parquet"
        ask().write_parquet(plain, compression="lz4")  # as the lake does
        best = dict.fromkeys(("store", "client", "plain"), np.inf)
        for _ in range(4 * repeats):  # in turns, so that all meet the same weather
            best["store"] = min(best["store"], fastest(lambda: client.store.read(dataset), 1))
            best["client"] = min(best["client"], fastest(ask, 1))
            best["plain"] = min(best["plain"], fastest(lambda: pl.read_parquet(plain), 1))
        size = sum(each.stat().st_size for each in Path(folder).rglob("*.parquet")) - (
            plain.stat().st_size
        )
    found = {f"read_{name}_ms": round(seconds * 1e3, 1) for name, seconds in best.items()}
    found["read_client_ratio"] = round(best["client"] / best["plain"], 2)
    found["read_store_ratio"] = round(best["store"] / best["plain"], 2)
    found["publish_s"] = round(published, 2)
    found["stored_mib"] = round(size / 2**20)
    print(f"107 columns of {rows} rows from the lake: {found}")
    return found


def against_reference(bars: int, seconds_per_bar: float) -> dict[str, float]:
    """Straightforward code for the same numbers, on consecutive bars, extrapolated."""
    from tests.gold import reference

    market = reference.Market(generated(HISTORY + bars + 1))
    reference.compute(market, range(HISTORY, HISTORY + 1))  # what later bars share
    rows = range(HISTORY + 1, HISTORY + 1 + bars)
    slow = fastest(lambda: reference.compute(market, rows), 1) / bars
    ratio = slow / seconds_per_bar
    print(f"straightforward code: {slow * 1e3:.1f} ms a bar, {ratio:.0f} times as long")
    return {"reference_ms_per_bar": round(slow * 1e3, 2), "times_faster": round(ratio)}


def fresh_processes(rows: int) -> dict[str, Any]:
    """First run without compiled kernels, a later process with them, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        for symbol, frame in generated(rows).items():
            frame.to_parquet(Path(folder) / f"{symbol}.parquet")
        first = _process("start", folder)
        later = min((_process("start", folder) for _ in range(3)), key=lambda each: each["s"])
        peak = _process("memory", folder)
    print(f"first run with no kernel compiled: {first['s']:.1f} s, CPU {first['cpu_s']:.1f} s")
    print(f"a later process: {later['s']:.2f} s, of which imports {later['import_s']:.2f} s")
    print(f"peak memory {peak['peak_mib']} MiB, with frames but before {peak['before_mib']} MiB")
    return {
        "first_run_s": round(first["s"], 1),
        "first_run_cpu_s": round(first["cpu_s"], 1),
        "later_process_s": round(later["s"], 2),
        "later_process_import_s": round(later["import_s"], 2),
        **peak,
    }


def _process(what: str, folder: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--process", what, "--folder", folder]
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(Path(folder) / "kernels")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The frames that the parent wrote."""
    return {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}


def start(folder: Path) -> dict[str, float]:
    """Seconds of the imports and of all 107 features of 600 bars, in this process."""
    frames = {symbol: frame.iloc[:700] for symbol, frame in read(folder).items()}
    started = time.perf_counter()
    cpu = time.process_time()
    from hf_plugins.features import gold

    imported = time.perf_counter()
    gold.compute(frames)
    return {
        "s": time.perf_counter() - started,
        "import_s": imported - started,
        "cpu_s": time.process_time() - cpu,
    }


def memory(folder: Path) -> dict[str, float]:
    """Peak resident memory of this process, before and after; the frames are part of it."""
    from hf_plugins.features import gold

    frames = read(folder)
    before = _peak_mib()
    gold.compute(frames)
    return {"before_mib": before, "peak_mib": _peak_mib()}


def _peak_mib() -> int:
    # Not getrusage: its peak begins with that of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


PROCESSES: dict[str, Callable[[Path], dict[str, float]]] = {"start": start, "memory": memory}


if __name__ == "__main__":
    main()
