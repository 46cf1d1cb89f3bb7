"""Quality of the gold features and of the 101 alphas on real one-minute bars of gold.

Needs the third-party bars that the tests use, too (``HF_SHARED_DATA``, or the folder given); says
so and ends where they are absent. With ``--docs`` it writes the page and the images of the docs,
all of whose numbers come from here. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins.alphas import across_time
from hf_plugins.feature_quality import pages
from hf_plugins.feature_quality.auc import next_close_above
from hf_plugins.feature_quality.plots import stability_heat_map
from hf_plugins.feature_quality.report import QualityParams, QualityReport, quality_report
from hf_plugins.features import gold
from hf_resources.sources.clock import Clock

ROOT: Final = Path(__file__).resolve().parents[1]
SEED: Final = 1
OHLC: Final = ["open", "high", "low", "close"]
GOLD: Final = "XAUUSD"
OTHERS: Final = ("XAGUSD", "DXY", "NAS100", "US500", "VIX")
IMAGES: Final = "images"
CAUTION: Final = (
    "What is kept says something about the next minute of this source's own quotes. Nothing here "
    "says that it covers costs."
)
ALPHAS_TOLD: Final = (
    "gold with tick volume of the same server alone; the last 60 bars stand for the cross-section"
)


@dataclass(frozen=True)
class Sample:
    """Real bars, and the instruments that they lack.

    ``volume``: whether gold's volume is known.
    """

    name: str
    told: str
    bars: Mapping[str, pd.DataFrame]
    volume: bool

    @property
    def missing(self) -> tuple[str, ...]:
        """Instruments without bars."""
        return tuple(name for name in OTHERS if name not in self.bars)


@dataclass(frozen=True)
class Rated:
    """What was rated, and what came of it."""

    name: str
    told: str
    report: QualityReport
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    seconds: float


def main() -> None:
    """Rate, print the tables or write them, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("HF_SHARED_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--docs", type=Path, help="folder of the docs, to write them")
    parser.add_argument("--shuffles", type=int, default=10)
    options = parser.parse_args()
    folder = options.data / "gold_m1"
    if not folder.is_dir():
        print(f"needs the shared market data, which is not at {options.data}")
        print(json.dumps({"benchmark": "gold_quality", "skipped": "no shared market data"}))
        return
    params = QualityParams(shuffles=options.shuffles)
    samples = [of_2023(folder), of_2023_with_vix(folder), of_2026(folder)]
    done: set[str] = set()
    rated: list[Rated] = []
    for sample in samples:
        values = computable(sample)
        # What an earlier and longer sample has rated is not rated again on a part of it.
        new = [name for name in values if sample.name != samples[1].name or name not in done]
        done |= set(new)
        rated.append(rate(sample, values.loc[:, new], family_of(), params))
    lacking = [name for name in gold.names() if name not in done]
    bars = samples[-1].bars[GOLD]
    alphas = across_time(bars)
    rated.append(
        rate(
            Sample("101 alphas", ALPHAS_TOLD, {GOLD: bars}, True),
            alphas.loc[:, alphas.notna().any().to_numpy()],
            None,
            params,
        )
    )
    page = written(rated, lacking, alphas, params)
    if options.docs:
        publish(options.docs, page, rated)
    else:
        print(page)
    print(json.dumps(figures(rated, lacking)))


# ------------------------------------------------------------------------------------- real bars


def of_2023(folder: Path) -> Sample:
    """Gold, silver and a dollar index made of its constituents, 2023."""
    bars = {
        GOLD: histdata(folder / "2023_histdata" / "HISTDATA_COM_ASCII_XAUUSD_M12023.zip"),
        "XAGUSD": histdata(folder / "2023_histdata" / "HISTDATA_COM_ASCII_XAGUSD_M12023.zip"),
        "DXY": parquet(folder / "2023_histdata" / "dxy_from_constituents_m1_2023.parquet"),
    }
    told = (
        "gold and silver (HistData) and a dollar index made of five of its six constituents, 2023; "
        "no volume"
    )
    return Sample("2023", told, bars, volume=False)


def of_2023_with_vix(folder: Path) -> Sample:
    """The same gold beside the VIX, which has bars for part of the day only."""
    vix = parquet(folder / "vix_1m_2022_2025.parquet")
    bars = {GOLD: of_2023(folder).bars[GOLD], "VIX": vix}
    return Sample("2023 with VIX", "the same gold and the VIX (Yahoo), 2023", bars, volume=False)


def of_2026(folder: Path) -> Sample:
    """Gold with tick volume, and the Nasdaq 100, of one MetaTrader server."""
    bars = {
        GOLD: parquet(folder / "2025_2026_mt5" / "xauusd_m1_ftmo.parquet"),
        "NAS100": parquet(folder / "2025_2026_mt5" / "us100_m1_ftmo.parquet"),
    }
    told = (
        "gold with tick volume and the Nasdaq 100 of one MetaTrader server, December 2025 to March "
        "2026"
    )
    return Sample("winter 2025/26", told, bars, volume=True)


def histdata(path: Path) -> pd.DataFrame:
    """Bars of a HistData archive, in UTC; rows that occur twice count once."""
    with zipfile.ZipFile(path) as archive:
        name = next(each for each in archive.namelist() if each.endswith(".csv"))
        with archive.open(name) as file:
            table = pd.read_csv(file, sep=";", header=None, names=["stamp", *OHLC, "volume"])
    table = table.drop_duplicates()
    local = pd.DatetimeIndex(pd.to_datetime(table.pop("stamp"), format="%Y%m%d %H%M%S"))
    table.index = Clock.parse("histdata").utc(local)
    return table.sort_index().astype(np.float64)


def parquet(path: Path) -> pd.DataFrame:
    """Bars of a Parquet file whose column ``time`` is UTC."""
    table = pd.read_parquet(path).rename(columns={"tick_volume": "volume"}).set_index("time")
    table.index = pd.DatetimeIndex(table.index).tz_convert("UTC")
    kept = [name for name in (*OHLC, "volume") if name in table]
    return table.loc[:, kept].astype(np.float64)


# ---------------------------------------------------------------------------------- what is rated


def computable(sample: Sample) -> pd.DataFrame:
    """Gold features that the bars at hand decide, on the rows where all of these have a bar.

    Two random stand-ins are put in the place of what is missing: a feature that differs between
    them reads it, and is left out. No value of a stand-in reaches a feature that is kept.
    """
    index = sample.bars[GOLD].index
    for bars in sample.bars.values():
        index = index.intersection(bars.index)
    made = [gold.compute(_with_stand_ins(sample, index, seed)) for seed in (1, 2)]
    first, second = made
    same = [
        name
        for name in first
        if np.array_equal(first[name].to_numpy(), second[name].to_numpy(), equal_nan=True)
    ]
    return first.loc[:, same]


def _with_stand_ins(sample: Sample, index: pd.Index, seed: int) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    frames = {name: bars.loc[index] for name, bars in sample.bars.items()}
    for name in sample.missing:
        walk = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-4, len(index))))
        frames[name] = pd.DataFrame({"close": walk}, index=index)
    if not sample.volume:
        drawn = rng.integers(1, 500, len(index)).astype(np.float64)
        frames[GOLD] = frames[GOLD].assign(volume=drawn)
    return frames


def rate(
    sample: Sample, values: pd.DataFrame, families: Mapping[str, str] | None, params: QualityParams
) -> Rated:
    """A report on features, with the next close of their own rows as the target."""
    started = time.perf_counter()
    target = next_close_above(sample.bars[GOLD]["close"].loc[values.index])
    chosen = {name: families[name] for name in values} if families else None
    # Before any inversion: features are rated as they are.
    signs = [-1.0 if name in gold.INVERTED else 1.0 for name in values]
    report = quality_report(values * signs, target, families=chosen, params=params, seed=SEED)
    first, last = values.index[0], values.index[-1]
    seconds = time.perf_counter() - started
    return Rated(sample.name, sample.told, report, len(values), first, last, seconds)


def family_of() -> dict[str, str]:
    """Family of each gold feature."""
    return {name: family for family, each in gold.FAMILIES.items() for name in each.names}


# ---------------------------------------------------------------------------------------- the page


def written(
    rated: Sequence[Rated], lacking: Sequence[str], alphas: pd.DataFrame, params: QualityParams
) -> str:
    """The page, as Markdown."""
    rate_told = params.honest_policy.false_discovery_rate
    counts = ", ".join(f"{len(each.report.features)} on {each.name}" for each in rated[:-1])
    how = (
        "Written by `python benchmarks/gold_quality.py --docs docs`; every number on this page "
        "comes from it. What the columns mean stands in `hf_plugins/feature_quality/report.py`. "
        "The target of a bar is whether the next joined close is above its own; features are taken "
        "before any inversion."
    )
    what = (
        "No source at hand has all six instruments at the same time, and nothing is filled or made "
        f"up: each sample rates what its own bars decide ({counts}). Not computable on any of "
        f"them, for want of US500 or of DXY and NAS100 at the same time: {_names(lacking)}."
    )
    parts = [
        "# Quality of the gold features on real bars",
        how,
        what,
        "## In short",
        overview(rated),
        CAUTION,
    ]
    for each in rated:
        parts += section(each, rate_told)
    undefined = [str(name) for name in alphas.columns[alphas.isna().all().to_numpy()]]
    if undefined:
        parts.append(f"Never defined on one instrument: {_names(undefined)}.")
    return "\n\n".join(parts) + "\n"


def overview(rated: Sequence[Rated]) -> str:
    """One row per sample and policy: what is kept, what luck keeps, what it is worth."""
    header = ["sample", "policy", "tested", "kept", "kept on shuffled targets (least to most)"]
    header += ["claimed AUC", "AUC out of fold"]
    rows = []
    for each in rated:
        given = each.report.policies.loc[each.report.policies["data"] == "as given"]
        for row in given.to_dict("records"):
            luck = kept_by_luck(each.report, str(row["policy"]))
            rows.append(
                [
                    each.name,
                    str(row["policy"]),
                    str(row["tests"]),
                    str(row["kept"]),
                    f"{luck.mean():.1f} ({luck.min()} to {luck.max()})",
                    "-" if np.isnan(row["claimed_auc"]) else f"{row['claimed_auc']:.4f}",
                    "-"
                    if np.isnan(row["out_of_fold_auc"])
                    else f"{row['out_of_fold_auc']:.4f} ({row['low']:.4f} to {row['high']:.4f})",
                ]
            )
    return pages.table(header, rows)


def kept_by_luck(report: QualityReport, policy: str) -> np.ndarray:
    """Features that a policy kept on each shuffled target."""
    return report.luck.loc[report.luck["policy"] == policy, "kept"].to_numpy(np.int64)


def section(each: Rated, rate_told: float) -> list[str]:
    """What one sample says."""
    table = each.report.features
    unstable = table["adjusted_heterogeneity_p"].to_numpy(np.float64) <= rate_told
    both = [name for name in each.report.seed_kept if name in each.report.honest_kept]
    unsteady = (
        f"Of {len(table)} features {int(unstable.sum())} have an AUC that differs between months "
        "by more than chance explains."
    )
    parts = [
        f"## {each.name[0].upper()}{each.name[1:]}",
        f"{each.rows:,} bars from {each.first:%Y-%m-%d} to {each.last:%Y-%m-%d}: {each.told}.",
        pages.luck_sentence(each.report, rate_told),
        pages.policies_table(each.report),
        f"Kept by **honest**: {_names(each.report.honest_kept)}.",
        f"Kept by **seed**: {_names(each.report.seed_kept)}.",
        f"Kept by both: {_names(both)}.",
        unsteady,
    ]
    if len(each.report.families) > 1:
        parts += ["### Families", pages.families_table(each.report.families)]
    if len(table) > 2:
        legend = "AUC by month; blue is below 0.5, red above, full colour at 0.03 from it."
        parts += ["### Stability", legend, f"![AUC by month]({IMAGES}/{image_of(each)})"]
    parts += ["### Features", pages.features_table(table)]
    return parts


def image_of(each: Rated) -> str:
    """File name of the heat map."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in each.name)
    return f"gold_quality_{plain}.svg"


def publish(docs: Path, page: str, rated: Sequence[Rated]) -> None:
    """Write page and images."""
    (docs / "gold_quality.md").write_text(page)
    (docs / IMAGES).mkdir(exist_ok=True)
    for each in rated:
        if len(each.report.features) > 2:
            picture = stability_heat_map(each.report.stability.auc, told=False)
            (docs / IMAGES / image_of(each)).write_text(picture + "\n")


def figures(rated: Sequence[Rated], lacking: Sequence[str]) -> dict[str, Any]:
    """The figures of the last line."""
    found: dict[str, Any] = {"benchmark": "gold_quality", "not_computable": list(lacking)}
    for each in rated:
        found[each.name] = {
            "rows": each.rows,
            "features": len(each.report.features),
            "seconds": round(each.seconds, 1),
            **{
                f"{policy}_kept": len(names)
                for policy, names in (
                    ("seed", each.report.seed_kept),
                    ("honest", each.report.honest_kept),
                )
            },
            **{
                f"{policy}_kept_by_luck": float(kept_by_luck(each.report, policy).mean())
                for policy in ("seed", "honest")
            },
        }
    return found


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


if __name__ == "__main__":
    main()
