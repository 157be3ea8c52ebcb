"""Reading scores that evaluators gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.reads.filters import Texts, values_of
from spanhouse_storage.reads.pages import Page, decode, encode
from spanhouse_storage.reads.times import nanos
from spanhouse_storage.tables import SCHEMAS

SCORE_COLUMNS = tuple(name for name in SCHEMAS["scores"].names if name not in {"bucket", "version"})


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """The run whose scores are wanted: scores that name it, its spans, or an answer one of them got."""

    tenant: str
    trace_id: str
    run_id: str
    span_ids: Sequence[str]
    response_ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class ScoreFilter:
    """Conditions on scores, all of which must hold; an empty one holds always.

    `since` is inclusive, `until` exclusive; both bound the time the score was given.
    """

    tenant: Texts = ""
    name: Texts = ""
    trace_id: Texts = ""
    span_id: Texts = ""
    run: ScoredRun | None = None
    since: datetime | None = None
    until: datetime | None = None


def list_scores(store: Store, wanted: ScoreFilter, *, limit: int = 200, cursor: str | None = None) -> Page:
    """Return a page of the scores that pass the filter, with `SCORE_COLUMNS`, in the order they were given.

    Raises:
        CursorError: the cursor is not one of this list.
    """
    conditions, parameters = _where(wanted)
    after = "1"
    if cursor is not None:
        parameters["after_time"], parameters["after_id"] = decode("scores", cursor, (int, str))
        after = "(toUnixTimestamp64Nano(time), score_id) > ({after_time:Int64}, {after_id:String})"
    statement = sql.compose(
        "spanhouse_storage", "list_scores", columns=", ".join(SCORE_COLUMNS), where=conditions, after=after
    )
    rows = store.query(statement, {**parameters, "limit": limit + 1})
    if rows.num_rows <= limit:
        return Page(rows, None)
    rows = rows.slice(0, limit)
    last = limit - 1
    time = rows.column("time").cast(pa.int64())[last].as_py()
    return Page(rows, encode("scores", time, rows.column("score_id")[last].as_py()))


def _where(wanted: ScoreFilter) -> tuple[str, dict[str, Any]]:
    conditions: list[str] = ["1"]
    parameters: dict[str, Any] = {}
    for column in ("tenant", "name", "trace_id", "span_id"):
        if values := values_of(getattr(wanted, column)):
            conditions.append(f"{column} IN {{{column}:Array(String)}}")
            parameters[column] = values
    for bound, compare in (("since", ">="), ("until", "<")):
        moment: datetime | None = getattr(wanted, bound)
        if moment is not None:
            conditions.append(f"time {compare} fromUnixTimestamp64Nano({{{bound}:Int64}}, 'UTC')")
            parameters[bound] = nanos(moment)
    if wanted.run is not None:
        run = wanted.run
        conditions.append(
            "tenant = {run_tenant:String} AND (run_id = {run:String}"
            " OR (trace_id = {run_trace:String} AND (span_id = '' OR span_id IN {run_spans:Array(String)}))"
            " OR (response_id != '' AND response_id IN {responses:Array(String)}))"
        )
        parameters |= {"run_tenant": run.tenant, "run": run.run_id, "run_trace": run.trace_id}
        parameters |= {"run_spans": list(run.span_ids), "responses": list(run.response_ids)}
    return " AND ".join(conditions), parameters
