"""Where side tables come from: news, filings, releases, each row with the time it was published.

One module for each vendor or kind of file. What becomes of the rows is decided in
:mod:`hf_resources.side_tables`.
"""

from hf_resources.side_sources.base import SideSource as SideSource
from hf_resources.side_sources.base import get_side_source as get_side_source
from hf_resources.side_sources.base import side_source_keys as side_source_keys
