"""A declared clock that the bars contradict is told: as a check, and by ``hf status --data``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pandas as pd
import pytest
from click.testing import CliRunner

from hf_assets.cli import cli
from hf_assets.cli.session import Session
from hf_resources import clock_verdict
from hf_resources.calendars import expected_opens
from hf_resources.instruments import Instrument
from hf_resources.tracking import Tracking
from tests.graph.lab import Lab, bars

FEATURE = """
type: hf_assets.Feature
attributes: {name: momentum_20, plugin: statistical.momentum, params: {window: 20}}
"""
GOLD = Instrument("AAA", "metal", "24/5", 4, 0)
HOURS = 2_000


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(symbols=("AAA",), timeframes=("1h",), yaml_text=FEATURE, rows=10)
    lab.write_universe(asset_class="metal", calendar="24/5")
    return lab


def write(lab: Lab, *, hours_late: int = 0, rows: int = HOURS) -> None:
    """Bars of the market's real hours, stamped so many hours too late."""
    opens = expected_opens(
        GOLD, "1h", datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC)
    )
    index = pd.DatetimeIndex(opens.view("datetime64[us]"), tz="UTC", name="timestamp")
    frame = bars(HOURS + 200, "1h").set_index(index[: HOURS + 200]).iloc[:rows]
    lab.write_bars("AAA", "1h", frame.set_index(frame.index + pd.Timedelta(hours=hours_late)))


def check(lab: Lab) -> dg.AssetCheckEvaluation:
    job = lab.definitions().resolve_job_def("market_data_checks")
    result = job.execute_in_process(instance=lab.instance)
    return next(e for e in result.get_asset_check_evaluations() if e.check_name == "clock")


def verdict(lab: Lab) -> dict[str, Any]:
    return Tracking(lab.store).statuses()["AAA", "1h"]["clock"]


def status(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Session, "load", lambda: Session(lab.tree))
    monkeypatch.setenv("HF_HOME", str(lab.root / "state"))
    monkeypatch.setenv("COLUMNS", "250")
    result = CliRunner().invoke(cli, ["status", "--data"], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_wrong_clock_is_told_with_its_evidence(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    write(lab, hours_late=2)
    lab.run(["market_data/bars"])
    told = check(lab)
    assert not told.passed
    assert told.severity == dg.AssetCheckSeverity.WARN
    assert told.description is not None
    assert told.description.startswith("AAA|1h: declared is UTC, which ")
    table = told.metadata["findings"]
    rows = [dict(record.data) for record in table.records]  # type: ignore[union-attr]
    assert {row["partition"] for row in rows} == {"AAA|1h"}
    assert {row["declared"] for row in rows} == {"UTC"}
    assert all("the stamps are 2 hours too late" in str(row["evidence"]) for row in rows)
    assert any("the daily pause from 17:00 New York" in str(row["evidence"]) for row in rows)
    output = status(lab, monkeypatch)
    assert "in doubt" in output
    assert "the stamps are 2 hours too late" in output


def test_the_clock_is_looked_at_again_once_the_file_is_mended(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(lab, hours_late=2)
    lab.run(["market_data/bars"])
    write(lab)
    lab.run(["market_data/bars"])
    told = check(lab)
    assert told.passed
    assert told.metadata["series_audited"].value == 1
    assert verdict(lab)["findings"] > 0
    assert "in doubt" not in status(lab, monkeypatch)


@pytest.mark.slow
def test_another_declaration_is_looked_at_anew(lab: Lab) -> None:
    write(lab)
    frame = lab.read_bars("AAA", "1h")
    frame.index = pd.DatetimeIndex(frame.index).tz_localize(None)
    lab.write_bars("AAA", "1h", frame)
    lab.edit_yaml("folder:", "clock: UTC+3\n    folder:", document="source")
    lab.run(["market_data/bars"])
    told = check(lab)
    assert not told.passed
    assert told.metadata["findings"].records[0].data["fitting"].startswith("UTC")  # type: ignore[union-attr]
    lab.edit_yaml("clock: UTC+3", "clock: UTC", document="source")
    lab.run(["market_data/bars"])
    assert check(lab).passed


def test_appended_bars_are_not_looked_at_before_a_week_of_them_has_come(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    audit = clock_verdict.audit

    def counted(rows: pd.DataFrame, *args: Any, **kwargs: Any) -> Any:
        looks.append(len(rows))
        return audit(rows, *args, **kwargs)

    monkeypatch.setattr(clock_verdict, "audit", counted)
    write(lab)
    lab.run(["market_data/bars"])
    write(lab, rows=HOURS + 23)
    lab.run(["market_data/bars"])
    assert looks == [HOURS]
    assert verdict(lab)["findings"] > 0  # what was found stands
    write(lab, rows=HOURS + 140)
    lab.run(["market_data/bars"])
    assert looks == [HOURS, HOURS + 140]


def test_a_market_without_pauses_says_nothing(lab: Lab) -> None:
    lab.write_universe(asset_class="crypto", calendar="24/7")
    lab.write_bars("AAA", "1h", bars(HOURS, "1h"))
    lab.run(["market_data/bars"])
    assert check(lab).passed
    assert verdict(lab)["findings"] == 0
