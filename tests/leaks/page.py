"""The table of leaks in ``docs/causality.md``; ``python -m tests.leaks.page`` writes it anew."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hf_plugins.certificate import ASPECTS
from tests.leaks.bench import Leak

BEGIN: Final = "<!-- leaks: begin -->"
END: Final = "<!-- leaks: end -->"
HEAD: Final = (
    "| family | leak | what is wrong | caught by | quick level |",
    "| --- | --- | --- | --- | --- |",
)


def table(leaks: Sequence[Leak]) -> str:
    """Which aspects of either level catch which leak."""
    rows = [*HEAD]
    aspects: Counter[str] = Counter()
    missed = 0
    for leak in leaks:
        full = leak.certificate("full").caught_by
        quick = "missed" if leak.certificate("quick").ok else "caught"
        aspects.update(full)
        missed += quick == "missed"
        rows.append(f"{_start(leak)} {', '.join(full) or 'nothing'} | {quick} |")
    uncaught = sum(row.split(" | ")[3] == "nothing" for row in rows[len(HEAD) :])
    told = ", ".join(f"{name} {aspects[name]}" for name in ASPECTS)
    summary = (
        f"{len(leaks)} leaks. Full level: {len(leaks) - uncaught} caught ({told}). Quick level: "
        f"{len(leaks) - missed} caught."
    )
    return "\n".join([summary, "", *rows])


def between(text: str) -> list[str]:
    """What the table of the page says a leak is, row by row."""
    body = text.partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in body.splitlines() if line.startswith("| ")]
    return [" | ".join(row.split(" | ")[:3]) for row in rows[len(HEAD) :]]


def names(leaks: Sequence[Leak]) -> list[str]:
    """The same of the corpus."""
    return [_start(leak).removesuffix(" |") for leak in leaks]


def _start(leak: Leak) -> str:
    return f"| {leak.family} | `{leak.name}` | {leak.wrong} |"


def main() -> None:
    """Write the table into the page."""
    from tests.leaks import columns, sides

    warnings.simplefilter("ignore")
    page = Path(__file__).resolve().parents[2] / "docs" / "causality.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    made = table([*sides.LEAKS, *columns.LEAKS])
    page.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    sys.stdout.write(made.partition("\n")[0] + "\n")


if __name__ == "__main__":
    main()
