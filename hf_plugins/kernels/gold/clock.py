"""Clock and calendar arithmetic on integers: minutes of the day, civil dates.

A *minute* is an epoch minute, a *day* an epoch day (0 is 1 January 1970, a Thursday). Dates are
those of the proleptic Gregorian calendar. Method: Hinnant, "chrono-Compatible Low-Level Date
Algorithms".
"""

from __future__ import annotations

from typing import Final

from numba import njit

DAY: Final = 1440
FRIDAY: Final = 4
_ERA: Final = 146_097  # days in 400 years
_SHIFT: Final = 719_468  # days from 1 March of year 0 to the epoch


@njit(cache=True)
def circular_distance(minute: int, target: int) -> int:
    """Minutes between two times of the day, the short way round."""
    ahead = (minute - target) % DAY
    return min(ahead, DAY - ahead)


@njit(cache=True)
def civil(day: int) -> tuple[int, int, int]:
    """Year, month and day of the month of an epoch day.

    Years begin in March, so that the leap day is the last one; months from March then have lengths
    that repeat every five months, 153 days.
    """
    shifted = day + _SHIFT
    era = shifted // _ERA
    of_era = shifted - era * _ERA
    # Take out the leap days of the era before dividing by the length of a common year.
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    from_march = (5 * of_year + 2) // 153
    of_month = of_year - (153 * from_march + 2) // 5 + 1
    month = from_march + 3 if from_march < 10 else from_march - 9
    return year + 400 * era + (1 if month <= 2 else 0), month, of_month


@njit(cache=True)
def first_of_month(year: int, month: int) -> int:
    """Epoch day of the first of a month; month 13 is January of the next year."""
    if month > 12:
        year, month = year + 1, month - 12
    if month <= 2:
        year -= 1
    from_march = month - 3 if month > 2 else month + 9
    era = year // 400
    of_era = year - 400 * era
    of_year = (153 * from_march + 2) // 5
    return era * _ERA + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _SHIFT


@njit(cache=True)
def first_friday(year: int, month: int) -> int:
    """Epoch day of the first Friday of a month."""
    first = first_of_month(year, month)
    weekday = (first + 3) % 7  # Monday is 0
    return first + (FRIDAY - weekday) % 7
