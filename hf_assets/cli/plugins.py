"""``hf plugins``: what plugins there are, and whether they keep their contract."""

from __future__ import annotations

import inspect
import json
import shutil
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from hf_plugins.base import Plugin
    from hf_plugins.certificate import Certificate

KINDS = ("feature", "scorer", "model", "signal", "engine")

_OUTPUTS = 12
"""Columns of a plugin that are listed by name."""


@click.group()
def plugins() -> None:
    """List plugins and verify that they keep their contract."""


@plugins.command("list")
@click.argument("names", nargs=-1, metavar="[KEY|FAMILY]...")
@click.option("--kind", type=click.Choice(KINDS), help="One kind only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_plugins(names: tuple[str, ...], kind: str | None, as_json: bool) -> None:
    """List plugins with what they are, their parameters and what they yield.

    All of them, or those that are named, one by one or by what stands before the dot of their keys.
    """
    rows = [_describe(each, plugin) for each, plugin in _selected(names, kind)]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{click.style(row['key'], bold=True)}  {click.style(row['kind'], dim=True)}")
        for line in (row["description"], *map(_parameter, row["parameters"]), _yield(row)):
            if line:
                click.echo(_wrapped(line))
        click.echo()
    click.echo(f"{len(rows)} plugin{'s' if len(rows) != 1 else ''}")


@plugins.command()
@click.argument("keys", nargs=-1, metavar="[KEY]...")
def docs(keys: tuple[str, ...]) -> None:
    """Print the page about feature plugins (all, unless keys are given) in Markdown."""
    from hf_assets.plugin_pages import features_page

    chosen = _selected(keys, "feature")
    click.echo(features_page([plugin.key for _, plugin in chosen]), nl=False)


@plugins.command()
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--kind", type=click.Choice(KINDS), help="One kind only.")
@click.option("--verbose", "-v", is_flag=True, help="Show the checks that passed, too.")
def verify(keys: tuple[str, ...], kind: str | None, verbose: bool) -> None:
    """Run the contract suite on plugins (all, unless keys are given), with default parameters.

    Features that are named are searched for look-ahead besides: their causality certificate, at the
    full level, on sampled bars with all that they declare beside them. Exits with 1 if a check
    fails.
    """
    from hf_plugins.errors import ConfigurationError
    from hf_plugins.testing import verify_plugin

    failed = 0
    selected = _selected(keys, kind)
    for each, plugin in selected:
        try:
            report = verify_plugin(each, plugin.key)
        except ConfigurationError as error:
            failed += 1
            click.echo(f"FAIL {each} {plugin.key}: cannot be made with default parameters: {error}")
            continue
        certificates = _certificates(plugin) if keys and each == "feature" else {}
        accused = [name for name, found in certificates.items() if not found.ok]
        good = report.ok and not accused
        failed += not good
        if verbose:
            click.echo(str(report))
        else:
            passed = len(report.checks) - len(report.failures)
            told = f"{passed} of {len(report.checks)} checks"
            if certificates:
                clean = [name for name in certificates if name not in accused]
                told += f", causality certified on {len(clean)} of {len(certificates)} samples"
            click.echo(f"{'ok  ' if good else 'FAIL'} {each} {plugin.key}: {told}")
            for check in report.failures:
                click.echo(f"     {check}")
            if report.unverified:
                click.echo(f"     not verified: {report.unverified}")
        for name, found in certificates.items():
            if verbose or name in accused:
                click.echo(f"  sample '{name}'")
                click.echo("\n".join(f"    {line}" for line in str(found).splitlines()))
    verdict = f"{failed} of {len(selected)} plugins break" if failed else "every plugin keeps"
    click.echo(f"{verdict} the contract ({len(selected)} verified)")
    if failed:
        raise SystemExit(1)


def _certificates(plugin: Any) -> dict[str, Certificate]:
    """The full certificate of a feature on each kind of sample."""
    from hf_plugins.testing import full_certificates

    return full_certificates(plugin())


def _selected(keys: tuple[str, ...], kind: str | None) -> list[tuple[str, type[Plugin]]]:
    """Kind and class of the plugins asked for, in the order of their kinds and keys."""
    from hf_plugins.errors import ConfigurationError, unknown
    from hf_plugins.registry import ALL

    try:
        found = [
            (registry.kind, registry.get(key))
            for registry in ALL
            if kind in (None, registry.kind)
            for key in registry.keys()  # noqa: SIM118  (a registry is no mapping)
        ]
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    known = [plugin.key for _, plugin in found]
    families = {key.partition(".")[0] for key in known}
    for key in keys:
        if key not in known and key not in families:
            what = f"{kind} plugin" if kind else "plugin"
            raise click.ClickException(unknown(what, key, known))
    return [
        (each, plugin)
        for each, plugin in found
        if not keys or not {plugin.key, plugin.key.partition(".")[0]}.isdisjoint(keys)
    ]


def _describe(kind: str, plugin: type[Plugin]) -> dict[str, Any]:
    """Everything a listing shows of a plugin, as plain JSON values."""
    from hf_plugins.errors import ConfigurationError
    from hf_plugins.params import describe_field

    outputs = memory = None
    try:
        instance: Any = plugin()
    except ConfigurationError:  # a parameter is required
        instance = None
    if instance is not None:
        outputs = list(instance.outputs) if kind == "feature" else None
        declared = getattr(instance, "memory", None)
        if declared is not None:
            memory = {"kind": declared.kind, "lookback": declared.lookback}
    return {
        "kind": kind,
        "key": plugin.key,
        "description": (inspect.getdoc(plugin) or "").partition("\n")[0],
        "parameters": [
            describe_field(name, info) for name, info in plugin.Params.model_fields.items()
        ],
        "outputs": outputs,
        "memory": memory,
        "libraries": list(plugin.libraries),
        "class": f"{plugin.__module__}.{plugin.__qualname__}",
    }


def _parameter(row: dict[str, str]) -> str:
    required = row["default"] == "required"
    value = f"{row['name']} (required)" if required else f"{row['name']}={row['default']}"
    allowed = ", ".join(each for each in (row["type"], row["range"]) if each)
    return f"{value}  [{allowed}]  {row['description']}".rstrip()


def _yield(row: dict[str, Any]) -> str:
    outputs: list[str] = row["outputs"] or []
    more = len(outputs) - _OUTPUTS
    shown = [*outputs[:_OUTPUTS], *([f"{more} more"] if more > 0 else [])]
    memory = _memory(row["memory"])
    told = [f"yields {', '.join(shown)}"] if shown else []
    return "; ".join([*told, *([f"looks back {memory}"] if memory else [])])


def _memory(memory: dict[str, Any] | None) -> str:
    if memory is None:
        return ""
    if memory["kind"] == "cumulative":
        return "on all bars"
    about = "about " if memory["kind"] == "fading" else ""
    return f"{about}{memory['lookback']} bar{'s' if memory['lookback'] != 1 else ''}"


def _wrapped(line: str) -> str:
    width = max(40, shutil.get_terminal_size().columns)
    return click.wrap_text(line, width, initial_indent="  ", subsequent_indent="      ")
