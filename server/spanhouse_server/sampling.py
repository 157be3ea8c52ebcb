"""What the policy file says of sampling, as the facts job takes it."""

from __future__ import annotations

from spanhouse_analysis.sampling import Sampling
from spanhouse_collector.policy import PolicyFile


def sampling_of(policy: PolicyFile, tenant: str) -> Sampling | None:
    """Return what a tenant wants sampled as the file stands now, None where it keeps everything."""
    said = policy.current().of(tenant).sampling
    return None if said.rate is None else Sampling(rate=said.rate, **dict(said.keep))
