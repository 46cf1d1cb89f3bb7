"""The catalog: which datasets exist, in SQLite or Postgres.

``schema`` holds the tables, ``engine`` opens a database, ``migrations`` brings an older one up to
date. Objects are in the lake; nothing here reads or writes them.
"""

from hf_resources.catalog.engine import Catalog as Catalog
from hf_resources.catalog.engine import upgrade as upgrade
