"""What exists: the Dagster graph.

Components, partitions, automation, checks, jobs and the YAML that declares the items. An asset's
body resolves inputs, calls a plugin, publishes and reports; it holds no business logic.
"""
