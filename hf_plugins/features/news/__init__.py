"""Features of what was published, from the scores of articles; one module a notion.

An article counts for the first bar that closes at or after its publication (and the declared lag):
what is published after hours counts for the next session. Scores come from a scorer
(:mod:`hf_plugins.scorers`) that the YAML names; no feature here scores, and none puts a number
where nothing was said.
"""
