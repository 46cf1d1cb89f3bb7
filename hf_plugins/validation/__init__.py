"""Honest research: labels, walk-forward predictions, and the refusal of in-sample backtests."""
