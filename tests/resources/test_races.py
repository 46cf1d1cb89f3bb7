"""Several processes publish at once."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests.resources import publisher


def run(settings: Settings, ref: DatasetRef, plans: list[list[int]]) -> dict[int, list[Any]]:
    """Let one process per plan publish its versions in step; answers by version."""
    barrier = publisher.CONTEXT.Barrier(len(plans))
    queue = publisher.CONTEXT.Queue()
    children = [
        publisher.spawn(publisher.publish_once, settings, ref, plan, barrier, queue)
        for plan in plans
    ]
    answers: dict[int, list[Any]] = defaultdict(list)
    for _ in range(sum(map(len, plans))):
        version, answer = queue.get(timeout=60)
        answers[version].append(answer)
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * len(children)
    return answers


@pytest.mark.parametrize("ref", publisher.SERIES, ids=str)
def test_the_same_version_published_twice_at_once_is_one_row_and_one_object(
    settings: Settings, ref: DatasetRef
) -> None:
    store = DatasetStore.open(settings)
    versions = list(range(12))
    answers = run(settings, ref, [versions, versions])
    history = store.history(ref)
    assert len(history) == len(versions)
    for version in versions:
        one, other = answers[version]
        assert isinstance(one, Dataset)
        assert one == other
        assert one in history
    stored = {item.path for item in store.lake.list()}
    referenced = {chunk.path for dataset in history for chunk in store.chunks(dataset)}
    referenced |= {a["path"] for dataset in history for a in dataset.attachments.values()}
    assert stored == referenced
    head = store.head(ref)
    assert head is not None
    assert head.head_version == len(versions)  # the second of each pair moved nothing


def test_of_two_different_versions_one_wins_and_the_other_is_told(settings: Settings) -> None:
    store = DatasetStore.open(settings)
    left, right = list(range(10)), list(range(100, 110))
    answers = run(settings, publisher.SINGLE, [left, right])
    for one, other in zip(left, right, strict=True):
        pair = [answers[one][0], answers[other][0]]
        refused = [answer for answer in pair if isinstance(answer, str)]
        assert len(refused) == 1
        assert "nothing was changed" in refused[0]
    assert len(store.history(publisher.SINGLE)) == len(left)
