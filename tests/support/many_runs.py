"""Seeded runs and calls by the thousand, straight into the tables of facts, for metrics over long windows."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from spanhouse_analysis import frames

AGENTS = ("research", "support", "operations", "coder")
TOOLS = ("search", "fetch", "mail", "sql")
STOPS = ("finish", "max_steps", "policy_deny", "error", "abandoned")


def runs(count: int, first: datetime, days: float, seed: int, tenants: int = 2) -> pl.DataFrame:
    """Return ended runs whose ends are spread over some days, with every column of the table."""
    random = np.random.default_rng(seed)
    stop = random.choice(STOPS, count, p=[0.8, 0.08, 0.04, 0.06, 0.02])
    subject = np.where(stop == "policy_deny", random.choice(TOOLS, count), "")
    calls = random.integers(0, 12, count)
    ended = np.datetime64(first.replace(tzinfo=None), "ns") + (random.random(count) * days * 86_400e9).astype("m8[ns]")
    seconds = random.lognormal(3, 1, count)
    reason = np.where(subject != "", np.char.add(np.char.add(stop, ":"), subject), stop)
    given = {
        "tenant": [f"tenant-{number}" for number in random.integers(0, tenants, count)],
        "run_id": [f"{seed:04x}{number:012x}" for number in range(count)],
        "trace_id": [f"{seed:08x}{number:024x}" for number in range(count)],
        "version": np.ones(count),
        "environment": random.choice(("production", "staging"), count, p=[0.9, 0.1]),
        "agent": random.choice(AGENTS, count),
        "agent_version": random.choice(("1", "2"), count),
        "model": random.choice(("gpt-5", "claude-5"), count),
        "type": random.choice(("agent", "workflow", "call"), count, p=[0.85, 0.1, 0.05]),
        "task_type": random.choice(("", "refund"), count),
        "user_id": [f"user-{number}" for number in random.integers(0, 500, count)],
        "status": ["ended"] * count,
        "stop_code": stop,
        "stop_subject": subject,
        "stop_reason": reason,
        "outcome": random.choice(("success", "failure", "unknown"), count, p=[0.5, 0.1, 0.4]),
        "completed": (stop == "finish") & (random.random(count) < 0.95),
        "escalated": random.random(count) < 0.05,
        "ended_at": ended,
        "started_at": ended - (seconds * 1e9).astype("m8[ns]"),
        "run_seconds": seconds,
        "steps": calls + 3,
        "model_calls": calls + 1,
        "model_errors": random.integers(0, 2, count),
        "tool_calls": calls,
        "tool_errors": np.minimum(calls, random.integers(0, 3, count)),
        "tool_requests": calls + (stop == "policy_deny"),
        "policy_denials": (stop == "policy_deny").astype(int),
        "loops": (random.random(count) < 0.02).astype(int),
        "cycle_length": np.zeros(count),
        "retries": np.minimum(calls, random.integers(0, 2, count)),
        "retry_storm": random.random(count) < 0.01,
        "input_tokens": random.integers(100, 90_000, count),
        "output_tokens": random.integers(1, 4_000, count),
        "cache_read_tokens": random.integers(0, 100, count),
        "cost_usd": np.where(random.random(count) < 0.9, random.lognormal(-4, 1.5, count), np.nan),
        "weight": np.ones(count),
    }
    frame = pl.DataFrame(given).with_columns(pl.col("cost_usd").fill_nan(None))
    return filled(frame, frames.RUNS)


def calls(of: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return a row of ``steps`` for each model call and tool call of the runs."""
    random = np.random.default_rng(seed)
    rows = of.select(
        *("tenant", "run_id", "version", "environment", "user_id", "agent", "agent_version", "task_type", "variant"),
        *("model_calls", "tool_calls", "tool_errors", "weight", "cost_usd", "input_tokens", "output_tokens"),
        run_started_at="started_at",
        run_ended_at="ended_at",
        run_type="type",
        run_model="model",
        seq=pl.int_ranges(1, pl.col("model_calls") + pl.col("tool_calls") + 1),
    ).explode("seq")
    is_tool = pl.col("seq") > pl.col("model_calls")
    part = pl.col("model_calls").cast(pl.Float64)
    frame = rows.with_columns(
        kind=pl.when(is_tool).then(pl.lit("tool")).otherwise(pl.lit("model")),
        tool=pl.when(is_tool).then(pl.Series(random.choice(TOOLS, rows.height))).otherwise(pl.lit("")),
        span_id=pl.col("run_id") + "-" + pl.col("seq").cast(pl.String),
        model=pl.when(is_tool).then(pl.lit("")).otherwise("run_model"),
        started_at="run_started_at",
        ended_at=pl.col("run_started_at")
        + (pl.col("run_ended_at") - pl.col("run_started_at")) * (pl.col("seq") / (part + pl.col("tool_calls"))),
        ms=pl.Series(random.lognormal(4, 1.2, rows.height)),
        status=pl.when(is_tool & (pl.col("seq") - pl.col("model_calls") <= pl.col("tool_errors")))
        .then(pl.lit("error"))
        .otherwise(pl.lit("ok")),
        cost_usd=pl.when(~is_tool).then(pl.col("cost_usd") / part),
        input_tokens=pl.when(~is_tool).then(pl.col("input_tokens") // pl.col("model_calls")),
        output_tokens=pl.when(~is_tool).then(pl.col("output_tokens") // pl.col("model_calls")),
        unpriced=~is_tool & pl.col("cost_usd").is_null(),
    )
    return filled(frame, frames.STEPS)


def filled(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """Return the frame with every column of a table: empty or zero where it says nothing."""
    empty = {pl.String: "", pl.Boolean: False}

    def column(name: str, kind: pl.DataType) -> pl.Expr:
        if name in frame.columns:
            return (
                pl.col(name).dt.replace_time_zone("UTC").cast(kind) if _naive(frame, name) else pl.col(name).cast(kind)
            )
        if isinstance(kind, pl.List):
            return pl.lit([], dtype=kind).alias(name)
        if isinstance(kind, pl.Datetime):
            return pl.col("ended_at").dt.replace_time_zone("UTC").cast(kind).alias(name)
        value = None if name in frames.NULLABLE else empty.get(type(kind), 0)
        return pl.lit(value, dtype=kind).alias(name)

    return frame.select(column(name, kind) for name, kind in schema.items())


def _naive(frame: pl.DataFrame, name: str) -> bool:
    kind = frame.schema[name]
    return isinstance(kind, pl.Datetime) and kind.time_zone is None
