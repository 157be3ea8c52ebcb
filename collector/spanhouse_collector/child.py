"""The decode child: a process of its own that turns stretches of the journal into Arrow files, one request at a time.

It reads one JSON request a line from its standard input and answers one JSON line on its standard output:

    {"ranges": [[segment file, from, to], ...], "into": folder, "name": prefix, "redaction": {...}}
    {"tables": {name: file}, "traces": file, "counts": {...}, "records": n, "redacted": [[tenant, kind, n], ...]}
    {"error": traceback} where the records are to blame, {"unavailable": traceback} where disk or memory is

It says {"ready": true} first, once its imports are done.
It ends when its input closes, so it never outlives the collector, and it ignores the terminal's interrupt, which is the
collector's to handle. It holds nothing: a request can be sent again to its successor.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, TypeAlias

import pyarrow as pa
import pyarrow.ipc

from spanhouse_collector.records import Normalised, RawRecord
from spanhouse_collector.redaction.guard import BeforeStore
from spanhouse_collector.redaction.settings import MASKED, Redaction
from spanhouse_collector.segment import Found
from spanhouse_collector.segments import scan_file
from spanhouse_storage.arrow_alone import leave_pandas_out

Normalise: TypeAlias = Callable[[Sequence[RawRecord]], Normalised]


def main(normalise: Normalise) -> None:
    """Serve decode requests until the standard input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    # Arrow's own allocators hold on to a quarter more memory and are no faster at what is done here.
    pa.set_memory_pool(pa.system_memory_pool())
    # Answers get a descriptor of their own; whatever else prints to standard output goes to the log.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, answers, normalise)


def serve(requests: IO[str], answers: IO[str], normalise: Normalise) -> None:
    """Say that this process is ready, then answer every request line until there are no more."""
    guarded = _Guarded(normalise)
    # Libraries import much of themselves at the first call; it is made before anyone waits for it.
    guarded((), None)
    # What is here now stays: no collection needs to look through it again.
    gc.collect()
    gc.freeze()
    _say(answers, {"ready": True})
    for line in requests:
        try:
            answer = _decode(json.loads(line), guarded)
        except (OSError, MemoryError):
            answer = {"unavailable": traceback.format_exc()}
        except Exception:  # noqa: BLE001 - whatever a record does to the decoder is told to the collector
            answer = {"error": traceback.format_exc()}
        _say(answers, answer)


def _say(answers: IO[str], answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


class _Guarded:
    """Normalises and redacts, as each request says."""

    def __init__(self, normalise: Normalise) -> None:
        self._normalise = normalise
        self._said: dict[str, Any] | None = None
        self._guard = BeforeStore(normalise, MASKED)

    def __call__(self, records: Sequence[RawRecord], redaction: dict[str, Any] | None) -> Normalised:
        if redaction != self._said:
            said = Redaction.from_json(redaction) if redaction else MASKED
            self._guard = BeforeStore(self._normalise, said)
            self._said = redaction
        return self._guard(records)


def _decode(request: dict[str, Any], guarded: _Guarded) -> dict[str, Any]:
    records = list(_read(request["ranges"]))
    normalised = guarded(records, request.get("redaction"))
    folder, name = Path(request["into"]), request["name"]
    tables = {
        table: _write(rows, folder / f"{name}.{table}.arrow")
        for table, rows in normalised.tables.items()
        if rows.num_rows
    }
    traces = _write(normalised.traces, folder / f"{name}.traces.arrow")
    return {
        "tables": tables,
        "traces": traces,
        "counts": asdict(normalised.counts),
        "records": len(records),
        "redacted": [[*key, count] for key, count in normalised.redacted.items()],
    }


def _read(ranges: Sequence[tuple[str, int, int]]) -> Iterator[RawRecord]:
    for file, start, end in ranges:
        for piece in scan_file(Path(file), start, end):
            if isinstance(piece, Found):
                yield piece.record


def _write(rows: pa.Table, file: Path) -> str:
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    return str(file)


if __name__ == "__main__":
    leave_pandas_out()
    # Imported here so that a test can serve with a decoder of its own and pay for no other.
    from spanhouse_collector.normalise import normalise as _normalise

    main(_normalise)
