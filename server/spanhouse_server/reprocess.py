"""Normalising stored spans again after a mapping was mended: one job at a time, in a thread, batch by batch."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from spanhouse.errors import SpanhouseError
from spanhouse_analysis.times import rfc3339
from spanhouse_collector import rebuild
from spanhouse_collector.normalise import Normaliser
from spanhouse_collector.prices import Prices
from spanhouse_collector.records import Normalised, RawRecord
from spanhouse_collector.retry import StoppedError, until_it_works
from spanhouse_server.reprocess_logs import mended
from spanhouse_storage.contract import Store, StoreUnavailableError
from spanhouse_storage.reads import (
    LogHour,
    SpanHour,
    SpanWindow,
    drop_untold,
    log_hours,
    logs_of_hour,
    span_hours,
    spans_of_hour,
)
from spanhouse_storage.tables import SCHEMAS

_log = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Share of a batch's time that is left to others after it: what comes in has the right of way."""


class BusyError(SpanhouseError):
    """A job runs already; there is one at a time."""


@dataclass(frozen=True, slots=True)
class Job:
    """How far reprocessing is.

    Attributes:
        state: running, done, stopped (with the server) or failed.
        spans: spans there were when the job began.
        done: spans normalised again so far.
        logs: log records there were that may tell of something else.
        logs_done: of them, those read again so far.
        changed: spans of which some column is another now, those that log records tell of too.
        error: why it failed; empty otherwise.
    """

    id: str
    window: SpanWindow
    started_at: datetime
    state: str = "running"
    spans: int = 0
    done: int = 0
    changed: int = 0
    logs: int = 0
    logs_done: int = 0
    ended_at: datetime | None = None
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the job as the API shows it."""
        return {
            "id": self.id,
            "state": self.state,
            "since": rfc3339(self.window.since),
            "until": rfc3339(self.window.until),
            "spans": self.spans,
            "done": self.done,
            "changed": self.changed,
            "logs": self.logs,
            "logs_done": self.logs_done,
            "started_at": rfc3339(self.started_at),
            "ended_at": rfc3339(self.ended_at),
            "error": self.error or None,
        }


class Reprocessing:
    """Starts jobs and knows the last one. Methods may be called from any thread; `stop` before the store closes.

    A span that changed is written as a new version of the same finality, received now. Repeating a job changes nothing.

    Args:
        store: where spans are read and written.
        touch: told of the traces of each batch, so that facts are computed anew.
        normaliser: returns what normalises a job's spans.
        clock: the time.
    """

    def __init__(
        self,
        store: Store,
        touch: Callable[[pa.Table], None],
        *,
        normaliser: Callable[[], Callable[[Sequence[RawRecord]], Normalised]] = Normaliser,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store, self._touch, self._normaliser, self._clock = store, touch, normaliser, clock
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    def start(self, window: SpanWindow) -> Job:
        """Begin a job over a window of starts and return it.

        Raises:
            BusyError: one runs; the message says how far it is.
        """
        with self._lock:
            if self._job is not None and self._job.state == "running":
                msg = f"job {self._job.id} runs, at {self._job.done} of {self._job.spans} spans; wait for its end"
                raise BusyError(msg)
            self._job = Job(secrets.token_hex(4), window, self._clock())
            self._thread = threading.Thread(target=self._run, name="spanhouse-reprocess")
            self._thread.start()
            return self._job

    def job(self) -> Job | None:
        """Return the last job as it stands; None where there was none since the server started."""
        return self._job

    def stop(self) -> None:
        """End the job after its batch and wait for that."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        window = self._known().window
        try:
            normalise = self._normaliser()
            hours = until_it_works(
                "count the spans to reprocess",
                lambda: span_hours(self._store, window),
                self._stopping,
                unless=_is_lasting,
            )
            log_hours_ = until_it_works(
                "count the log records to read again",
                lambda: log_hours(self._store, window),
                self._stopping,
                unless=_is_lasting,
            )
            self._note(spans=sum(hour.spans for hour in hours), logs=sum(hour.records for hour in log_hours_))
            for hour in hours:
                self._reprocess(hour, normalise)
            for log_hour in log_hours_:
                self._reread(log_hour, Prices())
        except StoppedError:
            self._note(state="stopped", ended_at=self._clock())
        except Exception as error:  # noqa: BLE001 - logged, and told to whoever asks
            _log.exception("reprocessing failed")
            self._note(state="failed", error=str(error), ended_at=self._clock())
        else:
            self._note(state="done", ended_at=self._clock())

    def _reprocess(self, hour: SpanHour, normalise: Callable[[Sequence[RawRecord]], Normalised]) -> None:
        after = ("", "")
        while True:
            # Taken before the batch is read, so that a version received after it wins.
            began, now_us = time.monotonic(), int(self._clock().timestamp() * 1e6)
            stored = self._read(hour, after)
            if not stored.num_rows:
                return
            after = stored["trace_id"][-1].as_py(), stored["span_id"][-1].as_py()
            found = normalise([RawRecord("traces", rebuild.request(stored), now_us, hour.tenant)])
            rows = rebuild.changed(stored, rebuild.renewed(stored, found.tables["spans"], now_us))
            if rows.num_rows:
                self._write(rows, found, hour, after)
            job = self._known()
            self._note(done=job.done + stored.num_rows, changed=job.changed + rows.num_rows)
            if self._stopping.wait(PAUSE * (time.monotonic() - began)):
                msg = "the server stops"
                raise StoppedError(msg)

    def _reread(self, hour: LogHour, prices: Prices) -> None:
        after = (0, "")
        while True:
            began, now_us = time.monotonic(), int(self._clock().timestamp() * 1e6)
            stored = until_it_works(
                "read log records again",
                lambda after=after: logs_of_hour(self._store, self._known().window, hour, after),  # type: ignore[misc]
                self._stopping,
                unless=_is_lasting,
            )
            if not stored.num_rows:
                return
            after = stored["time"][-1].value, stored["record_id"][-1].as_py()
            found = mended(self._store, hour.tenant, stored, now_us, prices)
            place = f"{hour.tenant}:{hour.hour}:{after[0]}.{after[1]}"
            for table, rows in found.tables.items():
                self._insert(table, rows, f"logs:{place}")
            until_it_works(
                "remove spans that no log record tells of any more",
                lambda found=found: drop_untold(self._store, hour.tenant, found.left),  # type: ignore[misc]
                self._stopping,
                unless=_is_lasting,
            )
            self._touch(found.traces)
            job = self._known()
            self._note(logs_done=job.logs_done + stored.num_rows, changed=job.changed + found.spans)
            if self._stopping.wait(PAUSE * (time.monotonic() - began)):
                msg = "the server stops"
                raise StoppedError(msg)

    def _insert(self, table: str, rows: pa.Table, place: str) -> None:
        token = f"reprocess:{self._known().id}:{place}:{table}"
        until_it_works(
            f"insert {rows.num_rows} rows into {table}",
            lambda: self._store.insert(table, rows, token),
            self._stopping,
            unless=_is_lasting,
        )

    def _read(self, hour: SpanHour, after: tuple[str, str]) -> pa.Table:
        window, columns = self._known().window, SCHEMAS["spans"].names
        return until_it_works(
            "read spans to reprocess",
            lambda: spans_of_hour(self._store, window, hour, columns, after),
            self._stopping,
            unless=_is_lasting,
        )

    def _write(self, rows: pa.Table, found: Normalised, hour: SpanHour, after: tuple[str, str]) -> None:
        mine = pc.is_in(found.traces["trace_id"], rows["trace_id"].combine_chunks())
        traces = found.traces.filter(mine)
        tables = {"spans": rows}
        if "scores" in found.tables:
            tables["scores"] = found.tables["scores"]
        for table, content in tables.items():
            self._insert(table, content, f"{hour.tenant}:{hour.hour}:{'.'.join(after)}")
        # A mapping may say otherwise whose a span is; the row does not follow it, nor do its facts.
        tenant = pa.repeat(hour.tenant, traces.num_rows)
        self._touch(traces.set_column(traces.column_names.index("tenant"), "tenant", tenant))

    def _known(self) -> Job:
        assert self._job is not None
        return self._job

    def _note(self, **said: Any) -> None:  # noqa: ANN401 - the job's own fields
        self._job = replace(self._known(), **said)


def _is_lasting(error: Exception) -> bool:
    return not isinstance(error, StoreUnavailableError)
