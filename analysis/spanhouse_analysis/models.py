"""The models that agents called: how often, what they used, and which of them have no price."""

from __future__ import annotations

from typing import Any

from spanhouse_storage import Store, sql
from spanhouse_storage.reads import RunFilter
from spanhouse_storage.reads.filters import where


def models(store: Store, filters: RunFilter | None = None) -> list[dict[str, Any]]:
    """Return one row a model, most called first, over the runs that pass the filter.

    Keys: ``model`` (None where calls name none), ``calls``, ``errors``, ``input_tokens``, ``output_tokens``,
    ``cost_usd`` of the calls that have a cost, ``unpriced_calls``, ``priced`` (False where some call that must have
    cost something has no cost), ``runs``, and ``sampled`` (the figures are estimated from
    sampled runs). Sums over nothing known are None.
    """
    condition, parameters = where(filters or RunFilter())
    table = store.query(sql.compose("spanhouse_analysis", "models", where=condition), parameters)
    return [{**row, "model": row["model"] or None, "priced": not row["unpriced_calls"]} for row in table.to_pylist()]
