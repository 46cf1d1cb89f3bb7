"""Work for child processes: publishing, over and over, until somebody kills them.

Children are forked from a server that has imported this module, because a start from nothing costs
a second. The server opens no store, so no thread or connection is inherited.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

from sqlalchemy.orm import configure_mappers

from hf_plugins.errors import HfError
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.lake import Lake
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests.resources import samples

CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")
# The first use of the models would cost each child a tenth of a second.
configure_mappers()
CONTEXT.set_forkserver_preload(["tests.resources.publisher"])

SINGLE = samples.ref("single")
SEVERAL = samples.ref("several", timeframe="1m")
MODEL = samples.ref("fitted", layer="models")
SERIES = (SINGLE, SEVERAL, MODEL)


def spawn(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a child, which finds the same S3 server."""
    child = CONTEXT.Process(target=_run, args=(_aws(), target, arguments), daemon=True)
    child.start()
    return child


def _aws() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def _run(environ: dict[str, str], target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # What the server of the forks was started with is older than this test.
    for name in _aws():
        del os.environ[name]
    os.environ |= environ
    target(*arguments)


def content(ref: DatasetRef, length: int) -> tuple[Any, dict[str, bytes]]:
    """What the version ``length`` of a series holds: one chunk, three chunks, or attachments."""
    if ref == MODEL:
        return None, {"model.zip": bytes([length % 256]) * 50_000, "card.json": b"{}"}
    # Daily rows in monthly chunks; a part of them is what other versions hold, too.
    frame = samples.frame(75 + length % 5, seed=length % 3, timeframe="1d")
    return frame, {}


def publish(store: DatasetStore, ref: DatasetRef, length: int, *, force: bool) -> Dataset:
    """Publish one version on top of whatever is the head."""
    frame, attachments = content(ref, length)
    return store.publish(
        ref,
        samples.identity(length, of=ref),
        definition=samples.definition(ref, parameters={"length": length}),
        frame=frame,
        attachments=attachments,
        expected=store.head(ref),
        force=force,
    )


def publish_for_ever(settings: Settings, seed: int, progress: Any) -> None:
    """Publish new, old and forced versions; tells when each publication begins and ends."""
    store = DatasetStore.open(settings)
    chance = random.Random(seed)
    while True:
        ref, length = chance.choice(SERIES), chance.randrange(10_000)
        progress.send_bytes(b"(")
        publish(store, ref, chance.choice((length, length % 7)), force=chance.random() < 0.4)
        progress.send_bytes(b")")


def publish_many(settings: Settings, seed: int, count: int) -> None:
    """Publish new versions without looking at the clock."""
    store = DatasetStore.open(settings)
    for number in range(count):
        publish(store, SERIES[number % 3], seed * 10_000 + number, force=number % 2 == 0)


def publish_once(
    settings: Settings, ref: DatasetRef, lengths: list[int], barrier: Any, answers: Any
) -> None:
    """Publish versions, each at the same moment as the other processes."""
    store = DatasetStore.open(settings)
    for length in lengths:
        head = store.head(ref)
        frame, attachments = content(ref, length)
        barrier.wait(30)
        try:
            answer: Any = store.publish(
                ref,
                samples.identity(length, of=ref),
                definition=samples.definition(ref, parameters={"length": length}),
                frame=frame,
                attachments=attachments,
                expected=head,
            )
        except HfError as error:
            answer = str(error)
        answers.put((length, answer))
        barrier.wait(30)


def put_once(root: str, paths: list[str], data: bytes, barrier: Any, answers: Any) -> None:
    """Create objects, each at the same moment as the other processes."""
    lake = Lake(root)
    for path in paths:
        barrier.wait(30)
        answers.put((path, lake.put_if_absent(path, data), lake.get(path)))
