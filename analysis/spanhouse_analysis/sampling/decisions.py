"""The decision on each trace: a pure function of its runs, of what was decided before and of the tenant's rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from spanhouse_analysis.published import Published
from spanhouse_analysis.reading import Trace
from spanhouse_analysis.sampling.rules import Sampling, in_sample

OUT: Final = "out"
GONE: Final = "gone"
KEPT: Final = "kept"
_OWN: Final = "spanhouse"
"""Convention whose spans say which run they belong to, so that a run that begins in an old trace is known for one."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was decided about a trace that was sampled out once.

    Attributes:
        state: ``out`` until its spans are deleted, then ``gone``; ``kept`` where what came later made a rule true.
        runs: ids of the runs that were withdrawn.
        spans: how many of its spans were deleted.
        first_start: no span of it begins a day before.
    """

    state: str
    runs: tuple[str, ...]
    spans: int
    first_start: datetime


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a trace as its facts stand, and whether a rule keeps it."""

    run_id: str
    ended: bool
    started_at: datetime
    convention: str
    kept: bool


@dataclass(slots=True)
class Decisions:
    """What becomes of the traces of a pass.

    Attributes:
        weights: how many runs a run stands for, by tenant and run id, where that is not one.
        dropped: runs that are not published, by tenant and run id.
        records: what to note of traces that are sampled out, or are kept after they were.
    """

    weights: dict[tuple[str, str], float] = field(default_factory=dict)
    dropped: set[tuple[str, str]] = field(default_factory=set)
    records: dict[Trace, Record] = field(default_factory=dict)


def decide(
    runs: Mapping[Trace, Sequence[Ran]],
    before: Mapping[Trace, Sequence[Published]],
    records: Mapping[Trace, Record],
    asked: Collection[Trace],
    policy: Callable[[str], Sampling | None],
) -> Decisions:
    """Return what becomes of each trace.

    Args:
        runs: the runs that are there of each trace of the pass, none included.
        before: what was published of them.
        records: what was decided about those that were sampled out once.
        asked: traces kept for what their runs do not tell.
        policy: what a tenant wants; None where it samples nothing.
    """
    decisions = Decisions()
    for trace, found in runs.items():
        record, was = records.get(trace), before.get(trace, ())
        if record is not None and record.state != KEPT:
            _late(decisions, trace, found, record, asked=trace in asked)
            continue
        ended = {run.run_id: run.weight for run in was if run.ended}
        weights = {run.run_id: ended.get(run.run_id, 1.0) for run in found}
        rule = policy(trace[0])
        over = all(run.ended for run in found)
        decided = bool(was) and all(run.ended for run in was)
        if rule is not None and record is None and found and over:
            kept = _kept(trace, found, ended if decided else {}, rule, asked=trace in asked)
            if kept is None:
                _drop(decisions, trace, found, Record(OUT, (), 0, min(run.started_at for run in found)))
                continue
            weights = kept
        decisions.weights.update({(trace[0], run_id): weight for run_id, weight in weights.items() if weight != 1})
    return decisions


def _kept(
    trace: Trace, found: Sequence[Ran], decided: Mapping[str, float], rule: Sampling, *, asked: bool
) -> dict[str, float] | None:
    """Return the weight of each run of a trace that is over, None where the trace is sampled out.

    A trace is kept or goes whole, so what keeps one of its runs keeps the others for certain. What was decided stands,
    unless something new keeps a run: then it would have been kept whatever the sample.
    """
    anything = asked or any(run.kept for run in found)
    new = [run for run in found if run.run_id not in decided]
    if anything:
        fresh = 1.0
    elif decided:
        fresh = min(decided.values())
    elif not new or in_sample(trace[1], rule.rate):
        fresh = 1 / rule.rate
    else:
        return None
    return {run.run_id: 1.0 if run.kept else decided.get(run.run_id, fresh) for run in found}


def _late(decisions: Decisions, trace: Trace, found: Sequence[Ran], record: Record, *, asked: bool) -> None:
    """Decide about what came to a trace that was sampled out: it goes too, unless a rule keeps it."""
    if asked or any(run.kept for run in found):
        decisions.records[trace] = Record(KEPT, record.runs, record.spans, record.first_start)
        return
    # A run that begins in an old trace is shown while it lives, as any other.
    alive = {run.run_id for run in found if not run.ended and run.convention == _OWN and run.run_id not in record.runs}
    gone = [run for run in found if run.run_id not in alive]
    if alive:
        decisions.dropped.update((trace[0], run.run_id) for run in gone)
        return
    _drop(decisions, trace, gone, record)


def _drop(decisions: Decisions, trace: Trace, gone: Sequence[Ran], record: Record) -> None:
    decisions.dropped.update((trace[0], run.run_id) for run in gone)
    runs = tuple(dict.fromkeys([*record.runs, *(run.run_id for run in gone)]))
    first = min([record.first_start, *(run.started_at for run in gone)])
    decisions.records[trace] = Record(OUT, runs, record.spans, first)
