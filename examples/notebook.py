"""A notebook's cells: what agents did this week, as frames. Needs `pip install "spanhouse[client]"` and a server."""

from __future__ import annotations

import polars as pl

import spanhouse as sh

client = sh.Client()

# %% Every run of the week, one row each.
runs = client.runs(since="7d").frame()
print(runs.select("started_at", "agent", "model", "status", "stop_reason", "cost_usd").head())

# %% Why runs stopped, by agent.
print(runs.group_by("agent", "stop_code").agg(pl.len().alias("runs")).sort("runs", descending=True))

# %% Completion and cost a day, with the numbers behind the rate.
daily = client.metrics(["completion_rate", "cost"], since="7d", by="agent", step="1d").frame()
print(daily.select("metric", "agent", "start", "value", "numerator", "denominator"))

# %% Which tools fail.
print(client.tools(since="7d").frame().filter(pl.col("errors") > 0))

# %% The dearest run, call by call.
if runs["cost_usd"].drop_nulls().len():
    dearest = runs.sort("cost_usd", descending=True, nulls_last=True)["run_id"][0]
    print(client.steps(dearest).frame().select("number", "kind", "tool", "model", "ms", "cost_usd"))
