"""Which spans count: model calls and tool calls once each, and whose usage figures add up without counting twice.

Frameworks repeat usage up the tree and nest one call's span in another's. A call is counted where it was made: model
calls innermost, tool calls outermost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from spanhouse_analysis import tree
from spanhouse_analysis.classes import AGENTIC, EMBEDDING, MODEL, STEP, TOOL, WORKFLOW
from spanhouse_analysis.frames import HAS_OUTPUT
from spanhouse_analysis.tree import NONE, Flags, Rows

USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


@dataclass(frozen=True, slots=True)
class Counted:
    """Which rows of a frame of spans count as what.

    Attributes:
        model: counted model calls.
        leaf_model: model spans with no model span below them, answered or not.
        requested: tool calls asked for, denied ones included.
        executed: tool calls that were made.
        usage: rows whose token figures add to their run: counted model calls, lone embeddings, and agent spans that
            carry figures no counted call below them has.
        unrecorded: those agent spans: what they did is known, the calls they did it by are not.
    """

    model: Flags
    leaf_model: Flags
    requested: Flags
    executed: Flags
    usage: Flags
    unrecorded: Flags


def count(spans: pl.DataFrame, parent: Rows) -> Counted:
    """Return what counts among prepared spans.

    Args:
        spans: one row a span, see ``frames.prepare``.
        parent: the forest of these rows, links within a run only.
    """
    final = spans["is_final"].to_numpy()
    of_model = (spans["span_class"] == MODEL).to_numpy()
    leaf = of_model & ~tree.has_below(parent, of_model)
    model = leaf & final & _answered(spans)
    requested = final & _outermost_tools(spans, parent)
    executed = requested & (spans["decision"] != "deny").to_numpy()
    unrecorded = _unrecorded(spans, parent, model)
    usage = model | unrecorded | _lone_embeddings(spans, parent, model)
    return Counted(model, leaf, requested, executed, usage, unrecorded)


def _answered(spans: pl.DataFrame) -> Flags:
    """A model span is a call where there is evidence of a response or of an error."""
    return spans.select(
        pl.any_horizontal(*(pl.col(name).fill_null(0) > 0 for name in USAGE))
        | (pl.col("response_id") != "")
        | (pl.col("finish_reasons").list.len() > 0)
        | pl.col(HAS_OUTPUT)
        | (pl.col("status") == "error")
        | pl.col("replayed")
    )[:, 0].to_numpy()


def _outermost_tools(spans: pl.DataFrame, parent: Rows) -> Flags:
    """A tool span below one of the same call id, or of the same name where an id is missing, is the same call."""
    of_tool: Flags = (spans["span_class"] == TOOL).to_numpy()
    over = tree.above(parent, of_tool)
    nested = np.flatnonzero(of_tool & (over != NONE))
    same = np.zeros(parent.size, dtype=np.bool_)
    if nested.size:
        name, call = spans["tool_name"].to_numpy(), spans["tool_call_id"].to_numpy()
        rows, ancestors = nested, over[nested]
        while rows.size:
            both_known = (call[rows] != "") & (call[ancestors] != "")
            equal = np.where(both_known, call[rows] == call[ancestors], name[rows] == name[ancestors])
            same[rows[equal]] = True
            following = over[ancestors]
            go_on = ~equal & (following != NONE)
            rows, ancestors = rows[go_on], following[go_on]
    return of_tool & ~same


def _unrecorded(spans: pl.DataFrame, parent: Rows, model: Flags) -> Flags:
    """Agent spans often repeat their children's sums; they speak only where no counted call below them does."""
    figures = spans.select(pl.any_horizontal(*(pl.col(name).is_not_null() for name in (*USAGE, "cost_usd"))))[:, 0]
    agentic = spans["span_class"].is_in([*AGENTIC, STEP]).to_numpy()
    speaks = agentic & figures.to_numpy() & ~tree.has_below(parent, model)
    outermost: Flags = speaks & (tree.above(parent, speaks) == NONE)
    return outermost


def _lone_embeddings(spans: pl.DataFrame, parent: Rows, model: Flags) -> Flags:
    embedding: Flags = (spans["span_class"] == EMBEDDING).to_numpy()
    lone: Flags = embedding & ~tree.has_below(parent, model | embedding) & (parent == np.arange(parent.size))
    return lone


def inner_agents(spans: pl.DataFrame, parent: Rows) -> Rows:
    """Return for each agent or workflow span that merely wraps one agent that agent's row, else ``NONE``.

    A framework's ``invoke_workflow X`` over ``invoke_agent X`` is one agent and the inner span is it: a wrapper has one
    agentic span below it, of the same name, or is a workflow without a name of its own.
    """
    agentic = spans["span_class"].is_in(AGENTIC).to_numpy()
    over = tree.above(parent, agentic)
    inner = np.flatnonzero(agentic & (over != NONE))
    outer = over[inner]
    name = spans["agent"].to_numpy()
    unnamed = ((spans["span_class"] == WORKFLOW) & (spans["agent"] == "")).to_numpy()
    only = np.bincount(outer, minlength=parent.size)[outer] == 1
    wraps = only & ((name[inner] == name[outer]) | unnamed[outer])
    result = np.full(parent.size, NONE, dtype=np.int64)
    result[outer[wraps]] = inner[wraps]
    return result
