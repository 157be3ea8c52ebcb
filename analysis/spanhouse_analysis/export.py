"""Writes rows of runs or metrics to files that reviews and spreadsheets read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS: Final = ("csv", "json", "parquet")
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


def write_rows(rows: Iterable[Mapping[str, Any]], path: Path, kind: str) -> int:
    """Write the rows to a file and return how many there were; nothing is cut.

    ``csv`` and ``parquet`` hold lists and objects as JSON text; in ``csv`` a text that a spreadsheet would run
    as a formula gets an apostrophe before it. ``json`` is one array.

    Raises:
        ValueError: the format is none of ``FORMATS``.
    """
    given = [dict(row) for row in rows]
    if kind == "csv":
        _write_csv(given, path)
    elif kind == "json":
        path.write_text(json.dumps(given, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    elif kind == "parquet":
        flat = [{name: _flat(value) for name, value in row.items()} for row in given]
        pq.write_table(pa.Table.from_pylist(flat, schema=_schema(flat)), path)
    else:
        msg = f"rows cannot be written as {kind!r}: use {', '.join(FORMATS)}"
        raise ValueError(msg)
    return len(given)


def _write_csv(rows: list[dict[str, Any]], path: Path) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_harmless(name) for name in names)
        writer.writerows([_harmless(_flat(row.get(name))) for name in names] for row in rows)


def _flat(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _harmless(value: Any) -> Any:  # noqa: ANN401 - any cell
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


def _schema(rows: list[dict[str, Any]]) -> pa.Schema:
    """Return a column a name of any row, wide enough for all its values; a column nobody fills is text."""
    fields = []
    for name in dict.fromkeys(name for row in rows for name in row):
        type_ = pa.infer_type([row.get(name) for row in rows])
        fields.append(pa.field(name, pa.string() if pa.types.is_null(type_) else type_))
    return pa.schema(fields)
