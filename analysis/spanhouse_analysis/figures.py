"""The columns of what is computed rather than stored, for answers in Arrow."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from spanhouse_analysis.rows import MAPS, POINT, SCORE
from spanhouse_storage.tables import SCHEMAS

_TEXT, _NUMBER, _COUNT, _TIME = pa.string(), pa.float64(), pa.int64(), pa.timestamp("us", "UTC")


def _fields(type_: pa.DataType, names: str) -> list[pa.Field]:
    return [pa.field(name, type_) for name in names.split()]


def _of_table(table: str, names: tuple[str, ...]) -> list[pa.Field]:
    stored = SCHEMAS[table]
    return [
        pa.field(name, _TIME if pa.types.is_timestamp(stored.field(name).type) else stored.field(name).type)
        for name in names
    ]


METRICS: Final = pa.schema(
    [
        *_fields(_TEXT, "metric group"),
        *_fields(_TIME, "start end"),
        *_fields(_NUMBER, "value numerator denominator low high"),
        *_fields(_TEXT, "unit"),
        *_fields(pa.bool_(), "sampled"),
    ]
)
"""Points of metrics; ``group`` is a JSON object."""
TOOLS: Final = pa.schema(
    [
        *_fields(_TEXT, "tool"),
        *_fields(_COUNT, "calls errors"),
        *_fields(_NUMBER, "error_rate low high"),
        *_fields(_COUNT, "denials"),
        *_fields(_NUMBER, "p50_ms p95_ms"),
        *_fields(_COUNT, "runs"),
        *_fields(pa.bool_(), "sampled"),
    ]
)
MODELS: Final = pa.schema(
    [
        *_fields(_TEXT, "model"),
        *_fields(_COUNT, "calls errors input_tokens output_tokens"),
        *_fields(_NUMBER, "cost_usd"),
        *_fields(_COUNT, "unpriced_calls"),
        *_fields(pa.bool_(), "priced"),
        *_fields(_COUNT, "runs"),
        *_fields(pa.bool_(), "sampled"),
    ]
)
SCORES: Final = pa.schema(_of_table("scores", SCORE))
POINTS: Final = pa.schema(
    [*_of_table("metric_points", POINT), *_fields(_TEXT, "series exemplars"), *_fields(_TEXT, " ".join(MAPS))]
)
"""Data points of OTLP metrics; ``series`` is in hex digits."""
