"""OTLP request bodies as wholes: how many records one holds, and how one is cut in two."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Halves = tuple[tuple[int, bytes], tuple[int, bytes]]
"""Records and body of either half."""


def halve_spans(body: bytes) -> Halves | None:
    """Return the body of a trace request as two; None where it holds one span or none."""

    def part(kept: Callable[[int], bool]) -> tuple[int, bytes]:
        request = ExportTraceServiceRequest.FromString(body)
        place = total = 0
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                chosen = [span for number, span in enumerate(scope.spans, start=place) if kept(number)]
                place += len(scope.spans)
                total += len(chosen)
                del scope.spans[:]
                scope.spans.extend(chosen)
        return total, bytes(request.SerializeToString())

    return _halves(part)


def halve_logs(body: bytes) -> Halves | None:
    """Return the body of a log request as two; None where it holds one record or none."""

    def part(kept: Callable[[int], bool]) -> tuple[int, bytes]:
        request = ExportLogsServiceRequest.FromString(body)
        place = total = 0
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                chosen = [record for number, record in enumerate(scope.log_records, start=place) if kept(number)]
                place += len(scope.log_records)
                total += len(chosen)
                del scope.log_records[:]
                scope.log_records.extend(chosen)
        return total, bytes(request.SerializeToString())

    return _halves(part)


def _halves(part: Callable[[Callable[[int], bool]], tuple[int, bytes]]) -> Halves | None:
    total, _ = part(lambda _: True)
    if total < 2:  # noqa: PLR2004 - one cannot be halved
        return None
    middle = total // 2
    return part(lambda number: number < middle), part(lambda number: number >= middle)
