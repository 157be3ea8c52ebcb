"""How each run stands and, where it ended, the signs its stop reason is read from."""

from __future__ import annotations

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final

import numpy as np
import polars as pl

from spanhouse_analysis import tree
from spanhouse_analysis.classes import GUARDRAIL, OTHER, STEP
from spanhouse_analysis.groups import Groups
from spanhouse_analysis.stop_reasons import ABANDONED, Failure, Signs, judge
from spanhouse_analysis.tree import NONE, Flags, Rows

_VERDICT: Final = {
    "stop_reason": pl.String,
    "stop_code": pl.String,
    "stop_subject": pl.String,
    "stop_reason_source": pl.String,
    "error_type": pl.String,
    "error_message": pl.String,
}


def ended_by_root(groups: Groups) -> Flags:
    """Return for each run whether the finished span it ends with has come."""
    final: Flags = groups.rows["is_final"].to_numpy()
    known: Flags = groups.root != NONE
    return known & final[np.where(known, groups.root, 0)] if final.size else known


def abandoned(groups: Groups, now: datetime, lease_seconds: float) -> Flags:
    """Return for each run without an end whether nothing of it was received for the lease."""
    last = groups.rows.group_by("run").agg(pl.col("received_at").max()).sort("run")["received_at"]
    silent = (pl.lit(now) - last).dt.total_microseconds().fill_null(0)
    quiet: Flags = pl.select(silent >= lease_seconds * 1e6)[:, 0].to_numpy()
    return ~ended_by_root(groups) & quiet


def handing_over(tools: pl.Series, patterns: tuple[str, ...]) -> Flags:
    """Return which tool names hand a run to a person; patterns are those of a shell."""
    names = tools.unique().to_list()
    handing = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    return tools.is_in(handing).to_numpy()


def verdicts(groups: Groups, ended: Flags, left: Flags, handover: Flags) -> pl.DataFrame:
    """Return stop reason, its code, subject and source, error type and message, one row a run in order of number.

    A running run has all of them empty.

    Args:
        groups: the runs.
        ended: runs whose end has come.
        left: runs that were abandoned.
        handover: rows of tool calls that hand the run to a person.
    """
    failing = _failing(groups)
    innermost = _innermost(groups, failing)
    last_model = _last(groups, groups.counted.model)
    last_tool = _last(groups, groups.counted.executed)
    guardrail = _last(groups, failing & (groups.rows["span_class"] == GUARDRAIL).to_numpy())
    rows = groups.rows
    # One look at each column: a look a run costs more than the verdict.
    at_root = _at(rows["stop_reason"], groups.root)
    at_principal = _at(rows["stop_reason"], groups.principal)
    finish = _at(rows["finish_reasons"], last_model)
    guards = _at(rows["name"], guardrail)
    handed = (last_tool != NONE) & handover[np.where(last_tool != NONE, last_tool, 0)]
    result: list[tuple[str, str, str, str, str, str]] = []
    for run in range(groups.keys.height):
        if not (ended[run] or left[run]):
            result.append(("", "", "", "", "", ""))
            continue
        root = int(groups.root[run])
        failed = ended[run] and failing[root]
        signs = Signs(
            reported=(at_root[run] or at_principal[run]) if root != NONE else "",
            root=_failure(rows, root) if failed else None,
            innermost=_failure(rows, int(innermost[run])) if failed else None,
            finish_reasons=tuple(finish[run] or ()) if not failed else (),
            handed_over=bool(handed[run]),
            guardrail=guards[run] or "",
        )
        verdict = judge(signs) if ended[run] else ABANDONED
        reason = verdict.reason
        types, message = _said(signs)
        result.append((str(reason), reason.code.value, reason.subject, verdict.source, types, message))
    return pl.DataFrame(result, schema=_VERDICT, orient="row")


def _at(column: pl.Series, rows: Rows) -> list[Any]:
    """Return the column's value at each of the rows, None at ``NONE``."""
    there = rows != NONE
    values = iter(column.gather(pl.Series(rows[there])).to_list())
    return [next(values) if known else None for known in there]


def _failing(groups: Groups) -> Flags:
    return (groups.rows["status"] == "error").to_numpy()


def _last(groups: Groups, marked: Flags) -> Rows:
    """Return for each run its last marked row in start order, or ``NONE``."""
    result = np.full(groups.keys.height, NONE, dtype=np.int64)
    chosen = np.flatnonzero(marked)
    # Rows stand in start order, so the last one written for a run is its last.
    result[groups.rows["run"].to_numpy()[chosen]] = chosen
    return result


def _innermost(groups: Groups, failing: Flags) -> Rows:
    """Return for each run the failing span its failure began with: a leaf of the failing tree below the root.

    Spans of frameworks between (steps, context) need not say that they failed. A failure after which the run made
    another call that went well was handled: the root then failed of itself.
    """
    rows, parent = groups.rows, groups.parent
    passing = failing | rows["span_class"].is_in([STEP, OTHER]).to_numpy()
    leaf = failing & tree.all_above(parent, passing) & ~tree.has_below(parent, failing)
    table = rows.select("run", "start", "end", "span_id").with_columns(
        row=pl.Series(np.arange(parent.size)), depth=pl.Series(tree.depths(parent))
    )
    leaves = table.filter(pl.Series(leaf)).sort("run", "end", "depth", "start", "span_id").unique("run", keep="last")
    went_well = pl.Series((groups.counted.model | groups.counted.executed) & ~failing)
    last_good = table.filter(went_well).group_by("run").agg(good=pl.col("start").max())
    unhandled = leaves.join(last_good, on="run", how="left").filter(
        pl.col("good").is_null() | (pl.col("good") < pl.col("end"))
    )
    result = groups.root.copy()
    result[unhandled["run"].to_numpy()] = unhandled["row"].to_numpy()
    return result


def _failure(rows: pl.DataFrame, row: int) -> Failure:
    tool = rows["tool_name"][row]
    return Failure(
        span_class=rows["span_class"][row],
        name=tool or rows["name"][row],
        types=" ".join(filter(None, (rows["exception_type"][row], rows["error_type"][row]))),
        message=rows["status_message"][row],
    )


def _said(signs: Signs) -> tuple[str, str]:
    """Return the error type and the first line of the message; the innermost span knows best."""
    failures = [failure for failure in (signs.innermost, signs.root) if failure]
    types = next((failure.types.split()[0] for failure in failures if failure.types), "")
    message = next((failure.message for failure in failures if failure.message), "")
    return types, message.strip().partition("\n")[0][:500]
