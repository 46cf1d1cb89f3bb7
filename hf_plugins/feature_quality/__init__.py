"""Quality control of features: what each says about a binary target, and which to keep.

Two policies side by side: ``seed`` scores, inverts, removes and selects on the same held-out rows;
``honest`` learns all of that inside training folds, with intervals that allow for dependence and
with control of false discoveries. :func:`~hf_plugins.feature_quality.report.quality_report` shows
both, on the data and on the same data with a shuffled target, where nothing is to be found.
"""
