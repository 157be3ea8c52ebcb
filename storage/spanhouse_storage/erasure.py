"""Everything that is stored of a person, a request, a run or a session: found, counted and removed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, TypeAlias

from spanhouse_storage import sql
from spanhouse_storage.contract import Store
from spanhouse_storage.screen import ERASED_BODY
from spanhouse_storage.tombstones import Marked

SubjectKind: TypeAlias = Literal["user", "request", "run", "session"]

_PACKAGE: Final = "spanhouse_storage"
TABLES: Final = (
    *("spans", "messages", "logs", "scores", "runs", "sampled_traces", "steps", "metric_points", "audit_events"),
)
"""Tables that may hold something of a person."""

_KEYS_A_STATEMENT: Final = 5_000
_CONTROL_SCOPES: Final[Mapping[str, str]] = {"user": "user", "run": "run"}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose records are meant, within one tenant."""

    kind: SubjectKind
    value: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the records stand: keys of ours alone, so that no statement and no log names the person.

    Attributes:
        traces: trace ids; a trace goes whole.
        runs: run ids.
        responses: ids of models' answers, by which scores may refer.
        logs: record ids of log records without a trace.
        points: [name, series, time in nanoseconds] of metric points that are the subject's own.
        exemplars: the same of points whose exemplars name it.
        events: [stream, sequence] of audit events outside its runs that name it.
    """

    traces: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    responses: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    points: tuple[tuple[str, int, int], ...] = ()
    exemplars: tuple[tuple[str, int, int], ...] = ()
    events: tuple[tuple[str, int], ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, f.name) for f in fields(self))

    def also(self, other: Keys) -> Keys:
        """Return both, each key once."""
        return Keys(*(tuple(dict.fromkeys((*getattr(self, f.name), *getattr(other, f.name)))) for f in fields(self)))

    def as_text(self) -> str:
        """Return the keys as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> Keys:
        """Return what `as_text` made."""
        said = json.loads(text)
        keys: dict[str, Any] = {
            name: tuple(tuple(key) if isinstance(key, list) else key for key in said[name]) for name in said
        }
        return cls(**keys)

    def marks(self, tenant: str) -> Iterator[Marked]:
        """Yield what must not be stored again, whenever it happened."""
        for trace in self.traces:
            yield Marked("trace", tenant, trace)
        for run in self.runs:
            yield Marked("run", tenant, run)


def find(store: Store, subject: Subject) -> Keys:
    """Return where everything of the subject stands, all versions of rows included."""
    parameters = {"tenant": subject.tenant, "value": subject.value}
    traces = _column(store, f"erasure_traces_by_{subject.kind}", parameters)
    runs = [subject.value]
    if subject.kind != "run":
        runs = _column(store, f"erasure_runs_by_{subject.kind}", parameters)
    for part in _chunks(traces):
        runs += _column(store, "erasure_runs_of_traces", {"tenant": subject.tenant, "traces": part})
    for part in _chunks(runs):
        # An event or a score of a run may stand in a trace in which nobody named the subject.
        traces += _column(store, "erasure_traces_of_runs", {"tenant": subject.tenant, "runs": part})
    traces = list(dict.fromkeys(traces))
    responses = [
        found
        for part in _chunks(traces)
        for found in _column(store, "erasure_responses", {"tenant": subject.tenant, "traces": part})
    ]
    logs: list[str] = []
    points: list[Any] = []
    events: list[Any] = []
    if subject.kind != "run":
        logs = _column(store, f"erasure_logs_by_{subject.kind}", parameters)
    if subject.kind in {"user", "session"}:
        points = _rows(store, f"erasure_points_by_{subject.kind}", parameters)
    quoted = json.dumps(subject.value, ensure_ascii=False)
    exemplars = _rows(store, "erasure_exemplars", {"tenant": subject.tenant, "quoted": quoted})
    for part in _chunks(traces):
        exemplars += _rows(store, "erasure_exemplars_of_traces", {"tenant": subject.tenant, "traces": part})
    if subject.kind in _CONTROL_SCOPES:
        events = _rows(store, "erasure_events", {**parameters, "scope": _CONTROL_SCOPES[subject.kind]})
    found = Keys(
        traces=tuple(traces),
        runs=tuple(runs),
        responses=tuple(responses),
        logs=tuple(logs),
        points=tuple(points),
        exemplars=tuple(exemplars),
        events=tuple(events),
    )
    return Keys().also(found)


def counts(store: Store, subject: Subject, keys: Keys) -> dict[str, int]:
    """Return, by what would change, how many rows the keys stand for now; figures of nothing are left out.

    Names are those of tables; `audit_events` and `metric_points.exemplars` count rows that lose a text and stay.
    """
    found: dict[str, int] = {}
    for name, table, condition, parameters, _ in _pieces(subject, keys):
        rows = store.query(f"SELECT count() AS n FROM {table} WHERE {condition}", parameters)  # noqa: S608 - our own text
        found[name] = found.get(name, 0) + int(rows.column("n")[0].as_py())
    return {name: count for name, count in found.items() if count}


def others(store: Store, subject: Subject, keys: Keys) -> dict[str, int]:
    """Return what goes too because it shares a trace: users other than the subject, and runs not its own."""
    users: set[str] = set()
    for part in _chunks(keys.traces):
        users.update(_column(store, "erasure_users_of_traces", {"tenant": subject.tenant, "traces": part}))
    users -= {"", subject.value}
    found = {"users": len(users) if subject.kind == "user" else 0}
    found["runs"] = len(set(keys.runs) - {subject.value}) if subject.kind == "run" else 0
    return {name: count for name, count in found.items() if count}


def erase(store: Store, subject: Subject, keys: Keys) -> None:
    """Remove what the keys stand for and return when no part that is read holds it any more; safe to repeat."""
    for _, table, condition, parameters, change in _pieces(subject, keys):
        found = store.query(f"SELECT 1 FROM {table} WHERE {condition} LIMIT 1", parameters)  # noqa: S608 - our own text
        # A mutation rewrites parts; one that would change nothing is not begun.
        if found.num_rows:
            store.execute(f"ALTER TABLE {table} {change} WHERE {condition} SETTINGS mutations_sync = 2", parameters)


def span_times(store: Store, subject: Subject, keys: Keys) -> tuple[Any, Any]:
    """Return the start of the oldest and the newest span of the keys; None where there is none."""
    first, last = None, None
    for part in _chunks(keys.traces):
        row = store.query(sql.load(_PACKAGE, "erasure_span_times"), {"tenant": subject.tenant, "traces": part})
        low, high = row.to_pylist()[0].values()
        first = low if first is None or (low is not None and low < first) else first
        last = high if last is None or (high is not None and high > last) else last
    return first, last


_Piece: TypeAlias = tuple[str, str, str, dict[str, Any], str]


def _pieces(subject: Subject, keys: Keys) -> Iterator[_Piece]:
    """Yield (name, table, condition, parameters, change), a few thousand keys at a time; each row is in one at most."""
    tenant = {"tenant": subject.tenant}
    own = "tenant = {tenant:String} AND "
    by_trace, by_run = own + "trace_id IN {keys:Array(String)}", own + "run_id IN {keys:Array(String)}"
    body = f"UPDATE data = '{ERASED_BODY}'"
    unless = f" AND data != '{ERASED_BODY}'"
    for part in _chunks(keys.traces):
        for table in ("spans", "messages", "logs", "scores", "runs", "sampled_traces"):
            yield table, table, by_trace, {**tenant, "keys": part}, "DELETE"
        yield "audit_events", "audit_events", by_trace + unless, {**tenant, "keys": part}, body
    alone = " AND trace_id = ''"
    for part in _chunks(keys.runs):
        yield "steps", "steps", by_run, {**tenant, "keys": part}, "DELETE"
        yield "scores", "scores", by_run + alone, {**tenant, "keys": part}, "DELETE"
        yield "audit_events", "audit_events", by_run + alone + unless, {**tenant, "keys": part}, body
    by_response = own + "response_id IN {keys:Array(String)} AND run_id = ''" + alone
    for part in _chunks(keys.responses):
        yield "scores", "scores", by_response, {**tenant, "keys": part}, "DELETE"
    for part in _chunks(keys.logs):
        yield "logs", "logs", own + "record_id IN {keys:Array(String)}", {**tenant, "keys": part}, "DELETE"
    point = own + "(name, series, toUnixTimestamp64Nano(time)) IN {keys:Array(Tuple(String, UInt64, Int64))}"
    for points in _chunks(keys.points):
        yield "metric_points", "metric_points", point, {**tenant, "keys": points}, "DELETE"
    for points in _chunks(keys.exemplars):
        named = point + " AND exemplars != ''"
        yield "metric_points.exemplars", "metric_points", named, {**tenant, "keys": points}, "UPDATE exemplars = ''"
    for events in _chunks(keys.events):
        event = own + "(stream, seq) IN {keys:Array(Tuple(String, UInt64))}" + unless
        yield "audit_events", "audit_events", event, {**tenant, "keys": events}, body


def _chunks(keys: Sequence[Any]) -> Iterator[list[Any]]:
    for first in range(0, len(keys), _KEYS_A_STATEMENT):
        yield list(keys[first : first + _KEYS_A_STATEMENT])


def _column(store: Store, name: str, parameters: Mapping[str, Any]) -> list[str]:
    return [str(value) for value in store.query(sql.load(_PACKAGE, name), parameters).column(0).to_pylist()]


def _rows(store: Store, name: str, parameters: Mapping[str, Any]) -> list[Any]:
    return [tuple(row.values()) for row in store.query(sql.load(_PACKAGE, name), parameters).to_pylist()]
