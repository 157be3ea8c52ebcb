"""Records nobody can decode or store, set aside whole so that they hold up no others and are not lost."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

from spanhouse.redaction import redact
from spanhouse_collector.records import RawRecord
from spanhouse_collector.redaction.guard import kept_aside
from spanhouse_collector.redaction.settings import MASKED, Redaction
from spanhouse_collector.segment import Entry
from spanhouse_collector.segments import sync_directory

_log = logging.getLogger(__name__)


class DeadLetters:
    """A folder with two files a record: `NAME.otlp.pb`, the request as received, and `NAME.json`, when, whose and why.

    Args:
        folder: made with mode 0700 when the first record comes.
        redaction: returns how to redact at this moment: no secret is kept here either.
    """

    def __init__(self, folder: Path, redaction: Callable[[], Redaction] = lambda: MASKED) -> None:
        self._folder, self._redaction = folder, redaction

    def set_aside(self, entry: Entry, record: RawRecord, reason: str) -> Path:
        """Write the record down durably and say so in the log; return the file with its body.

        The name follows from the record's place in the journal, so a record set aside twice is there once.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{record.received_us}-{entry.position.segment}-{entry.position.offset}"
        body = self._folder / f"{name}.otlp.pb"
        about = {
            "signal": record.signal,
            "tenant": record.tenant,
            "received_us": record.received_us,
            "items": entry.items,
            "reason": redact(reason)[0],
        }
        kept = kept_aside(record, self._redaction())
        if not kept:
            about["body"] = "not kept: its tenant wants no content stored, or it cannot be read for secrets"
        _write(body, kept)
        _write(self._folder / f"{name}.json", json.dumps(about, indent=2).encode())
        sync_directory(self._folder)
        last_line = str(about["reason"]).strip().rpartition("\n")[2]
        _log.error(
            "%d %s could not be stored and were set aside in %s: %s", entry.items, record.signal, body, last_line
        )
        return body


def _write(file: Path, content: bytes) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
