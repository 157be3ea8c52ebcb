"""Which data points of a metrics request can be taken; everything else about a metric is kept as it was sent."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final, TypeAlias

from spanhouse_collector import wire
from spanhouse_collector.verdict import Reason, Rejection, Verdict

_LONGEST_NAME: Final = 60

_Fault: TypeAlias = tuple[Reason, str, int | None]
"""Why, what it calls itself, and which point where it is not the whole metric."""


def check(request: Any) -> Verdict:  # noqa: ANN401 - a wire message
    """Return which data points of a `wire.MetricsRequest` are refused: of a metric without a name, all of them."""
    accepted = 0
    rejections: list[Rejection] = []
    for r, resource in enumerate(request.resource_metrics):
        for s, scope in enumerate(resource.scope_metrics):
            for i, metric in enumerate(scope.metrics):
                kind = metric.WhichOneof("value")
                if kind is None:
                    # A metric without data says nothing, and there is nothing to keep.
                    continue
                points, faults = _inspect(metric, kind)
                rejections += [Rejection(r, s, i, reason, label, point) for reason, label, point in faults]
                accepted += points
    hint = ""
    if rejections and not accepted and all(rejection.point is None for rejection in rejections):
        hint = (
            "A request of spans or log records sent to /v1/metrics looks like this; those go to /v1/traces, /v1/logs."
        )
    return Verdict(accepted, rejections, hint)


def remove(request: Any, verdict: Verdict) -> None:  # noqa: ANN401 - a wire message
    """Take the refused data points out of the request, and metrics that are at fault themselves."""
    faults: dict[tuple[int, int, int], set[int | None]] = defaultdict(set)
    for rejection in verdict.rejections:
        faults[rejection.resource, rejection.scope, rejection.index].add(rejection.point)
    # From the back, so that the indexes in front stay right.
    for (r, s, i), points in sorted(faults.items(), reverse=True, key=lambda item: item[0]):
        metrics = request.resource_metrics[r].scope_metrics[s].metrics
        if None in points:
            del metrics[i]
            continue
        metric = metrics[i]
        kind = metric.WhichOneof("value")
        data = wire.METRIC_DATA[kind].FromString(getattr(metric, kind))
        for point in sorted((point for point in points if point is not None), reverse=True):
            del data.data_points[point]
        setattr(metric, kind, data.SerializeToString())


def _inspect(metric: Any, kind: str) -> tuple[int, list[_Fault]]:  # noqa: ANN401 - a wire message
    name = wire.text(metric.name)
    label = repr(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}...")
    try:
        points = wire.METRIC_DATA[kind].FromString(getattr(metric, kind)).data_points
    except wire.DecodeError:
        return 0, [(Reason.METRIC_DATA, label, None)]
    if not name:
        return 0, [(Reason.METRIC_NAME, f"{kind} point {number}", None) for number in range(len(points))]
    timeless = [number for number, point in enumerate(points) if not point.time_unix_nano]
    faults: list[_Fault] = [(Reason.POINT_TIME, f"{label} point {number}", number) for number in timeless]
    return len(points) - len(faults), faults
