"""Run facts: what the spans of many traces say about each run, as rows of the tables ``runs`` and ``steps``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from spanhouse_analysis import endings, frames, patterns, steps, usage
from spanhouse_analysis.classes import AGENT, AGENTIC
from spanhouse_analysis.groups import Groups, group
from spanhouse_analysis.stop_reasons import HANDOVER_TOOLS
from spanhouse_analysis.tree import NONE, Flags, depths

LEASE_SECONDS = 1800.0
"""A run without an end that gives no sign of life for so long was abandoned."""

_COUNTS = (
    *("model_calls", "model_errors", "tool_calls", "tool_errors", "tool_requests", "policy_denials", "loops"),
    *("cycle_length", "retries", "retry_storm"),
)
"""What is known only where the run's calls were recorded."""

_FIRST_SAID = (
    *("request_id", "session_id", "user_id", "environment", "service_name", "agent_version", "task", "task_type"),
    *("variant", "convention"),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """Rows for the tables ``runs`` and ``steps``, with their columns and types.

    Attributes:
        previews: for each run the spans its previews are cut from: ``tenant``, ``trace_id``, ``run_id``, ``root_span``,
            ``first_call`` and ``last_call``.
    """

    runs: pl.DataFrame
    steps: pl.DataFrame
    previews: pl.DataFrame


def compute(
    spans: pl.DataFrame,
    now: datetime,
    lease_seconds: float = LEASE_SECONDS,
    handover: tuple[str, ...] = HANDOVER_TOOLS,
) -> Facts:
    """Return the facts of every run among the spans: a pure function of them, of the clock and of the settings.

    Args:
        spans: spans of whole traces, with the columns ``frames.FACT_COLUMNS`` as far as they are known.
        now: the time of computing; becomes ``computed_at`` and, in microseconds, ``version``.
        lease_seconds: after so long without an end or a sign of life a run counts as abandoned.
        handover: shell patterns of tools that hand a run to a person.
    """
    groups = group(frames.prepare(spans))
    if groups.keys.is_empty():
        return Facts(frames.RUNS.to_frame(), frames.STEPS.to_frame(), _previews(groups))
    step_rows = steps.rows_of(groups)
    runs = _runs(groups, step_rows, now, lease_seconds, handover)
    return Facts(
        runs=runs.select(pl.col(name).cast(dtype) for name, dtype in frames.RUNS.items()),
        steps=_steps(step_rows, runs),
        previews=_previews(groups),
    )


def _runs(
    groups: Groups, step_rows: pl.DataFrame, now: datetime, lease_seconds: float, handover: tuple[str, ...]
) -> pl.DataFrame:
    handing = endings.handing_over(groups.rows["tool_name"], handover)
    ended = endings.ended_by_root(groups)
    left = endings.abandoned(groups, now, lease_seconds)
    verdict = endings.verdicts(groups, ended, left, handing)
    runs = (
        groups.keys.with_columns(verdict, over=pl.Series(ended | left), rooted=pl.Series(groups.root != NONE))
        .hstack(_root(groups))
        .join(_first_said(groups), on="run", how="left")
        .join(_sums(groups, handing), on="run", how="left")
        .join(usage.totals(groups), on="run", how="left")
        .join(_models(groups), on="run", how="left")
        .join(_step_counts(step_rows), on="run", how="left")
        .join(patterns.of_runs(_calls(groups)), on="run", how="left")
    )
    return _finish(runs, now)


def _root(groups: Groups) -> pl.DataFrame:
    """Return the run span's own figures, null or empty while it has not come."""
    known = pl.Series(groups.root != NONE)
    root = groups.rows[pl.Series(groups.root).clip(lower_bound=0)]
    principal = groups.rows[pl.Series(groups.principal)]
    of_root = {"root_span_id": "span_id", "state": "state", "outcome": "outcome", "budget": "budget"}
    expected = {name: name for name in ("spans_expected", "audit_expected")}
    numbers = {"reported_steps": "steps", **expected, "root_start": "start", "root_end": "end"}
    label = principal["name"].str.replace(r"^(invoke_agent|invoke_workflow) ", "")
    return root.select(
        *(pl.when(known).then(column).otherwise(pl.lit("")).alias(name) for name, column in of_root.items()),
        *(pl.when(known).then(column).alias(name) for name, column in numbers.items()),
        run_type=pl.when(known).then("run_type").otherwise(pl.lit("")),
        label=label,
        lone=pl.Series(groups.lone),
    )


def _first_said(groups: Groups) -> pl.DataFrame:
    """Return the first value that any span says, the run span asked first, then down the tree."""
    principal = pl.Series(groups.principal)[groups.rows["run"]]
    rows = groups.rows.select(
        "run", "start", "span_id", "span_class", "agent", "response_model", "request_model", *_FIRST_SAID
    )
    ordered = rows.with_columns(
        depth=pl.Series(depths(groups.parent)),
        first=pl.int_range(pl.len()) != principal,
        owner=pl.when(pl.col("span_class").is_in(AGENTIC)).then("agent").otherwise(pl.lit("")),
        said_model=usage.model_name(),
    ).sort("run", "first", "depth", "start", "span_id")
    said = ["owner", "agent", "said_model", *_FIRST_SAID]
    return (
        ordered.select("run", pl.col(said).replace("", None))
        .group_by("run")
        .agg(pl.col(said).first(ignore_nulls=True))
        .with_columns(pl.col(said).fill_null(""))
        # Model and tool spans name the agent that owns them; the agent's own span is asked before.
        .with_columns(agent=pl.when(pl.col("owner") != "").then("owner").otherwise("agent"))
    )


def _sums(groups: Groups, handing: Flags) -> pl.DataFrame:
    counted = groups.counted
    rows = groups.rows.select(
        *(
            "run",
            "start",
            "end",
            "received_at",
            "is_final",
            "duration_ns",
            "escalated",
            "resumes",
            "status",
            "span_class",
        ),
        model=pl.Series(counted.model),
        executed=pl.Series(counted.executed),
        requested=pl.Series(counted.requested),
        unrecorded=pl.Series(counted.unrecorded),
        handing=pl.Series(handing),
    ).with_columns(failed=pl.col("status") == "error")
    return rows.group_by("run").agg(
        received_at=pl.col("received_at").max(),
        first_start=pl.col("start").min(),
        last_end=pl.max_horizontal("start", "end").max(),
        spans_stored=pl.col("is_final").sum(),
        agents=(pl.col("span_class") == AGENT).any(),
        escalated=(pl.col("escalated") | (pl.col("executed") & pl.col("handing"))).any(),
        resumes=pl.col("resumes").max().fill_null(0),
        model_calls=pl.col("model").sum(),
        model_errors=(pl.col("model") & pl.col("failed")).sum(),
        model_seconds=_seconds((pl.col("duration_ns") * pl.col("model")).sum()),
        tool_calls=pl.col("executed").sum(),
        tool_errors=(pl.col("executed") & pl.col("failed")).sum(),
        tool_seconds=_seconds((pl.col("duration_ns") * pl.col("executed")).sum()),
        tool_requests=pl.col("requested").sum(),
        policy_denials=(pl.col("requested") & ~pl.col("executed")).sum(),
        unrecorded=pl.col("unrecorded").any(),
    )


def _models(groups: Groups) -> pl.DataFrame:
    """Return the models of the counted calls, the one of most calls first."""
    calls = groups.rows.filter(pl.Series(groups.counted.model)).select("run", model=usage.model_name())
    return (
        calls.filter(pl.col("model") != "")
        .group_by("run", "model")
        .len()
        .sort("run", "len", "model", descending=[False, True, False])
        .group_by("run", maintain_order=True)
        .agg(models="model")
    )


def _step_counts(step_rows: pl.DataFrame) -> pl.DataFrame:
    return (
        step_rows.filter(pl.col("kind") != steps.USAGE)
        .group_by("run")
        .agg(step_rows=pl.len(), last_step=pl.col("step").max())
    )


def _calls(groups: Groups) -> pl.DataFrame:
    return (
        groups.rows.filter(pl.Series(groups.counted.executed))
        .select(
            "run",
            "start",
            "span_id",
            "tool_name",
            "args_hash",
            "polling",
            "attempt",
            failed=pl.col("status") == "error",
        )
        .sort("run", "start", "span_id")
    )


def _finish(runs: pl.DataFrame, now: datetime) -> pl.DataFrame:
    known_outcome = pl.col("outcome").is_in(["success", "failure"])
    over = pl.col("over")
    model = pl.col("models").list.first().fill_null(pl.col("said_model"))
    none_recorded = (
        (pl.col("model_calls") == 0) & (pl.col("tool_requests") == 0) & (pl.col("step_rows").fill_null(0) == 0)
    )
    told_of = pl.col("unrecorded") | (pl.col("reported_steps").fill_null(0) > 0)
    counted = runs.with_columns(
        pl.col("loops", "cycle_length", "retries").fill_null(0), pl.col("retry_storm").fill_null(value=False)
    ).with_columns(pl.when(~(none_recorded & told_of)).then(pl.col(name)).alias(name) for name in _COUNTS)
    timed = counted.with_columns(
        started_at=pl.coalesce("root_start", "first_start"),
        ended_at=pl.when(over).then(pl.when(pl.col("stop_code") == "abandoned").then("last_end").otherwise("root_end")),
        outcome=pl.when(known_outcome).then("outcome").otherwise(pl.lit("unknown")),
    )
    return timed.with_columns(
        pl.col("unpriced_models").fill_null([]),
        version=pl.lit(int(now.timestamp() * 1e6), dtype=pl.UInt64),
        is_deleted=pl.lit(0, dtype=pl.UInt8),
        superseded_by=pl.lit(""),
        computed_at=pl.lit(now),
        # The named agent before the label of the workflow around it.
        name=pl.when(pl.col("owner") != "").then("owner").otherwise("label"),
        model=model,
        models=pl.col("models").fill_null(
            pl.when(model != "").then(pl.concat_list(model)).otherwise(pl.lit([], dtype=pl.List(pl.String)))
        ),
        type=pl.when(pl.col("run_type") != "")
        .then("run_type")
        .when("agents")
        .then(pl.lit("agent"))
        .when("lone")
        .then(pl.lit("call"))
        .otherwise(pl.lit("workflow")),
        status=pl.when(over).then(pl.lit("ended")).otherwise(pl.lit("running")),
        completed=over
        & pl.when(pl.col("outcome") == "unknown")
        .then((pl.col("stop_code") == "finish") & ~pl.col("escalated"))
        .otherwise(pl.col("outcome") == "success"),
        run_seconds=_seconds((pl.col("ended_at") - pl.col("started_at")).dt.total_nanoseconds().clip(lower_bound=0)),
        steps=pl.coalesce("reported_steps", "last_step", "step_rows", 0),
        input_preview=pl.lit(""),
        output_preview=pl.lit(""),
        weight=pl.lit(1.0),
    )


def _seconds(nanoseconds: pl.Expr) -> pl.Expr:
    """Return seconds: Polars divides by multiplying with the inverse, which makes 60.00000000000001 of a minute."""
    return (nanoseconds / 1e9).round(9)


def _steps(step_rows: pl.DataFrame, runs: pl.DataFrame) -> pl.DataFrame:
    of_run = runs.select(
        *(
            "run",
            "tenant",
            "run_id",
            "version",
            "is_deleted",
            "environment",
            "user_id",
            "agent",
            "agent_version",
            "task_type",
            "variant",
            "weight",
        ),
        run_started_at="started_at",
        run_ended_at="ended_at",
        run_type="type",
        run_model="model",
    )
    joined = step_rows.join(of_run, on="run", how="left", maintain_order="left").with_columns(
        number=pl.coalesce("step", "seq"),
        attempt=pl.col("attempt").fill_null(1),
        model=pl.when((pl.col("kind") == steps.USAGE) & (pl.col("model") == "")).then("run_model").otherwise("model"),
    )
    return joined.select(pl.col(name).cast(dtype) for name, dtype in frames.STEPS.items())


def _previews(groups: Groups) -> pl.DataFrame:
    """Which spans hold what the run was asked and what it answered: its own, else its model calls."""
    rows = groups.rows
    calls = rows.filter(pl.Series(groups.counted.model)).group_by("run", maintain_order=True)
    ends = calls.agg(first_call=pl.col("span_id").first(), last_call=pl.col("span_id").last())
    return (
        groups.keys.with_columns(root_span=rows[pl.Series(groups.principal)]["span_id"])
        .join(ends, on="run", how="left")
        .drop("run")
    )
