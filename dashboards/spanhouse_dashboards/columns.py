"""Columns of tables: typed, and missing where a value is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

Rows = Sequence[Mapping[str, Any]]


def texts(rows: Rows, name: str) -> pl.Series:
    """Return a field as text; the empty text counts as unknown."""
    return pl.Series([str(row[name]) if row.get(name) not in (None, "") else None for row in rows], dtype=pl.String)


def counts(rows: Rows, name: str) -> pl.Series:
    """Return a field as whole numbers."""
    return pl.Series([row.get(name) for row in rows], dtype=pl.Int64, strict=False)


def numbers(rows: Rows, name: str) -> pl.Series:
    """Return a field as numbers with a fraction."""
    return pl.Series([row.get(name) for row in rows], dtype=pl.Float64, strict=False)
