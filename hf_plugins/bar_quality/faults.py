"""The checks by name, and the quality score.

What a fault weighs is part of the meaning of ``quality_score`` and the same for everybody; what is
done about it is the policy's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from hf_plugins.errors import ConfigurationError, unknown

Action = Literal["warn", "quarantine", "block"]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        weight: what a row that fails it loses of its score, in (0, 1].
        of_series: the check is about the row's place in the series, not about what the row says; it
            does not cost the row its validation.
        note: what is wrong, as ``validation_notes`` says it.
    """

    weight: float
    note: str
    of_series: bool = False


CHECKS: Final[dict[str, Check]] = {
    "no_timestamp": Check(1.0, "has no timestamp"),
    "duplicate": Check(1.0, "repeats an earlier row"),
    "conflict": Check(1.0, "contradicts an earlier row of the same time"),
    "order": Check(0.1, "arrived after a later bar", of_series=True),
    "off_grid": Check(0.5, "does not open on the grid of its timeframe"),
    "outside_session": Check(0.3, "opens when the market is closed"),
    "unfinished": Check(0.5, "was taken before its close"),
    "non_finite": Check(1.0, "has a price that is null, or a value that is infinite"),
    "non_positive": Check(1.0, "has a price or factor that is not above 0"),
    "ohlc": Check(1.0, "has a high below, or a low above, another of its prices"),
    "negative_amount": Check(1.0, "has an amount below 0"),
    "taker_volume": Check(0.3, "has more taker volume than volume"),
    "vwap": Check(0.2, "has an average price outside its low and high"),
    "stale": Check(0.3, "repeats the bars before it value by value"),
    "outlier": Check(0.5, "is too far from the closes before it"),
    "volume_anomaly": Check(0.2, "has an unusual volume, or none"),
    "missing": Check(0.1, "follows a gap", of_series=True),
    "late": Check(0.1, "arrived late", of_series=True),
}
"""Every check, in the order in which faults are reported."""


@dataclass(frozen=True)
class Fault:
    """What one check found.

    Attributes:
        check: a key of :data:`CHECKS`.
        action: what the policy makes of it.
        rows: positions in the input; for ``missing`` those of the rows after the gaps.
        sentence: what is wrong, where first and how often.
    """

    check: str
    action: Action
    rows: tuple[int, ...]
    sentence: str


def quality_score(failed: Iterable[str], completeness: float = 1.0) -> float:
    r"""Score of one row, in [0, 1].

    .. math:: q = c \prod_{f} (1 - w_f)

    with c the share of the expected fields that the row has, and w the weights of the checks f that
    it failed, each once, in the order of :data:`CHECKS`. 1 is complete and without a fault; every
    further fault lowers the score, or leaves it at 0.

    Raises:
        ConfigurationError: a name is not a check.
    """
    names = set(failed)
    for name in names - CHECKS.keys():
        raise ConfigurationError(unknown("check", name, CHECKS))
    score = completeness
    for name, check in CHECKS.items():
        if name in names:
            score *= 1.0 - check.weight
    return score
