"""The spans of many traces, grouped into runs, each with the span it begins and ends with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from spanhouse_analysis import counting, tree
from spanhouse_analysis.classes import AGENTIC, EMBEDDING, MODEL, OTHER, RUN_MAKING, TOOL
from spanhouse_analysis.identity import run_ids
from spanhouse_analysis.logged import settled
from spanhouse_analysis.tree import NONE, Flags, Rows

_REMOTE_PARENT = 0x200
"""Flag of a span whose parent lives in another process; that parent may never be sent here."""
_KEY = ["tenant", "trace_id", "run_id"]


@dataclass(frozen=True, slots=True)
class Groups:
    """The spans that belong to runs.

    Attributes:
        rows: prepared spans in start order with ``run_id`` and ``run``, the run's number from 0.
        parent: the forest of these rows, links within a run only.
        counted: what counts as what.
        keys: one row a run in order of number: ``run``, ``tenant``, ``trace_id``, ``run_id``.
        root: for each run the row it begins and ends with, ``NONE`` while that has not come.
        principal: for each run the row that speaks for it: the agent the root wraps, the root, or the first span.
        lone: for each run whether it is one bare model or embedding call.
    """

    rows: pl.DataFrame
    parent: Rows
    counted: counting.Counted
    keys: pl.DataFrame
    root: Rows
    principal: Rows
    lone: Flags


def group(spans: pl.DataFrame) -> Groups:
    """Return the runs of prepared spans; spans of no run are left out."""
    spans = settled(spans)
    parent = tree.parent_rows(spans)
    spans = spans.with_columns(run_ids(spans, parent))
    making = spans.filter((pl.col("run_id") != "") & pl.col("span_class").is_in(RUN_MAKING))
    keys = (
        making.select(_KEY).unique(maintain_order=True).with_row_index("run").with_columns(pl.col("run").cast(pl.Int64))
    )
    spans = spans.join(keys, on=_KEY, how="left", maintain_order="left").with_columns(pl.col("run").fill_null(NONE))
    rows, parent = _within(spans, parent)
    counted = counting.count(rows, parent)
    lone = _lone(rows, counted, keys.height)
    heads = _heads(rows, parent, lone)
    root = np.full(keys.height, NONE, dtype=np.int64)
    eligible = heads.filter("eligible").unique("run", keep="first", maintain_order=True)
    root[eligible["run"].to_numpy()] = eligible["row"].to_numpy()
    first = heads.unique("run", keep="first", maintain_order=True).sort("run")["row"].to_numpy()
    principal = np.where(root == NONE, first, root)
    inner = counting.inner_agents(rows, parent)
    while (wrapping := inner[principal] != NONE).any():
        principal = np.where(wrapping, inner[principal], principal)
    return Groups(rows, parent, counted, keys, root, principal, lone)


def _within(spans: pl.DataFrame, parent: Rows) -> tuple[pl.DataFrame, Rows]:
    """Keep the rows of runs and the links that stay within one."""
    run = spans["run"].to_numpy()
    kept = run != NONE
    number = np.cumsum(kept) - 1
    own = np.arange(parent.size)
    inside = np.where(kept[parent] & (run[parent] == run), parent, own)
    return spans.filter(pl.Series(kept)), number[inside[kept]]


def _lone(rows: pl.DataFrame, counted: counting.Counted, runs: int) -> Flags:
    run = rows["run"].to_numpy()
    embedding: Flags = (rows["span_class"] == EMBEDDING).to_numpy()
    acting = rows["span_class"].is_in([*AGENTIC, TOOL]).to_numpy() | (rows["run_hint"] != "").to_numpy()
    calls = np.bincount(run[counted.leaf_model | embedding], minlength=runs)
    lone: Flags = (calls == 1) & (np.bincount(run[acting], minlength=runs) == 0)
    return lone


def _heads(rows: pl.DataFrame, parent: Rows, lone: Flags) -> pl.DataFrame:
    """Return the spans that hang on none of their own run, the likeliest root of each run first."""
    own = np.arange(parent.size)
    heads = rows.select("run", "start", "span_id", "span_class", "parent_span_id", "run_hint", "flags").with_columns(
        row=pl.Series(own),
        # Only the span our SDK makes for a run is one of these; a sub-agent has a stop reason too, but neither of them.
        says_run=rows.select(~pl.col("is_final") | pl.col("spans_expected").is_not_null()).to_series(),
        lone=pl.Series(lone[rows["run"].to_numpy()], dtype=pl.Boolean),
        agentic=rows["span_class"].is_in(AGENTIC),
        parentless=rows["parent_span_id"] == "",
    )
    heads = heads.filter(pl.Series(parent == own))
    context = (pl.col("span_class") == OTHER) & (pl.col("run_hint") == "")
    remote = pl.col("flags").fill_null(0).cast(pl.Int64).and_(pl.lit(_REMOTE_PARENT)) != 0
    call = pl.col("lone") & pl.col("span_class").is_in([MODEL, EMBEDDING])
    return heads.with_columns(
        eligible=pl.col("agentic") | pl.col("parentless") | context | (remote & (pl.len().over("run") == 1)) | call
    ).sort(
        "run",
        "says_run",
        "agentic",
        "parentless",
        "start",
        "span_id",
        descending=[False, True, True, True, False, False],
    )
