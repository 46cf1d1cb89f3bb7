"""Numerical kernels: compiled loops over float64 arrays; frames and parameters stay outside.

Every kernel is exact in the sense of the platform: a window is summed anew for each row, a
recursion is carried in a state, and nothing is reordered for speed, so that a tail computed alone
has the same bits as the tail of the whole. Plugins wrap kernels; kernels know no plugin.
"""
