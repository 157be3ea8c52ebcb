"""The tools that agents called: how often, how well, how fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from spanhouse_analysis.metrics.intervals import quantile, wilson
from spanhouse_analysis.metrics.source import tool_calls
from spanhouse_storage import Store
from spanhouse_storage.reads import RunFilter


def tools(store: Store, filters: RunFilter | None = None) -> list[dict[str, Any]]:
    """Return one row a tool, most called first, over the ended runs that pass the filter.

    Keys: ``tool``, ``calls`` (made), ``errors``, ``error_rate`` with its 95 % interval ``low`` and ``high``,
    ``denials`` (requested, never made), ``p50_ms``, ``p95_ms`` and ``runs``. A rate or time without calls is None.
    """
    rows = tool_calls(store, filters or RunFilter(), ["tenant", "run_id", "tool", "status", "ms"])
    made = pl.col("status") != "denied"
    table = rows.group_by("tool").agg(
        calls=made.sum(),
        errors=(pl.col("status") == "error").sum(),
        denials=(~made).sum(),
        times=pl.col("ms").filter(made).sort(),
        runs=pl.struct("tenant", "run_id").n_unique(),
    )
    result = []
    for tool, calls, errors, denials, runs in (
        table.sort("calls", "tool", descending=[True, False])
        .select("tool", "calls", "errors", "denials", "runs")
        .iter_rows()
    ):
        times = np.asarray(table.filter(pl.col("tool") == tool)["times"].explode().drop_nulls(), dtype=np.float64)
        low, high = wilson(errors, calls)
        result.append(
            {
                "tool": tool,
                "calls": calls,
                "errors": errors,
                "error_rate": errors / calls if calls else None,
                "low": low,
                "high": high,
                "denials": denials,
                "p50_ms": quantile(times, 0.5),
                "p95_ms": quantile(times, 0.95),
                "runs": runs,
            }
        )
    return result
