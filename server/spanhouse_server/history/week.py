"""The sample history as OTLP requests: days that end now, the same runs for the same day and seed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from spanhouse import attributes as keys
from spanhouse.canonical import canonical_json
from spanhouse.identity import run_id_of
from spanhouse_server.history.cast import CAST, TENANTS
from spanhouse_server.history.run import SampleRun, tell
from spanhouse_server.importing.spans import any_value, attributes, encode, request_of, span_id, trace_id

RUNS_A_DAY = 130
RUNS_A_REQUEST = 25
RESOURCE = {"service.name": "sample-agents", "service.version": "1.0.0"}
TROUBLE_DAYS_AGO = 2
TROUBLE_HOURS = (13, 16)
"""Two days before the last, from 13 to 16 UTC, ``http.get`` is down: something to triage."""


@dataclass(frozen=True)
class Bodies:
    """Protobuf bodies of some runs: their spans and their audit events."""

    traces: bytes
    logs: bytes
    runs: int
    spans: int


def week(now: datetime, days: int, seed: int = 20) -> Iterator[Bodies]:
    """Yield the sample runs of the last ``days`` times 24 hours, oldest day first, a few to each request."""
    batch: list[SampleRun] = []
    last, first = now.timestamp() * 1e9, (now - timedelta(days=days)).timestamp() * 1e9
    for ago in range(days, -1, -1):
        day = (now.astimezone(UTC) - timedelta(days=ago)).replace(hour=0, minute=0, second=0, microsecond=0)
        for run in _day(day, ago, seed):
            if first <= run.root.start and run.root.end < last:
                batch.append(run)
            if len(batch) == RUNS_A_REQUEST:
                yield _bodies(batch)
                batch = []
    if batch:
        yield _bodies(batch)


def _day(day: datetime, ago: int, seed: int) -> list[SampleRun]:
    random = Random(f"{seed}:{day.date().isoformat()}")
    runs = []
    for index in range(RUNS_A_DAY):
        started = day + timedelta(hours=_hour(random))
        agent = random.choices(CAST, [a.share for a in CAST])[0]
        tenant = random.choices([t for t, _ in TENANTS], [share for _, share in TENANTS])[0]
        troubled = ago == TROUBLE_DAYS_AGO and TROUBLE_HOURS[0] <= started.hour < TROUBLE_HOURS[1]
        key = f"{day:%m%d}-{seed}-{index:03d}"
        runs.append(tell(key, agent, tenant, started, random, troubled=troubled, newer=ago <= TROUBLE_DAYS_AGO))
    return runs


def _hour(random: Random) -> float:
    """Return an hour of the day: busiest in the early afternoon, quiet at night."""
    while True:
        hour = random.uniform(0, 24)
        if random.random() < 0.25 + 0.75 * math.exp(-(((hour - 14) / 4.5) ** 2)):
            return hour


def _bodies(runs: list[SampleRun]) -> Bodies:
    spans = [span for run in runs for span in encode(run.key, run.root, run.children, run.shared)]
    records = [record for run in runs for record in _records(run)]
    scope_logs = ScopeLogs(scope=InstrumentationScope(name=keys.AUDIT_SCOPE), log_records=records)
    logs = ResourceLogs(resource=Resource(attributes=attributes(RESOURCE)), scope_logs=[scope_logs])
    return Bodies(
        traces=request_of(spans, RESOURCE).SerializeToString(),
        logs=ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString(),
        runs=len(runs),
        spans=len(spans),
    )


def _records(run: SampleRun) -> list[LogRecord]:
    trace, root = trace_id(run.key), span_id(run.key, run.root.key)
    run_id = run_id_of(trace.hex(), root.hex())
    records = []
    for seq, event in enumerate(run.events, 1):
        own = {**run.shared, keys.RUN_ID: run_id, keys.AUDIT_SEQ: seq, keys.AUDIT_VERSION: 1}
        record = LogRecord(
            time_unix_nano=event.time,
            event_name=event.name,
            body=any_value(canonical_json(event.fields)),
            attributes=attributes(own),
            trace_id=trace,
            span_id=root,
        )
        records.append(record)
    return records
