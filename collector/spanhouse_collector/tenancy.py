"""Whose records a request's are: what they claim is judged by the caller's key, what they leave open comes from it.

The normaliser reads the claims again, after the journal. So that the two can never differ to a sender's gain, a record
is refused for any foreign claim on it or on its resource, whichever of them would win.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeAlias

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
_NOTHING: Final[frozenset[str]] = frozenset()
_SHORT: Final = 200
"""Longer attributes are read anew each time; remembering them would only cost memory."""
_SHOWN: Final = 3
_LONGEST_NAME: Final = 60


_Place: TypeAlias = tuple[int, int, int | None, Iterable[bytes], bytes]
"""A record under a resource: its scope's and its own number, its number among a metric's points, attributes and name.

A plain tuple, for one is made of every span received.
"""


def judge(
    signal: Signal,
    request: Any,  # noqa: ANN401 - a wire message
    caller: Caller,
    verdict: Verdict,
    body: bytes | None = None,
) -> Verdict:
    """Return the verdict with the records refused that claim a tenant the caller's key does not name, or name none.

    ``body`` is the request's protobuf where it is at hand: one that mentions no tenant need not be looked through.
    """
    if caller.tenants is None:
        return verdict
    if len(caller.tenants) == 1 and body is not None and not any(key in body for key in _TENANT_BYTES):
        return verdict
    refused = {(each.resource, each.scope, each.index, each.point) for each in verdict.rejections}
    several = len(caller.tenants) > 1
    found: list[Rejection] = []
    for r, resource in enumerate(_resources(signal, request)):
        shared = _claims(resource.resource.attributes)
        for s, i, point, attributes, label in _PLACES[signal](resource):
            own_claims = _claims(attributes)
            claimed = shared | own_claims if own_claims else shared
            if claimed <= caller.tenants and (claimed or not several):
                continue
            if (r, s, i, point) in refused or (r, s, i, None) in refused:
                continue
            reason = Reason.TENANT if claimed else Reason.TENANT_MISSING
            found.append(Rejection(r, s, i, reason, _label(label, r, s, i), point))
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


def _claims(attributes: Iterable[bytes]) -> frozenset[str]:
    # Looked for as bytes first: of the attributes of a span one at most is worth being read here.
    mentions = [raw for key in _TENANT_BYTES for raw in attributes if key in raw]
    return frozenset().union(*map(_claim, mentions)) if mentions else _NOTHING


def _claim(raw: bytes) -> frozenset[str]:
    return _read_short(raw) if len(raw) <= _SHORT else _read(raw)


def _read(raw: bytes) -> frozenset[str]:
    try:
        key, value = wire.key_value(raw)
    except wire.DecodeError:
        return _NOTHING
    if key not in TENANT_KEYS or value is None:
        return _NOTHING
    # A resource's claim is taken as its text, a record's as a name: both must be the key's.
    return frozenset(text for text in (as_text(value), name(value)) if text)


_read_short = lru_cache(maxsize=10_000)(_read)


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


def _spans(resource: Any) -> Iterator[_Place]:  # noqa: ANN401
    for s, scope in enumerate(resource.scope_spans):
        for i, span in enumerate(scope.spans):
            yield s, i, None, span.attributes, span.name


def _logs(resource: Any) -> Iterator[_Place]:  # noqa: ANN401
    for s, scope in enumerate(resource.scope_logs):
        for i, record in enumerate(scope.log_records):
            yield s, i, None, record.attributes, record.event_name


def _points(resource: Any) -> Iterator[_Place]:  # noqa: ANN401
    for s, scope in enumerate(resource.scope_metrics):
        for i, metric in enumerate(scope.metrics):
            kind = metric.WhichOneof("value")
            try:
                data = wire.METRIC_DATA[kind].FromString(getattr(metric, kind)) if kind else None
            except wire.DecodeError:
                # Refused as a whole by the check, which runs first.
                continue
            for p, point in enumerate(data.data_points if data else ()):
                yield s, i, p, point.attributes, metric.name


_PLACES: Final[Mapping[Signal, Callable[[Any], Iterator[_Place]]]] = {
    "traces": _spans,
    "logs": _logs,
    "metrics": _points,
}


def _label(raw: bytes, resource: int, scope: int, index: int) -> str:
    shown = wire.text(raw[:_LONGEST_NAME])
    at = f"record {index} of scope {scope} of resource {resource}"
    return f"{shown!r} {at}" if shown else at


def _hint(tenants: frozenset[str]) -> str:
    named = sorted(tenants)
    if len(named) == 1:
        return f"The key is for tenant {named[0]!r}: leave tenant.id out, or send with a key that names the tenant."
    some = ", ".join(repr(tenant) for tenant in named[:_SHOWN]) + (" and others" if len(named) > _SHOWN else "")
    return f"The key is for several tenants ({some}): name one of them as tenant.id on each record or on its resource."
