"""Which run each span belongs to: a pure function of the spans present, the same in any order of arrival.

The run is known by an anchor: the span the run hangs on. While that span has not come, its missing
parent's id stands for it, so the id stays the same when it does. The rule: docs/adr/0005-run-identity.md.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from spanhouse.identity import run_id_of
from spanhouse_analysis import tree
from spanhouse_analysis.classes import AGENTIC, OTHER

_TRACE = ["tenant", "trace_id"]


def assign_runs(spans: pl.DataFrame) -> pl.DataFrame:
    """Return the spans, in their order, with the column ``run_id``; empty where a span belongs to no run.

    Args:
        spans: one row a span of one or many traces: ``tenant``, ``trace_id``, ``span_id``, ``parent_span_id``,
            ``span_class``, ``start``, and ``run_hint`` (the run id the span itself said, else empty).
    """
    return spans.with_columns(run_ids(spans, tree.parent_rows(spans)))


def run_ids(spans: pl.DataFrame, parent: tree.Rows) -> pl.Series:
    """Return the column ``run_id`` for spans whose forest is known already."""
    rows = spans.select(*_TRACE, "span_id", "parent_span_id", "span_class", "run_hint", "start")
    hint = tree.nearest(parent, (rows["run_hint"] != "").to_numpy())
    top = tree.farthest(parent, (rows["span_class"] != OTHER).to_numpy())
    own = np.arange(rows.height)
    derived = (top != tree.NONE) & (hint == tree.NONE)
    anchors = _anchors(rows, rows.select(row=pl.Series(own)).filter(derived & (top == own))["row"])

    by_row = np.full(rows.height, None, dtype=object)
    by_row[anchors["row"].to_numpy()] = anchors["run_id"].to_numpy()
    result = np.full(rows.height, "", dtype=object)
    result[derived] = by_row[top[derived]]
    hinted = hint != tree.NONE
    result[hinted] = rows["run_hint"].to_numpy()[hint[hinted]]
    return _with_context(rows, pl.Series("run_id", result, dtype=pl.String), anchors)


def _anchors(rows: pl.DataFrame, tops: pl.Series) -> pl.DataFrame:
    """Return one row a top span: its row number, the id its run hangs on, and the run id."""
    itself = pl.col("span_class").is_in(AGENTIC) | (pl.col("parent_span_id") == "")
    found = rows[tops].with_columns(
        row=tops, anchor=pl.when(itself).then(pl.col("span_id")).otherwise(pl.col("parent_span_id"))
    )
    present = rows.select(*_TRACE, anchor="span_id")
    here = found.join(present, on=[*_TRACE, "anchor"], how="semi")
    # Parts whose parents are all missing may hang on one run span that has not come yet: one of them stands for all.
    missing = found.join(present, on=[*_TRACE, "anchor"], how="anti").sort("start", "anchor")
    missing = missing.with_columns(pl.col("anchor").first().over(_TRACE))
    both = pl.concat([here, missing])
    ids = [run_id_of(trace, anchor) for trace, anchor in both.select("trace_id", "anchor").iter_rows()]
    return both.select(*_TRACE, "row", "anchor", run_id=pl.Series(ids, dtype=pl.String))


def _with_context(rows: pl.DataFrame, ids: pl.Series, anchors: pl.DataFrame) -> pl.Series:
    """Give the run also to the context span that bare calls hang on: it is where that run begins and ends."""
    context = anchors.select(*_TRACE, "run_id", span_id="anchor").unique(maintain_order=True)
    joined = rows.select(*_TRACE, "span_id").join(context, on=[*_TRACE, "span_id"], how="left", maintain_order="left")
    return pl.select(pl.when(ids != "").then(ids).otherwise(joined["run_id"].fill_null("")).alias("run_id")).to_series()
