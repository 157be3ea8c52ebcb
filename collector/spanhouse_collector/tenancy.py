"""Whose records a request's are: what they claim is judged by the caller's key, what they leave open comes from it.

The normaliser reads the claims again, after the journal. So that the two can never differ to a sender's gain, a record
is refused for any foreign claim on it or on its resource, whichever of them would win.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from spanhouse import attributes as own
from spanhouse_collector import wire
from spanhouse_collector.caller import Caller
from spanhouse_collector.conventions import CONVENTIONS
from spanhouse_collector.conventions.readers import as_text, name
from spanhouse_collector.records import Signal
from spanhouse_collector.verdict import Reason, Rejection, Verdict

ENVIRONMENT_KEYS: Final = (own.ENVIRONMENT, "deployment.environment", "env")
"""Resource attributes that name the environment, in order of precedence."""

TENANT_KEYS: Final = frozenset(
    {own.TENANT}.union(*(source.keys for each in CONVENTIONS for source in each.sources if source.column == "tenant"))
)
_TENANT_BYTES: Final = tuple(key.encode() for key in TENANT_KEYS)
_SHOWN: Final = 3
_LONGEST_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class _Place:
    """A record of a request: where it stands (resource, scope, index), its attributes, and its name for people."""

    at: tuple[int, int, int]
    point: int | None
    attributes: Iterable[bytes]
    label: bytes


def judge(signal: Signal, request: Any, caller: Caller, verdict: Verdict) -> Verdict:  # noqa: ANN401 - a wire message
    """Return the verdict with the records refused that claim a tenant the caller's key does not name, or name none."""
    if caller.tenants is None:
        return verdict
    refused = {((each.resource, each.scope, each.index), each.point) for each in verdict.rejections}
    several = len(caller.tenants) > 1
    found: list[Rejection] = []
    for r, resource in enumerate(_resources(signal, request)):
        shared = set(_claims(resource.resource.attributes))
        for place in _PLACES[signal](r, resource):
            claimed = shared.union(_claims(place.attributes))
            if claimed <= caller.tenants and (claimed or not several):
                continue
            if (place.at, place.point) in refused or (place.at, None) in refused:
                continue
            reason = Reason.TENANT if claimed else Reason.TENANT_MISSING
            found.append(Rejection(*place.at, reason, _label(place), place.point))
    if not found:
        return verdict
    rejections = sorted([*verdict.rejections, *found], key=_order)
    hint = verdict.hint or _hint(caller.tenants)
    return replace(verdict, accepted=verdict.accepted - len(found), rejections=rejections, hint=hint)


def _order(each: Rejection) -> tuple[int, int, int, int]:
    return each.resource, each.scope, each.index, each.point or 0


def fill_in(signal: Signal, request: Any, caller: Caller) -> bool:  # noqa: ANN401 - a wire message
    """Name the caller's environment on every resource that names none, and return whether there was one."""
    if not caller.environment:
        return False
    changed = False
    for resource in _resources(signal, request):
        if not _has_environment(resource.resource.attributes):
            resource.resource.attributes.append(_attribute(own.ENVIRONMENT, caller.environment))
            changed = True
    return changed


def _claims(attributes: Iterable[bytes]) -> Iterator[str]:
    for raw in attributes:
        # Looked for as bytes first: of the attributes of a span one at most is worth being read here.
        if any(key in raw for key in _TENANT_BYTES):
            try:
                key, value = wire.key_value(raw)
            except wire.DecodeError:
                continue
            if key in TENANT_KEYS and value is not None:
                # A resource's claim is taken as its text, a record's as a name: both must be the key's.
                yield from {text for text in (as_text(value), name(value)) if text}


def _has_environment(attributes: Iterable[bytes]) -> bool:
    for raw in attributes:
        try:
            key, value = wire.key_value(raw)
        except wire.DecodeError:
            continue
        if key in ENVIRONMENT_KEYS and value is not None and as_text(value):
            return True
    return False


def _attribute(key: str, value: str) -> bytes:
    text = wire.AnyValue(string_value=value.encode()).SerializeToString()
    encoded: bytes = wire.KeyValue(key=key.encode(), value=text).SerializeToString()
    return encoded


def _resources(signal: Signal, request: Any) -> Any:  # noqa: ANN401 - wire messages
    return request.resource_spans if signal == "traces" else getattr(request, f"resource_{signal}")


def _spans(r: int, resource: Any) -> Iterator[_Place]:  # noqa: ANN401
    for s, scope in enumerate(resource.scope_spans):
        for i, span in enumerate(scope.spans):
            yield _Place((r, s, i), None, span.attributes, span.name)


def _logs(r: int, resource: Any) -> Iterator[_Place]:  # noqa: ANN401
    for s, scope in enumerate(resource.scope_logs):
        for i, record in enumerate(scope.log_records):
            yield _Place((r, s, i), None, record.attributes, record.event_name)


def _points(r: int, resource: Any) -> Iterator[_Place]:  # noqa: ANN401
    for s, scope in enumerate(resource.scope_metrics):
        for i, metric in enumerate(scope.metrics):
            kind = metric.WhichOneof("value")
            try:
                data = wire.METRIC_DATA[kind].FromString(getattr(metric, kind)) if kind else None
            except wire.DecodeError:
                # Refused as a whole by the check, which runs first.
                continue
            for p, point in enumerate(data.data_points if data else ()):
                yield _Place((r, s, i), p, point.attributes, metric.name)


_PLACES: Final = {"traces": _spans, "logs": _logs, "metrics": _points}


def _label(place: _Place) -> str:
    shown = wire.text(place.label[:_LONGEST_NAME])
    at = "record {2} of scope {1} of resource {0}".format(*place.at)
    return f"{shown!r} {at}" if shown else at


def _hint(tenants: frozenset[str]) -> str:
    named = sorted(tenants)
    if len(named) == 1:
        return f"The key is for tenant {named[0]!r}: leave tenant.id out, or send with a key that names the tenant."
    some = ", ".join(repr(tenant) for tenant in named[:_SHOWN]) + (" and others" if len(named) > _SHOWN else "")
    return f"The key is for several tenants ({some}): name one of them as tenant.id on each record or on its resource."
