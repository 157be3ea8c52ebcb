"""The Arrow shape of every table that rows are inserted into: the one definition beside the DDL in `schema/`.

Low-cardinality text is plain `string` here: the engine builds its dictionary as fast as a producer in Python would.
Text and lists are empty rather than null where not known; only numbers, what was counted, and when a run ended can be
null.
"""

from __future__ import annotations

import pyarrow as pa

_TEXT = pa.string()
_LIST = pa.list_(pa.field("item", pa.string(), nullable=False))
_MAP = pa.map_(pa.string(), pa.field("value", pa.string(), nullable=False))
_SECONDS = pa.timestamp("s", "UTC")
_MICROS = pa.timestamp("us", "UTC")
_NANOS = pa.timestamp("ns", "UTC")
_U8, _U16, _U32, _U64 = pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()
_I32, _I64 = pa.int32(), pa.int64()
_F64 = pa.float64()
_F64_LIST = pa.list_(pa.field("item", _F64, nullable=False))
_U64_LIST = pa.list_(pa.field("item", _U64, nullable=False))
_I64_LIST = pa.list_(pa.field("item", _I64, nullable=False))
_BOOL = pa.bool_()
_BOOL_LIST = pa.list_(pa.field("item", _BOOL, nullable=False))


def _lists(inner: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("item", inner, nullable=False))


def _required(type_: pa.DataType, names: str) -> list[pa.Field]:
    return [pa.field(name, type_, nullable=False) for name in names.split()]


def _nullable(type_: pa.DataType, names: str) -> list[pa.Field]:
    return [pa.field(name, type_, nullable=True) for name in names.split()]


_SPANS = pa.schema(
    [
        *_required(_TEXT, "tenant trace_id span_id parent_span_id"),
        *_required(_SECONDS, "bucket"),
        *_required(_NANOS, "start end"),
        *_required(_U64, "duration_ns"),
        *_required(_BOOL, "is_final"),
        *_required(_U64, "version"),
        *_required(_MICROS, "received_at"),
        *_required(_TEXT, "name span_class span_kind convention status status_message error_type exception_type"),
        *_required(_TEXT, "service_name service_version environment scope_name scope_version"),
        *_required(_TEXT, "run_hint request_id session_id user_id agent agent_version task task_type variant run_type"),
        *_required(_TEXT, "operation"),
        *_nullable(_U32, "step"),
        *_required(_TEXT, "step_kind tool_name tool_call_id args_hash"),
        *_nullable(_U32, "attempt"),
        *_required(_BOOL, "polling replayed"),
        *_required(_TEXT, "decision provider request_model response_model response_id"),
        *_required(_LIST, "finish_reasons"),
        *_required(_BOOL, "streaming"),
        *_nullable(_F64, "ttft_ms"),
        *_nullable(_U64, "input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens"),
        *_nullable(_F64, "cost_usd"),
        *_required(_TEXT, "cost_source price_version stop_reason outcome state"),
        *_required(_BOOL, "escalated"),
        *_nullable(_U32, "resumes steps spans_expected audit_expected"),
        *_required(_TEXT, "budget"),
        *_required(_BOOL, "content_captured"),
        *_required(_TEXT, "input output system_instructions tool_definitions events links trace_state"),
        *_required(_U32, "flags dropped_attributes dropped_events dropped_links"),
        *_required(_MAP, "attributes resource scope_attributes"),
        *_required(_LIST, "clamped"),
    ]
)

_AUDIT_EVENTS = pa.schema(
    [
        *_required(_TEXT, "tenant stream"),
        *_required(_U64, "seq"),
        *_required(_TEXT, "name"),
        *_required(_NANOS, "time"),
        *_required(_MICROS, "received_at"),
        *_required(_U64, "version"),
        *_required(_TEXT, "environment request_id run_id trace_id span_id agent agent_version"),
        *_nullable(_U32, "step"),
        *_required(_TEXT, "tool args_hash decision status"),
        *_nullable(_F64, "duration_ms"),
        *_required(_U16, "event_version"),
        *_required(_TEXT, "prev_hash hash body_hash data"),
    ]
)

_LOGS = pa.schema(
    [
        *_required(_TEXT, "tenant"),
        *_required(_SECONDS, "bucket"),
        *_required(_NANOS, "time"),
        *_required(_MICROS, "received_at"),
        *_required(_U64, "version"),
        *_required(_TEXT, "record_id trace_id span_id event_name"),
        *_required(_U8, "severity_number"),
        *_required(_TEXT, "severity_text body service_name environment scope_name request_id session_id user_id"),
        *_required(_MAP, "attributes resource"),
        *_required(_U32, "flags dropped_attributes"),
        *_required(_TEXT, "scope_version"),
        *_required(_MAP, "scope_attributes"),
    ]
)

_METRIC_POINTS = pa.schema(
    [
        *_required(_TEXT, "tenant"),
        *_required(_SECONDS, "bucket"),
        *_required(_NANOS, "time"),
        *_nullable(_NANOS, "start_time"),
        *_required(_MICROS, "received_at"),
        *_required(_U64, "version"),
        *_required(_TEXT, "name"),
        *_required(_U64, "series"),
        *_required(_TEXT, "unit description type temporality"),
        *_required(_BOOL, "is_monotonic"),
        *_required(_U32, "flags"),
        *_nullable(_F64, "value"),
        *_nullable(_I64, "int_value"),
        *_nullable(_U64, "count"),
        *_nullable(_F64, "sum min max"),
        *_required(_F64_LIST, "bounds"),
        *_required(_U64_LIST, "bucket_counts"),
        *_nullable(_I32, "scale"),
        *_nullable(_U64, "zero_count"),
        *_nullable(_F64, "zero_threshold"),
        *_nullable(_I32, "positive_offset"),
        *_required(_U64_LIST, "positive_counts"),
        *_nullable(_I32, "negative_offset"),
        *_required(_U64_LIST, "negative_counts"),
        *_required(_F64_LIST, "quantiles quantile_values"),
        *_required(_TEXT, "exemplars service_name environment scope_name scope_version"),
        *_required(_MAP, "attributes resource scope_attributes"),
    ]
)

_RUNS = pa.schema(
    [
        *_required(_TEXT, "tenant run_id trace_id root_span_id"),
        *_required(_U64, "version"),
        *_required(_U8, "is_deleted"),
        *_required(_TEXT, "superseded_by"),
        *_required(_MICROS, "computed_at received_at"),
        *_required(_TEXT, "request_id session_id user_id environment service_name name agent agent_version model"),
        *_required(_LIST, "models"),
        *_required(_TEXT, "type task task_type variant convention"),
        *_required(_TEXT, "status state stop_reason stop_code stop_subject stop_reason_source outcome"),
        *_required(_BOOL, "completed escalated"),
        *_required(_TEXT, "error_type error_message"),
        *_required(_NANOS, "started_at"),
        *_nullable(_NANOS, "ended_at"),
        *_nullable(_F64, "run_seconds"),
        *_required(_F64, "model_seconds tool_seconds"),
        *_required(_U32, "resumes steps"),
        *_nullable(_U32, "model_calls model_errors tool_calls tool_errors tool_requests policy_denials"),
        *_nullable(_U32, "loops cycle_length retries"),
        *_nullable(_BOOL, "retry_storm"),
        *_nullable(_U64, "input_tokens output_tokens cache_read_tokens cache_write_tokens reasoning_tokens"),
        *_nullable(_F64, "cost_usd"),
        *_required(_TEXT, "cost_source"),
        *_required(_LIST, "unpriced_models"),
        *_required(_TEXT, "budget"),
        *_required(_U32, "spans_stored"),
        *_nullable(_U32, "spans_expected audit_expected"),
        *_required(_TEXT, "input_preview output_preview"),
        *_required(_F64, "weight"),
    ]
)

_STEPS = pa.schema(
    [
        *_required(_TEXT, "tenant run_id"),
        *_required(_U32, "seq"),
        *_required(_U64, "version"),
        *_required(_U8, "is_deleted"),
        *_required(_NANOS, "run_started_at"),
        *_nullable(_NANOS, "run_ended_at"),
        *_required(_TEXT, "run_type environment user_id agent agent_version run_model task_type variant span_id"),
        *_required(_U32, "number"),
        *_required(_TEXT, "kind tool model"),
        *_required(_NANOS, "started_at ended_at"),
        *_required(_F64, "ms"),
        *_required(_TEXT, "status error_type error_message decision args_hash"),
        *_required(_U32, "attempt"),
        *_required(_BOOL, "replayed"),
        *_nullable(_U64, "input_tokens output_tokens"),
        *_nullable(_F64, "cost_usd"),
        *_required(_BOOL, "unpriced"),
        *_required(_F64, "weight"),
    ]
)

_LEDGER = pa.schema(
    [
        *_required(_MICROS, "first_received last_received"),
        *_required(_TEXT, "token"),
        *_required(_U64, "version"),
        *_required(_LIST, "tenants"),
        *_required(_U64_LIST, "minutes"),
        *_required(_LIST, "signals sources reasons"),
        *_required(_U64_LIST, "received"),
        *_required(_I64_LIST, "stored"),
        *_required(_U64_LIST, "rejected sampled_out"),
        *_required(_I64_LIST, "late"),
        *_required(_U64_LIST, "duplicated"),
    ]
)

_SCORES = pa.schema(
    [
        *_required(_TEXT, "tenant score_id"),
        *_required(_SECONDS, "bucket"),
        *_required(_NANOS, "time"),
        *_required(_MICROS, "received_at"),
        *_required(_U64, "version"),
        *_required(_TEXT, "name"),
        *_nullable(_F64, "value"),
        *_required(_TEXT, "label explanation error_type trace_id span_id run_id response_id source"),
    ]
)

_MESSAGES = pa.schema(
    [
        *_required(_TEXT, "tenant trace_id span_id record_id"),
        *_required(_SECONDS, "bucket"),
        *_required(_NANOS, "time"),
        *_required(_MICROS, "received_at"),
        *_required(_U64, "version"),
        *_required(_TEXT, "input output system_instructions tool_definitions"),
    ]
)

_DELETIONS = pa.schema(
    [
        *_required(_TEXT, "tenant deletion_id table_name what"),
        *_required(_MICROS, "time"),
        *_required(_U64, "version"),
        *_required(_TEXT, "kind"),
        *_required(_U64, "rows"),
        *_nullable(_NANOS, "first last"),
        *_required(_TEXT, "by policy subject"),
    ]
)

_SAMPLED_TRACES = pa.schema(
    [
        *_required(_TEXT, "tenant trace_id"),
        *_required(_U64, "version"),
        *_required(_MICROS, "decided_at first_start"),
        *_required(_TEXT, "state"),
        *_required(_LIST, "runs"),
        *_required(_U64, "spans"),
        *_required(_U64_LIST, "records"),
    ]
)

_METRIC_PARTS = pa.schema(
    [
        *_required(_TEXT, "tenant source"),
        *_required(_U32, "level"),
        *_required(_SECONDS, "bucket"),
        *_required(_U64, "version"),
        *_required(_BOOL, "dirty"),
        *_required(_TEXT, "layout"),
        *_required(_lists(_LIST), "groups"),
        *_required(_I64_LIST, "firsts"),
        *_required(_BOOL_LIST, "sampled"),
        *_required(_lists(_F64_LIST), "sums"),
        *_required(_lists(_I64_LIST), "sketch_keys"),
        *_required(_lists(_F64_LIST), "sketch_weights"),
    ]
)

SCHEMAS: dict[str, pa.Schema] = {
    "spans": _SPANS,
    "audit_events": _AUDIT_EVENTS,
    "logs": _LOGS,
    "metric_points": _METRIC_POINTS,
    "runs": _RUNS,
    "steps": _STEPS,
    "ledger": _LEDGER,
    "scores": _SCORES,
    "messages": _MESSAGES,
    "sampled_traces": _SAMPLED_TRACES,
    "metric_parts": _METRIC_PARTS,
    "deletions": _DELETIONS,
}
"""Columns and Arrow types of every table, in the order of the DDL."""

PARTITION_TIME: dict[str, str] = {
    "spans": "bucket",
    "logs": "bucket",
    "metric_points": "bucket",
    "runs": "started_at",
    "steps": "run_started_at",
    "ledger": "first_received",
    "scores": "bucket",
    "messages": "bucket",
    "metric_parts": "bucket",
}
"""The column whose week is the partition; a table that is not named here has a single partition."""


def conform(table: str, rows: pa.Table) -> pa.Table:
    """Return the rows with exactly the columns, order and types of `SCHEMAS[table]`.

    Raises:
        ValueError: a column is missing or unknown, holds nulls where the table has none, or does not fit its type;
            the message names it.
    """
    schema = SCHEMAS[table]
    if rows.schema.equals(schema):
        return rows
    given, wanted = set(rows.column_names), set(schema.names)
    if given != wanted:
        missing, unknown = sorted(wanted - given), sorted(given - wanted)
        msg = f"rows for {table} do not have its columns: missing {missing}, unknown {unknown}"
        raise ValueError(msg)
    for field in schema:
        if not field.nullable and rows.column(field.name).null_count:
            msg = f"column {field.name} of {table} holds nulls; write an empty value where it is not known"
            raise ValueError(msg)
    try:
        return rows.select(schema.names).cast(schema)
    except pa.ArrowException as error:
        msg = f"rows for {table} do not fit its types: {error}"
        raise ValueError(msg) from error
