"""Alembic migrations of the catalog, one module each under ``versions``.

To add one: change ``schema``, write the revision (or let Alembic draft it from the difference), and
set ``HEAD_REVISION``. A released revision is never edited.
"""

from typing import Final

HEAD_REVISION: Final = "0006"
"""Revision that this code needs; known without importing Alembic."""
