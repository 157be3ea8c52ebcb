"""The metric catalogue: every metric once, with its meaning and what one row of ``runs`` or ``steps`` adds to it.

Most metrics are about ended runs, in the window that holds the end of the run. Those with ``spend`` are about calls, in
the window that holds the end of the call: they move while a run goes on, and are what budgets are held against.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final, Literal, TypeAlias

import polars as pl

Kind: TypeAlias = Literal["ratio", "share", "quantile", "sum", "count", "rate", "gauge"]


class MetricError(ValueError):
    """A metric, group or window cannot be used; the message names it and what is known."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What one row adds: to numerator and denominator of a ratio, or the value of a sum or distribution."""

    columns: tuple[str, ...]
    numerator: pl.Expr
    denominator: pl.Expr | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of the catalogue.

    Attributes:
        run: its parts in a row of an ended run; None where it exists by tool alone.
        tool: its parts in a step row of kind ``tool``; None where it cannot be told apart by tool.
        spend: what a step row of an ended call adds to the sum, in SQL, null where that is not known; None where the
            metric is not about calls.
        quantile: which quantile, 0 to 1, of a distribution.
    """

    name: str
    unit: str
    kind: Kind
    meaning: str
    definition: str
    run: Parts | None = None
    tool: Parts | None = None
    quantile: float | None = None
    spend: str | None = None

    def as_json(self) -> dict[str, str]:
        """Return what the API says of the metric."""
        return {
            "name": self.name,
            "unit": self.unit,
            "kind": self.kind,
            "meaning": self.meaning,
            "definition": self.definition,
        }


ENDED: Final = "ended_ns"
"""Column of every row read: the end of the run in nanoseconds since the epoch."""

# A literal would be summed once a group; this is a 1 in every row.
_ONE: Final = pl.col(ENDED).is_not_null().cast(pl.Int64)
_CALLED: Final = (pl.col("status") != "denied").cast(pl.Int64)
_FAILED: Final = (pl.col("status") == "error").cast(pl.Int64)
_DENIED: Final = (pl.col("status") == "denied").cast(pl.Int64)


def _of_runs(name: str, meaning: str, definition: str, counted: pl.Expr, *columns: str) -> Metric:
    """A share of ended runs; a run of which it is not known whether it counts is left out."""
    parts = Parts(columns, counted.cast(pl.Int64), counted.is_not_null().cast(pl.Int64))
    return Metric(name, "1", "ratio", meaning, f"{definition} / ended runs", parts)


def _of_sums(name: str, meaning: str, top: str, bottom: str, tool: Parts | None = None) -> Metric:
    """A ratio of two sums over ended runs; runs that know only one of the two are left out."""
    both = pl.col(top).is_not_null() & pl.col(bottom).is_not_null()
    parts = Parts((top, bottom), pl.when(both).then(pl.col(top)), pl.when(both).then(pl.col(bottom)))
    return Metric(name, "1", "ratio", meaning, f"sum of {top} / sum of {bottom}", parts, tool)


def _total(name: str, unit: str, meaning: str, *columns: str, tool: Parts | None = None) -> Metric:
    value = pl.sum_horizontal(*(pl.col(column).cast(pl.Float64) for column in columns), ignore_nulls=False)
    return Metric(name, unit, "sum", meaning, f"sum of {' + '.join(columns)}", Parts(columns, value), tool)


def _spent(name: str, unit: str, meaning: str, definition: str, value: str) -> Metric:
    """A sum over calls that ended in the window, those of runs that still go on included."""
    return Metric(name, unit, "sum", meaning, definition, spend=value)


_SUCCEEDED: Final = Parts(
    ("tool_errors", "tool_calls"), pl.col("tool_calls") - pl.col("tool_errors"), pl.col("tool_calls")
)

_METRICS: Final = (
    _of_runs(
        "completion_rate",
        "Share of runs that did what they were for.",
        "outcome success where an outcome is known, else stop reason finish and not escalated",
        pl.col("completed"),
        "completed",
    ),
    _of_runs(
        "autonomous_completion_rate",
        "Share of runs that completed and were never handed to a person.",
        "completed and not escalated",
        pl.col("completed") & ~pl.col("escalated"),
        "completed",
        "escalated",
    ),
    _of_runs(
        "finish_rate",
        "Share of runs that stopped by themselves.",
        "stop reason finish",
        pl.col("stop_code") == "finish",
        "stop_code",
    ),
    Metric(
        "stop_reason_share",
        "1",
        "share",
        "Share of runs by why they stopped.",
        "runs with the stop code and subject / ended runs",
        Parts(("stop_code", "stop_subject"), _ONE),
    ),
    _of_runs("escalation_rate", "Share of runs handed to a person.", "escalated", pl.col("escalated"), "escalated"),
    _of_runs(
        "loop_rate",
        "Share of runs that made the same call three times in a row.",
        "at least 3 equal consecutive tool calls, polling left out",
        pl.col("loops") > 0,
        "loops",
    ),
    _of_runs(
        "cycle_rate",
        "Share of runs that went round in a circle of several calls.",
        "a cycle of 2 or more tool calls that repeats",
        pl.col("cycle_length") > 0,
        "cycle_length",
    ),
    _of_runs(
        "loop_stop_rate",
        "Share of runs the loop guard stopped.",
        "stop reason loop_detected",
        pl.col("stop_code") == "loop_detected",
        "stop_code",
    ),
    _of_runs(
        "runs_denied_rate",
        "Share of runs in which a policy denied a tool call.",
        "at least one denied tool call",
        pl.col("policy_denials") > 0,
        "policy_denials",
    ),
    _of_runs(
        "retry_storm_rate",
        "Share of runs that kept failing at one tool.",
        "at least 3 failed attempts of one tool within 60 s",
        pl.col("retry_storm"),
        "retry_storm",
    ),
    _of_sums(
        "tool_error_rate",
        "Share of tool calls that failed; retries are calls.",
        "tool_errors",
        "tool_calls",
        Parts(("status",), _FAILED, _CALLED),
    ),
    Metric(
        "tool_success_rate",
        "1",
        "ratio",
        "Share of tool calls that went well.",
        "sum of tool_calls - tool_errors / sum of tool_calls",
        _SUCCEEDED,
        Parts(("status",), _CALLED - _FAILED, _CALLED),
    ),
    _of_sums(
        "policy_deny_rate",
        "Share of requested tool calls that a policy denied.",
        "policy_denials",
        "tool_requests",
        Parts(("status",), _DENIED, _ONE),
    ),
    _of_sums("retry_rate", "Share of tool calls that repeat a failed one.", "retries", "tool_calls"),
    _of_sums("model_error_rate", "Share of model calls that failed.", "model_errors", "model_calls"),
    _of_sums("cache_hit_ratio", "Share of input tokens the provider had cached.", "cache_read_tokens", "input_tokens"),
    _total("tokens", "tokens", "Input and output tokens.", "input_tokens", "output_tokens"),
    _total("input_tokens", "tokens", "Input tokens, cached ones included.", "input_tokens"),
    _total("output_tokens", "tokens", "Output tokens, reasoning included.", "output_tokens"),
    _total("cost", "usd", "Cost of runs whose cost is known.", "cost_usd"),
    _spent(
        "spend",
        "usd",
        "What calls cost that ended in the window, as far as it is known; runs need not have ended.",
        "sum of the cost of model calls, of what tools declare, and of runs that report their cost as a whole, each "
        "when it ended or, where its clock runs ahead, was received",
        "cost_usd",
    ),
    _spent(
        "tokens_spent",
        "tokens",
        "Input and output tokens of calls that ended in the window; runs need not have ended.",
        "sum of input_tokens + output_tokens of model calls, and of runs that report their use as a whole",
        "if(kind = 'tool' OR (input_tokens IS NULL AND output_tokens IS NULL), NULL, "
        "ifNull(input_tokens, 0) + ifNull(output_tokens, 0))",
    ),
    _spent(
        "unpriced_calls",
        "calls",
        "Calls that ended in the window and cost something nobody knows; they are not in spend.",
        "model calls, and runs reported as a whole, that have no cost; out of all of them",
        "if(kind = 'tool', NULL, toUInt64(unpriced))",
    ),
    _total("tool_calls", "calls", "Tool calls made.", "tool_calls", tool=Parts(("status",), _CALLED.cast(pl.Float64))),
    _total("model_calls", "calls", "Model calls made.", "model_calls"),
    Metric(
        "runs",
        "runs",
        "count",
        "Ended runs.",
        "ended runs",
        Parts((), _ONE),
        Parts(("tenant", "run_id"), pl.struct("tenant", "run_id")),
    ),
    Metric("throughput", "runs/min", "rate", "Ended runs per minute.", "ended runs / minutes", Parts((), _ONE)),
    Metric("runs_active", "runs", "gauge", "Runs that are going on now.", "runs without an end, whatever the window"),
)

_RUN_COST: Final = "cost_usd"
_DISTRIBUTIONS: Final = {
    metric.name.removesuffix("_p50"): metric
    for metric in (
        Metric(
            "tokens_per_run_p50",
            "tokens",
            "quantile",
            "Tokens of one run.",
            "input_tokens + output_tokens of a run",
            Parts(("input_tokens", "output_tokens"), pl.col("input_tokens") + pl.col("output_tokens")),
        ),
        Metric(
            "tool_calls_per_run_p50",
            "calls",
            "quantile",
            "Tool calls of one run.",
            "tool_calls of a run",
            Parts(("tool_calls",), pl.col("tool_calls")),
        ),
        Metric(
            "steps_per_run_p50",
            "steps",
            "quantile",
            "Steps of one run.",
            "steps of a run",
            Parts(("steps",), pl.col("steps")),
        ),
        Metric(
            "run_seconds_p50",
            "s",
            "quantile",
            "How long one run takes.",
            "end - start of a run",
            Parts(("run_seconds",), pl.col("run_seconds")),
        ),
        Metric(
            "cost_per_run_p50",
            "usd",
            "quantile",
            "What one run costs.",
            "cost of a run, where it is known",
            Parts((_RUN_COST,), pl.col(_RUN_COST)),
        ),
        Metric(
            "tool_ms_p50",
            "ms",
            "quantile",
            "How long one tool call takes.",
            "end - start of a tool call made",
            None,
            Parts(("ms", "status"), pl.when(pl.col("status") != "denied").then(pl.col("ms"))),
        ),
    )
}
_QUANTILE: Final = re.compile(r"^(?P<base>[a-z_]+)_p(?P<rank>\d{1,2}(?:\.\d+)?|100)$")
_SHOWN: Final = ("50", "95", "99")
_BY_NAME: Final = {metric.name: metric for metric in _METRICS}


def catalogue() -> list[Metric]:
    """Return every metric; of each distribution p50, p95 and p99, though any quantile can be asked for."""
    return [*_METRICS, *(find(f"{base}_p{rank}") for base in _DISTRIBUTIONS for rank in _SHOWN)]


def find(name: str) -> Metric:
    """Return the metric of this name, such as ``completion_rate`` or ``run_seconds_p99.9``.

    Raises:
        MetricError: there is none; the message names the nearest.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    match = _QUANTILE.match(name)
    if match and match["base"] in _DISTRIBUTIONS:
        return replace(_DISTRIBUTIONS[match["base"]], name=name, quantile=float(match["rank"]) / 100)
    known = [*_BY_NAME, *(f"{base}_p{rank}" for base in _DISTRIBUTIONS for rank in _SHOWN)]
    near = get_close_matches(name, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    msg = f"there is no metric {name!r}: {hint}known are {', '.join(known)}; any _pXX is a quantile"
    raise MetricError(msg)
