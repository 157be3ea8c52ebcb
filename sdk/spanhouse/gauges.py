"""How the process itself is doing, as metric points: CPU, memory, queues, runs in flight, and telemetry lost."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric, NumberDataPoint

from spanhouse.transport import Answer, Verdict

EVERY: Final = 10.0
"""Seconds between two looks."""
_REFUSALS: Final = 3
"""A server that takes no metrics is left alone after so many tries."""

Text = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Point:
    """One value: a gauge, or where ``total`` is set, a sum since the start."""

    name: str
    value: float
    unit: str = "1"
    attributes: Text = field(default_factory=dict)
    total: bool = False


def memory_bytes() -> int | None:
    """Return the resident memory of this process in bytes; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def encoded(points: Iterable[Point], resource: Mapping[str, object], *, now: int, since: int) -> bytes:
    """Return the OTLP request body for points.

    Args:
        points: what to send.
        resource: attributes of the process.
        now: nanoseconds since 1970 of these values.
        since: nanoseconds since 1970 of the start that sums count from.
    """
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(_pairs({key: str(value) for key, value in resource.items()}))
    scope = group.scope_metrics.add()
    scope.scope.name = "spanhouse"
    for point in points:
        metric = Metric(name=point.name, unit=point.unit)
        value = NumberDataPoint(as_double=point.value, time_unix_nano=now, attributes=_pairs(point.attributes))
        if point.total:
            value.start_time_unix_nano = since
            metric.sum.data_points.append(value)
            metric.sum.is_monotonic = True
            metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        else:
            metric.gauge.data_points.append(value)
        scope.metrics.append(metric)
    return bytes(request.SerializeToString())


class Cpu:
    """How many cores the process kept busy since it was asked before."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock, self._used = clock, used
        self._before = clock(), used()

    def busy(self) -> float:
        """Return 1.0 for one core that was busy all the time."""
        now, used = self._clock(), self._used()
        seconds, spent = now - self._before[0], used - self._before[1]
        self._before = now, used
        return spent / seconds if seconds > 0 else 0.0


class Gauges:
    """Sends points every ten seconds in the background, and stops where the server takes none.

    Args:
        send: posts one body.
        points: what to say besides CPU and memory.
        resource: attributes of the process.
    """

    def __init__(
        self,
        send: Callable[[bytes], Answer],
        points: Callable[[], Iterable[Point]],
        resource: Mapping[str, object],
    ) -> None:
        self._send = send
        self._points = points
        self._resource = resource
        self._reset()
        self_ref = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := self_ref()) and reset())

    def _reset(self) -> None:
        self._starting = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._since = time.time_ns()
        self._cpu = Cpu()

    def start(self) -> None:
        """Send from now on; does nothing where it does already."""
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spanhouse-gauges", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()

    def report(self) -> Answer:
        """Send the points of now, and return what the server said."""
        points = [Point("process.cpu.utilization", self._cpu.busy()), *self._points()]
        memory = memory_bytes()
        if memory is not None:
            points.append(Point("process.memory.usage", memory, "By"))
        return self._send(encoded(points, self._resource, now=time.time_ns(), since=self._since))

    def _run(self) -> None:
        otel_context.attach(otel_context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True))
        refused = 0
        while not self._stopped.wait(EVERY) and refused < _REFUSALS:
            refused = refused + 1 if self.report().verdict is Verdict.REFUSED else 0


def _pairs(attributes: Text) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in attributes.items()]
