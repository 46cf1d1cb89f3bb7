"""``hf certificate``: what was tried to find look-ahead in a dataset, and what came of it."""

from __future__ import annotations

import click

from hf_assets.cli.session import Session
from hf_assets.metadata import SHORT
from hf_plugins.errors import ConfigurationError
from hf_resources.certificates import Certificates
from hf_resources.datasets import DatasetRef


@click.command()
@click.argument("feature")
@click.argument("symbol")
@click.argument("timeframe")
def certificate(feature: str, symbol: str, timeframe: str) -> None:
    """The causality certificate of FEATURE for SYMBOL and TIMEFRAME.

    Exits with 1 if there is none, or if it tells of a violation.
    """
    session = Session.load()
    name = feature.removeprefix("features/")
    session.task(f"features/{name}")  # tells of an unknown name
    ref = DatasetRef("features", name, symbol, timeframe)
    found = Certificates(session.store).of_head(ref)
    if found is None:
        raise ConfigurationError(f"{ref} has no data yet; materialise it first")
    head, recorded = found
    click.echo(f"{ref}: version {head.version_hash[:SHORT]}, {head.row_count:,} rows")
    if recorded is None:
        click.echo("not certified yet: run the check 'causality' of the feature")
        raise SystemExit(1)
    click.echo(f"certified {recorded.created_at:%Y-%m-%d %H:%M} UTC")
    click.echo(str(recorded.certificate))
    if not recorded.certificate.ok:
        raise SystemExit(1)
