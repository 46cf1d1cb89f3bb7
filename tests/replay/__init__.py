"""Vendors replayed on this machine: a real HTTP server that answers in their formats.

``server`` is the server and its faults, ``binance`` and ``polygon`` are the vendors. Nothing here
knows the clients under test.
"""

from tests.replay.binance import BinanceReplay
from tests.replay.polygon import PolygonReplay
from tests.replay.server import Answer, ReplayServer, Request

__all__ = ["Answer", "BinanceReplay", "PolygonReplay", "ReplayServer", "Request"]
