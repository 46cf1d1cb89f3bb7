"""Regular trading hours of exchanges: how many bars a session has.

Only what annualisation needs belongs here: the usual length of a session today. Which sessions
there were, with half days, holidays and hours of earlier years, is the business of
``hf_resources.calendars``; a test holds this table against it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from hf_plugins.errors import ConfigurationError, nearest


class TradingHours(NamedTuple):
    """A regular session, in minutes from its open.

    ``pause`` is when the break in the middle begins and ends.
    """

    minutes: int
    pause: tuple[int, int] | None = None


# By market identifier code (ISO 10383) or the common alias of it. Source: the library
# exchange_calendars 4.13, which names the rules of each exchange.
_CODES: Final[dict[tuple[int, tuple[int, int] | None], str]] = {
    (270, None): "XBEL XBRA XTAI",
    (300, None): "XSAU",
    (330, (120, 210)): "XSHG",
    (358, None): "XKAR",
    (360, None): "AIXK XASX XBUE XICE XLIT XLJU XPHS XRIS XTAL",
    (375, None): "XBOM",
    (390, (150, 210)): "HKEX XHKG XTKS",
    (390, None): "ARCX BATS NYSE OOTC XASE XBKK XBOG XCYS XKRX XMEX XNAS XNYS XTSE XTSX",
    (405, None): "XCBF XNZE",
    (410, None): "XIDX",
    (420, None): "XLIM XZAG",
    (436, None): "TASE XTAE",
    (440, None): "ASEX XOSL XPRA",
    (450, None): "XBDA XSGO",
    (465, None): "XBSE",
    (480, None): "BVMF XBUD XCSE XIST XJSE XKLS XSES XWAR",
    (508, None): "XDUB",
    (510, None): "XAMS XBRU XETR XFRA XHEL XLIS XLON XMAD XMIL XPAR XSTO XSWX XWBO",
    (520, None): "XLUX",
    (525, None): "XMOS",
    (600, None): "XEEE",
    (840, None): "XDUS XEUR XHAM",
    (870, None): "XSTU",
    (1320, None): "IEPA NYFE",
    (1440, None): "CBOT CMES",
}
TRADING_HOURS: Final[dict[str, TradingHours]] = {
    code: TradingHours(*hours) for hours, codes in _CODES.items() for code in codes.split()
}
"""Regular session by exchange code."""

_MINUTE: Final = timedelta(minutes=1)


def bars_per_session(exchange: str, bar: timedelta) -> int:
    """Bars in a regular session: slots counted from the open, without those inside the break.

    A last slot that the close cuts short counts as one.

    Args:
        exchange: code, such as ``XNYS``.
        bar: length of a bar, a whole number of minutes.

    Raises:
        ConfigurationError: there is no such code.
    """
    hours = TRADING_HOURS.get(exchange)
    if hours is None:
        raise ConfigurationError(
            f"the trading hours of calendar '{exchange}' are unknown; allowed: 24/5, 24/7 and the "
            f"exchange codes of {__name__}.{nearest(exchange, TRADING_HOURS)}"
        )
    step = bar // _MINUTE
    starts = range(0, hours.minutes, step)
    if hours.pause is None:
        return len(starts)
    begin, end = hours.pause
    return sum(not (begin <= start and start + step <= end) for start in starts)
