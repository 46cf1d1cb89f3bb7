"""Docstrings of plugins as Markdown, for the pages of assets and for the docs.

Docstrings are reStructuredText; here is what this project writes of it: roles, formulas, literal
blocks, tables and footnotes. What else a page shows belongs in :mod:`hf_assets.metadata` and
:mod:`hf_assets.plugin_pages`.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any, Final

_BREAK: Final = re.compile(r"(.)\n *")
_INLINE: Final = (
    (re.compile(r":math:`([^`]+)`"), r"`\1`"),
    (re.compile(r":(?:class|func|meth|mod|data):`~?([^`]+)`"), r"`\1`"),
    (re.compile(r"``([^`]+)``"), lambda found: f"`{_BREAK.sub(_joint, found[1])}`"),
    (re.compile(r"^\.\. (\[\d+\] )", re.MULTILINE), r"\1"),
    (re.compile(r"(\[\d+\])_"), r"\1"),
)
_RULE: Final = re.compile(r"=+( +=+)+ *")
_MATH: Final = ".. math::"


def markdown(documented: Any, *, formulas: str = "") -> str:
    """The docstring of a class or module; empty where there is none.

    ``formulas`` is the language of their code blocks, such as ``math`` where LaTeX is typeset.
    """
    lines = (inspect.getdoc(documented) or "").splitlines()
    blocks: list[str] = []
    prose: list[str] = []
    while lines:
        line = lines[0]
        literal = line.startswith("    ") and not (prose and prose[-1])
        special = line.startswith(_MATH) or literal or _RULE.fullmatch(line)
        if not special:
            prose.append(lines.pop(0))
            continue
        blocks.append(_inline("\n".join(prose)))
        prose = []
        if line.startswith(_MATH):
            first = lines.pop(0).removeprefix(_MATH).strip()
            further = bool(lines) and (not first or lines[0].startswith(" "))
            formula = [*([first] if first else []), *(_indented(lines) if further else [])]
            blocks.append(_code(formula, formulas))
        elif literal:
            blocks.append(_code(_indented(lines)))
        else:
            blocks.append(_table(lines))
    blocks.append(_inline("\n".join(prose)))
    return "\n\n".join(block for block in blocks if block)


def table(rows: list[list[str]]) -> str:
    """A table of cells that are Markdown; the first row is its head."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cell(text: str) -> str:
    """Text for a cell: the bars in it do not end it, whether they are escaped already or not."""
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def _inline(text: str) -> str:
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    return text.strip("\n")


def _joint(broken: re.Match[str]) -> str:
    """What stands for a break in a literal: a space, unless a name goes on."""
    return broken[1] if broken[1] == "_" else f"{broken[1]} "


def _indented(lines: list[str]) -> list[str]:
    """Take the indented block that comes next."""
    block: list[str] = []
    while lines and (not lines[0] or lines[0].startswith(" ")):
        block.append(lines.pop(0))
    return textwrap.dedent("\n".join(block)).strip("\n").splitlines()


def _code(block: list[str], language: str = "") -> str:
    return "\n".join([f"```{language}", *block, "```"])


def _table(lines: list[str]) -> str:
    """Take the table that comes next, up to the rule that a blank line or nothing follows.

    A rule before that stands below the head. A row whose first cell is empty goes on with the one
    before.
    """
    starts = [found.start() for found in re.finditer("=+", lines.pop(0))]
    spans = [slice(start, stop) for start, stop in zip(starts, [*starts[1:], None], strict=True)]
    rows: list[list[str]] = []
    headed = False
    while lines:
        line = lines.pop(0)
        if _RULE.fullmatch(line):
            if not lines or not lines[0].strip():
                break
            headed = True
            continue
        cells = [line[span].strip() for span in spans]
        if cells[0] or not rows:
            rows.append(cells)
        else:
            rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]
    if not headed:
        rows.insert(0, [""] * len(spans))
    return table([[cell(_inline(each)) for each in row] for row in rows])
