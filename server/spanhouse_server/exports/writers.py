"""One writer a file format: rows in, one file out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from struct import Struct
from typing import Any, Final, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from spanhouse_analysis.export import FORMULA_STARTS
from spanhouse_collector import rebuild, rebuild_audit

LENGTH: Final = Struct(">I")
"""What stands before each request of an OTLP file: its bytes, big-endian, as the collector's file exporter has it."""
_OTLP_ROWS: Final = 250
_OBJECTS: Final = frozenset({"attributes", "resource"})
_VALUES: Final = frozenset(
    {"input", "output", "system_instructions", "tool_definitions", "events", "links", "budget", "data"}
)
"""Texts that hold JSON nearly always; what an agent wrote may be anything."""
_JSON: Final = orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE


class Writer(Protocol):
    """Writes one file."""

    def write(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class ParquetFile:
    """Parquet, zstd, a row group a batch."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def write(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(rows)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


class CsvFile:
    """CSV with a header; lists and objects are JSON text, and no cell is a formula to a spreadsheet."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        types = [field if _as_is(field.type) else field.with_type(pa.string()) for field in schema]
        self._schema = pa.schema(types)
        self._writer = pa.csv.CSVWriter(path, self._schema)

    def write(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(pa.RecordBatch.from_arrays([_cells(c) for c in rows.columns], schema=self._schema))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


class JsonLines:
    """JSON, one object a line, as the API has it: objects are objects, times RFC 3339."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._file = path.open("wb")
        self._nested = [name for name in schema.names if name in _OBJECTS | _VALUES]

    def write(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        for row in rows.to_pylist():
            for name in self._nested:
                row[name] = _json(row[name], certain=name in _OBJECTS)
            self._file.write(orjson.dumps(row, option=_JSON))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class OtlpFile:
    """OTLP requests in protobuf, each behind its length."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._request = rebuild_audit.request if "stream" in schema.names else rebuild.portable
        self._file = path.open("wb")

    def write(self, rows: pa.RecordBatch) -> None:
        """Add rows."""
        for first in range(0, rows.num_rows, _OTLP_ROWS):
            body = self._request(pa.Table.from_batches([rows.slice(first, _OTLP_ROWS)]))
            self._file.write(LENGTH.pack(len(body)))
            self._file.write(body)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


WRITERS: Final[Mapping[str, tuple[str, Callable[[Path, pa.Schema], Writer]]]] = {
    "parquet": ("parquet", ParquetFile),
    "csv": ("csv", CsvFile),
    "jsonl": ("jsonl", JsonLines),
    "otlp": ("otlp.pb", OtlpFile),
}
"""Format -> ending of its files, and what writes one."""


def otlp_requests(path: Path) -> Iterator[bytes]:
    """Yield the requests of an OTLP file.

    Raises:
        ValueError: the file ends within one.
    """
    with path.open("rb") as file:
        while head := file.read(LENGTH.size):
            length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else -1
            body = file.read(max(length, 0))
            if len(body) != length:
                msg = f"{path} ends within a request: it was cut, or is no OTLP file of `spanhouse export`"
                raise ValueError(msg)
            yield body


def _as_is(type_: pa.DataType) -> bool:
    return not (pa.types.is_list(type_) or pa.types.is_timestamp(type_))


def _cells(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        # Arrow's seconds have the microseconds in them.
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_list(column.type):
        texts = [None if each is None else json.dumps(each, ensure_ascii=False) for each in column.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_string(column.type):
        first = pc.utf8_slice_codeunits(column, 0, 1)
        runs = pc.is_in(first, value_set=pa.array(FORMULA_STARTS))
        return pc.if_else(runs, pc.binary_join_element_wise("'", column, ""), column)
    return column


def _json(text: Any, *, certain: bool) -> Any:  # noqa: ANN401 - a JSON value
    """Return the JSON that a text holds; the text where it holds none."""
    if text is None:
        return None
    if not certain:
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return text
    return orjson.Fragment(text)
