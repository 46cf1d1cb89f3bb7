"""The causality certificate: evidence that the values of a feature look at no future.

The values are computed again from what was known at sampled instants, from futures that are absurd,
from chunks as they arrive, and with one absurd tick in the past, and held against those that are
published. When a row was known is decided here, from time stamps alone, and not by the join that
the feature was made with, so that a wrong join is found like a wrong formula.

A certificate is evidence and no proof: it says what was tried. ``level="quick"`` is for data that
was just published and costs a fraction of its computation; ``level="full"`` is for a plugin, on
data made to find leaks (:mod:`hf_plugins.testing`). Where data comes from and where a certificate
is kept belong in the other packages.
"""

from hf_plugins.certificate.certify import certify
from hf_plugins.certificate.inputs import Inputs
from hf_plugins.certificate.verdict import ASPECTS, Aspect, Certificate, Finding

__all__ = ["ASPECTS", "Aspect", "Certificate", "Finding", "Inputs", "certify"]
