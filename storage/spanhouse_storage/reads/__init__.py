"""Reads that the server and the analysis share: spans of a trace, lists of runs, audit events."""

from __future__ import annotations

from spanhouse_storage.reads.audit import AUDIT_COLUMNS, AuditFilter, audit_events
from spanhouse_storage.reads.bulk import KINDS, Chunk, Snapshot, bulk_count, bulk_rows
from spanhouse_storage.reads.filters import LONE_CALL, RunFilter, Texts, where
from spanhouse_storage.reads.ledger import LEDGER_COUNTS, LedgerFilter, ledger_gaps, ledger_minutes, ledger_totals
from spanhouse_storage.reads.log_sweep import LogHour, drop_untold, log_hours, logs_of_hour, spans_from_logs
from spanhouse_storage.reads.messages import messages_of_traces
from spanhouse_storage.reads.metric_points import POINT_COLUMNS, PointFilter, metric_points
from spanhouse_storage.reads.pages import CursorError, Page
from spanhouse_storage.reads.runs import (
    NEWEST_FIRST,
    RUN_COLUMNS,
    SORT_KEYS,
    STEP_COLUMNS,
    facets,
    list_runs,
    run_by_id,
    runs_by_request,
    runs_by_session,
    runs_by_trace,
    steps_of_run,
    steps_of_runs,
    unpriced_models,
    with_audit_counts,
)
from spanhouse_storage.reads.scores import SCORE_COLUMNS, ScoredRun, ScoreFilter, list_scores
from spanhouse_storage.reads.spans import (
    CONTENT_COLUMNS,
    MATCHED_COLUMNS,
    PAYLOAD_COLUMNS,
    SLIM_COLUMNS,
    bucket_bounds,
    find_traces,
    span,
    spans_of_traces,
    spans_page,
    traces_received_since,
)
from spanhouse_storage.reads.sweep import SpanHour, SpanWindow, span_hours, spans_of_hour

__all__ = [
    "AUDIT_COLUMNS",
    "CONTENT_COLUMNS",
    "KINDS",
    "LEDGER_COUNTS",
    "LONE_CALL",
    "MATCHED_COLUMNS",
    "NEWEST_FIRST",
    "PAYLOAD_COLUMNS",
    "POINT_COLUMNS",
    "RUN_COLUMNS",
    "SCORE_COLUMNS",
    "SLIM_COLUMNS",
    "SORT_KEYS",
    "STEP_COLUMNS",
    "AuditFilter",
    "Chunk",
    "CursorError",
    "LedgerFilter",
    "LogHour",
    "Page",
    "PointFilter",
    "RunFilter",
    "ScoreFilter",
    "ScoredRun",
    "Snapshot",
    "SpanHour",
    "SpanWindow",
    "Texts",
    "audit_events",
    "bucket_bounds",
    "bulk_count",
    "bulk_rows",
    "drop_untold",
    "facets",
    "find_traces",
    "ledger_gaps",
    "ledger_minutes",
    "ledger_totals",
    "list_runs",
    "list_scores",
    "log_hours",
    "logs_of_hour",
    "messages_of_traces",
    "metric_points",
    "run_by_id",
    "runs_by_request",
    "runs_by_session",
    "runs_by_trace",
    "span",
    "span_hours",
    "spans_from_logs",
    "spans_of_hour",
    "spans_of_traces",
    "spans_page",
    "steps_of_run",
    "steps_of_runs",
    "traces_received_since",
    "unpriced_models",
    "where",
    "with_audit_counts",
]
