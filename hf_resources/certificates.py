"""Causality certificates in the catalog: one for each version of a feature, kept beside it.

A dataset never changes and its certificate is made later, so it is a row of its own. What a
certificate says belongs in :mod:`hf_plugins.certificate`; when one is made, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from hf_plugins.certificate import Certificate
from hf_resources.catalog.schema import CertificateRow, FeatureDataset
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.queries import statements, to_dataset
from hf_resources.store import DatasetStore

_BATCH: Final = 500


@dataclass(frozen=True)
class Recorded:
    """A certificate as it is kept, and when it was made."""

    certificate: Certificate
    created_at: datetime


class Certificates:
    """Certificates of the feature datasets of a store."""

    def __init__(self, store: DatasetStore) -> None:
        self.store = store

    def of(self, datasets: Iterable[Dataset]) -> dict[int, Recorded]:
        """The certificates that there are, by the id of the dataset."""
        waiting = iter([dataset.id for dataset in datasets if dataset.ref.layer == "features"])
        found: dict[int, Recorded] = {}
        with self.store.catalog.read() as connection:
            while batch := list(islice(waiting, _BATCH)):
                rows = connection.execute(
                    select(
                        CertificateRow.dataset_id,
                        CertificateRow.certificate,
                        CertificateRow.created_at,
                    ).where(CertificateRow.dataset_id.in_(batch))
                )
                for dataset_id, values, created_at in rows:
                    found[dataset_id] = Recorded(Certificate.from_json(values), created_at)
        return found

    def of_head(self, ref: DatasetRef) -> tuple[Dataset, Recorded | None] | None:
        """The current version of a feature with its certificate; None before the first one."""
        head = self.store.head(ref)
        return None if head is None else (head, self.of([head]).get(head.id))

    def before(self, dataset: Dataset) -> tuple[Dataset, Certificate] | None:
        """The newest earlier version of the series that has a certificate."""
        own = FeatureDataset.__table__.c
        definition = select(own.definition_id).where(own.id == dataset.id).scalar_subquery()
        newest = (
            select(CertificateRow.dataset_id, CertificateRow.certificate)
            .join(FeatureDataset, FeatureDataset.id == CertificateRow.dataset_id)
            .where(
                own.definition_id == definition,
                own.symbol == dataset.ref.symbol,
                own.timeframe == dataset.ref.timeframe,
                own.id < dataset.id,
            )
            .order_by(own.id.desc())
            .limit(1)
        )
        with self.store.catalog.read() as connection:
            found = connection.execute(newest).first()
            if found is None:
                return None
            by_id = statements("features").by_id
            row = connection.execute(by_id, {"id": found.dataset_id}).one()
        before = to_dataset(row, "features", self.store.lake)
        return before, Certificate.from_json(found.certificate)

    def record(self, dataset: Dataset, certificate: Certificate) -> None:
        """Keep a certificate; where another process was first, its certificate stands."""
        try:
            with self.store.catalog.write() as connection:
                connection.execute(
                    insert(CertificateRow).values(
                        dataset_id=dataset.id,
                        passed=certificate.ok,
                        level=certificate.level,
                        certificate=certificate.to_json(),
                    )
                )
        except IntegrityError:
            if dataset.id not in self.of([dataset]):
                raise
