"""Where data comes from and where it is kept.

Vendor sources, instruments, the lake of content-addressed datasets, the catalog and the store that
joins them. No Dagster definitions; what is computed belongs in ``hf_plugins``.
"""
