"""The ``hf`` command: what a person does from a terminal.

Commands load the same definitions as the web UI and work on the same state; each lives in a module
of its own and imports what it needs when it runs, so that ``hf --help`` is quick.
"""

from __future__ import annotations

import importlib
import sys

import click

from hf_plugins.errors import HfError

COMMANDS = {
    "demo": "Run the whole chain and show the results.",
    "run": "Materialise assets for symbols and timeframes, skipping what is up to date.",
    "backfill": "Fetch the history of a symbol and compute all that follows from it.",
    "status": "What is stale or missing now, with the reason; --data: how the bars stand.",
    "why": "Why a dataset was computed last, and what would change now.",
    "history": "All versions of a dataset, newest first.",
    "certificate": "What was tried to find look-ahead in a feature, and what came of it.",
    "record": "Record what a venue has no history of: liquidations.",
    "plugins": "List plugins, and hold them to their contracts.",
    "catalog": "Create or upgrade the catalog database.",
    "gc": "Delete objects that no dataset references.",
}
_MODULES = {
    "demo": "run",
    "run": "run",
    "backfill": "backfill",
    "certificate": "certificate",
    "record": "record",
    "plugins": "plugins",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hf_assets.cli.{_MODULES.get(cmd_name, 'inspect')}")
        return getattr(module, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy)
@click.version_option(package_name="hf-assets")
def cli() -> None:
    """Quantitative research as content-addressed Dagster assets."""


def main() -> None:
    """Entry point: an error that the user can mend is one sentence, not a traceback."""
    try:
        cli()
    except HfError as error:
        click.secho(f"error: {error}", fg="red", err=True)
        sys.exit(1)
