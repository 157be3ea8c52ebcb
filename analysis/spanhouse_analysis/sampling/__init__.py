"""Sampling by tail rules: which ended runs are kept, what the others are stood for by, and how they go."""

from __future__ import annotations

from spanhouse_analysis.sampling.rules import Sampling
from spanhouse_analysis.sampling.sampler import Sampler

__all__ = ["Sampler", "Sampling"]
