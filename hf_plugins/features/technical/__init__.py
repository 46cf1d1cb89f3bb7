"""Technical indicators: functions of the bars that traders know by name.

Own kernels with a carried state for the common ones, one module a family; every other indicator of
the field through :mod:`~hf_plugins.features.technical.catalogue`.
"""
