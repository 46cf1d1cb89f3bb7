"""Where data comes from and where it is kept.

Vendor sources, instruments, the lake of content-addressed datasets, the catalog, the store that
joins them, and the client that queries them: ``from hf_resources import bars, features``. No
Dagster definitions; what is computed belongs in ``hf_plugins``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_resources.client import Client as Client
    from hf_resources.installation import bars as bars
    from hf_resources.installation import certificate as certificate
    from hf_resources.installation import features as features
    from hf_resources.installation import history as history
    from hf_resources.installation import preview as preview
    from hf_resources.installation import why as why

__all__ = ["Client", "bars", "certificate", "features", "history", "preview", "why"]


def __getattr__(name: str) -> Any:
    """Load the client when it is asked for: who needs a submodule alone should not pay for it."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from hf_resources import installation

    return getattr(installation, name)
