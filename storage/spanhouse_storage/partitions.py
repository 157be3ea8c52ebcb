"""Splitting a batch by partition: the engine refuses an insert that touches more than 100 at once."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from spanhouse_storage.tables import PARTITION_TIME

MAX_PARTITIONS = 50
"""Half of the engine's limit: a batch of odd dates stays far from becoming one that can never be stored."""

_WEEK_SECONDS = 7 * 86_400
# The epoch is a Thursday; partitions begin on Mondays.
_EPOCH_MONDAY_SECONDS = 3 * 86_400


def parts(table: str, rows: pa.Table, token: str) -> Iterator[tuple[pa.Table, str]]:
    """Yield the rows in parts of at most `MAX_PARTITIONS` weeks, each with its own token.

    The split depends on the rows alone, so a batch sent again is split the same way and each part is recognised.
    """
    column = PARTITION_TIME.get(table)
    if column is None:
        yield rows, token
        return
    weeks = _weeks(rows.column(column))
    distinct = sorted(pc.unique(weeks).to_pylist())
    if len(distinct) <= MAX_PARTITIONS:
        yield rows, token
        return
    for number, first in enumerate(range(0, len(distinct), MAX_PARTITIONS)):
        chosen = pa.array(distinct[first : first + MAX_PARTITIONS], pa.int64())
        yield rows.filter(pc.is_in(weeks, value_set=chosen)), f"{token}/{number}"


def _weeks(times: pa.ChunkedArray) -> pa.ChunkedArray:
    seconds = pc.cast(times.cast(pa.timestamp("s", "UTC"), safe=False), pa.int64())
    return pc.divide(pc.add(seconds, _EPOCH_MONDAY_SECONDS), _WEEK_SECONDS)
