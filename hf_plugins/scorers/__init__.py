"""Built-in scorers: texts in, sentiment out. What they yield is in :mod:`hf_plugins.base`."""
