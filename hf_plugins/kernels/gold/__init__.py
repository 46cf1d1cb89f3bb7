"""Kernels of the gold features: one module a family, one row function a module.

Every kernel fills the rows ``start <= t < stop`` of its output from whole arrays that also hold the
bars before ``start``:

    rows(start, stop, <arrays>, out)

``out`` is float64 of shape (columns of the family, capacity), filled with NaN before. Entries of
any array at or beyond ``stop`` are not known yet and are never read. The names of the array
parameters say what a kernel reads: ``hf_plugins.features.gold.families`` passes by name.

The row function reads nothing behind ``t`` and does the same operations on the same numbers whoever
calls it, so a whole history, any cut of it into chunks and one live bar give the same bits. The row
number itself enters only as "how many bars are there": a live buffer may be shifted.

Where a value continues from the bar before (a smoothed average, the levels in force), the array
that holds it is the state: entry ``start - 1`` is what a kernel continues from. Where that would be
too much to keep, a small array ``state`` is carried along; its element 0 is the row that it is
valid for, and a kernel for which it is not valid rebuilds it from the window, to the same bits.

Kernels release the interpreter lock (``nogil``) instead of being compiled in parallel: whoever
calls them cuts the rows into chunks and runs these in threads of its own. That needs no second
compilation and no threading layer, which would abort when two threads of a process enter it.
"""

from hf_plugins.kernels import caching

caching.install()
