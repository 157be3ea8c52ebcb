"""Ids that the SDK, the collector and the analysis must all compute alike."""

from __future__ import annotations

import hashlib


def run_id_of(trace_id: str, anchor_span_id: str) -> str:
    """Return the run id for a trace and the span the run hangs on: 32 lower-case hex digits.

    Args:
        trace_id: 32 hex digits.
        anchor_span_id: 16 hex digits; the run's root span, or its missing parent while the root has not arrived.
    """
    return hashlib.sha256(f"{trace_id.lower()}:{anchor_span_id.lower()}".encode()).hexdigest()[:32]
