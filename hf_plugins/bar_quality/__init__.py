"""Quality of raw bars: what is wrong with them, what the policy makes of it, and a score.

``faults`` names every check and holds the definition of the score, ``policy`` says what each check
leads to, ``checks`` finds the faulty rows, ``report`` sorts rows into kept and quarantined. Nothing
here fetches, fills, rounds or drops: bars come in rounded to the instrument's precision, and every
row goes out, kept or put aside with its reason.
"""

from hf_plugins.bar_quality.faults import CHECKS, Fault, quality_score
from hf_plugins.bar_quality.policy import QualityPolicy, context_rows
from hf_plugins.bar_quality.report import (
    BarQuality,
    RefusedBarsError,
    check_bars,
    daily_summary,
)

__all__ = [
    "CHECKS",
    "BarQuality",
    "Fault",
    "QualityPolicy",
    "RefusedBarsError",
    "check_bars",
    "context_rows",
    "daily_summary",
    "quality_score",
]
