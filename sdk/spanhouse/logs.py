"""Log records on their way out: audit events survive a crash at any moment, others wait for the next batch."""

from __future__ import annotations

import time

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource

from spanhouse import attributes as keys
from spanhouse.delivery import Counts, Delivery
from spanhouse.outbox import AuditOnDisk, Written
from spanhouse.spool.events import event_of, header_of


class Logs:
    """All log records of a process. Safe to put to from several threads.

    Args:
        plain: takes what is no audit event; everything where there is no spool.
        audit: takes audit events that are on disk.
        disk: puts them there.
    """

    def __init__(
        self,
        plain: Delivery[ReadableLogRecord],
        audit: Delivery[Written] | None = None,
        disk: AuditOnDisk | None = None,
    ) -> None:
        self._plain = plain
        self._audit = audit
        self._disk = disk
        self._header: tuple[Resource | None, bytes] = (None, b"")

    def put(self, record: ReadableLogRecord) -> None:
        """Queue one record. When this returns, an audit event is where the end of the process does not reach it."""
        scope = record.instrumentation_scope
        if self._audit is None or self._disk is None or scope is None or scope.name != keys.AUDIT_SCOPE:
            self._plain.put(record)
            return
        resource, header = self._header
        if resource is not record.resource:
            header = header_of(record.resource, scope)
            self._header = record.resource, header
        event = event_of(record)
        if event is None:
            self._plain.put(record)
            return
        self._audit.put(self._disk.write(header, event))

    def flush(self, deadline: float) -> bool:
        """Send what is held now; True where all put since the last flush was acknowledged within ``deadline`` s."""
        until = time.monotonic() + deadline
        plain = self._plain.flush(deadline)
        return plain if self._audit is None else self._audit.flush(max(0.0, until - time.monotonic())) and plain

    def close(self, deadline: float) -> bool:
        """Flush, then stop; see ``Delivery.close``."""
        until = time.monotonic() + deadline
        audit = True if self._audit is None else self._audit.close(deadline)
        return self._plain.close(max(0.0, until - time.monotonic())) and audit

    def counts(self) -> Counts:
        """Return what became of the records so far."""
        return self._plain.counts() + (Counts() if self._audit is None else self._audit.counts())
