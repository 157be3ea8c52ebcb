"""Whole export requests rewritten: attribute rules before normalising, secrets before the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from spanhouse import attributes as own
from spanhouse_collector import wire
from spanhouse_collector.conventions.readers import as_text, name
from spanhouse_collector.policy.model import Mode
from spanhouse_collector.records import Signal
from spanhouse_collector.redaction.cutter import ATTRIBUTE, Cutter
from spanhouse_collector.tenancy import TENANT_KEYS

_RECORDS: Final = frozenset({"spans", "log_records", "data_points"})
_PAIRS: Final = frozenset({"attributes", "filtered_attributes", "metadata"})
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})

Found = Counter[tuple[str, str]]


def rewrite(
    signal: Signal, body: bytes, tenant: str, cutter_of: Callable[[str], Cutter], *, secrets: bool
) -> tuple[bytes, Found]:
    """Return a request with its tenants' attribute rules applied, and how many values and secrets were taken.

    Args:
        signal: what the body is.
        body: an OTLP request in protobuf.
        tenant: tenant of the records that name none.
        cutter_of: returns a tenant's cutter.
        secrets: whether secrets are cut out of every text as well.

    Raises:
        wire.DecodeError: the body is no such request.
    """
    request = wire.parse(signal, body)
    found: Found = Counter()
    for resource in next((value for _, value in request.ListFields()), ()):
        whose = _tenant(resource.resource.attributes, tenant)
        walk = _Walk(cutter_of, found, whose, secrets=secrets)
        walk.message(resource)
    return (request.SerializeToString() if found else body), found


class _Walk:
    """Goes through the messages under one resource."""

    def __init__(self, cutter_of: Callable[[str], Cutter], found: Found, tenant: str, *, secrets: bool) -> None:
        self._cutter_of, self._found, self._secrets = cutter_of, found, secrets
        self._tenant, self._cutter = tenant, cutter_of(tenant)
        self._here = 0

    def message(self, message: Any) -> None:  # noqa: ANN401 - a wire message
        for field, value in message.ListFields():
            if field.name in _RECORDS:
                for record in value:
                    self._record(record)
            elif field.type == field.TYPE_MESSAGE:
                for each in [value] if hasattr(value, "ListFields") else value:
                    self.message(each)
            elif field.name in _PAIRS:
                kept = [new for raw in value if (new := self._pair(raw, wire.MAX_DEPTH, rules=True)) is not None]
                if kept != list(value):
                    value[:] = kept
            elif isinstance(value, bytes):
                self._bytes(message, field.name, value)

    def _bytes(self, message: Any, field: str, value: bytes) -> None:  # noqa: ANN401 - a wire message
        if field in wire.METRIC_DATA:
            data = wire.METRIC_DATA[field].FromString(value)
            self.message(data)
            setattr(message, field, data.SerializeToString())
        elif field == "body":
            message.body = self._value(value, "", wire.MAX_DEPTH)
        elif field not in _IDS:
            setattr(message, field, self._text(value))

    def _record(self, record: Any) -> None:  # noqa: ANN401 - a wire message
        outer = self._tenant, self._cutter
        tenant = _tenant(record.attributes, self._tenant)
        if tenant != self._tenant:
            self._tenant, self._cutter = tenant, self._cutter_of(tenant)
        self._here = 0
        self.message(record)
        if self._here:
            _count(record.attributes, self._here)
        self._tenant, self._cutter = outer

    def _pair(self, raw: bytes, depth: int, *, rules: bool = False) -> bytes | None:
        try:
            pair = wire.KeyValue.FromString(raw)
        except wire.DecodeError:
            return self._text(raw)
        key = wire.text(pair.key)
        mode = self._cutter.rule(key) if rules else None
        if mode is Mode.DROP:
            self._note({ATTRIBUTE: 1})
            return None
        if mode is not None:
            return self._ruled(pair, mode)
        value, spelt = self._value(pair.value, key, depth), self._text(pair.key)
        if value == pair.value and spelt == pair.key:
            return raw
        changed: bytes = wire.KeyValue(key=spelt, value=value).SerializeToString()
        return changed

    def _ruled(self, pair: Any, mode: Mode) -> bytes:  # noqa: ANN401 - a wire message
        self._note({ATTRIBUTE: 1})
        try:
            said = as_text(wire.any_value(pair.value))
        except wire.DecodeError:
            said = pair.value.hex()
        mark = wire.AnyValue(string_value=self._cutter.ruled(said, mode).encode()).SerializeToString()
        changed: bytes = wire.KeyValue(key=pair.key, value=mark).SerializeToString()
        return changed

    def _value(self, raw: bytes, key: str, depth: int) -> bytes:
        if not self._secrets:
            return raw
        try:
            value = wire.AnyValue.FromString(raw)
            kind = value.WhichOneof("value")
            held: Any = getattr(value, kind) if kind else None
            if kind in {"string_value", "bytes_value"}:
                new = self._text(held, key)
            elif kind == "array_value" and depth:
                items = wire.ArrayValue.FromString(held).values
                new = wire.ArrayValue(values=[self._value(each, key, depth - 1) for each in items]).SerializeToString()
            elif kind == "kvlist_value" and depth:
                pairs = wire.KeyValueList.FromString(held).values
                new = wire.KeyValueList(values=[self._pair(each, depth - 1) for each in pairs]).SerializeToString()
            else:
                return raw
        except wire.DecodeError:
            return self._text(raw)
        if new == held:
            return raw
        setattr(value, kind, new)
        changed: bytes = value.SerializeToString()
        return changed

    def _text(self, raw: bytes, key: str = "") -> bytes:
        if not self._secrets:
            return raw
        said = raw.decode("utf-8", "surrogateescape")
        text, kinds = self._cutter.named(key, said) if key else self._cutter.text(said)
        if not kinds:
            return raw
        self._note(kinds)
        return text.encode("utf-8", "surrogateescape")

    def _note(self, kinds: dict[str, int]) -> None:
        for kind, count in kinds.items():
            self._here += count
            self._found[self._tenant, kind] += count


def _tenant(attributes: Iterable[bytes], otherwise: str) -> str:
    for raw in attributes:
        if any(key.encode() in raw for key in TENANT_KEYS):
            try:
                key, value = wire.key_value(raw)
            except wire.DecodeError:
                continue
            if key in TENANT_KEYS and (said := name(value)):
                return said
    return otherwise


def _count(attributes: Any, found: int) -> None:  # noqa: ANN401 - a repeated field
    kept = []
    for raw in attributes:
        if own.REDACTED.encode() in raw:
            key, value = wire.key_value(raw)
            if key == own.REDACTED and type(value) is int:
                found += value
                continue
        kept.append(raw)
    number = wire.AnyValue(int_value=found).SerializeToString()
    attributes[:] = [*kept, wire.KeyValue(key=own.REDACTED.encode(), value=number).SerializeToString()]
