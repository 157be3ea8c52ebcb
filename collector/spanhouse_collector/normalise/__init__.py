"""Normalising: OTLP bodies in, rows of the store's tables out, whichever convention the telemetry speaks."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from spanhouse_collector.normalise.attributes import Attributes
from spanhouse_collector.normalise.contexts import Contexts
from spanhouse_collector.normalise.logs import Logs
from spanhouse_collector.normalise.metric_points import MetricPoints
from spanhouse_collector.normalise.span_scores import span_scores
from spanhouse_collector.normalise.spans import Spans
from spanhouse_collector.prices import Prices
from spanhouse_collector.records import TRACES_SCHEMA, Counts, Normalised, RawRecord
from spanhouse_storage.derived import FROM_LOG

__all__ = ["Normaliser", "normalise"]


class Normaliser:
    """Normalises batch after batch; what it remembers between them makes it fast and never changes a row."""

    def __init__(self) -> None:
        self._attributes = attributes = Attributes()
        contexts = Contexts(attributes)
        prices = Prices()
        self._spans = Spans(attributes, contexts, prices)
        self._logs = Logs(attributes, contexts, prices)
        self._points = MetricPoints(attributes, contexts)

    def __call__(self, records: Sequence[RawRecord]) -> Normalised:
        """Return the rows of the records' spans, audit events, logs and metric points, and the traces they touch.

        A pure function of the records: the same records give the same rows, in whatever order they come. A span without
        usable ids is left out, as at the door.

        Raises:
            DecodeError: a body is no OTLP request, which the door would have refused.
        """
        with _collection_paused():
            return self._normalise(records)

    def _normalise(self, records: Sequence[RawRecord]) -> Normalised:
        spans = self._spans.table([record for record in records if record.signal == "traces"])
        tables, beside = self._logs.tables([record for record in records if record.signal == "logs"])
        points = self._points.table([record for record in records if record.signal == "metrics"])
        # Log records and points have no mark for a cut text, so nobody took these.
        self._attributes.cut.clear()
        clamped = pc.sum(pc.not_equal(pc.list_value_length(spans["clamped"]), 0)).as_py() or 0
        scores = pa.concat_tables([beside["scores"], span_scores(spans.take(pa.array(self._spans.scored, pa.int64())))])
        told = {"messages": beside["messages"], "scores": scores}
        audit_events = pa.concat_tables([tables["audit_events"], beside["audit_events"]])
        all_spans = pa.concat_tables([spans, beside["spans"]])
        return Normalised(
            tables={
                "spans": all_spans,
                **tables,
                "audit_events": audit_events,
                "metric_points": points,
                **{name: rows for name, rows in told.items() if rows.num_rows},
            },
            traces=_traces(all_spans, beside["messages"]),
            counts=Counts(
                spans=spans.num_rows,
                audit_events=tables["audit_events"].num_rows,
                logs=tables["logs"].num_rows,
                metric_points=points.num_rows,
                clamped=clamped,
            ),
        )


_DEFAULT = Normaliser()


@contextmanager
def _collection_paused() -> Iterator[None]:
    # A batch makes hundreds of thousands of tuples and not one cycle: looking through them again and again for garbage
    # was a third of the time.
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def normalise(records: Sequence[RawRecord]) -> Normalised:
    """Return the rows of a batch by the process's one `Normaliser`; not for use from several threads at once."""
    return _DEFAULT(records)


def _traces(spans: pa.Table, messages: pa.Table) -> pa.Table:
    ended_run = pc.or_(pc.not_equal(spans["stop_reason"], ""), pc.is_valid(spans["spans_expected"]))
    # An agent known by its log records alone never says that it ended: each record is all there may be.
    from_log = pc.not_equal(pc.bit_wise_and(spans["flags"], pa.scalar(FROM_LOG, pa.uint32())), 0)
    ends = pc.or_(pc.or_(pc.equal(spans["parent_span_id"], ""), ended_run), from_log)
    rooted = pc.and_(spans["is_final"], ends)
    touched = pa.table(
        {"tenant": spans["tenant"], "trace_id": spans["trace_id"], "start": spans["start"], "rooted": rooted}
    )
    told = pa.table({name: messages[name] for name in ("tenant", "trace_id")} | {"start": messages["time"]})
    touched = pa.concat_tables([touched, told.append_column("rooted", pa.repeat(False, told.num_rows))])
    figures = [("start", "min"), ("start", "max"), ("rooted", "any")]
    grouped = touched.group_by(["tenant", "trace_id"]).aggregate(figures)
    return pa.table(
        [grouped[name] for name in ("tenant", "trace_id", "start_min", "start_max", "rooted_any")],
        names=TRACES_SCHEMA.names,
    ).cast(TRACES_SCHEMA)
