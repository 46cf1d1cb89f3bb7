"""A publisher is killed at any instant; what the heads point to is whole."""

from __future__ import annotations

import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from hf_resources.datasets import Dataset
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests.resources import publisher


def assert_whole(store: DatasetStore, dataset: Dataset) -> None:
    """The dataset is complete, and is what its identity says."""
    frame, attachments = publisher.content(dataset.ref, dataset.identity["params"]["length"])
    if frame is None:
        assert dataset.row_count == 0
    else:
        assert_frame_equal(store.read(dataset, verify=True), frame, check_exact=True)
    assert {name: store.attachment(dataset, name) for name in attachments} == attachments


def kill_repeatedly(settings: Settings, kills: int, seed: int) -> None:
    store = DatasetStore.open(settings)
    chance = random.Random(seed)
    interrupted = 0
    for number in range(kills):
        receive, send = publisher.CONTEXT.Pipe(duplex=False)
        child = publisher.spawn(publisher.publish_for_ever, settings, seed + number, send)
        send.close()
        last = b""
        for _ in range(chance.randint(1, 9)):  # an odd number stops inside a publication
            assert receive.poll(60), "the publisher does not come forward"
            last = receive.recv_bytes()
        time.sleep(chance.uniform(0, 0.01))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
        while receive.poll():
            try:
                last = receive.recv_bytes()
            except EOFError:
                break
        interrupted += last == b"("
        receive.close()
        for ref in publisher.SERIES:
            head = store.head(ref)
            if head is not None:
                assert_whole(store, head)
    # Otherwise the kills would have proved little.
    assert interrupted > kills / 2
    histories = [dataset for ref in publisher.SERIES for dataset in store.history(ref)]
    assert len(histories) > kills / 2
    assert any(dataset.generation for dataset in histories)

    # All versions, not the heads alone, also after the remains are cleared away.
    store.lake.put_if_absent("features/orphan.parquet", b"left behind")
    past = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    root = Path(settings.lake_url)  # in S3 nothing is ever half-written
    for file in root.rglob("*#*"):
        os.utime(file, (past, past))
    report = store.collect_garbage(grace=timedelta(0))
    assert "features/orphan.parquet" in report.objects
    assert not list(root.rglob("*#*"))
    for dataset in histories:
        assert_whole(store, dataset)
    assert store.collect_garbage(grace=timedelta(0)).objects == ()


def test_no_kill_leaves_a_half_published_head(settings: Settings) -> None:
    kill_repeatedly(settings, kills=20, seed=1)


@pytest.mark.slow
def test_no_kill_of_many_leaves_a_half_published_head(settings: Settings) -> None:
    kill_repeatedly(settings, kills=300, seed=1000)
