"""Sending the OTLP files of an export through the front door of another server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from spanhouse.client import Client
from spanhouse.settings import Signal
from spanhouse_collector import wire
from spanhouse_server.exports.manifest import ExportError, Manifest, problems
from spanhouse_server.exports.writers import otlp_requests
from spanhouse_server.importing.send import Report, post

_SIGNALS: Final[dict[str, Signal]] = {"spans": "traces", "audit": "logs"}


def import_export(directory: Path, client: Client, *, on_progress: Callable[[Report, int], None]) -> Report:
    """Send every request of an OTLP export and return what became of the records.

    Sending an export twice changes nothing. ``runs`` of the report stays 0: what the records are becomes clear behind
    the door.

    Args:
        directory: of `spanhouse export spans|audit --format otlp`.
        client: where to send.
        on_progress: called after each acknowledged request with the report so far and the number of requests.

    Raises:
        ExportError: the directory holds no such export, or not all of it, or it was changed.
        ServerError: the server refused a request, or could not be reached any more.
    """
    manifest = Manifest.read(directory)
    if manifest.format != "otlp":
        msg = f"{directory} holds {manifest.what} as {manifest.format}: only --format otlp can be imported"
        raise ExportError(msg)
    wrong = problems(directory)
    if wrong:
        msg = f"{directory} is not as it was exported: {wrong[0]}"
        raise ExportError(msg)
    signal, report, sent = _SIGNALS[manifest.what], Report(), 0
    for file in manifest.files:
        for body in otlp_requests(directory / file.name):
            rejected, why = post(client, signal, body)
            sent += 1
            report.spans += _records(signal, body) - rejected
            if rejected:
                report.rejected.append(f"{rejected} records of request {sent}: {why}")
            on_progress(report, sent)
    return report


def _records(signal: Signal, body: bytes) -> int:
    request = wire.parse(signal, body)
    if signal == "traces":
        return sum(len(scope.spans) for under in request.resource_spans for scope in under.scope_spans)
    return sum(len(scope.log_records) for under in request.resource_logs for scope in under.scope_logs)
