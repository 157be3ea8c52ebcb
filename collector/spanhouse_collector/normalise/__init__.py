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
from spanhouse_collector.normalise.spans import Spans
from spanhouse_collector.records import TRACES_SCHEMA, Counts, Normalised, RawRecord

__all__ = ["Normaliser", "normalise"]


class Normaliser:
    """Normalises batch after batch; what it remembers between them makes it fast and never changes a row."""

    def __init__(self) -> None:
        attributes = Attributes()
        contexts = Contexts(attributes)
        self._spans = Spans(attributes, contexts)
        self._logs = Logs(attributes, contexts)

    def __call__(self, records: Sequence[RawRecord]) -> Normalised:
        """Return the rows of the records' spans, audit events and logs, and the traces they touch.

        A pure function of the records: the same records give the same rows, in whatever order they come. A span without
        usable ids is left out, as at the door.

        Raises:
            DecodeError: a body is no OTLP request, which the door would have refused.
        """
        with _collection_paused():
            return self._normalise(records)

    def _normalise(self, records: Sequence[RawRecord]) -> Normalised:
        spans = self._spans.table([record for record in records if record.signal == "traces"])
        tables = self._logs.tables([record for record in records if record.signal == "logs"])
        clamped = pc.sum(pc.not_equal(pc.list_value_length(spans["clamped"]), 0)).as_py() or 0
        return Normalised(
            tables={"spans": spans, **tables},
            traces=_traces(spans),
            counts=Counts(
                spans=spans.num_rows,
                audit_events=tables["audit_events"].num_rows,
                logs=tables["logs"].num_rows,
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


def _traces(spans: pa.Table) -> pa.Table:
    ended_run = pc.or_(pc.not_equal(spans["stop_reason"], ""), pc.is_valid(spans["spans_expected"]))
    rooted = pc.and_(spans["is_final"], pc.or_(pc.equal(spans["parent_span_id"], ""), ended_run))
    touched = pa.table(
        {"tenant": spans["tenant"], "trace_id": spans["trace_id"], "start": spans["start"], "rooted": rooted}
    )
    figures = [("start", "min"), ("start", "max"), ("rooted", "any")]
    grouped = touched.group_by(["tenant", "trace_id"]).aggregate(figures)
    return pa.table(
        [grouped[name] for name in ("tenant", "trace_id", "start_min", "start_max", "rooted_any")],
        names=TRACES_SCHEMA.names,
    ).cast(TRACES_SCHEMA)
