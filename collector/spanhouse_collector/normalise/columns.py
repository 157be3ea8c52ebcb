"""Rows collected column by column: only what some span says is held as a list, the rest is filled in at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Columns:
    """Columns of one table, grown by groups of rows that need not all fill the same columns.

    A row that says nothing of a column gets null where the column takes nulls, else the empty value of its type, or the
    one given in ``defaults``.
    """

    def __init__(self, schema: pa.Schema, defaults: dict[str, Any] | None = None) -> None:
        self._schema = schema
        self._default = {field.name: _empty(field) for field in schema} | (defaults or {})
        self._lists: dict[str, list[Any]] = {}
        self._arrays: dict[str, pa.Array] = {}

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Set the columns of rows that each say only what they know."""
        for name in dict.fromkeys(key for row in rows for key in row):
            default = self._default[name]
            self.put(name, 0, [default if (value := row.get(name)) is None else value for row in rows])

    def put(self, name: str, base: int, values: Iterable[Any]) -> None:
        """Set a column for the rows from ``base`` on; groups come in the order of their rows."""
        column = self._lists.setdefault(name, [])
        if len(column) < base:
            column.extend([self._default[name]] * (base - len(column)))
        column.extend(values)

    def whole(self, name: str, values: pa.Array) -> None:
        """Set a column for all rows at once."""
        self._arrays[name] = values

    def table(self, rows: int) -> pa.Table:
        """Return the table with exactly the schema's columns and types."""
        return pa.table([self._array(field, rows) for field in self._schema], schema=self._schema)

    def _array(self, field: pa.Field, rows: int) -> pa.Array:
        if field.name in self._arrays:
            array = self._arrays[field.name]
            return array if array.type == field.type else array.cast(field.type)
        if rows == 0:
            return pa.array([], field.type)
        default = self._default[field.name]
        values = self._lists.get(field.name)
        if values is None:
            if default is None:
                return pa.nulls(rows, field.type)
            return pa.repeat(pa.scalar(default, field.type), rows)
        values.extend([default] * (rows - len(values)))
        return pa.array(values, field.type)


def _empty(field: pa.Field) -> Any:  # noqa: ANN401 - a value of the field's type
    if field.nullable:
        return None
    if pa.types.is_list(field.type) or pa.types.is_map(field.type):
        return []
    if pa.types.is_string(field.type):
        return ""
    return False if pa.types.is_boolean(field.type) else 0


class Maps:
    """A map column built from runs of rows that share their keys."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._keys: list[np.ndarray] = []
        self._sizes: list[np.ndarray] = []
        self._texts: list[str] = []

    def add(self, keys: Sequence[str], texts: Iterable[str], rows: int) -> None:
        """Add ``rows`` rows with these keys; ``texts`` are the values row by row."""
        numbers = [self._numbers.setdefault(key, len(self._numbers)) for key in keys]
        self._keys.append(np.tile(np.array(numbers, np.int32), rows))
        self._sizes.append(np.full(rows, len(keys), np.int32))
        self._texts.extend(texts)

    def array(self, type_: pa.MapType) -> pa.Array:
        """Return the map array of all rows added."""
        if not self._sizes:
            return pa.array([], type_)
        offsets = np.concatenate([np.zeros(1, np.int32), np.cumsum(np.concatenate(self._sizes), dtype=np.int32)])
        keys = pa.array(list(self._numbers), pa.string()).take(pa.array(np.concatenate(self._keys)))
        return pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(self._texts, pa.string()), type_)


def hexadecimal(ids: Sequence[bytes], size: int) -> pa.Array:
    """Return ids of ``size`` bytes as lower-case hex; "" for one of another size or of zeros alone."""
    wanted = np.fromiter(map(len, ids), np.int64, len(ids)) == size
    zero = bytes(size)
    if not wanted.all() or zero in ids:
        wanted &= np.fromiter([raw != zero for raw in ids], np.bool_, len(ids))
        ids = [raw for raw, is_id in zip(ids, wanted.tolist(), strict=True) if is_id]
    # All at once: the text of many ids is the text of their bytes end to end.
    digits = pa.py_buffer(b"".join(ids).hex().encode())
    ends = np.concatenate([np.zeros(1, np.int32), np.cumsum(wanted * np.int32(2 * size), dtype=np.int32)])
    return pa.Array.from_buffers(pa.string(), len(wanted), [None, pa.py_buffer(ends), digits])


def taken(values: Sequence[Any], type_: pa.DataType, index: np.ndarray) -> pa.Array:
    """Return a column that repeats a few distinct values by their number."""
    return pc.take(pa.array(values, type_), pa.array(index))
