"""What can be computed.

Feature, scorer, model, signal and engine plugins, validation schemes and metrics: pure functions of
data frames and parameters. Nothing here knows Dagster, does I/O, reads a clock or the environment.
"""
