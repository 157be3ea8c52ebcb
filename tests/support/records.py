"""Whether what a run left behind is whole."""

from __future__ import annotations

from itertools import pairwise

from tests.support.agents import recorded
from tests.support.otlp_sink import OtlpSink

import spanhouse as sh


def complete_record(sink: OtlpSink, run_id: str = "") -> str:
    """Return a run's stop reason after a look at its record: one end, every event chained, every span there.

    Args:
        sink: what it was sent to.
        run_id: which; the only one there is where not given.
    """
    assert sh.flush()
    if not run_id:
        (run_id,) = {str(log.attributes["spanhouse.run_id"]) for log in sink.audit}
    spans, events = recorded(sink, run_id)
    ends = [event for event in events if event.event_name == "run.end"]
    assert len(ends) == 1
    assert [event.attributes["spanhouse.audit.seq"] for event in events] == list(range(1, len(events) + 1))
    assert all(
        after.attributes["spanhouse.audit.prev_hash"] == before.attributes["spanhouse.audit.hash"]
        for before, after in pairwise(events)
    )
    assert not [event for event in events if "invalid" in event.data]
    assert ends[0].data["spans_expected"] == len(spans)
    (root,) = [span for span in spans if span.name.startswith("invoke_agent")]
    assert root.attributes["spanhouse.audit_expected"] == len(events)
    assert root.attributes["spanhouse.stop_reason"] == ends[0].data["stop_reason"]
    return str(ends[0].data["stop_reason"])
