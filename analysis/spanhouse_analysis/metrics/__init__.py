"""Every metric, defined once and computed from run facts."""

from __future__ import annotations

from spanhouse_analysis.metrics.definitions import Metric, MetricError, catalogue, find
from spanhouse_analysis.metrics.evaluation import evaluate
from spanhouse_analysis.metrics.query import MetricQuery, Point

__all__ = ["Metric", "MetricError", "MetricQuery", "Point", "catalogue", "evaluate", "find"]
