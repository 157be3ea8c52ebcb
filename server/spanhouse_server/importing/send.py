"""Sending imported runs through the front door, in batches, waiting where the server says so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from spanhouse.client import Client
from spanhouse.errors import ServerError
from spanhouse.settings import Signal
from spanhouse_server.importing import lines
from spanhouse_server.importing.lines import BadLine
from spanhouse_server.importing.runs import spans_of
from spanhouse_server.importing.spans import request_of

BATCH_BYTES = 2 * 2**20
ATTEMPTS = 8
COME_BACK_LATER = frozenset({429, 502, 503, 504})
"""The statuses that OTLP lets a sender repeat a request for."""
RESOURCE = {"service.name": "spanhouse-import"}


@dataclass
class Report:
    """What an import did: runs and spans that were acknowledged, and each line or span that was not."""

    runs: int = 0
    spans: int = 0
    bad: list[BadLine] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether every line became a run and every span was taken."""
        return not self.bad and not self.rejected


def import_file(
    path: Path, client: Client, *, tenant: str, environment: str, on_progress: Callable[[Report, int], None]
) -> Report:
    """Send every run of a file and return what became of it.

    Args:
        path: JSON Lines, plain or gzip.
        client: where to send.
        tenant: tenant the runs are filed under.
        environment: environment the runs are filed under.
        on_progress: called after each acknowledged batch with the report so far and the last line's number.

    Raises:
        OSError: the file cannot be read.
        ServerError: the server refused a batch, or could not be reached any more.
    """
    report = Report()
    for batch, runs, last in _batches(_spans(path, report, tenant, environment)):
        body = request_of(batch, RESOURCE).SerializeToString()
        rejected, message = post(client, "traces", body)
        report.runs += runs
        report.spans += len(batch) - rejected
        if rejected:
            report.rejected.append(f"{rejected} spans before line {last}: {message}")
        on_progress(report, last)
    return report


def post(client: Client, signal: Signal, body: bytes) -> tuple[int, str]:
    """Send a batch, again while the server asks to come back later; sending twice stores once.

    Returns:
        How many records were rejected, and why.
    """
    for attempt in range(ATTEMPTS):
        try:
            return client.post_otlp(signal, body)
        except ServerError as error:
            if error.status not in COME_BACK_LATER or attempt == ATTEMPTS - 1:
                raise
            time.sleep(min(2.0**attempt * 0.25, 10.0))
    raise AssertionError  # the last attempt returned or raised


def _spans(path: Path, report: Report, tenant: str, environment: str) -> Iterator[tuple[int, list[Span]]]:
    for line in lines.read(path):
        if isinstance(line, BadLine):
            report.bad.append(line)
            continue
        try:
            yield line.number, spans_of(line.run, tenant=tenant, environment=environment)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            # A field of a type nobody expects: the line is named, its neighbours go on.
            report.bad.append(BadLine(line.number, f"cannot be read as a run: {type(error).__name__}: {error}"))


def _batches(runs: Iterable[tuple[int, list[Span]]]) -> Iterator[tuple[list[Span], int, int]]:
    batch: list[Span] = []
    count = size = last = 0
    for last, spans in runs:
        batch += spans
        count += 1
        size += sum(span.ByteSize() for span in spans)
        if size >= BATCH_BYTES:
            yield batch, count, last
            batch, count, size = [], 0, 0
    if batch:
        yield batch, count, last


def wait_until_stored(client: Client, *, timeout: float, clock: Callable[[], float] = time.monotonic) -> bool:
    """Return whether all that was acknowledged became facts within ``timeout`` seconds."""
    deadline = clock() + timeout
    while clock() < deadline:
        try:
            state = client.health()
        except ServerError as error:
            # Not ready is what one waits out; not there is not.
            if error.status not in COME_BACK_LATER:
                raise
        else:
            if not state["pending_items"] and not state["pending_traces"]:
                return True
        time.sleep(0.2)
    return False
