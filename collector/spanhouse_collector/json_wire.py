"""OTLP/JSON read into the messages of `wire`, so that everything behind the front sees protobuf only.

What OTLP says differently from protobuf's own JSON: ids are hex, enums are numbers. Names of enums, snake_case fields
and numbers for 64-bit integers are taken as well. Unknown fields are ignored and null is absent.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from spanhouse_collector import wire
from spanhouse_collector.json_depth import shallow
from spanhouse_collector.records import Signal

_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})
_ENUMS: Final[Mapping[str, Mapping[str, int]]] = {
    "kind": dict(Span.SpanKind.items()),
    "code": dict(Status.StatusCode.items()),
    "severity_number": dict(SeverityNumber.items()),
    "aggregation_temporality": dict(AggregationTemporality.items()),
}
_TIME: Final = "time_unix_nano"
_UNREADABLE_ID: Final = b"?"
"""Stands for an id that is no hex: too short to pass the check, which refuses its span alone."""

_INT_RANGES: Final = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SINT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_FIXED32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_FIXED64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(1 << 63), (1 << 63) - 1),
}
_DEEPEST: Final = 400
"""Levels of JSON that are read: more than `wire.MAX_DEPTH` values inside one another need."""
_SALVAGED: Final = 8 << 20
"""Characters of a body nested too deeply that is read all the same."""

_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_INT64: Final = (-(1 << 63), (1 << 63) - 1)


class JsonError(ValueError):
    """The body is no OTLP/JSON; the message says where and what was expected."""


def parse(signal: Signal, body: bytes) -> Any:  # noqa: ANN401 - a wire message
    """Return the request message (of the signal's class in `wire.REQUESTS`) that the JSON body says.

    Raises:
        JsonError: it is no JSON, or not of OTLP's shape.
    """
    request = wire.REQUESTS[signal]()
    # Bytes that are no UTF-8 spoil one string, not the request.
    text = body.decode("utf-8", "replace")
    try:
        _fill(request, _loads(text), "")
    except RecursionError:
        msg = "the JSON is nested too deeply"
        raise JsonError(msg) from None
    except JsonError:
        raise
    except ValueError as error:
        msg = f"the body is no JSON: {error}"
        raise JsonError(msg) from error
    return request


def _loads(text: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except RecursionError:
        if len(text) <= _SALVAGED:
            # One value nested too deeply must not cost its neighbours.
            with suppress(ValueError):
                return json.loads(shallow(text, _DEEPEST))
        raise


def _fill(message: Any, source: Any, path: str) -> None:  # noqa: ANN401
    given = _object(source, path)
    for field in message.DESCRIPTOR.fields:
        value = given.get(field.camelcase_name)
        if value is None:
            value = given.get(field.name)
        if value is None:
            continue
        place = f"{path}.{field.camelcase_name}" if path else field.camelcase_name
        if field.is_repeated:
            _fill_list(message, field, value, place)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            target = getattr(message, field.name)
            target.SetInParent()
            _fill(target, value, place)
        else:
            setattr(message, field.name, _scalar(field, value, place))


def _fill_list(message: Any, field: FieldDescriptor, value: Any, path: str) -> None:  # noqa: ANN401
    if not isinstance(value, list):
        shape = '[{"key": ..., "value": {"stringValue": ...}}, ...]' if field.name == "attributes" else "[...]"
        msg = f"{path} must be a list, {shape}, and is {_kind(value)}"
        raise JsonError(msg)
    target = getattr(message, field.name)
    for index, item in enumerate(value):
        place = f"{path}[{index}]"
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            _fill(target.add(), item, place)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            # The only repeated bytes are attributes.
            target.append(_key_value(item, place, wire.MAX_DEPTH))
        else:
            target.append(_scalar(field, item, place))


def _scalar(field: FieldDescriptor, value: Any, path: str) -> float | bytes:  # noqa: ANN401
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(field.name, value, path)
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return _double(value, path)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return _bool(value, path)
    names = _ENUMS.get(field.name)
    if names and isinstance(value, str) and not value.lstrip("-").isdigit():
        # A name of a later OTLP is no reason to lose the request; as a number it would pass as well.
        return names.get(value, 0)
    low, high = _INT_RANGES[field.type]
    number = _integer(value, path)
    if field.name.endswith(_TIME):
        # A time beyond OTLP's own range is marked further on, as one just within it would be.
        return min(max(number, low), high)
    if not low <= number <= high:
        msg = f"{path} is {number}: it must be {low} to {high}"
        raise JsonError(msg)
    return number


def _bytes(name: str, value: Any, path: str) -> bytes:  # noqa: ANN401
    if name in _IDS:
        return _id(value, path)
    if name == "body":
        return _any_value(value, path, wire.MAX_DEPTH)
    if name in wire.METRIC_DATA:
        return _metric_data(name, value, path)
    return _text(value, path)


def _metric_data(name: str, source: Any, path: str) -> bytes:  # noqa: ANN401
    message = wire.METRIC_DATA[name]()
    _fill(message, source, path)
    return message.SerializeToString()  # type: ignore[no-any-return]


def _key_value(source: Any, path: str, depth: int) -> bytes:  # noqa: ANN401
    given = _object(source, path)
    value = given.get("value")
    return wire.KeyValue(  # type: ignore[no-any-return]
        key=_text(given.get("key", ""), f"{path}.key"),
        value=b"" if value is None else _any_value(value, f"{path}.value", depth),
    ).SerializeToString()


def _any_value(source: Any, path: str, depth: int) -> bytes:  # noqa: ANN401
    given = source if isinstance(source, Mapping) else None
    if given is None:
        msg = f'{path} must be an object such as {{"stringValue": ...}}, and is {_kind(source)}'
        raise JsonError(msg)
    message = wire.AnyValue()
    for camel, snake, convert in _VALUES:
        value = given.get(camel, given.get(snake))
        if value is not None:
            name, converted = convert(value, f"{path}.{camel}", depth)
            setattr(message, name, converted)
            break
    return message.SerializeToString()  # type: ignore[no-any-return]


def _string_value(value: Any, path: str, _depth: int) -> tuple[str, bytes]:  # noqa: ANN401
    return "string_value", _text(value, path)


def _bool_value(value: Any, path: str, _depth: int) -> tuple[str, bool]:  # noqa: ANN401
    return "bool_value", _bool(value, path)


def _int_value(value: Any, path: str, _depth: int) -> tuple[str, int | bytes]:  # noqa: ANN401
    number = _integer(value, path)
    if _INT64[0] <= number <= _INT64[1]:
        return "int_value", number
    # Kept as text: a number too large for OTLP is no reason to lose it or its request.
    return "string_value", str(number).encode()


def _double_value(value: Any, path: str, _depth: int) -> tuple[str, float]:  # noqa: ANN401
    return "double_value", _double(value, path)


def _array_value(value: Any, path: str, depth: int) -> tuple[str, bytes]:  # noqa: ANN401
    if depth == 0:
        return "string_value", wire.TOO_DEEP.encode()
    items = [_any_value(item, f"{path}[{i}]", depth - 1) for i, item in enumerate(_values(value, path))]
    return "array_value", wire.ArrayValue(values=items).SerializeToString()


def _kvlist_value(value: Any, path: str, depth: int) -> tuple[str, bytes]:  # noqa: ANN401
    if depth == 0:
        return "string_value", wire.TOO_DEEP.encode()
    items = [_key_value(item, f"{path}[{i}]", depth - 1) for i, item in enumerate(_values(value, path))]
    return "kvlist_value", wire.KeyValueList(values=items).SerializeToString()


def _bytes_value(value: Any, path: str, _depth: int) -> tuple[str, bytes]:  # noqa: ANN401
    # Both alphabets and missing padding are taken, as by every protobuf JSON reader.
    text = _text(value, path).translate(_URL_SAFE).rstrip(b"=")
    try:
        return "bytes_value", base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        msg = f"{path} is no base64: {error}"
        raise JsonError(msg) from error


_VALUES: Final[tuple[tuple[str, str, Callable[[Any, str, int], tuple[str, Any]]], ...]] = (
    ("stringValue", "string_value", _string_value),
    ("boolValue", "bool_value", _bool_value),
    ("intValue", "int_value", _int_value),
    ("doubleValue", "double_value", _double_value),
    ("arrayValue", "array_value", _array_value),
    ("kvlistValue", "kvlist_value", _kvlist_value),
    ("bytesValue", "bytes_value", _bytes_value),
)


def _values(source: Any, path: str) -> list[Any]:  # noqa: ANN401
    values = _object(source, path).get("values")
    if values is None:
        return []
    if not isinstance(values, list):
        msg = f"{path}.values must be a list, and is {_kind(values)}"
        raise JsonError(msg)
    # A null among values is an empty value.
    return [{} if value is None else value for value in values]


def _object(source: Any, path: str) -> Mapping[str, Any]:  # noqa: ANN401
    if not isinstance(source, Mapping):
        msg = f"{path or 'the body'} must be an object, and is {_kind(source)}"
        raise JsonError(msg)
    return source


def _id(value: Any, path: str) -> bytes:  # noqa: ANN401
    if not isinstance(value, str):
        msg = f"{path} must be hex digits, and is {_kind(value)}"
        raise JsonError(msg)
    try:
        return bytes.fromhex(value)
    except ValueError:
        return _UNREADABLE_ID


def _text(value: Any, path: str) -> bytes:  # noqa: ANN401
    if not isinstance(value, str):
        msg = f"{path} must be a string, and is {_kind(value)}"
        raise JsonError(msg)
    # A lone surrogate, as a cut-off emoji leaves it, becomes bytes that are no UTF-8 and is marked as such further on.
    return value.encode("utf-8", "surrogatepass")


def _bool(value: Any, path: str) -> bool:  # noqa: ANN401
    if not isinstance(value, bool):
        msg = f"{path} must be true or false, and is {_kind(value)}"
        raise JsonError(msg)
    return value


def _double(value: Any, path: str) -> float:  # noqa: ANN401
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            # "NaN", "Infinity" and "-Infinity" are read by float() as OTLP means them.
            return float(value)
        except (ValueError, OverflowError) as error:
            msg = f"{path} is no number: {error}"
            raise JsonError(msg) from error
    msg = f"{path} must be a number, and is {_kind(value)}"
    raise JsonError(msg)


def _integer(value: Any, path: str) -> int:  # noqa: ANN401
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    msg = f"{path} must be a whole number, and is {value!r:.60}"
    raise JsonError(msg)


def _kind(value: Any) -> str:  # noqa: ANN401
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
