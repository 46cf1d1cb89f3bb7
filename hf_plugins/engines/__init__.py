"""Backtest engines: one module an engine; a module dropped in here is discovered by itself."""
