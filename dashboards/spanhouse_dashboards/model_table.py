"""Models of a window: calls, failures, tokens and cost; where no price is known, that is said and never a zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import streamlit as st

from spanhouse_dashboards import columns, text

Json = Mapping[str, Any]
NAMED = 5


def show(found: Sequence[Json], *, key: str = "models") -> str | None:
    """Show the models; return the name of the one that was chosen."""
    frame = pl.DataFrame(
        {
            "Model": columns.texts(found, "model"),
            "Calls": columns.counts(found, "calls"),
            "Errors": columns.counts(found, "errors"),
            "Tokens in": columns.counts(found, "input_tokens"),
            "Tokens out": columns.counts(found, "output_tokens"),
            "Cost": [cost(model) for model in found],
            "Runs": columns.counts(found, "runs"),
        }
    )
    event = st.dataframe(
        frame,
        key=key,
        height="content",
        hide_index=True,
        placeholder=text.UNKNOWN,
        on_select="rerun",
        selection_mode="single-cell",
        alt="Models by calls",
        column_config={
            "Model": st.column_config.TextColumn(width=260),
            "Tokens in": st.column_config.NumberColumn(format="compact"),
            "Tokens out": st.column_config.NumberColumn(format="compact"),
        },
    )
    if (words := unpriced(found)) is not None:
        st.caption(text.inert(words))
    cells = event["selection"]["cells"]
    chosen = found[cells[0][0]]["model"] if cells else None
    return None if chosen is None else str(chosen)


def cost(model: Json) -> str:
    """Return what a model cost: a sum, ``unknown``, or a sum and how many calls it leaves out."""
    missing = model["unpriced_calls"]
    if not missing:
        return text.usd(model["cost_usd"])
    if model["cost_usd"] is None or missing >= model["calls"]:
        return "unknown"
    return f"{text.usd(model['cost_usd'])} + {_calls(missing)} unknown"


def unpriced(found: Sequence[Json]) -> str | None:
    """Return the sentence that names the models without a price, or None where every call has one."""
    without = [model for model in found if model["unpriced_calls"]]
    if not without:
        return None
    names = ", ".join(text.shortened(model["model"] or "a model without a name", 60) for model in without[:NAMED])
    others = f" and {len(without) - NAMED} more" if len(without) > NAMED else ""
    calls = _calls(sum(model["unpriced_calls"] for model in without))
    return f"No price is known for {calls} of {names}{others}: what they cost is unknown and in no sum."


def _calls(number: int) -> str:
    return f"{text.count(number)} {'call' if number == 1 else 'calls'}"
