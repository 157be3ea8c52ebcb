"""Samples the runs of tenants that want it: decides in the facts job's pass, deletes some time after."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import polars as pl
from sqlalchemy import Engine

from spanhouse import attributes as own
from spanhouse_analysis.facts import Facts
from spanhouse_analysis.published import Published
from spanhouse_analysis.reading import Trace
from spanhouse_analysis.sampling import deletion, facts, records
from spanhouse_analysis.sampling.decisions import KEPT, OUT, Decisions, Ran, Record, decide
from spanhouse_analysis.sampling.deletion import Batch
from spanhouse_analysis.sampling.rules import Sampling, keeps
from spanhouse_storage import Store
from spanhouse_storage.reads.times import micros

DELAY: Final = timedelta(seconds=30)
"""Spans stay so long after the decision, so that one which comes a little late may still keep its whole trace."""
_EVERY: Final = timedelta(seconds=5)
_BATCH: Final = 5_000


class Sampler:
    """Decides which traces are kept, and deletes the others. Off for tenants whose policy says nothing.

    Ownership: the caller owns store and state. Everything is called from one thread at a time, the facts job's.

    Failures: raises what the store raises; each call may be repeated, and a process killed in any of them goes on where
    it was after `recover`.

    Args:
        store: where facts, spans and decisions are.
        state: keeps the batch that is being deleted.
        policy: what a tenant wants sampled; None for nothing.
        delay: how long spans stay after the decision.
    """

    def __init__(
        self, store: Store, state: Engine, policy: Callable[[str], Sampling | None], *, delay: timedelta = DELAY
    ) -> None:
        self._store = store
        self._state = state
        self._policy = policy
        self._delay = delay
        self._waiting: dict[Trace, tuple[datetime, Record]] = {}
        self._used = False
        self._swept: datetime | None = None
        self._version = 0

    def recover(self, now: datetime) -> None:
        """End the deletion that was begun, and find the traces whose spans are still to be deleted."""
        newest = records.newest(self._store)
        self._used, self._version = newest > 0, max(self._version, newest)
        batch = deletion.left(self._state)
        if batch is not None:
            deletion.perform(self._store, self._state, batch, self._stamp(now))
        self._waiting = {trace: (decided_at, record) for trace, record, decided_at in records.waiting(self._store)}

    def decide(
        self,
        found: Facts,
        traces: Sequence[Trace],
        before: Mapping[Trace, Sequence[Published]],
    ) -> tuple[Facts, Decisions]:
        """Return the facts to publish of these traces, and the decisions to `note` once that is done."""
        known = records.lookup(self._store, traces) if self._used else {}
        sampled = {tenant: rule for tenant in {trace[0] for trace in traces} if (rule := self._policy(tenant))}
        weighed = any(run.weight != 1 for runs in before.values() for run in runs)
        if not sampled and not known and not weighed:
            return found, Decisions()
        runs = self._ran(found, traces, sampled, known)
        asked = self._asked(runs, sampled, known)
        decisions = decide(runs, before, known, asked, self._policy)
        return facts.decided(found, decisions, known), decisions

    def note(self, decisions: Decisions, now: datetime) -> None:
        """Write decisions down, after what they publish and withdraw is written."""
        if not decisions.records:
            return
        records.write(self._store, decisions.records, now, self._stamp(now))
        self._used = True
        for trace, record in decisions.records.items():
            self._waiting.pop(trace, None)
            if record.state == OUT:
                self._waiting[trace] = (now, record)

    def sweep(self, now: datetime, busy: Container[Trace]) -> int:
        """Delete spans of traces decided long enough ago, `busy` ones apart; return how many traces."""
        if not self._waiting or (self._swept is not None and now - self._swept < _EVERY):
            return 0
        self._swept = now
        until = now - self._delay
        due = {
            trace: record
            for trace, (decided_at, record) in self._waiting.items()
            if decided_at <= until and trace not in busy
        }
        chosen = dict(list(due.items())[:_BATCH])
        if not chosen or not deletion.is_idle(self._store):
            return 0
        deletion.perform(self._store, self._state, Batch(chosen, until), self._stamp(now))
        for trace in chosen:
            del self._waiting[trace]
        return len(chosen)

    def waiting(self) -> int:
        """Return how many traces are sampled out and not deleted yet."""
        return len(self._waiting)

    def _ran(
        self,
        found: Facts,
        traces: Sequence[Trace],
        sampled: Mapping[str, Sampling],
        known: Mapping[Trace, Record],
    ) -> dict[Trace, list[Ran]]:
        runs: dict[Trace, list[Ran]] = {trace: [] for trace in traces}
        rows = found.runs
        late = pl.DataFrame(
            [trace for trace, record in known.items() if record.state != KEPT],
            schema={"tenant": pl.String, "trace_id": pl.String},
            orient="row",
        ).with_columns(late=True)
        marked = rows.join(late, on=["tenant", "trace_id"], how="left", maintain_order="left")
        kept = pl.lit(value=False)
        for tenant, rule in sampled.items():
            by_rule = pl.when(pl.col("late")).then(keeps(rule, late=True)).otherwise(keeps(rule))
            kept = pl.when(pl.col("tenant") == tenant).then(by_rule).otherwise(kept)
        columns = ("tenant", "trace_id", "run_id", "status", "started_at", "convention")
        for tenant, trace, run_id, status, started, convention, is_kept in marked.select(
            *columns, kept=kept
        ).iter_rows():
            ran = Ran(run_id, status == "ended", started, convention, kept=is_kept)
            runs.setdefault((tenant, trace), []).append(ran)
        return runs

    def _asked(
        self, runs: Mapping[Trace, Sequence[Ran]], sampled: Mapping[str, Sampling], known: Mapping[Trace, Record]
    ) -> set[Trace]:
        """Return the traces kept for what their runs do not tell: a mark on a span, a score."""
        asked: set[Trace] = set()
        for tenant, rule in sampled.items():
            open_ = [
                trace
                for trace, found in runs.items()
                if trace[0] == tenant
                and not any(run.kept for run in found)
                and (trace in known or all(run.ended for run in found))
            ]
            if not open_:
                continue
            if rule.asked:
                starts = [run.started_at for trace in open_ for run in runs[trace]]
                since = None if any(not runs[trace] for trace in open_) else min(starts)
                asked |= records.asked_for(self._store, open_, own.SAMPLING_KEEP, since)
            for name, value in rule.scored_below.items():
                asked |= records.scored_below(self._store, open_, name, value)
        return asked

    def _stamp(self, now: datetime) -> int:
        self._version = max(micros(now), self._version + 1)
        return self._version
