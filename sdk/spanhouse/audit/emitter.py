"""Audit events on their way out: checked, numbered within the run, written as OTLP log records."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from spanhouse import attributes as keys
from spanhouse.active import active
from spanhouse.audit.chain import Link, body_hash, genesis, link_hash
from spanhouse.audit.handing import hand_over
from spanhouse.canonical import canonical_json
from spanhouse.notices import warn_once
from spanhouse.redaction import redact


class AuditTrail:
    """One run's audit events, numbered from 1 without a gap and chained by hash. Safe to write from several threads.

    Args:
        first: the number of the first event; a resumed run goes on where it was.
        head: the hash of the event before it; empty for the first of a stream.
    """

    def __init__(self, first: int = 1, head: str = "") -> None:
        self._next = first
        self._head = head
        self._lock = threading.Lock()

    @property
    def head(self) -> str:
        """The hash of the last event; empty before the first."""
        with self._lock:
            return self._head

    @property
    def written(self) -> int:
        """How many events the run has so far; also the last number given out."""
        with self._lock:
            return self._next - 1

    def write(self, name: str, common: Mapping[str, str | int], fields: Mapping[str, Any]) -> int:
        """Write one event and return its number.

        An event that does not fit its model is written all the same, with the complaint in ``invalid``: an incomplete
        trail would be worse than an untidy one, and telemetry never raises into the agent.
        """
        telemetry = active()
        if telemetry is None:
            with self._lock:
                self._next += 1
                return self._next - 1
        data, version = _checked(name, fields)
        body, _ = redact(canonical_json(data))
        hashed = body_hash(body)
        with self._lock:
            seq, now = self._next, time.time_ns()
            self._next += 1
            stream = str(common.get(keys.AUDIT_STREAM) or common.get(keys.RUN_ID, ""))
            previous = self._head or genesis(stream)
            step = common.get(keys.STEP)
            self._head = link_hash(
                previous,
                Link(
                    stream=stream,
                    seq=seq,
                    name=name,
                    version=version,
                    time_us=now // 1_000,
                    request_id=str(common.get(keys.REQUEST_ID, "")),
                    agent=str(common.get(keys.AGENT_NAME, "")),
                    agent_version=str(common.get(keys.AGENT_VERSION, "")),
                    step=None if step is None else int(step),
                    body_hash=hashed,
                ),
            )
            chained = {keys.AUDIT_PREV_HASH: previous, keys.AUDIT_HASH: self._head, keys.AUDIT_BODY_HASH: hashed}
        hand_over(telemetry, name, now, body, {**common, keys.AUDIT_SEQ: seq, keys.AUDIT_VERSION: version, **chained})
        return seq


def _checked(name: str, fields: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    from spanhouse.audit.quick import checked  # noqa: PLC0415 - keeps pydantic out until the first event
    from spanhouse.audit.registry import build  # noqa: PLC0415 - the same

    quick = checked(name, fields)
    if quick is not None:
        return quick
    try:
        event = build(name, dict(fields))
    except ValueError as error:
        complaint = str(error)
        warn_once(f"audit-{name}", f"audit event {name!r} is sent marked invalid, it fits no model: {complaint}")
        return {**fields, "invalid": complaint}, 0
    return event.model_dump(exclude_none=True), event.event_version
