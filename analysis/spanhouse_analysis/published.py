"""What was published of a trace, and the tombstones for what no longer holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl

from spanhouse_analysis import frames
from spanhouse_analysis.facts import Facts
from spanhouse_analysis.reading import Trace

REMEMBERED_TRACES: Final = 50_000


@dataclass(frozen=True, slots=True)
class Published:
    """One run as it stands in the store: where its row is kept, how many step rows it has, what it stands for."""

    run_id: str
    started_at: datetime
    ended: bool
    step_rows: int
    ended_at: datetime | None = None
    weight: float = 1.0


Runs = Mapping[Trace, list[Published]]


class Memory:
    """The traces computed last and what was published of them; the longest unused is forgotten first."""

    def __init__(self, size: int = REMEMBERED_TRACES) -> None:
        self._size = size
        self._traces: OrderedDict[Trace, list[Published]] = OrderedDict()

    def get(self, trace: Trace) -> list[Published] | None:
        """Return what was published of the trace, None where that is not known here."""
        return self._traces.get(trace)

    def remember(self, traces: Runs) -> None:
        """Note what the traces' runs are now."""
        for trace, runs in traces.items():
            self._traces[trace] = runs
            self._traces.move_to_end(trace)
        while len(self._traces) > self._size:
            self._traces.popitem(last=False)


def as_published(found: Facts, traces: Iterable[Trace]) -> dict[Trace, list[Published]]:
    """Return what facts publish of each of the traces, nothing included."""
    steps = found.steps.group_by("tenant", "run_id").len("step_rows")
    rows = found.runs.join(steps, on=["tenant", "run_id"], how="left").select(
        *("tenant", "trace_id", "run_id", "started_at"),
        pl.col("status") == "ended",
        pl.col("step_rows").fill_null(0),
        "ended_at",
        "weight",
    )
    result: dict[Trace, list[Published]] = {trace: [] for trace in traces}
    for tenant, trace, *run in rows.iter_rows():
        result.setdefault((tenant, trace), []).append(Published(*run))
    return result


def changes(found: Facts, before: Runs) -> set[tuple[str, datetime]]:
    """Return of which tenants and hours metrics change when the facts take the place of what was published.

    Runs count when they ended, calls when they did; calls a run had before are among those it has.
    """
    hour = pl.col("ended_at").dt.truncate("1h")
    ends = pl.concat(frame.select("tenant", hour).drop_nulls() for frame in (found.runs, found.steps))
    old = {(trace[0], _hour(run.ended_at)) for trace, runs in before.items() for run in runs if run.ended_at}
    return set(ends.unique().iter_rows()) | old


def tombstones(before: Runs, after: Runs, version: int, now: datetime) -> Facts:
    """Return rows that delete what was published before and holds no longer.

    A run that vanished, because it turned out to be part of another, names that one in ``superseded_by``. A run whose
    start moved to another hour has another sorting key: its old row is deleted and names itself. Steps go with their
    run's row, and where a run has fewer steps than it had.
    """
    runs: list[dict[str, object]] = []
    steps: list[dict[str, object]] = []
    for trace, published in before.items():
        now_there = {run.run_id: run for run in after.get(trace, [])}
        for old in published:
            new = now_there.get(old.run_id)
            moved = new is None or _hour(new.started_at) != _hour(old.started_at)
            key = {"tenant": trace[0], "run_id": old.run_id, "version": version, "is_deleted": 1}
            if moved:
                successor = old.run_id if new else _successor(old, list(now_there.values()))
                place = {"trace_id": trace[1], "started_at": old.started_at, "computed_at": now, "received_at": now}
                runs.append({**key, **place, "superseded_by": successor})
            kept = 0 if moved or new is None else new.step_rows
            steps.extend(
                {**key, "seq": seq, **dict.fromkeys(("run_started_at", "started_at", "ended_at"), old.started_at)}
                for seq in range(kept + 1, old.step_rows + 1)
            )
    return Facts(_filled(runs, frames.RUNS), _filled(steps, frames.STEPS), pl.DataFrame())


def _hour(time: datetime) -> datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def _successor(old: Published, runs: list[Published]) -> str:
    """The run of the trace that began last before the vanished one: what a part that came early belongs to."""
    earlier = [run for run in runs if run.started_at <= old.started_at]
    if earlier:
        return max(earlier, key=lambda run: (run.started_at, run.run_id)).run_id
    return min(runs, key=lambda run: (run.started_at, run.run_id)).run_id if runs else ""


def _filled(rows: list[dict[str, object]], schema: pl.Schema) -> pl.DataFrame:
    """Return rows with the table's columns: empty text and lists, zero, or null where the table may hold that."""
    if not rows:
        return schema.to_frame()
    given = pl.DataFrame(rows, schema={name: schema[name] for name in rows[0]}, orient="row")
    columns = [
        pl.col(name) if name in given.columns else pl.lit(_empty(name, dtype), dtype=dtype).alias(name)
        for name, dtype in schema.items()
    ]
    return given.select(columns)


def _empty(name: str, dtype: pl.DataType) -> object:
    if name in frames.NULLABLE:
        return None
    if dtype == pl.String:
        return ""
    if isinstance(dtype, pl.List):
        return []
    return False if dtype == pl.Boolean else 0
