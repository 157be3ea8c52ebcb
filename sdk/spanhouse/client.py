"""The client of the server's HTTP API, used by the command line, the dashboards, notebooks and the runtime."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import requests
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from spanhouse.client_people import PeopleApi
from spanhouse.errors import ServerError
from spanhouse.following import QUIET_SECONDS, follow
from spanhouse.frames import ARROW, Answer, Export
from spanhouse.http_errors import decoded as _json
from spanhouse.http_errors import refused, unreachable
from spanhouse.settings import Signal, base_url, is_loopback, token_in

Json = dict[str, Any]
_NOT_MODIFIED = 304
_BACKUP_TIMEOUT = 300.0
"""Seconds until a backup begins to come: everything acknowledged is stored first."""
_SQL_TIMEOUT = 300.0
"""Seconds to wait for a statement: the server's own bound ends it before."""

_CONTROL_TIMEOUT = 5.0
"""Seconds a control answer may be late: an agent that cannot hear its operator should know soon."""


class Client(PeopleApi):
    """Speaks the server's API; every method returns the decoded JSON of ``docs/architecture.md``.

    What lists rows has them all as a table too: ``Client().runs(since="7d").frame()``, ``.pandas()``, ``.arrow()``; see
    `Answer`.

    Filters are keyword arguments named as in the API (``tenant=``, ``agent=``, ``filter="cost > 1"``, ``since="24h"``);
    a list is sent comma-separated, a value with a comma in quotes; None is left out. Every method raises
    ``ServerError`` where the server refuses or is away. May be used from several threads.

    Args:
        url: base URL; else ``SPANHOUSE_URL``, else http://127.0.0.1:4318.
        token: bearer token; None reads ``SPANHOUSE_TOKEN``, else ``SPANHOUSE_OPERATOR_TOKEN``; none is sent where both
            are missing, or for an empty text.
        timeout: seconds to wait for an answer.

    Raises:
        ConfigurationError: the URL is none.
    """

    def __init__(self, url: str | None = None, token: str | None = None, *, timeout: float = 30.0) -> None:
        self.url = base_url(url, os.environ)
        self._timeout = timeout
        self._session = requests.Session()
        token = token_in(os.environ) if token is None else token
        # What one key hears another may not: caches are named by this, which does not tell the token.
        self.account = hashlib.sha256(f"{self.url}\n{token}".encode()).hexdigest()[:24]
        if token:
            self._session.headers["authorization"] = f"Bearer {token}"
        self._session.trust_env = not is_loopback(self.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def runs(self, **filters: Any) -> Answer:  # noqa: ANN401 - text, number or list
        """Return one page of runs, newest first: ``{"runs": [...], "next_cursor": ...}``."""
        return self._rows("/api/v1/runs", filters)

    def iter_runs(self, **filters: Any) -> Iterator[Json]:  # noqa: ANN401 - text, number or list
        """Yield all runs that match, page by page."""
        return self._pages("/api/v1/runs", "runs", filters)

    def run(self, run_id: str) -> Json:
        """Return one run."""
        return self._get(f"/api/v1/runs/{_part(run_id)}")

    def spans(
        self, run_id: str, *, content: bool = False, limit: int | None = None, cursor: str | None = None
    ) -> Answer:
        """Return one page of a run's spans in start order, with their content where asked for."""
        return self._rows(f"/api/v1/runs/{_part(run_id)}/spans", {"content": content, "limit": limit, "cursor": cursor})

    def iter_spans(self, run_id: str, *, content: bool = False, limit: int | None = None) -> Iterator[Json]:
        """Yield all spans of a run in start order; ``limit`` is the size of a page."""
        return self._pages(f"/api/v1/runs/{_part(run_id)}/spans", "spans", {"content": content, "limit": limit})

    def span(self, run_id: str, span_id: str) -> Json:
        """Return one span with its content."""
        return self._get(f"/api/v1/runs/{_part(run_id)}/spans/{_part(span_id)}")

    def steps(self, run_id: str) -> Answer:
        """Return a run's steps: ``{"steps": [...]}``."""
        return self._rows(f"/api/v1/runs/{_part(run_id)}/steps", {})

    def audit(self, **filters: Any) -> Answer:  # noqa: ANN401 - text, number or list
        """Return one page of audit events: ``{"events": [...], "next_cursor": ...}``."""
        return self._rows("/api/v1/audit", filters)

    def audit_checkpoints(self, **filters: Any) -> Json:  # noqa: ANN401 - text or number
        """Return signed checkpoints and the keys that verify them: ``{"checkpoints": [...], "keys": [...]}``.

        Args:
            **filters: ``tenant``, without which it is the last one of each; ``after`` (a number) and ``limit``.
        """
        return self._get("/api/v1/audit/checkpoints", filters)

    def audit_schema(self) -> Json:
        """Return the JSON Schema of each audit event's own fields: ``{"events": {name: schema}}``."""
        return self._get("/api/v1/audit/schema")

    def rotate_audit_key(self) -> Json:
        """Replace the key that signs checkpoints and return the new public one; needs the operator token."""
        return _json(self._request("POST", "/api/v1/audit/rotate-key"))

    def iter_audit(self, **filters: Any) -> Iterator[Json]:  # noqa: ANN401 - text, number or list
        """Yield all audit events that match, page by page."""
        return self._pages("/api/v1/audit", "events", filters)

    def sessions(self, **filters: Any) -> Answer:  # noqa: ANN401 - text, number or list
        """Return one page of sessions, the latest first: ``{"sessions": [...], "next_cursor": ...}``."""
        return self._rows("/api/v1/sessions", filters)

    def session(self, session_id: str, *, tenant: str | None = None) -> Json:
        """Return a session and its runs in order: ``{"session", "turns": [{"run", "asked", "answered", "link"}]}``."""
        return self._get(f"/api/v1/sessions/{_part(session_id)}", {"tenant": tenant})

    def tail(self, *, after: str | None = None, seconds: float | None = None, **filters: Any) -> Iterator[Json]:  # noqa: ANN401 - text or list
        """Yield what happens to runs that match, as it happens: ``{"event": "start"|"change"|"end", "run": {...}}``.

        ``{"event": "skipped", "skipped": n}`` says that changes were left out, as they were read too slowly. Where the
        connection breaks it is taken up again with what was missed; the iterator ends when the server stops.

        Args:
            after: id of an event (a moment in microseconds since 1970), to begin with what changed since.
            seconds: after which the stream ends by itself; None: when the server stops.
            **filters: those of `runs`.
        """
        asked = {"seconds": seconds, **filters}

        def ask(last: str | None) -> requests.Response:
            headers = {"last-event-id": last} if last else {}
            return self._request(
                "GET", "/api/v1/tail", params=asked, headers=headers, timeout=QUIET_SECONDS, stream=True
            )

        return follow(ask, after)

    def triage(self, id: str) -> Json:  # noqa: A002 - a request, run, trace or session id
        """Return everything about a request, run, trace or session id that a person at 3 a.m. asks first."""
        return self._get(f"/api/v1/requests/{_part(id)}")

    def metrics(
        self,
        names: str | Sequence[str],
        *,
        since: str | None = None,
        until: str | None = None,
        by: str | Sequence[str] | None = None,
        step: str | None = None,
        **filters: Any,  # noqa: ANN401 - text, number or list
    ) -> Answer:
        """Return metric points: ``{"points": [...]}``, each with value, numerator, denominator and interval."""
        asked = {"name": names, "since": since, "until": until, "by": by, "step": step, **filters}
        return self._rows("/api/v1/metrics", asked)

    def metric_catalogue(self) -> Json:
        """Return every metric's name, unit, kind and meaning: ``{"metrics": [...]}``."""
        return self._get("/api/v1/metrics/catalogue")

    def tools(self, **filters: Any) -> Answer:  # noqa: ANN401 - text, number or list
        """Return calls, errors and latency by tool: ``{"tools": [...]}``."""
        return self._rows("/api/v1/tools", filters)

    def models(self, **filters: Any) -> Answer:  # noqa: ANN401 - text, number or list
        """Return calls, tokens and cost by model: ``{"models": [...]}``."""
        return self._rows("/api/v1/models", filters)

    def scores(self, **filters: Any) -> Answer:  # noqa: ANN401 - text, number or list
        """Return one page of what evaluators said: ``{"scores": [...], "next_cursor": ...}``."""
        return self._rows("/api/v1/scores", filters)

    def export(self, kind: str, **filters: Any) -> Export:  # noqa: ANN401 - text, number or list
        """Return all runs, spans, steps or audit events that match, as a stream of Arrow batches with cursors.

        Needs the extra ``client``. For tables of millions of rows; `runs` and the others give frames.

        Args:
            kind: runs, spans, steps or audit.
            **filters: those of the list; ``content=True`` for spans with what they say at length; ``as_of`` and
                ``cursor`` of an earlier export to take it up again.
        """
        return Export(self, kind, filters)

    def backup(self) -> requests.Response:
        """Return a backup of the server as it streams in; needs the operator token. Close it after reading."""
        return self._request("POST", "/api/v1/backup", stream=True, timeout=_BACKUP_TIMEOUT)

    def ask(self, path: str, params: Mapping[str, Any], *, timeout: float | None = None) -> requests.Response:
        """Return the answer to a GET that wants Arrow, its body not yet read."""
        return self._request("GET", path, params=params, headers={"accept": ARROW}, timeout=timeout, stream=True)

    def facets(self) -> Json:
        """Return the values that runs can be filtered by, by field."""
        return self._get("/api/v1/facets")

    def alerts(self) -> Json:
        """Return alert rules, alerts and notifications."""
        return self._get("/api/v1/alerts")

    def control(self, since: str | None = None, wait: float | None = None) -> Json | None:
        """Return the control flags in force: ``{"etag", "flags": [...]}``.

        Args:
            since: the ``etag`` of the last answer. With it the server answers only when flags have changed.
            wait: seconds the server may hold the answer back for a change.

        Returns:
            None where nothing changed since ``since``.
        """
        answer = self._request(
            "GET", "/api/v1/control", params={"since": since, "wait": wait}, timeout=(wait or 0.0) + _CONTROL_TIMEOUT
        )
        return None if answer.status_code == _NOT_MODIFIED else _json(answer)

    def budgets(self, *, every: bool = False, tenant: str | None = None) -> Json:
        """Return ``{"budgets": [...]}``: limit, use and share of the budgets that agents share, the fullest first.

        Args:
            every: those of requests, runs and past days too.
            tenant: only this tenant's.
        """
        return self._get("/api/v1/budgets", {"all": "true" if every else None, "tenant": tenant})

    def set_control(
        self,
        action: str,
        scope: str,
        target: str | None = None,
        *,
        tenant: str | None = None,
        reason: str | None = None,
        by: str | None = None,
        ttl_seconds: float | None = None,
        limits: Mapping[str, float] | None = None,
        tool: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        resources: Mapping[str, Sequence[str]] | None = None,
    ) -> Json:
        """Set a control flag and return it; needs the operator token.

        Args:
            action: stop, disable, enable, pause, tighten, raise, edit_next, refuse_next or grant.
            scope: run, agent, tool, user, tenant or all.
            target: the run id, agent, tool, user or tenant meant; none for scope all.
            tenant: the tenant it holds for; none: all.
            reason: why, for the audit trail.
            by: who.
            ttl_seconds: after which it ends by itself; none: it stays.
            limits: for tighten and raise: ``max_steps``, ``max_tool_calls``, ``max_seconds``, ``max_usd`` and
                ``max_tokens``, as many as are meant.
            tool: for edit_next and refuse_next: calls of this tool alone.
            arguments: for edit_next: what the call is made with.
            resources: for grant: globs of the paths and URLs it lets through, by the argument that names them; any
                without it. Its ``tool`` is a glob over tool names.
        """
        said = {
            "action": action,
            "scope": scope,
            "target": target,
            "tenant": tenant,
            "reason": reason,
            "by": by,
            "ttl_seconds": ttl_seconds,
            "limits": limits and dict(limits),
            "tool": tool,
            "arguments": None if arguments is None else dict(arguments),
            "resources": resources and {name: list(globs) for name, globs in resources.items()},
        }
        body = {key: value for key, value in said.items() if value is not None}
        return _json(self._request("POST", "/api/v1/control", json=body))

    def keys(self) -> Json:
        """Return the API keys the token may manage, without their secrets: ``{"keys": [...]}``."""
        return self._get("/api/v1/keys")

    def create_key(
        self,
        tenants: Sequence[str],
        role: str,
        *,
        environment: str | None = None,
        name: str | None = None,
        expires_seconds: float | None = None,
    ) -> Json:
        """Make an API key and return ``{"key", "secret"}``; the secret cannot be asked for again.

        Args:
            tenants: tenants it speaks for; ``["*"]`` for all.
            role: ingest, read, operate or admin.
            environment: of records that name none themselves.
            name: what it is for.
            expires_seconds: after which it ends by itself; none: it stays.
        """
        said = {
            "tenants": list(tenants),
            "role": role,
            "environment": environment,
            "name": name,
            "expires_seconds": expires_seconds,
        }
        body = {key: value for key, value in said.items() if value is not None}
        return _json(self._request("POST", "/api/v1/keys", json=body))

    def revoke_key(self, key_id: str) -> Json:
        """End an API key and return ``{"key"}``."""
        return _json(self._request("POST", f"/api/v1/keys/{_part(key_id)}/revoke"))

    def rotate_key(self, key_id: str, *, overlap_seconds: float) -> Json:
        """Replace an API key: return ``{"key", "secret", "replaced"}``; the old one goes on for the overlap."""
        path = f"/api/v1/keys/{_part(key_id)}/rotate"
        return _json(self._request("POST", path, json={"overlap_seconds": overlap_seconds}))

    def ledger(self, **filters: Any) -> Json:  # noqa: ANN401 - text, number or list
        """Return what became of the records received: ``{"totals": {...}, "minutes": [...], "truncated"}``."""
        return self._get("/api/v1/ledger", filters)

    def system(self) -> Json:
        """Return the server's own state: versions, store, schema, journal, dead letters, disk, gaps, open ends."""
        return self._get("/api/v1/system")

    def reprocess(self, since: str, *, until: str | None = None, tenant: str = "") -> Json:
        """Start normalising stored spans again and return the job; needs the operator token."""
        said = {"since": since, "until": until, "tenant": tenant}
        job: Json = _json(self._request("POST", "/api/v1/reprocess", json=said))["job"]
        return job

    def reprocessing(self) -> Json | None:
        """Return the last reprocessing job as it stands; None where there was none since the server started."""
        job: Json | None = self._get("/api/v1/reprocess")["job"]
        return job

    def sql(self, statement: str, parameters: Mapping[str, str] | None = None) -> Json:
        """Return a SELECT's rows: ``{"columns": [{"name", "type"}], "rows": [[...]], "row_count", "rows_read", ...}``.

        ``parameters`` are values of ``{name:Type}`` in it. On the embedded store it needs the operator token.
        """
        return _json(self._sql(statement, parameters, "application/json"))

    def sql_csv(self, statement: str, parameters: Mapping[str, str] | None = None) -> str:
        """Return a SELECT's rows as CSV with a line of names."""
        return self._sql(statement, parameters, "text/csv").content.decode("utf-8", errors="replace")

    def sql_tables(self) -> Json:
        """Return the tables a SELECT may read, with type and meaning of every column: ``{"tables": [...]}``."""
        return self._get("/api/v1/sql/tables")

    def delete_records(self, tenant: str, *, dry_run: bool = True, **wanted: str) -> Json:
        """Return what a deletion would take (``plan``), or begin it (``deletion``); needs the operator token.

        Args:
            tenant: within which.
            dry_run: only say what would go.
            wanted: one of user, request_id, run_id and session; and reason.
        """
        said = {"tenant": tenant, "dry_run": dry_run, **wanted}
        answer: Json = _json(self._request("POST", "/api/v1/deletions", json=said))
        return answer

    def deletions(self) -> list[Json]:
        """Return every deletion asked for, oldest first; needs the operator token."""
        found: list[Json] = self._get("/api/v1/deletions")["deletions"]
        return found

    def deletion(self, deletion_id: str) -> Json:
        """Return one deletion, with its receipt once it is done; needs the operator token."""
        found: Json = self._get(f"/api/v1/deletions/{quote(deletion_id, safe='')}")["deletion"]
        return found

    def retention(self) -> list[Json]:
        """Return how long each kind of record is kept, by tenant; needs the operator token."""
        found: list[Json] = self._get("/api/v1/retention")["retention"]
        return found

    def health(self) -> Json:
        """Return what ``/readyz`` says: journal lag and the state of the store."""
        return self._get("/readyz")

    def post_otlp(self, signal: Signal, body: bytes, *, compress: bool = True) -> tuple[int, str]:
        """Post an encoded OTLP protobuf request; return how many records were rejected, and why.

        Args:
            signal: "traces" or "logs".
            body: a serialised ``ExportTraceServiceRequest`` or ``ExportLogsServiceRequest``.
            compress: send it as gzip.
        """
        headers = {"content-type": "application/x-protobuf"}
        if compress:
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=1, mtime=0)
        answer = self._request("POST", f"/v1/{signal}", data=body, headers=headers)
        try:
            if signal == "traces":
                traces = ExportTraceServiceResponse.FromString(answer.content).partial_success
                return traces.rejected_spans, traces.error_message
            logs = ExportLogsServiceResponse.FromString(answer.content).partial_success
        except DecodeError as error:
            msg = f"{answer.url} answered {answer.status_code} without OTLP: is a Spanhouse server behind this URL?"
            raise ServerError(msg, status=answer.status_code) from error
        return logs.rejected_log_records, logs.error_message

    def _rows(self, path: str, filters: Mapping[str, Any]) -> Answer:
        return Answer(self._get(path, filters), self, path, filters)

    def _sql(self, statement: str, parameters: Mapping[str, str] | None, accept: str) -> requests.Response:
        body = {"sql": statement, "parameters": dict(parameters or {})}
        return self._request("POST", "/api/v1/sql", json=body, headers={"accept": accept}, timeout=_SQL_TIMEOUT)

    def _get(self, path: str, filters: Mapping[str, Any] | None = None) -> Json:
        return _json(self._request("GET", path, params=filters or {}))

    def _pages(self, path: str, field: str, filters: Mapping[str, Any]) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            page = self._get(path, {**filters, "cursor": cursor} if cursor else filters)
            yield from page[field]
            cursor = page.get("next_cursor")
            if not cursor:
                return

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Json | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stream: bool = False,
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method,
                self.url + path,
                params={key: _query(value) for key, value in (params or {}).items() if value is not None},
                json=json,
                data=data,
                headers=headers,
                timeout=timeout or self._timeout,
                stream=stream,
            )
        except requests.RequestException as error:
            raise unreachable(self.url, error) from error
        if not answer.ok:
            raise refused(answer)
        return answer


def _query(value: Any) -> str:  # noqa: ANN401 - text, number or list
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ",".join(_item(str(item)) for item in value)
    return str(value)


def _item(text: str) -> str:
    """Return one value of a list: the server splits at commas, but not inside double quotes."""
    return '"' + text.replace('"', '""') + '"' if "," in text or text.startswith('"') else text


def _part(text: str) -> str:
    return quote(text, safe="")
