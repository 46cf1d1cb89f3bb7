"""Features through Dagster on every face of storage, and with storage that fails during a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from dagster import DagsterEventType
from polars.testing import assert_frame_equal
from sqlalchemy.engine import make_url

from hf_plugins.features.statistical import Momentum
from hf_resources import cache as cache_module
from hf_resources import lake as lake_module
from hf_resources import store as store_module
from hf_resources.client import Client
from hf_resources.datasets import Layer
from tests import servers
from tests.faces import Face, param
from tests.faults import COMMIT, Fault, Moment, s3_proxy, tcp_proxy
from tests.graph.lab import Lab, bars, missed

FEATURES = """
type: hf_assets.Feature
attributes: {name: momentum_20, plugin: statistical.momentum, params: {window: 20}}
---
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
"""
NAMES = ["momentum_20", "rsi_14"]
BARS: tuple[Layer, str] = ("market_data", "bars")
ROWS = 1500

FACES = [
    param(Face("s3", "sqlite"), slow=False),
    param(Face("local", "postgres"), slow=True),
    param(Face("s3", "postgres"), slow=True),
    param(Face("local", "sqlite", redis=True), slow=True),
    param(Face("local", "postgres", redis=True), slow=True),
    param(Face("s3", "sqlite", redis=True), slow=True),
    param(Face("s3", "postgres", redis=True), slow=True),
]
"""A lake and a catalog on this disk are what these are compared with."""


@pytest.fixture
def make(make_lab: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lab]:
    def make_one(environ: dict[str, str]) -> Lab:
        if "HF_REDIS_URL" in environ:
            monkeypatch.setenv("HF_REDIS_URL", environ["HF_REDIS_URL"])
        return make_lab(
            yaml_text=FEATURES,
            timeframes=("1h",),
            rows=ROWS,
            lake_url=environ.get("HF_LAKE_URL", ""),
            catalog_url=environ.get("HF_CATALOG_URL", ""),
        )

    return make_one


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lake_module, "_SILENCE", timedelta(seconds=5))
    monkeypatch.setattr(lake_module, "_PATIENCE", timedelta(seconds=1.5))
    monkeypatch.setattr(store_module, "_PAUSES", (0.02, 0.05, 0.1))


def versions(lab: Lab) -> dict[Any, Any]:
    """Version and digests of each head; bars say themselves where and when they came from."""
    bars_of = {
        key: {name: head.column_digests[name] for name in ("timestamp", "open", "close", "volume")}
        for key, head in lab.store.heads(*BARS).items()
    }
    features = {
        (name, *key): (head.version_hash, head.column_digests)
        for name in NAMES
        for key, head in lab.store.heads("features", name).items()
    }
    return {**bars_of, **features}


def assert_same(lab: Lab, reference: Lab) -> None:
    """Both have the same, also what a reader gets."""
    assert len(versions(lab)) == 6
    assert versions(lab) == versions(reference)
    for symbol in ("AAA", "BBB"):
        found = Client.open(lab.resource.settings()).features(symbol, "1h", NAMES)
        assert_frame_equal(
            found, Client(reference.store).features(symbol, "1h", NAMES), check_exact=True
        )


def test_features_are_the_same_on_every_face(
    face: dict[str, str], make: Callable[..., Lab]
) -> None:
    lab, reference = make(face), make({})
    assert lab.store.lake.uri("").startswith("s3" if "HF_LAKE_URL" in face else "file")
    assert lab.store.catalog.engine.dialect.name in face.get("HF_CATALOG_URL", "sqlite")
    assert missed(lab.run()) == missed(reference.run())
    assert_same(lab, reference)
    assert missed(lab.run()) == set()
    for each in (lab, reference):
        each.write_bars("AAA", "1h", bars(ROWS + 25, "1h", seed=0))
    appended = missed(lab.run())
    assert appended == missed(reference.run())
    assert {partition for _, partition in appended} == {"AAA|1h"}
    assert_same(lab, reference)


@pytest.mark.slow
def test_a_run_whose_lake_fails_says_so_and_the_next_one_repairs_it(
    s3_lake: str,
    make: Callable[..., Lab],
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with s3_proxy(os.environ["AWS_ENDPOINT_URL"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        lab, reference = make({"HF_LAKE_URL": s3_lake}), make({})
        reference.run()
        proxy.faults = [
            Fault("status", "PUT", "/technical.rsi/AAA/", times=10**6),
            # These pass without anybody noticing.
            Fault("status", "PUT", status=500),
            Fault("lost_answer", "PUT"),
            Fault("half_answer", "GET"),
        ]
        done = lab.run(raise_on_error=False)
        assert not any(fault.times for fault in proxy.faults[1:])
        assert ("features/rsi_14", "AAA|1h") not in done
        (said,) = failures(lab)
        assert "/technical.rsi/AAA/" in said
        assert f"cannot be written, because {proxy.url} fails at it" in said
        proxy.faults = []
        assert ("features/rsi_14", "AAA|1h") in missed(lab.run())
        assert missed(lab.run()) == set()
        assert_same(lab, reference)


def failures(lab: Lab) -> list[str]:
    """What the steps that failed have said."""
    found = []
    for run in lab.instance.get_runs():
        for entry in lab.instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE):
            event = entry.dagster_event
            assert event is not None
            error = event.step_failure_data.error
            assert error is not None
            found.append("\n".join([error.message, *(e.message for e in _causes(error))]))
    return found


def _causes(error: Any) -> list[Any]:
    return [error.cause, *_causes(error.cause)] if error.cause else []


@pytest.mark.slow
def test_a_run_outlives_a_catalog_that_goes_away_for_a_moment(
    postgres_catalog: str, make: Callable[..., Lab], impatient: None
) -> None:
    url = make_url(postgres_catalog)
    assert url.port is not None
    with tcp_proxy(url.port) as proxy:
        behind = url.set(port=proxy.port).render_as_string(hide_password=False)
        lab, reference = make({"HF_CATALOG_URL": behind}), make({})
        reference.run()
        assert lab.store.heads(*BARS) == {}  # opens it
        proxy.moments = [
            Moment(b"INSERT INTO market_data "),
            Moment(b"INSERT INTO feature_datasets"),
            Moment(COMMIT, forwarded=True, times=2),
        ]
        lab.run()
        assert proxy.cuts >= 3
        assert_same(lab, reference)


def test_a_run_does_not_notice_that_redis_is_killed(
    redis_server: servers.Redis,
    make: Callable[..., Lab],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(cache_module, "_told", set())
    reference = make({})
    reference.run()
    lab = make({"HF_REDIS_URL": redis_server.url})
    compute = Momentum.compute

    def kill_and_compute(self: Momentum, data: pd.DataFrame) -> pd.DataFrame:
        redis_server.end()
        return compute(self, data)

    monkeypatch.setattr(Momentum, "compute", kill_and_compute)
    lab.run()
    assert redis_server.process is None
    assert_same(lab, reference)
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    (said,) = [each.message for each in warned if each.name == cache_module.__name__]
    assert said.startswith("Redis at ")
    assert "all is read from the lake" in said
