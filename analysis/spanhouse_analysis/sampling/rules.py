"""What a tenant wants sampled: which runs are always kept, and how many of the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which runs a tenant keeps. A run that any rule keeps stands for itself; one kept by chance for 1 / rate runs.

    Attributes:
        rate: share of the other runs that is kept, 0 to 1.
        errors: keep runs in which a model or tool call failed, or that ended with an error.
        not_finished: keep runs that stopped for another reason than ``finish``.
        failed: keep runs whose outcome is failure.
        escalated: keep runs handed to a person.
        denied: keep runs in which a policy denied a call.
        looped: keep runs with a loop, a cycle or a retry storm.
        slower_than: keep runs that took longer, in seconds.
        costlier_than: keep runs that cost more, in usd.
        scored_below: keep runs of which a score of that name, given by then, is lower.
        asked: keep runs with a span that says ``spanhouse.sampling.keep``.
    """

    rate: float
    errors: bool = True
    not_finished: bool = True
    failed: bool = True
    escalated: bool = True
    denied: bool = True
    looped: bool = True
    slower_than: float | None = None
    costlier_than: float | None = None
    scored_below: Mapping[str, float] = field(default_factory=dict)
    asked: bool = True


def keeps(rule: Sampling, *, late: bool = False) -> pl.Expr:
    """Return which rows of ``runs`` a rule keeps, as far as the row tells.

    Args:
        rule: the tenant's.
        late: the row is of what came after the run was sampled out, so that its missing end says nothing.
    """
    conditions = [pl.lit(value=False)]
    if rule.errors:
        conditions += [pl.col("tool_errors") > 0, pl.col("model_errors") > 0, pl.col("error_type") != ""]
    if rule.not_finished:
        fine = ["finish", "abandoned", "unknown"] if late else ["finish"]
        conditions.append((pl.col("status") == "ended") & ~pl.col("stop_code").is_in(fine))
    if rule.failed:
        conditions.append(pl.col("outcome") == "failure")
    if rule.escalated:
        conditions.append(pl.col("escalated"))
    if rule.denied:
        conditions.append(pl.col("policy_denials") > 0)
    if rule.looped:
        conditions += [pl.col("loops") > 0, pl.col("cycle_length") > 0, pl.col("retry_storm")]
    if rule.slower_than is not None:
        conditions.append(pl.col("run_seconds") > rule.slower_than)
    if rule.costlier_than is not None:
        conditions.append(pl.col("cost_usd") > rule.costlier_than)
    return pl.any_horizontal(*(condition.fill_null(value=False) for condition in conditions))


def in_sample(trace_id: str, rate: float) -> bool:
    """Return whether a trace is in the sample: the same answer always, and yes at every higher rate."""
    digest = hashlib.blake2b(trace_id.encode(), digest_size=8, person=b"spanhouse").digest()
    return int.from_bytes(digest) < rate * 2.0**64
